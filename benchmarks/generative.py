"""bulkvi, scVI and their zero-inflated kin as generative models of bulk counts, and their latent spaces against PCA.

BULKVI_DATA_DIR=<folder> python -m benchmarks.generative [--seeds N] [--figure FILE]

Cohorts: GSE60450 (12 samples), bottomly (21), geuvadis_sex (85), gtex_skin (20). 2,000 genes drawn at random from those
with at least 10 counts. No model is told a label; the batch only those that say so.

- held out: each split takes samples away at random (2, 4, 17 and 4), such that every known group, and on bottomly every
  batch in it, stays in training. The decoder is frozen, z of the samples taken away is fitted by the same routine for every
  model, and their counts are scored (:mod:`benchmarks.generative_heldout`).
- replicated: trained on all samples, 200 replicates of the data (:mod:`benchmarks.generative_replicated`).
- latent: the same models' posterior means of z, and principal components (:mod:`benchmarks.generative_latent`).

scVI has the settings of :mod:`benchmarks.generative_search`, and the number of epochs that is best on average over the very
splits it is scored on, for each likelihood anew.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.generative_data import COHORTS, N_GENES
from benchmarks.generative_figure import figure
from benchmarks.generative_heldout import held_out_rows
from benchmarks.generative_models import Bulkvi, Network, Plain, Scvi
from benchmarks.generative_search import CHANGES, START, search
from benchmarks.generative_tables import tables
from benchmarks.generative_whole import network_rows, pca_rows, plain_rows

__all__ = ["figure", "rows", "tables"]

SCVI_DEFAULTS = Scvi(epochs=(400,))
EPOCHS_AROUND = (0.8, 1.0, 1.25)
"""Numbers of epochs tried on all splits, relative to the best on the first."""
EPOCHS_WITH_SIZE_FACTOR = (1.4, 2.0)
"""The same with size factors, where scVI's decoder starts far from the counts and learns more slowly."""
MAX_TRAININGS = 1
"""On all samples of a cohort."""


def rows(
    seeds: int,
    *,
    cohorts: tuple[str, ...] = tuple(COHORTS),
    n_genes: int = N_GENES,
    start: Scvi = START,
    changes: tuple[dict[str, Any], ...] = CHANGES,
) -> pd.DataFrame:
    """A row for each cohort, part (``search``, ``held out``, ``replicated``, ``latent``), method and seed.

    Parameters
    ----------
    seeds
        Number of random splits; as many trainings on all samples, up to ``MAX_TRAININGS``.
    cohorts, n_genes
        Less of the benchmark.
    start, changes
        Where the search for scVI's settings starts and what it tries.
    """
    found = []
    for cohort in cohorts:
        settings, tried = search(cohort, start=start, changes=changes, n_genes=n_genes)
        found += [{**row, "part": "search", "method": "scVI nb", "seed": 0} for row in tried.to_dict("records")]
        held_out, best = _held_out(cohort, settings, seeds, n_genes)
        found += held_out + _whole(cohort, best, seeds, n_genes)
    return pd.DataFrame(found)


def _held_out(cohort: str, settings: Scvi, seeds: int, n_genes: int) -> tuple[list[dict], dict[str, Scvi]]:
    """Rows of the splits, and scVI for each likelihood with its best number of epochs."""
    models: dict[str, Plain | Network] = {
        "bulkvi nb": Bulkvi(),
        "bulkvi zinb": Bulkvi("zinb"),
        "bulkvi poisson": Bulkvi("poisson"),
        "scVI nb": _around(settings),
        "scVI zinb": _around(replace(settings, likelihood="zinb")),
        "scVI nb, size factor": _around(replace(settings, size_factor="depth"), EPOCHS_WITH_SIZE_FACTOR),
        "scVI nb, defaults": SCVI_DEFAULTS,
        "gene-wise nb": Plain(),
    }
    found, best = [], {}
    for method, model in models.items():
        table = pd.DataFrame(
            {"seed": seed, **row}
            for seed in range(seeds)
            for row in held_out_rows(cohort, model, seed, n_genes=n_genes)
        )
        reached_always = table.groupby("epochs")["log_likelihood"].agg(["mean", "size"]).query("size == @seeds")
        epochs = int(reached_always["mean"].idxmax())
        if isinstance(model, Scvi):
            best[method] = replace(model, epochs=(epochs,))
        for row in table[table["epochs"] == epochs].to_dict("records"):
            found.append({"cohort": cohort, "part": "held out", "method": method, **row})
    return found, best


def _around(model: Scvi, shares: tuple[float, ...] = EPOCHS_AROUND) -> Scvi:
    return replace(model, epochs=tuple(round(share * epochs) for epochs in model.epochs for share in shares))


def _whole(cohort: str, best: dict[str, Scvi], seeds: int, n_genes: int) -> list[dict]:
    """Rows of replicated data and latent space."""
    models: dict[str, Network] = {
        "bulkvi nb": Bulkvi(),
        "bulkvi nb, deep": Bulkvi(decoder="deep"),
        "bulkvi zinb": Bulkvi("zinb"),
        "bulkvi poisson": Bulkvi("poisson"),
        **{method: model for method, model in best.items() if model.size_factor is None},
    }
    with_batch = COHORTS[cohort].batch is not None
    if with_batch:
        models["bulkvi nb, batch given"] = Bulkvi(batch=True)
        models["scVI nb, batch given"] = replace(best["scVI nb"], batch=True)
    found = []
    for method, model in models.items():
        for seed in range(min(seeds, MAX_TRAININGS)):
            for row in network_rows(cohort, model, seed, n_genes=n_genes):
                common = {"cohort": cohort, "method": method, "seed": seed}
                found.append(common | {"part": "replicated"} | {k: v for k, v in row.items() if k in REPLICATED})
                found.append(common | {"part": "latent"} | {k: v for k, v in row.items() if k not in REPLICATED})
    for row in plain_rows(cohort, n_genes=n_genes):
        found.append({"cohort": cohort, "part": "replicated", "method": "gene-wise nb", "seed": 0, **row})
    for without_batch in (False, True) if with_batch else (False,):
        method = "PCA, batch means removed" if without_batch else "PCA"
        for row in pca_rows(cohort, without_batch=without_batch, n_genes=n_genes):
            found.append({"cohort": cohort, "part": "latent", "method": method, "seed": 0, **row})
    return found


REPLICATED = (
    "mean_inside",
    "variance_inside",
    "zeros_inside",
    "variance_log2_ratio",
    "cv2_rank_correlation",
    "zeros_log2_ratio",
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="random splits")
    parser.add_argument("--figure", type=Path, help="where to save the figure")
    arguments = parser.parse_args()
    measured = rows(arguments.seeds)
    for title, table in tables(measured).items():
        lines = [
            [table.index.name or "", *table.columns],
            ["---"] * (1 + table.shape[1]),
            *table.reset_index().to_numpy(),
        ]
        print(f"\n{title}\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))
    if arguments.figure is not None:
        figure(measured).savefig(arguments.figure, dpi=150)


if __name__ == "__main__":
    main()
