"""Bulkvi, scVI, principal components and a negative binomial per gene as generative models of bulk counts.

BULKVI_DATA_DIR=<folder> python -m benchmarks generative [--sets N] [--ours]

Six cohorts, all genes with at least 10 counts. No model is given a label, nor a batch but those that say so.

- held out: each split holds samples out at random such that every known group stays in training. Parameters are frozen, the state
  of each held-out sample is inferred from its counts, and its counts are scored (:mod:`benchmarks.generative_scores`).
- latent: known groups and batches in the latent space of all samples (:mod:`benchmarks.generative_latent`).
- deep: linear and deep decoder on simulated non-linear structure (:mod:`benchmarks.generative_deep`); only with ``simulated=True``.

scVI has the settings and number of epochs of :mod:`benchmarks.generative_search`. ``python -m benchmarks.generative_peers``
fills the cache with its results first, which takes most of the time.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from benchmarks.generative_data import COHORTS
from benchmarks.generative_deep import deep_rows
from benchmarks.generative_heldout import held_out_rows
from benchmarks.generative_models import Bulkvi, Model, Pca, Plain, Scvi
from benchmarks.generative_peers import COMPARED_SPLITS, DEFAULTS
from benchmarks.generative_search import CHANGES, START, search
from benchmarks.generative_whole import WIDTHS, component_rows, network_rows

OURS = "bulkvi"
SCVI = "scVI, best found"
HELD_OUT: dict[str, Bulkvi] = {
    OURS: Bulkvi(),
    "bulkvi, deep": Bulkvi(decoder="deep"),
    "bulkvi, 10 directions at most": Bulkvi(n_latent=10),
    "bulkvi, 30 directions at most": Bulkvi(n_latent=30),
    "bulkvi, decoder alone": Bulkvi(last_layer=False),
    "bulkvi, decoder alone, ZINB": Bulkvi("zinb", last_layer=False),
    "bulkvi, decoder alone, Poisson": Bulkvi("poisson", last_layer=False),
}
FEW_SPLITS = 1
"""Splits of the variants below, that answer a question of their own."""
EXPENSIVE = ("geuvadis_sex", "gtex_skin")
"""Cohorts that take longer than all others together, with 68 training samples and 31,839 genes; the variants leave them out."""
VARIANTS = [method for method in HELD_OUT if method != OURS]
LATENT: dict[str, Bulkvi] = {OURS: Bulkvi(), "bulkvi, deep": Bulkvi(decoder="deep")}
LATENT_SEEDS = 1
"""Of our own networks; scVI is trained once."""
WITHOUT_NETWORK: dict[str, Model] = {
    "NB per gene": Plain(),
    **{f"PCA, {width} components, NB noise": Pca(width) for width in WIDTHS},
}


def rows(
    splits: int,
    *,
    cohorts: tuple[str, ...] = tuple(COHORTS),
    n_genes: int | None = None,
    ours_only: bool = False,
    start: Scvi = START,
    changes: tuple[dict[str, Any], ...] = CHANGES,
    simulated: bool = False,
) -> pd.DataFrame:
    """A row for each cohort, part (``search``, ``held out``, ``latent``, ``deep``), method and seed.

    Parameters
    ----------
    splits
        Number of random splits.
    cohorts, n_genes
        Less of the benchmark.
    simulated
        Also compare linear and deep decoder on simulated non-linear structure, which takes as long as the rest.
    ours_only
        Leave out all methods but bulkvi.
    start, changes
        Where the search for scVI's settings starts and what it tries.
    """
    found: list[dict[str, Any]] = []
    for cohort in cohorts:
        found += _ours(cohort, splits, n_genes)
        if not ours_only:
            best, tried = search(cohort, start=start, changes=changes, n_genes=n_genes)
            common = {"cohort": cohort, "part": "search", "method": SCVI, "seed": 0}
            found += [common | row for row in tried.to_dict("records")]
            found += _others(cohort, splits, n_genes, best)
    if simulated:
        found += [{"part": "deep", **row} for row in deep_rows()]
    return pd.DataFrame(found)


def _ours(cohort: str, splits: int, n_genes: int | None) -> Iterator[dict[str, Any]]:
    for method, model in HELD_OUT.items():
        if method in VARIANTS and cohort in EXPENSIVE:
            continue
        for seed in range(min(splits, FEW_SPLITS) if method in VARIANTS else splits):
            for row in _unless_too_wide(cohort, model, seed, n_genes):
                yield {"cohort": cohort, "part": "held out", "method": method, "seed": seed, **row}
    for method, model in (LATENT | _given_batch(cohort, OURS, Bulkvi())).items():
        if method != OURS and cohort in EXPENSIVE:
            continue
        for seed in range(min(splits, LATENT_SEEDS)):
            for row in network_rows(cohort, model, seed, n_genes=n_genes):
                yield {"cohort": cohort, "part": "latent", "method": method, "seed": seed, **row}


def _unless_too_wide(cohort: str, model: Bulkvi, seed: int, n_genes: int | None) -> list[dict[str, Any]]:
    """No row where there are too few samples for so many directions."""
    try:
        return held_out_rows(cohort, model, seed, n_genes=n_genes)
    except ValueError as error:
        if model.n_latent is None or "n_latent" not in str(error):
            raise
        return []


def _others(cohort: str, splits: int, n_genes: int | None, best: Scvi) -> Iterator[dict[str, Any]]:
    of_kind = {
        SCVI: (best, COMPARED_SPLITS["best"]),
        "scVI, ZINB": (replace(best, likelihood="zinb"), COMPARED_SPLITS["zinb"]),
        "scVI, defaults": (DEFAULTS, COMPARED_SPLITS["defaults"]),
        **{method: (model, splits) for method, model in WITHOUT_NETWORK.items()},
    }
    for method, (model, most) in of_kind.items():
        for seed in range(min(splits, most)):
            for row in held_out_rows(cohort, model, seed, n_genes=n_genes):
                yield {"cohort": cohort, "part": "held out", "method": method, "seed": seed, **row}
    for width in WIDTHS:
        for row in network_rows(cohort, replace(best, n_latent=width), 0, n_genes=n_genes):
            if row["dimensions"] == width or (row["dimensions"] == 0 and width == best.n_latent):
                yield {"cohort": cohort, "part": "latent", "method": SCVI, "seed": 0, **row}
    for row in network_rows(cohort, DEFAULTS, 0, n_genes=n_genes):
        if row["dimensions"] in (0, DEFAULTS.n_latent):
            yield {"cohort": cohort, "part": "latent", "method": "scVI, defaults", "seed": 0, **row}
    for without_batch in (False, True) if COHORTS[cohort].batch is not None else (False,):
        method = "PCA, batch means removed" if without_batch else "PCA"
        for row in component_rows(cohort, without_batch=without_batch, n_genes=n_genes):
            yield {"cohort": cohort, "part": "latent", "method": method, "seed": 0, **row}


def _given_batch(cohort: str, method: str, model: Bulkvi) -> dict[str, Bulkvi]:
    if COHORTS[cohort].batch is None:
        return {}
    return {f"{method}, batch given": replace(model, batch=True)}
