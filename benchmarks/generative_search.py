"""Settings that suit scVI best on each cohort, judged on held-out samples of its first split."""

from dataclasses import replace
from typing import Any

import pandas as pd

from benchmarks.generative_heldout import held_out_rows
from benchmarks.generative_models import Scvi

EPOCHS = (250, 400, 550, 750)
# What searches over learning rate, norm, dropout, latent dimensions and width on bottomly (benchmarks/heldout.py) and over norms and
# rates on 2,000 genes of four cohorts found best.
START = Scvi(norm="layer", n_hidden=64, learning_rate=1e-2, epochs=EPOCHS)
CHANGES: tuple[dict[str, Any], ...] = ({"norm": "batch"},)
"""One after the other; what is best so far is kept."""


def search(
    cohort: str,
    *,
    start: Scvi = START,
    changes: tuple[dict[str, Any], ...] = CHANGES,
    n_genes: int | None = None,
) -> tuple[Scvi, pd.DataFrame]:
    """The best settings, ``epochs`` the best alone, and a row for each settings and number of epochs tried, on split 0.

    The settings are judged on samples on which they are compared later: that favours scVI.
    """
    best, height, tried = start, float("-inf"), []
    for change in ({}, *changes):
        model = replace(best, **change, epochs=start.epochs)
        for row in held_out_rows(cohort, model, 0, n_genes=n_genes, fit_alone=True):
            tried.append({"cohort": cohort, "settings": describe(model), **row})
            if row["fit"] > height:
                best, height = replace(model, epochs=(row["epochs"],)), row["fit"]
    return best, pd.DataFrame(tried)


def describe(model: Scvi) -> str:
    """The settings that the search changes, in words."""
    norm = {"batch": "batch norm", "layer": "layer norm", "none": "no norm"}[model.norm]
    factor = "" if model.size_factor is None else ", size factors"
    return f"{model.n_latent} latent, {model.n_hidden} hidden, {norm}, learning rate {model.learning_rate:g}{factor}"
