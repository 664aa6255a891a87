"""Linear and deep decoder on simulated cohorts whose samples lie on curves and surfaces.

Log rates are sums of a level of the gene and a function of one or two hidden factors of the sample:

- ``two linear factors``: a u + b v, the control, where a linear decoder is right.
- ``interaction``: a u + b v + c u v.
- ``dose response``: a / (1 + exp(-(d - m) / 0.08)), a dose d of the sample and a half-maximal dose m of the gene, both uniform.
- ``trajectory``: a exp(-((t - m) / 0.15)^2 / 2), a time t of the sample and a time m of the gene's peak, both uniform.

Half of the genes respond, a, b and c are standard normal (natural logarithm); means and dispersions of the genes are those of
GSE60450 (:func:`bulkvi.datasets.simulate`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.random import Generator

from benchmarks.cache import package_code, remember
from benchmarks.generative_data import with_size_factors
from benchmarks.generative_distributions import Counts, log_probability
from benchmarks.generative_heldout import predictives
from benchmarks.generative_models import Bulkvi, Model, Pca, Plain, code_of
from benchmarks.generative_scores import scores
from bulkvi.datasets._draws import TRENDS

SIZES = (20, 60)
N_HELD_OUT = 20
N_GENES = 1_000
N_SETS = 2
RESPONDING = 0.5
METHODS: dict[str, Model] = {
    "bulkvi": Bulkvi(),
    "bulkvi, deep": Bulkvi(decoder="deep"),
    "NB per gene": Plain(),
    "PCA, 5 components, NB noise": Pca(5),
}

CONTROL = "two linear factors"
WIDTHS: dict[str, Model] = {
    "bulkvi, 10 directions at most": Bulkvi(n_latent=10),
    "bulkvi, 30 directions at most": Bulkvi(n_latent=30),
}
"""On the control, where all but two directions are useless; real cohorts of this size have more than ten."""
ENOUGH_FOR_WIDTHS = 60

Response = Callable[[int, int, Generator], np.ndarray]


def _two_factors(n: int, n_genes: int, rng: Generator) -> np.ndarray:
    return rng.standard_normal((n, 2)) @ rng.standard_normal((2, n_genes))


def _interaction(n: int, n_genes: int, rng: Generator) -> np.ndarray:
    factors = rng.standard_normal((n, 2))
    return np.column_stack([factors, factors.prod(1)]) @ rng.standard_normal((3, n_genes))


def _dose_response(n: int, n_genes: int, rng: Generator) -> np.ndarray:
    dose, half, most = rng.random((n, 1)), rng.random(n_genes), rng.standard_normal(n_genes)
    return most / (1 + np.exp(-(dose - half) / 0.08))


def _trajectory(n: int, n_genes: int, rng: Generator) -> np.ndarray:
    time, peak, most = rng.random((n, 1)), rng.random(n_genes), rng.standard_normal(n_genes)
    return most * np.exp(-(((time - peak) / 0.15) ** 2) / 2)


SCENARIOS: dict[str, Response] = {
    "two linear factors": _two_factors,
    "interaction": _interaction,
    "dose response": _dose_response,
    "trajectory": _trajectory,
}


def simulated(scenario: str, n: int, seed: int, n_genes: int = N_GENES) -> tuple[AnnData, AnnData]:
    """Training samples and ``N_HELD_OUT`` held-out ones; the layer ``mean`` and ``var["dispersion"]`` are the truth."""
    rng = np.random.default_rng([seed, n, list(SCENARIOS).index(scenario)])
    trend, total = TRENDS["gse60450"], n + N_HELD_OUT
    level = trend.draw_base_mean(n_genes, rng)
    dispersion = trend.draw_dispersion(level, rng)
    log_fold = SCENARIOS[scenario](total, n_genes, rng) * (rng.random(n_genes) < RESPONDING)
    depth = np.exp(rng.uniform(-0.35, 0.35, (total, 1)))  # twofold between extremes
    mean = depth * level * np.exp(np.clip(log_fold, -8, 8))
    counts = rng.poisson(mean * dispersion * rng.standard_gamma(1 / dispersion, mean.shape)).astype(np.float32)
    obs = pd.DataFrame(index=[f"sample {k}" for k in range(total)])
    var = pd.DataFrame({"dispersion": dispersion}, index=[f"gene {k}" for k in range(n_genes)])
    adata = AnnData(counts, obs=obs, var=var, layers={"mean": mean})
    seen = counts[:n].sum(0) > 0
    train, held_out = adata[:n, seen].copy(), adata[n:, seen].copy()
    with_size_factors(train, train)
    with_size_factors(held_out, train)
    return train, held_out


def deep_rows(
    scenarios: tuple[str, ...] = tuple(SCENARIOS), sizes: tuple[int, ...] = SIZES, sets: int = N_SETS
) -> list[dict[str, Any]]:
    """A row for each scenario (``cohort``), number of training samples ``n``, method and ``seed``."""
    return [
        {"cohort": scenario, "n": n, "method": method, "seed": seed, **row}
        for scenario in scenarios
        for n in sizes
        for method in (*METHODS, *(WIDTHS if scenario == CONTROL and n >= ENOUGH_FOR_WIDTHS else ()), "truth")
        for seed in range(sets)
        for row in _scored(scenario, n, method, seed)
    ]


def _scored(scenario: str, n: int, method: str, seed: int) -> list[dict[str, Any]]:
    def compute() -> list[dict[str, Any]]:
        train, held_out = simulated(scenario, n, seed)
        x = np.asarray(held_out.X, dtype=float)
        if method == "truth":
            dispersion = np.broadcast_to(held_out.var["dispersion"].to_numpy(), x.shape)
            height = float(log_probability(Counts(np.asarray(held_out.layers["mean"]), dispersion), x).mean())
            return [{"fit": height, "completion": height}]
        ((_, predictive, seconds),) = predictives(model, train, held_out, seed)
        return [scores(predictive, x, seed) | {"train_cpu": seconds}]

    model = (METHODS | WIDTHS).get(method, Plain())
    settings = {"scenario": scenario, "n": n, "method": method, "seed": seed}
    code = (Path(__file__), *code_of(model), *package_code("datasets/_draws.py"))
    return remember("generative_deep", settings, compute, code=code)
