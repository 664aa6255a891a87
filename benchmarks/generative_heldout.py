"""Held-out samples: how likely a model finds their counts, and how many lie in its intervals."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from anndata import AnnData

from benchmarks.cache import remember
from benchmarks.generative_data import COHORTS, load, split
from benchmarks.generative_decoded import Decoded
from benchmarks.generative_last_layer import LastLayer
from benchmarks.generative_models import Bulkvi, Model, Network, code_of, trained
from benchmarks.generative_plain import predictive_without_network
from benchmarks.generative_scores import Predictive, scores


def held_out_rows(
    cohort: str, model: Model, seed: int, *, n_genes: int | None = None, fit_alone: bool = False
) -> list[dict[str, Any]]:
    """Scores of a model on one split, one row for each number of epochs (one in all if there is no choice of them).

    Columns: those of :func:`benchmarks.generative_scores.scores` (``fit_alone``: ``fit`` and nothing else), ``epochs``,
    ``train_cpu`` in seconds. Models that diverge have no row from there on.
    """
    settings = {"cohort": cohort, "model": type(model).__name__, **asdict(model), "seed": seed, "n_genes": n_genes}
    return remember(
        "generative_heldout",
        settings | {"fit_alone": fit_alone},
        lambda: score_split(cohort, model, seed, n_genes, fit_alone=fit_alone),
        code=code_of(model),
    )


def score_split(
    cohort: str, model: Model, seed: int, n_genes: int | None, *, fit_alone: bool = False
) -> list[dict[str, Any]]:
    """As :func:`held_out_rows`, computed."""
    train, held_out = split(load(cohort, n_genes), COHORTS[cohort].n_held_out, seed)
    return [
        {"epochs": epochs, "train_cpu": seconds}
        | scores(predictive, np.asarray(held_out.X, dtype=float), seed, fit_alone=fit_alone)
        for epochs, predictive, seconds in predictives(model, train, held_out, seed)
    ]


def predictives(model: Model, train: AnnData, held_out: AnnData, seed: int) -> Iterator[tuple[int, Predictive, float]]:
    """Epochs, what the trained model predicts for the held-out samples and CPU seconds of its training."""
    if not isinstance(model, Network):
        yield 0, *predictive_without_network(model, train, held_out)
        return
    for epochs, network, seconds in trained(model, train, seed):
        if isinstance(model, Bulkvi) and model.last_layer:
            yield epochs, LastLayer(network, held_out), seconds
        else:
            yield epochs, Decoded(network, held_out), seconds
