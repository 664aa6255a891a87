"""Hidden variation in real cohorts: are latent columns better than nothing, and than surrogate variables?

BULKVI_DATA_DIR=<folder> python -m benchmarks.hidden_real [section ...] [--sets N] [--methods ...] [--rows FILE]

withheld     strains of bottomly, the batch not told: agreement of calls with fits that are told
unbalanced   bottomly with batch and groups unbalanced, among them groups that mean nothing: false calls
study_shift  women of geuvadis_sex as if of two studies, unbalanced over groups that mean nothing: false calls
sexes        men over women of geuvadis_sex: what is called beyond the sex chromosomes
never_worse  yeast: WT against Snf2, and WT against WT with as many samples as there are
calibrate    ``model.calibrate`` on null data, on real effects, and on heavy outliers with a plug-in method

Every data set goes through the public door: size factors, training, ``differential_expression``. Beside the default stand the
model without latent columns, the one that is told the batch, and DESeq2, edgeR QL and limma-voom, with and without
svaseq. Entries are means over the data sets of a cell; ``--rows`` keeps those of each data set.
"""

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import bulkvi as bv
from benchmarks import hidden, hidden_real_calibrate, hidden_real_sets
from benchmarks.calibration_scenarios import yeast_null_splits, yeast_snf2_subsets
from benchmarks.peers import CountData, run_peers
from benchmarks.scores import called, null_share, tpr_at_fdp
from benchmarks.truth_yeast import consensus

PEERS = ("deseq2", "edger_ql", "voom", "deseq2+sva", "edger_ql+sva", "voom+sva")
DEFAULT, PLAIN, TOLD = "bulkvi", "bulkvi, no latent columns", "bulkvi, told the batch"
TOLD_DEFAULT = "bulkvi with latent columns, told the batch"
SURELY_NOTHING = 0.2
"""A gene counts as null if no fit that knows the batch has a p-value below this on all samples."""

Tables = dict[str, pd.DataFrame]
Known = pd.DataFrame | None


def fitted(data: CountData, covariates: Known, max_steps: int | None = None) -> bv.BulkVI:
    """A trained model with the covariates and the group in its design; group B is 1."""
    obs = pd.DataFrame({"group": np.where(data.group == 1, "B", "A")}, index=[f"s{i}" for i in range(len(data.group))])
    terms = [] if covariates is None else list(covariates.columns)
    for name in terms:
        obs[name] = covariates[name].to_numpy()  # type: ignore[index]
    adata = AnnData(data.counts.to_numpy(np.float32), obs=obs, var=pd.DataFrame(index=data.counts.columns))
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ " + " + ".join([*terms, "group"]))
    model = bv.BulkVI(adata)
    model.train(max_steps=max_steps, progress_bar=False)
    return model


def ours(data: CountData, batch: Known) -> Tables:
    """By the default, without latent columns, and told the batch (without and with latent columns)."""
    compare = {"groupby": "group", "group1": "B", "group2": "A"}
    model = fitted(data, data.covariates)
    tables = {
        DEFAULT: model.differential_expression(**compare),
        PLAIN: model.differential_expression(**compare, latent_columns=0),
    }
    if batch is not None:
        told = fitted(data, _joined(data.covariates, batch))
        tables[TOLD] = told.differential_expression(**compare, latent_columns=0)
        tables[TOLD_DEFAULT] = told.differential_expression(**compare)
    return tables


def _joined(covariates: Known, batch: pd.DataFrame) -> pd.DataFrame:
    return batch if covariates is None else pd.concat([covariates, batch], axis=1)


def answers(data: CountData, batch: Known, peers: tuple[str, ...], *, peers_told: bool) -> Tables:
    """Tables of all methods; with ``peers_told`` also ``"<peer>, told the batch"``."""
    tables = ours(data, batch)
    asked = run_peers([data], peers) if peers else {}
    tables |= {method: asked[data.name, method].table for method in peers if (data.name, method) in asked}
    if peers_told and batch is not None:
        found = run_peers([with_batch(data, batch)], peers) if peers else {}
        for method in peers:
            if (data.name, method) in found:
                tables[f"{method}, told the batch"] = found[data.name, method].table
    return tables


def with_batch(data: CountData, batch: pd.DataFrame) -> CountData:
    """The same with the batch among the covariates."""
    return CountData(data.name, data.counts, data.group, _joined(data.covariates, batch), data.truth)


def calls_of(table: pd.DataFrame) -> np.ndarray:
    """Genes with an adjusted p-value below 0.05."""
    return called(table["adj_p_value"].to_numpy(dtype=float), 0.05)


def told_tables(tables: Mapping[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """Those of the fits that are told the batch and look for nothing else."""
    plain = [name for name in tables if name.endswith("told the batch") and name != TOLD_DEFAULT and "+sva" not in name]
    return [tables[name] for name in plain]


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the genes called by either that both call; 1 if neither calls any."""
    either = int((first | second).sum())
    return float((first & second).sum() / either) if either else 1.0


def judge_agreement(tables: Tables, known: pd.DataFrame) -> Iterator[dict]:
    """Of each method: agreement with fits that know the batch, and with what all samples say when the batch is told.

    ``own``: the same method told the batch, without surrogate variables or latent columns; ``same settings``: with them where
    the method has them; ``ours``: bulkvi told the batch; ``majority``: genes called by more than half of the fits that are
    told it and look for nothing else. ``status`` in ``known`` is from all samples.
    """
    told = told_tables(tables)
    majority = np.mean([calls_of(table) for table in told], axis=0) > 0.5
    for method, table in tables.items():
        own = TOLD if method in (DEFAULT, PLAIN) else f"{method.removesuffix('+sva')}, told the batch"
        calls = calls_of(table)
        row = {"method": method, "calls": float(calls.sum())}
        if not method.endswith("told the batch"):
            row |= {"own": jaccard(calls, calls_of(tables[own])), "ours": jaccard(calls, calls_of(tables[TOLD]))}
            row["majority"] = jaccard(calls, majority)
            same = TOLD_DEFAULT if method == DEFAULT else TOLD if method == PLAIN else f"{method}, told the batch"
            row["same settings"] = jaccard(calls, calls_of(tables[same])) if same in tables else np.nan
        yield row | _against(table, known["status"].to_numpy()) | _of_ours(table)


def judge_null(tables: Tables, _: pd.DataFrame) -> Iterator[dict]:
    """Of groups that mean nothing: every call is false."""
    for method, table in tables.items():
        p_value, calls = table["p_value"].to_numpy(dtype=float), calls_of(table)
        row = {"method": method, "false calls": float(calls.sum()), "splits with calls": float(calls.any())}
        row["null p < 0.05"] = null_share(p_value, np.zeros(p_value.size), 0.05)
        yield row | _of_ours(table)


def judge_sexes(tables: Tables, known: pd.DataFrame) -> Iterator[dict]:
    """Calls on and beyond the sex chromosomes, and the rank of the surest gene beyond them."""
    of_sex = known["of_sex"].to_numpy()
    for method, table in tables.items():
        p_value, calls = table["p_value"].fillna(1.0).to_numpy(), calls_of(table)
        row = {"method": method, "calls on X, Y": float((calls & of_sex).sum())}
        row |= {"elsewhere": float((calls & ~of_sex).sum())}
        row["share elsewhere"] = row["elsewhere"] / max(calls.sum(), 1)
        row["X, Y genes before the first other"] = float((p_value[of_sex] < p_value[~of_sex].min()).sum())
        row["p < 0.05 elsewhere"] = null_share(p_value, np.where(of_sex, -1, 0), 0.05)
        others = known.index[calls & ~of_sex]
        row["named"] = " ".join(known.loc[others, "symbol"].where(known.loc[others, "symbol"] != "", others))
        yield row | _of_ours(table)


def _against(table: pd.DataFrame, status: np.ndarray) -> dict[str, float]:
    p_value, calls = table["p_value"].to_numpy(dtype=float), calls_of(table)
    return {
        "null calls": float((calls & (status == 0)).sum()),
        "null p < 0.05": null_share(p_value, status, 0.05),
        "TPR at 5 % FDP": tpr_at_fdp(p_value, status, 0.05),
    }


def _of_ours(table: pd.DataFrame) -> dict[str, float]:
    if "s_value" not in table:
        return {}
    sure = called(table["s_value"].to_numpy(), 0.05)
    return {"s calls": float(sure.sum()), "columns": float(table.attrs["n_latent_columns"])}


def status_of_strains(peers: tuple[str, ...]) -> pd.DataFrame:
    """Which genes differ between the strains, by all samples and fits that know the batch: 1 by most, 0 by none, else -1."""
    data, batch = next(hidden_real_sets.strains((), 0))
    told = told_tables(answers(data, batch, peers, peers_told=True))
    most = np.mean([calls_of(table) for table in told], axis=0) > 0.5
    none = np.all([table["p_value"].to_numpy(dtype=float) > SURELY_NOTHING for table in told], axis=0)
    return pd.DataFrame({"status": np.select([most, none], [1, 0], -1)}, index=data.counts.columns)


Sets = Iterable[tuple[CountData, pd.DataFrame]]
Judge = Callable[[Tables, pd.DataFrame], Iterator[dict]]


def measured(sets: Sets, judge: Judge, peers: tuple[str, ...], known: Known = None) -> pd.DataFrame:
    """A row for each data set and method. With ``known``, the truth by gene, peers are told the batch as well."""
    rows, sets = [], list(sets)
    if peers:  # one R process for several data sets: each is then read from the cache
        run_peers((data for data, _ in sets), peers)
    if known is not None and peers:
        run_peers((with_batch(data, batch) for data, batch in sets), peers)
    for data, about in sets:
        told = None if judge is judge_sexes else about
        try:
            tables = answers(data, told, peers, peers_told=known is not None)
        except RuntimeError as error:
            print(f"\n{data.name} is left out, training failed: {str(error)[:100]}")
            continue
        truth = about if known is None else known.reindex(data.counts.columns, fill_value=-1)
        scenario, size, number = data.name.split("/")
        where = {"scenario": scenario, "n": int(size[1:]), "set": int(number)}
        rows += [where | row for row in judge(tables, truth)]
        print(".", end="", flush=True)
    return pd.DataFrame(rows)


def never_worse(n_sets: int) -> pd.DataFrame:
    """Yeast by the default and without latent columns: real effects nearly everywhere, and none."""
    sets = [*yeast_snf2_subsets(consensus(), (3, 6, 10), n_sets), *yeast_null_splits((3, 6, 10, 11), max(20, n_sets))]
    rows = []
    for data in sets:
        rows += [
            row | {"any": row["calls"] > 0, "any s": row["s calls"] > 0} for row in hidden.judge(data, ours(data, None))
        ]
        print(".", end="", flush=True)
    return pd.DataFrame(rows)


def show(title: str, rows: pd.DataFrame) -> None:
    """Print means over the data sets of each cell, and the number of data sets."""
    cells = rows.groupby(["scenario", "n", "method"], sort=False)
    numbers = rows.select_dtypes(["number", "bool"]).columns.difference(["n", "set"], sort=False)
    means = cells[list(numbers)].mean().round(3)
    means.insert(0, "sets", cells.size())
    if "calls" in rows:
        means.insert(2, "median calls", cells["calls"].median())
    print(f"\n\n## {title}: means over data sets\n\n{means.reset_index().to_string(index=False)}")
    for scenario, n, method, named in rows.get(["scenario", "n", "method", "named"], pd.DataFrame()).itertuples(
        index=False
    ):
        if scenario == "all" and named:
            print(f"{method}, n = {n}, called elsewhere: {named}")


def main() -> None:
    """Run and print one table a section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections = ["withheld", "unbalanced", "study_shift", "sexes", "never_worse", "calibrate"]
    parser.add_argument("sections", nargs="*", default=sections, metavar="section")
    parser.add_argument("--sets", type=int, default=6, help="data sets of each cell")
    parser.add_argument("--methods", nargs="*", default=list(PEERS), help="peers; none needs no R")
    parser.add_argument("--rows", type=Path, help="a folder: rows of each data set are written there, <section>.csv")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(sections):
        parser.error(f"unknown sections {sorted(unknown)}; there are {', '.join(sections)}")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    peers, n_sets = tuple(arguments.methods), arguments.sets
    for section in arguments.sections:
        if section == "withheld":
            rows = measured(hidden_real_sets.strains((5, 7), n_sets), judge_agreement, peers, status_of_strains(peers))
        elif section == "unbalanced":
            known = status_of_strains(peers)
            show(
                "strains unbalanced over the batch",
                measured(hidden_real_sets.unbalanced_strains(n_sets), judge_agreement, peers, known),
            )
            rows = measured(hidden_real_sets.unbalanced_nulls(n_sets), judge_null, peers)
        elif section == "study_shift":
            rows = measured(hidden_real_sets.two_studies((10, 20), n_sets), judge_null, peers)
        elif section == "sexes":
            rows = measured(hidden_real_sets.sexes((10, 20), n_sets), judge_sexes, peers)
        elif section == "never_worse":
            rows = never_worse(n_sets)
        else:
            hidden_real_calibrate.show(n_sets)
            continue
        show(section, rows)
        if arguments.rows:
            arguments.rows.mkdir(parents=True, exist_ok=True)
            rows.to_csv(arguments.rows / f"{section}.csv", index=False)


if __name__ == "__main__":
    main()
