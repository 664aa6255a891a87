import numpy as np
import pytest

import bulkvi
from bulkvi.reference._from_model import cohort_genes, size_factor_reference
from bulkvi.stats.counts.size_factors import size_factors_from_reference
from tests.cohorts import fit, make_cohort


def test_estimates_are_those_of_the_last_layer_and_of_the_design_alone(cohort_model: bulkvi.BulkVI) -> None:
    parts, layer = cohort_genes(cohort_model), cohort_model.last_layer()
    values, alone = parts.values, cohort_model.gene_fit().regression.fit.prior
    seen = cohort_model.adata.X.sum(0) > 0
    assert (values.known == seen).all()
    assert not values.known[7]
    assert all(np.isnan(part[..., 7]).all() for part in (*values, parts.level_sd, parts.effects, parts.effects_sd))
    mean, sd = layer.loadings()
    np.testing.assert_array_equal(values.loadings[:, seen], mean.to_numpy().T[:, seen])
    np.testing.assert_array_equal(values.loadings_sd[:, seen], sd.to_numpy().T[:, seen])
    np.testing.assert_array_equal(values.log_dispersion_alone[seen], alone.mean[seen])
    np.testing.assert_array_equal(values.log_trend_alone[seen], alone.log_trend[seen])
    # directions explain part of what the dispersion given the design alone holds
    assert (values.log_dispersion - values.log_dispersion_alone)[seen].mean() < 0
    assert (values.log_trend - values.log_trend_alone)[seen].mean() < 0


def test_levels_are_log_rates_at_the_mean_row_and_mean_state(cohort_model: bulkvi.BulkVI) -> None:
    parts, layer = cohort_genes(cohort_model), cohort_model.last_layer()
    study = cohort_model.gene_fit().study
    states = layer.states_of(study)
    rates = layer.log_rates(states, layer.design(study), np.arange(len(layer.genes)))[0]
    seen = parts.values.known
    # the log rate is linear in design and state, and states have mean 0
    np.testing.assert_allclose(parts.values.level[seen], rates.mean(0)[seen], atol=1e-6)
    effect = rates[study.obs["group"] == "B"].mean(0) - rates[study.obs["group"] == "A"].mean(0)
    state = states.mean[study.obs["group"] == "B"].mean(0) - states.mean[study.obs["group"] == "A"].mean(0)
    np.testing.assert_allclose((parts.effects[1] + state @ parts.values.loadings)[seen], effect[seen], atol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 3.0])
@pytest.mark.parametrize("method", ["median_of_ratios", "poscounts"])
def test_the_size_factor_reference_gives_the_cohort_its_own_size_factors(method: str, factor: float) -> None:
    adata = make_cohort()
    bulkvi.pp.size_factors(adata, method=method)  # type: ignore[arg-type]
    adata.obs["size_factor"] *= factor
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    study = bulkvi.BulkVI(adata, n_latent=2).gene_fit().study
    again = size_factors_from_reference(study.counts, size_factor_reference(study))
    ratio = np.log(again / adata.obs["size_factor"])
    assert np.median(ratio) == pytest.approx(0, abs=1e-12)
    assert np.abs(ratio).max() < (1e-6 if method == "median_of_ratios" else 0.05)


def test_with_lengths_the_size_factor_reference_is_per_unit_of_the_relative_offset() -> None:
    adata = make_cohort()
    rng = np.random.default_rng(0)
    adata.layers["length"] = 1_000 * np.exp(rng.normal(0, 1, adata.n_vars) + rng.normal(0, 0.2, adata.shape))
    bulkvi.pp.size_factors(adata, offset_key="length")
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", offset_key="length")
    study = bulkvi.BulkVI(adata, n_latent=2).gene_fit().study
    relative = np.exp(study.log_exposure) / adata.obs["size_factor"].to_numpy()[:, None]
    again = size_factors_from_reference(study.counts / relative, size_factor_reference(study))
    np.testing.assert_allclose(again, adata.obs["size_factor"], rtol=0.02)


def test_other_samples_and_layers_of_older_versions_are_refused(cohort_model: bulkvi.BulkVI) -> None:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    model = fit(adata, max_steps=5)
    model.last_layer()
    query = bulkvi.BulkVI.load_query_data(adata[:6].copy(), model)
    with pytest.raises(ValueError, match="not those it was trained on"):
        cohort_genes(query)
    layer = model.last_layer()
    record = layer.to_record()
    del record["posterior"]["log_trend"]
    model.last_layer_, model._layer = record, None
    with pytest.raises(ValueError, match="train it again"):
        cohort_genes(model)
