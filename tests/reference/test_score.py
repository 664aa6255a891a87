"""Samples scored against a reference."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import kstest

import bulkvi
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


def reference_of(adata: AnnData) -> bulkvi.Reference:
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    return bulkvi.Reference.from_model(fit(adata, max_steps=60), name="simulated")


@pytest.fixture(scope="module")
def reference() -> bulkvi.Reference:
    return reference_of(draw(30, 0))


def test_new_samples_have_uniform_p_values(reference: bulkvi.Reference):
    scores = reference.score(draw(15, 1))
    p_value = scores.scores.p_value[scores.scores.expected > 10]
    assert kstest(p_value, "uniform").statistic < 0.03
    assert len(scores.calls()) <= 3
    assert "simulated (30 samples)" in repr(scores)


def test_an_outlier_of_a_single_sample_is_called(reference: bulkvi.Reference):
    one = draw(1, 2)
    one.X[0, 4] = 20 * max(one.X[0, 4], 50)
    calls = reference.score(one).calls()
    assert calls["gene"].tolist() == ["g4"]
    assert calls["log_fc"].iloc[0] > 2


def test_genes_may_come_in_any_order_and_some_may_be_missing(reference: bulkvi.Reference):
    samples = draw(2, 3)
    first = reference.score(samples).table("p_value")
    turned = samples[:, ::-1].copy()
    turned.var_names = ["absent", *turned.var_names[1:]]
    second = reference.score(turned)
    assert "absent" not in second.genes
    shared = [name for name in first if name != "g399"]
    difference = np.log(second.table("p_value")[shared]) - np.log(first[shared])
    assert np.abs(difference).to_numpy().max() < 0.5


def test_a_sample_is_scored_by_itself(reference: bulkvi.Reference):
    samples = draw(3, 4)
    together = reference.score(samples).table("p_value")
    alone = reference.score(samples[[1]].copy()).table("p_value")
    pd.testing.assert_frame_equal(together.iloc[[1]], alone)


def test_depth_changes_only_what_is_expected(reference: bulkvi.Reference):
    rng = np.random.default_rng(0)
    samples = draw(2, 5)
    thinned = samples.copy()
    thinned.X = rng.binomial(samples.X.astype(int), 0.25).astype(np.float32)
    first, second = (reference.score(one).table("expected_count") for one in (samples, thinned))
    assert np.median(second / first) == pytest.approx(0.25, abs=0.03)


def test_wrong_input(reference: bulkvi.Reference):
    samples = draw(2, 6)
    halves = samples.copy()
    halves.X = samples.X + 0.5
    with pytest.raises(ValueError, match="raw counts"):
        reference.score(halves)
    with pytest.raises(KeyError, match="size_factor_key='depth'"):
        reference.score(samples, size_factor_key="depth")
    with pytest.raises(KeyError, match="no layer 'raw'"):
        reference.score(samples, layer="raw")
    with pytest.raises(ValueError, match="adjust='x'"):
        reference.score(samples, adjust="x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="AnnData"):
        reference.score(samples.to_df())
    empty = samples.copy()
    empty.X[0] = 0
    with pytest.raises(ValueError, match="no count|counts"):
        reference.score(empty)
    other = samples.copy()
    other.var_names = [f"h{k}" for k in range(other.n_vars)]
    with pytest.raises(ValueError, match="0 of the 400 genes"):
        reference.score(other)
