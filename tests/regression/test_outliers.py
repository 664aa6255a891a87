"""Scores of counts: laws, and calls of outliers that were put in."""

import numpy as np
import pytest
from scipy.stats import kstest

import bulkvi
from bulkvi.regression.outliers import Scores, adjusted, score_cohort, score_samples
from tests.cohorts import fit


def make(n: int = 24, genes: int = 500, seed: int = 0, **changed: float) -> bulkvi.BulkVI:
    """Model of a cohort with a hidden factor; ``changed`` are factors on counts, by "sample_gene"."""
    adata = bulkvi.datasets.simulate(
        n_per_group=n // 2, n_genes=genes, de_share=0.0, n_hidden=1, hidden_share=0.8, hidden_sd=1.0, seed=seed
    )
    bulkvi.pp.filter_genes(adata, min_counts=10 * n)
    x = np.asarray(adata.X)
    for place, factor in changed.items():
        sample, gene = map(int, place.split("_")[1:])
        x[sample, gene] = np.round(x[:, gene].mean() * factor)
    adata.X = x
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    return fit(adata, max_steps=60, n_latent=2)


@pytest.fixture(scope="module")
def scored() -> tuple[bulkvi.BulkVI, Scores]:
    model = make(at_3_7=12.0, at_3_8=0.0, at_9_7=15.0)
    return model, score_cohort(model.last_layer(), model.gene_fit().study)


def test_outliers_are_called_and_little_else(scored: tuple[bulkvi.BulkVI, Scores]):
    _, scores = scored
    called = np.argwhere(adjusted(scores.p_value, "by") < 0.05).tolist()
    assert {(3, 7), (9, 7)} <= set(map(tuple, called))
    assert len(called) <= 6
    assert scores.log_fc[3, 7] == pytest.approx(np.log2(12), abs=1)
    assert scores.log_fc_low[3, 7] > 1
    assert scores.log_fc_high[3, 8] < -1


def test_p_values_of_the_others_are_uniform(scored: tuple[bulkvi.BulkVI, Scores]):
    _, scores = scored
    # Kolmogorov's distance of so many has a 99.9 % quantile of 1.95 / sqrt(n), .02
    assert kstest(scores.p_value[scores.expected > 10], "uniform").statistic < 0.03


def test_intervals_hold_the_estimate_and_everything_is_finite(scored: tuple[bulkvi.BulkVI, Scores]):
    _, scores = scored
    assert all(np.isfinite(part).all() for part in scores)
    assert (scores.log_fc_low <= scores.log_fc).all()
    assert (scores.log_fc <= scores.log_fc_high).all()
    assert ((scores.p_value > 0) & (scores.p_value <= 1)).all()


@pytest.mark.slow
def test_a_count_hardly_moves_what_is_expected_of_it():
    first, second = make(n=12, genes=300), make(n=12, genes=300, at_2_5=40.0)
    expected = [score_cohort(one.last_layer(), one.gene_fit().study).expected[2, 5] for one in (first, second)]
    assert abs(np.log2(expected[0] / expected[1])) < 0.7


def test_samples_are_scored_one_by_one(scored: tuple[bulkvi.BulkVI, Scores]):
    model, _ = scored
    layer, study = model.last_layer(), model.gene_fit().study
    design = layer.design(study)
    together = score_samples(study.counts[:3], layer.posterior, design[:3], study.log_exposure[:3])
    alone = score_samples(study.counts[[1]], layer.posterior, design[[1]], study.log_exposure[[1]])
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first[[1]], second, rtol=1e-8)


@pytest.mark.slow
def test_the_order_of_samples_and_genes_changes_nothing(scored: tuple[bulkvi.BulkVI, Scores]):
    from bulkvi.regression.last_layer import last_layer

    model, scores = scored
    study, state = model.gene_fit().study, model.last_layer().state.to_numpy()
    rng = np.random.default_rng(0)
    samples, genes = rng.permutation(len(state)), rng.permutation(len(study.genes))
    difference = state @ model.last_layer().loadings()[0].to_numpy().T
    adata = study.adata[samples][:, genes].copy()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    turned = bulkvi.BulkVI(adata, n_latent=2).gene_fit().study
    one = score_cohort(last_layer(study, difference), study)
    other = score_cohort(last_layer(turned, difference[samples][:, genes]), turned)
    np.testing.assert_allclose(np.log(one.p_value[samples][:, genes]), np.log(other.p_value), atol=0.02, rtol=0.01)


def test_adjusted_p_values_are_of_each_sample():
    p_value = np.array([[0.001, 0.5, 0.9], [0.5, 0.6, 0.9]])
    by, bh = adjusted(p_value, "by"), adjusted(p_value, "bh")
    assert bh[0, 0] == pytest.approx(0.003)
    assert by[0, 0] == pytest.approx(0.003 * (1 + 1 / 2 + 1 / 3))
    assert bh[1] == pytest.approx(0.9)
