import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from tests.cohorts import fit, set_up


def test_the_fit_is_kept_and_needs_samples(trained: bulkvi.BulkVI) -> None:
    assert trained.gene_fit() is trained.gene_fit()
    with pytest.raises(ValueError, match="no samples attached"):
        bulkvi.BulkVI(registry=trained.registry, n_latent=2).gene_fit()


def test_decoded_fold_changes_are_those_of_the_decoded_rates(trained: bulkvi.BulkVI) -> None:
    """Two batches of a model without a design: each at its samples' latent states."""
    table = trained.differential_expression("batch", "b2", "b1")
    in_second = (trained.adata.obs["batch"] == "b2").to_numpy()
    # the decoder's own rates (those of get_normalized_expression are the last layer's) at the encoder's state, which is only
    # near the mode of the posterior that the table decodes
    every = np.arange(trained.adata.n_obs), np.arange(trained.adata.n_vars)
    rates = trained._decoded_expression(trained.adata, *every).astype(float)
    expected = np.log2(rates[in_second].mean(0) / rates[~in_second].mean(0))
    np.testing.assert_allclose(table["log_fc_decoded"], expected, atol=5e-3)
    assert table.attrs["query"]["groupby"] == "batch"


def test_direct_and_latent_effects_add_up_to_the_total(cohort: AnnData) -> None:
    set_up(cohort, design="~ group")
    model = fit(cohort)
    parts = {
        effect: model.differential_expression(
            "group", "B", "A", effect=effect, latent_columns=1, composition_shift=False
        )
        for effect in ("direct", "latent", "total")
    }
    direct, latent, total = (parts[effect]["log_fc_mle"] for effect in ("direct", "latent", "total"))
    np.testing.assert_allclose(direct + latent, total, atol=1e-6)
    reverse = model.differential_expression(
        "group", "A", "B", effect="direct", latent_columns=1, composition_shift=False
    )
    np.testing.assert_allclose(reverse["log_fc_mle"], -direct, atol=1e-6)


def test_the_decoded_effect_of_a_slope_is_the_linear_decoders_weight_per_unit(cohort: AnnData) -> None:
    set_up(cohort, design="~ group + age")
    model = fit(cohort, max_steps=20)
    effects = model.module.decoder.covariates
    per_unit = (effects.weight["design"] / effects.units["design"].scale[:, None]).detach().numpy() / np.log(2)
    for column, weight in (("age", per_unit[1]), ("group[T.B]", per_unit[0])):
        table = model.differential_expression(contrast={column: 2.0}, latent_columns=0, composition_shift=False)
        np.testing.assert_allclose(table["log_fc_decoded"], 2 * weight, atol=1e-4)
