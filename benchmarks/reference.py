"""What a study learns from a reference cohort: the same study analysed without and with it.

``python -m benchmarks reference [--sets N] [--part PART ...]``; data sets are those of `benchmarks.reference_data`.

within     people of one sex, the reference of the other people of this cohort
equal      the same, groups that differ by nothing
across     one study to another: yeast libraries, experiments on mice, a shallow and noisier laboratory
wrong      references of another tissue, of permuted genes, of another organism under the same ids
real       Snf2 against wild-type yeast, whose effect runs along directions of the reference
along      a treatment that moves the samples along one direction of the reference
batch      a hidden batch in three against three, of which the reference has seen more
stability  the same study with references of fewer samples, and of another seed of training

Every study goes through the public functions: size factors, training, ``differential_expression`` with its defaults. References and results
are kept in the cache, so that a run that was stopped goes on where it was.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from threadpoolctl import threadpool_limits

import bulkvi as bv
from benchmarks import reference_data as sets_of
from benchmarks.cache import ANSWER, CACHE, code_digest, digest, package_code, remember
from benchmarks.peers import CountData, PeerResult, content_key, run_peers
from benchmarks.reference_data import Cohort
from benchmarks.scores import called, coverage
from benchmarks.truth_yeast import consensus
from benchmarks.two_groups import judge
from bulkvi.reference_names import MOVE, MOVED_BY

PARTS = ("within", "equal", "across", "wrong", "real", "along", "batch", "stability")
SETS = {"within": 10, "equal": 30, "across": 10, "wrong": 5, "real": 5, "along": 5, "batch": 10, "stability": 3}
N_COHORTS = 4
"""Cohorts of geuvadis, each without other people; studies take turns."""
PEER = "voom"
WITH_PEER = ("within", "across", "real", "batch")
COMPARED = ("group", "B", "A")
PROTOCOL = "1"
STATE_STEP = 2.0
"""How far a treatment moves the latent state, in standard deviations over the cohort."""
FIRST_DIRECTION = "reference_0"
"""Its row in the report on the latent state."""


class Case(NamedTuple):
    """One study, and the cohort that may help it."""

    part: str
    scenario: str
    seed: int
    cohort: Cohort
    data: CountData
    told: pd.DataFrame | None = None
    """Covariates that only the oracle is told."""
    seed_of_training: int = 0
    compared: str = ""
    """Method whose fold changes these are compared with; empty for none."""


# ------------------------------------------------------------------ which studies


def cases(part: str, n_sets: int, *, compute: bool = True) -> Iterator[Case]:
    """Studies of one part of the page; without ``compute`` none that depends on a reference that is not in the cache."""
    if part == "along":
        return _along(n_sets, compute=compute)
    return {
        "within": _within, "equal": _equal, "across": _across, "wrong": _wrong, "real": _real, "batch": _batch,
        "stability": _stability,
    }[part](n_sets)  # fmt: skip


def _within(n_sets: int) -> Iterator[Case]:
    for n in (2, 3, 5, 8):
        for seed in range(n_sets):
            cohort, pool = sets_of.geuvadis_within_sex(seed % N_COHORTS)
            yield Case("within", "one sex", seed, cohort, sets_of.study("geuvadis", pool, n, seed))


def _equal(n_sets: int) -> Iterator[Case]:
    for n in (2, 3, 5, 8):
        for seed in range(n_sets):
            cohort, pool = sets_of.geuvadis_within_sex(seed % N_COHORTS)
            yield Case("equal", "one sex", seed, cohort, sets_of.null_study("geuvadis", pool, n, seed))


def _across(n_sets: int) -> Iterator[Case]:
    for n in (3, 5):
        for seed in range(n_sets):
            cohort, pool = sets_of.yeast_halves(seed)
            yield Case("across", "yeast, other libraries", seed, cohort, sets_of.study("yeast", pool, n, seed))
    for n in (2, 3):
        for seed in range(n_sets):
            cohort, mice, obs = sets_of.bottomly_by_experiment(seed)
            yield Case("across", "mice, other experiments", seed, cohort, sets_of.bottomly_study(mice, obs, n, seed))
    for n in (3, 5):
        for seed in range(n_sets):
            cohort, pool = sets_of.geuvadis_within_sex(seed % N_COHORTS)
            moved = sets_of.as_of_another_study(pool, seed)
            data = sets_of.study("geuvadis_moved", moved, n, seed)
            yield Case("across", "people, shallow and noisier", seed, cohort, data)


def _wrong(n_sets: int) -> Iterator[Case]:
    for n in (3, 5):
        for seed in range(n_sets):
            cohort, pool = sets_of.geuvadis_within_sex(seed % N_COHORTS)
            data = sets_of.study("geuvadis", pool, n, seed)
            yield Case("wrong", "genes permuted", seed, cohort, sets_of.genes_permuted(data, seed))
            yield Case("wrong", "skin for blood cells", seed, sets_of.skin_cohort(), data)
    for seed in range(n_sets):
        yield Case("wrong", "mice for flies", seed, sets_of.mice_named_as_flies(), sets_of.pasilla_study(seed))


def _real(n_sets: int) -> Iterator[Case]:
    truth = consensus()
    for n in (3, 6):
        for both in (False, True):
            for seed in range(n_sets):
                cohort, chosen, group = sets_of.yeast_strains(n, seed, both_strains=both)
                data = sets_of.snf2_study(chosen, group, truth, seed)
                yield Case(
                    "real", "reference of both strains" if both else "reference of wild type", seed, cohort, data
                )


def _along(n_sets: int, *, compute: bool) -> Iterator[Case]:
    for n in (3, 5):
        for seed in range(n_sets):
            cohort, pool = sets_of.geuvadis_within_sex(seed % N_COHORTS)
            if not compute and not reference_path(cohort).exists():
                continue
            log_fc = STATE_STEP * first_direction(reference_of(cohort)) / np.log(2)
            data = sets_of.moved_along("geuvadis", pool, n, seed, log_fc)
            yield Case("along", "first direction", seed, cohort, data)


def _batch(n_sets: int) -> Iterator[Case]:
    for n_upper, correlation in ((1, "r = 0"), (2, "r = .33"), (3, "r = .71")):
        for seed in range(n_sets):
            cohort, data, batch = sets_of.hidden_batch(n_upper, seed)
            yield Case("batch", correlation, seed, cohort, data, pd.DataFrame({"batch": batch}))


def _stability(n_sets: int) -> Iterator[Case]:
    for seed in range(n_sets):
        cohort, pool = sets_of.geuvadis_within_sex(seed % N_COHORTS)
        data = sets_of.study("geuvadis", pool, 3, seed)
        fewer = sets_of.geuvadis_smaller(seed % N_COHORTS)
        yield Case("stability", "20 samples fewer", seed, fewer, data, compared=cohort.name)
        yield Case("stability", "another seed", seed, cohort, data, seed_of_training=1, compared=cohort.name)


# ------------------------------------------------------------------ references


def reference_of(cohort: Cohort, seed: int = 0) -> Any:
    """The reference of a cohort, trained once and kept in the cache."""
    path = reference_path(cohort, seed)
    if not path.exists():
        obs = cohort.obs.copy()
        var = pd.DataFrame(index=cohort.counts.columns.astype(str))
        adata = AnnData(cohort.counts.to_numpy(np.float32), obs=obs, var=var)
        bv.pp.size_factors(adata)
        design = {} if cohort.design is None else {"design": cohort.design}
        bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", **design)
        model = bv.BulkVI(adata)
        model.train(seed=seed, progress_bar=False, accelerator="cpu")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}_partial.ref")
        bv.Reference.from_model(model, name=cohort.name).save(partial)
        partial.replace(path)
    return bv.Reference.load(path)


def reference_path(cohort: Cohort, seed: int = 0) -> Path:
    """Where the reference of a cohort is kept."""
    return CACHE / "references" / f"{reference_key(cohort, seed)}.ref"


def reference_key(cohort: Cohort, seed: int) -> str:
    """Digest of everything a reference depends on."""
    content = hashlib.sha256(np.ascontiguousarray(cohort.counts.to_numpy(), dtype="<i4").tobytes())
    content.update("\t".join(cohort.counts.columns.astype(str)).encode())
    content.update(cohort.obs.to_csv().encode())
    return digest([PROTOCOL, content.hexdigest(), cohort.design, seed, code_digest(tuple(_code()))])


def first_direction(reference: Any) -> pd.Series:
    """Loadings (natural log per standard deviation of the state) of the reference's first direction."""
    genes = reference.genes_for(pd.Index(reference.genes))
    return pd.Series(genes.loadings[0], reference.genes)


def _code() -> list[Path]:
    """Files of the package that an answer with a reference depends on."""
    return package_code(*ANSWER, "reference")


# ------------------------------------------------------------------ tables of a study


def fitted(data: CountData, reference: Any = None, told: pd.DataFrame | None = None) -> bv.BulkVI:
    """A trained model of the study; the covariates that are known, or told, are in its design."""
    obs = pd.DataFrame({"group": np.where(data.group == 1, "B", "A")}, index=data.counts.index.astype(str))
    covariates = [table for table in (data.covariates, told) if table is not None]
    for table in covariates:
        for name in table:
            obs[name] = table[name].to_numpy()
    terms = [str(name) for table in covariates for name in table]
    adata = AnnData(data.counts.to_numpy(np.float32), obs=obs, var=pd.DataFrame(index=data.counts.columns.astype(str)))
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ " + " + ".join([*terms, "group"]))
    model = bv.BulkVI(adata) if reference is None else bv.BulkVI(adata, reference=reference)
    model.train(progress_bar=False, accelerator="cpu")
    return model


def scores(data: CountData, table: pd.DataFrame, seconds: float = np.nan) -> dict[str, float]:
    """`two_groups.judge`, and what is judged here besides."""
    numbers = table.select_dtypes("number")
    numbers.attrs = {key: value for key, value in table.attrs.items() if key == bv.names.N_LATENT_COLUMNS}
    found = judge(data, PeerResult(numbers, seconds, {}))
    if data.truth is None:
        raise ValueError(f"{data.name} has no truth.")
    log_fc, estimate = data.truth["log_fc"].to_numpy(dtype=float), table["log_fc"].to_numpy(dtype=float)
    calls = called(table["adj_p_value"].to_numpy(dtype=float), 0.05)
    found["any"] = float(calls.any())
    both = np.isfinite(log_fc) & np.isfinite(estimate)
    if np.ptp(log_fc[both]) > 0:
        found["correlation"] = float(np.corrcoef(log_fc[both], estimate[both])[0, 1])
    if "log_fc_low" in table:
        low, high = (table[name].to_numpy(dtype=float)[calls] for name in ("log_fc_low", "log_fc_high"))
        found["coverage, called"] = coverage(low, high, log_fc[calls])
    return {key: value for key, value in found.items() if value == value}


def trust(table: pd.DataFrame) -> dict[str, float]:
    """How much of the reference the study used: numbers in the attributes of the table."""
    given = table.attrs.get("reference", {})
    return {f"trust {key}": float(value) for key, value in dict(given).items() if isinstance(value, int | float)}


def _without(case: Case) -> dict[str, dict[str, float]]:
    with threadpool_limits(1):
        start = time.process_time()
        table = fitted(case.data).differential_expression(*COMPARED)
        seconds = time.process_time() - start
    return {"bulkvi": scores(case.data, table, seconds)}


def _oracle(case: Case) -> dict[str, dict[str, float]]:
    table = fitted(case.data, told=case.told).differential_expression(*COMPARED, latent_columns=0)
    return {"oracle": scores(case.data, table)}


def _with(case: Case) -> dict[str, dict[str, float]]:
    reference = reference_of(case.cohort, case.seed_of_training)
    with threadpool_limits(1):
        start = time.process_time()
        model = fitted(case.data, reference)
        table = model.differential_expression(*COMPARED)
        seconds = time.process_time() - start
    found = {"reference": scores(case.data, table, seconds) | trust(table)}
    if case.part in ("along", "real"):
        for effect in ("direct", "total"):
            by_effect = model.differential_expression(*COMPARED, effect=effect)
            found[f"reference, {effect}"] = scores(case.data, by_effect)
    if case.part == "along":
        found["reference"]["named"] = float(_is_named(model.latent_report()))
    if case.compared:
        first = reference_of(_first_cohort(case))
        before = fitted(case.data, first).differential_expression(*COMPARED)
        moved = (table["log_fc"] - before["log_fc"]).abs() / before["log_fc_se"]
        found["reference"]["moved, median"] = float(moved.median())
        found["reference"]["moved, 95 %"] = float(moved.quantile(0.95))
    return found


def _first_cohort(case: Case) -> Cohort:
    """The cohort of geuvadis with which another reference is compared."""
    return sets_of.geuvadis_within_sex(int(case.compared.rsplit("_", 1)[1]))[0]


def _is_named(report: pd.DataFrame) -> bool:
    """Whether the group moves the first direction of the reference, and no other further."""
    of_group = report.loc[report[MOVED_BY].str.startswith(f"{COMPARED[0]}["), MOVE].abs()
    return bool(len(of_group)) and str(of_group.idxmax()) == FIRST_DIRECTION


# ------------------------------------------------------------------ rows


def rows(part: str, n_sets: int | None = None, *, compute: bool = True) -> pd.DataFrame:
    """A row for each study and method of a part; with ``compute=False`` those that the cache holds."""
    found = []
    for case in cases(part, SETS[part] if n_sets is None else n_sets, compute=compute):
        about = {"scenario": case.scenario, "source": part, "n": len(case.data.group) // 2, "seed": case.seed}
        for method, values in answers(case, compute=compute).items():
            found.append(about | {"method": method} | values)
    return pd.DataFrame(found)


def answers(case: Case, *, compute: bool = True) -> dict[str, dict[str, float]]:
    """Scores of one study by method; methods that are neither cached nor to be computed, or not possible here, are left out."""
    jobs: dict[str, tuple[Callable[[Case], dict], list[Path], str]] = {"without": (_without, package_code(*ANSWER), "")}
    if case.told is not None:
        jobs["oracle"] = (_oracle, package_code(*ANSWER), case.told.to_csv())
    behind = f"{case.part in ('along', 'real')} {case.part == 'along'} {case.compared}"
    jobs["with"] = (_with, _code(), f"{reference_key(case.cohort, case.seed_of_training)} {behind}")
    found: dict[str, dict[str, float]] = {}
    for name, (job, code, besides) in jobs.items():
        settings = {"protocol": PROTOCOL, "job": name, "data": content_key(case.data, name), "besides": besides}
        # with its index: names of genes count, too
        settings["truth"] = hashlib.sha256(pd.util.hash_pandas_object(case.data.truth).to_numpy().tobytes()).hexdigest()
        try:
            found |= remember("reference", settings, (lambda: job(case)) if compute else _absent, code=code)  # noqa: B023
        except NotCachedError:
            continue
    if case.part in WITH_PEER:
        answer = run_peers([case.data], (PEER,)).get((case.data.name, PEER))
        if answer is not None:
            found[PEER] = scores(case.data, answer.table, answer.cpu_seconds)
    return found


class NotCachedError(Exception):
    """What is wanted is to be read from the cache, which lacks it."""


def _absent() -> dict:
    raise NotCachedError
