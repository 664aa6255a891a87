"""Held-out samples: how likely a model finds their counts, and how many lie where it says."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from benchmarks.cache import remember
from benchmarks.generative_data import COHORTS, N_GENES, load, split
from benchmarks.generative_distributions import Counts, counts_of, share_inside, zeros
from benchmarks.generative_models import Model, Plain, code_of, trained
from benchmarks.plain_negative_binomial import fit_plain, score_plain
from benchmarks.refit_latent import refit

LEVEL = 0.95
_HERE = Path(__file__).parent


def held_out_rows(cohort: str, model: Model, seed: int, *, n_genes: int = N_GENES) -> list[dict[str, Any]]:
    """Scores of a model on one split, one row for each number of epochs (one in all if there is no choice of them).

    Columns: ``epochs``; ``log_likelihood`` per entry (sample, gene) with z refitted on all genes; ``inside_95``, share of
    counts in their central 95 % interval;
    ``zeros``, ``zeros_expected`` and ``zeros_extra``: share of entries that are zero, that the model expects to be, and
    that it puts down to zero inflation; ``train_cpu`` in seconds.
    """
    settings = {"cohort": cohort, "model": type(model).__name__, **asdict(model), "seed": seed, "n_genes": n_genes}
    code = (*code_of(model), Path(__file__), _HERE / "generative_distributions.py")
    return remember("generative_heldout", settings, lambda: score_split(cohort, model, seed, n_genes), code=code)


def score_split(cohort: str, model: Model, seed: int, n_genes: int) -> list[dict[str, Any]]:
    """As :func:`held_out_rows`, computed."""
    train, held_out = split(load(cohort, n_genes), COHORTS[cohort].n_held_out, seed)
    if isinstance(model, Plain):
        fit = score_plain(train, held_out).fit
        rng = np.random.default_rng(seed)
        summary = _summary(plain_counts(train, held_out), held_out, rng)
        return [{"epochs": 0, "log_likelihood": fit} | summary]
    rows = []
    for epochs, network, seconds in trained(model, train, seed):
        rng = np.random.default_rng(seed)
        refitted = refit(network, held_out, rng)
        with torch.no_grad():
            px = refitted.module.generative(**(refitted.inputs | {"z": refitted.z}))["px"]
            fit = px.log_prob(refitted.x).mean().item()
        row = {"epochs": epochs, "log_likelihood": fit, "train_cpu": seconds}
        rows.append(row | _summary(counts_of(px), held_out, rng))
    return rows


def plain_counts(train: AnnData, samples: AnnData) -> Counts:
    """What a negative binomial per gene says of samples."""
    rate, dispersion = fit_plain(train)
    mean = samples.obs["size_factor"].to_numpy()[:, None] * rate
    return Counts(mean, np.broadcast_to(dispersion, mean.shape))


def _summary(px: Counts, held_out: AnnData, rng: np.random.Generator) -> dict[str, float]:
    x = np.asarray(held_out.X, dtype=float)
    expected, extra = zeros(px)
    observed = float((x == 0).mean())
    inside = share_inside(px, x, LEVEL, rng)
    return {"inside_95": inside, "zeros": observed, "zeros_expected": expected, "zeros_extra": extra}
