"""Fill the cache with scVI's results, the longest part of the generative benchmark, in order of their weight.

BULKVI_DATA_DIR=<folder> python -m benchmarks.generative_peers

A run that was stopped continues where it was; ``python -m benchmarks generative`` then reads the cache.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.generative_data import COHORTS
from benchmarks.generative_heldout import held_out_rows
from benchmarks.generative_models import Scvi
from benchmarks.generative_search import search
from benchmarks.generative_whole import WIDTHS, network_rows

DEFAULTS = Scvi(epochs=(400,))
COMPARED_SPLITS = {"best": 3, "defaults": 1, "zinb": 1}
"""Splits on which each kind of scVI is measured: they cost more than all others together."""


def jobs() -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and job, the most important first."""
    for cohort in COHORTS:
        yield f"search {cohort}", lambda cohort=cohort: search(cohort)
    best = {cohort: search(cohort)[0] for cohort in COHORTS}
    for seed in range(COMPARED_SPLITS["best"]):
        for cohort, model in best.items():
            yield f"best {cohort} {seed}", lambda c=cohort, m=model, s=seed: held_out_rows(c, m, s)
        if seed < COMPARED_SPLITS["defaults"]:
            for cohort in COHORTS:
                yield f"defaults {cohort} {seed}", lambda c=cohort, s=seed: held_out_rows(c, DEFAULTS, s)
        if seed == 0:
            yield from _latent_jobs(best)
    for seed in range(COMPARED_SPLITS["zinb"]):
        for cohort, model in best.items():
            zinb = replace(model, likelihood="zinb")
            yield f"zinb {cohort} {seed}", lambda c=cohort, m=zinb, s=seed: held_out_rows(c, m, s)


def _latent_jobs(best: dict[str, Scvi]) -> Iterator[tuple[str, Callable[[], object]]]:
    for width in reversed(WIDTHS):
        for cohort, model in best.items():
            of_width = replace(model, n_latent=width)
            yield f"latent {width} {cohort}", lambda c=cohort, m=of_width: network_rows(c, m, 0)
    for cohort in COHORTS:
        yield f"latent defaults {cohort}", lambda c=cohort: network_rows(c, DEFAULTS, 0)


def main() -> None:
    """Do what is not in the cache yet."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for name, job in jobs():
        start = time.process_time()
        job()
        print(f"{name}: {time.process_time() - start:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
