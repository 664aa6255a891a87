"""Samples scored against a reference."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import kstest

import bulkvi
from bulkvi.reference._score import layer_of, score
from tests.cohorts import fit


def draw(n: int, seed: int, genes: int = 400) -> AnnData:
    """Samples of one population, with a hidden factor of its own loadings."""
    rng = np.random.default_rng(1)
    level, loadings, r = rng.normal(5, 1, genes), rng.normal(0, 0.4, genes), 1 / np.exp(rng.normal(-2.5, 0.4, genes))
    rng = np.random.default_rng([2, seed])
    mean = np.exp(level + rng.normal(size=(n, 1)) * loadings + rng.normal(0, 0.3, (n, 1)))
    counts = rng.poisson(rng.gamma(r, mean / r)).astype(np.float32)
    return AnnData(
        counts,
        obs=pd.DataFrame(index=[f"s{seed}_{k}" for k in range(n)]),
        var=pd.DataFrame(index=[f"g{k}" for k in range(genes)]),
    )


def reference_of(adata: AnnData) -> Any:
    """What a reference has that is needed here, from the last layer of a model."""
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    layer = fit(adata, max_steps=60).last_layer()
    posterior = layer.posterior
    p = len(posterior.mean)
    sd = np.sqrt(posterior.covariance[np.arange(1, p + 1) * np.arange(2, p + 2) // 2 - 1])

    def place(names: list[str]) -> np.ndarray:
        return layer.genes.get_indexer(pd.Index(names))

    def genes_for(names: list[str]) -> Any:
        at = place(names)
        if (at >= 0).sum() < 50:
            raise ValueError("fewer than 50 genes are shared")
        return SimpleNamespace(
            level=np.where(at >= 0, posterior.mean[0, at], np.nan),
            loadings=posterior.mean[1:, at],
            loadings_sd=sd[1:, at],
            log_dispersion=posterior.log_dispersion[at],
            log_dispersion_sd=posterior.log_dispersion_sd[at],
            known=at >= 0,
        )

    return SimpleNamespace(
        match_genes=lambda names: SimpleNamespace(position=place(names)),
        genes_for=genes_for,
        level_sd=sd[0],
        relevance=posterior.relevance,
        size_factor_reference=pd.Series(adata.var["log_geometric_mean"].to_numpy(), layer.genes),
        provenance=SimpleNamespace(name="simulated"),
        n_samples=adata.n_obs,
    )


@pytest.fixture(scope="module")
def reference() -> Any:
    return reference_of(draw(30, 0))


def test_new_samples_have_uniform_p_values(reference: Any):
    scores = score(reference, draw(15, 1))
    p_value = scores.scores.p_value[scores.scores.expected > 10]
    assert kstest(p_value, "uniform").statistic < 0.03
    assert len(scores.calls()) <= 3
    assert "simulated (30 samples)" in repr(scores)


def test_an_outlier_of_a_single_sample_is_called(reference: Any):
    one = draw(1, 2)
    one.X[0, 4] = 20 * max(one.X[0, 4], 50)
    calls = score(reference, one).calls()
    assert calls["gene"].tolist() == ["g4"]
    assert calls["log_fc"].iloc[0] > 2


def test_genes_may_come_in_any_order_and_some_may_be_missing(reference: Any):
    samples = draw(2, 3)
    first = score(reference, samples).table("p_value")
    turned = samples[:, ::-1].copy()
    turned.var_names = ["absent", *turned.var_names[1:]]
    second = score(reference, turned)
    assert "absent" not in second.genes
    shared = [name for name in first if name != "g399"]
    difference = np.log(second.table("p_value")[shared]) - np.log(first[shared])
    assert np.abs(difference).to_numpy().max() < 0.5


def test_a_sample_is_scored_by_itself(reference: Any):
    samples = draw(3, 4)
    together = score(reference, samples).table("p_value")
    alone = score(reference, samples[[1]].copy()).table("p_value")
    pd.testing.assert_frame_equal(together.iloc[[1]], alone)


def test_depth_changes_only_what_is_expected(reference: Any):
    rng = np.random.default_rng(0)
    samples = draw(2, 5)
    thinned = samples.copy()
    thinned.X = rng.binomial(samples.X.astype(int), 0.25).astype(np.float32)
    first, second = (score(reference, one).table("expected_count") for one in (samples, thinned))
    assert np.median(second / first) == pytest.approx(0.25, abs=0.03)


def test_wrong_input(reference: Any):
    samples = draw(2, 6)
    halves = samples.copy()
    halves.X = samples.X + 0.5
    with pytest.raises(ValueError, match="raw counts"):
        score(reference, halves)
    with pytest.raises(KeyError, match="size_factor_key='depth'"):
        score(reference, samples, size_factor_key="depth")
    with pytest.raises(KeyError, match="no layer 'raw'"):
        score(reference, samples, layer="raw")
    with pytest.raises(ValueError, match="adjust='x'"):
        score(reference, samples, adjust="x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="AnnData"):
        score(reference, samples.to_df())  # type: ignore[arg-type]
    empty = samples.copy()
    empty.X[0] = 0
    with pytest.raises(ValueError, match="no count|counts"):
        score(reference, empty)
    other = samples.copy()
    other.var_names = [f"h{k}" for k in range(other.n_vars)]
    with pytest.raises(ValueError, match="shared"):
        score(reference, other)


def test_layer_has_the_variances_on_its_diagonal():
    layer = layer_of(np.ones(3), np.full(3, 2.0), np.zeros((2, 3)), np.full((2, 3), 3.0), *np.zeros((2, 3)), np.ones(2))
    mean, variance = layer.log_rate(np.array([[1.0, 2.0, 0.0]]))
    np.testing.assert_allclose(mean, 1)
    np.testing.assert_allclose(variance, 4 + 4 * 9)
