import numpy as np
import pytest
import torch

import bulkvi
from bulkvi.model._decoded_rates import DecodedRates


def test_rate_differences_are_those_of_the_decoder_around_the_mean_state(trained: bulkvi.BulkVI) -> None:
    rates = DecodedRates(trained)
    found = rates.rate_differences(trained.gene_fit().study.design)
    z = rates._latent_state()
    assert z.dtype == torch.float64
    loadings = trained.module.decoder.loadings.detach().double()
    np.testing.assert_allclose(found, ((z - z.mean(0)) @ loadings).numpy(), atol=1e-9)


def test_the_encoder_is_near_the_mode_of_its_training_samples(trained: bulkvi.BulkVI) -> None:
    mode = DecodedRates(trained)._latent_state().numpy()
    encoded = trained.get_latent_representation()
    supported = trained.module.decoder.relevance.numpy() > 0
    assert np.corrcoef(mode[:, supported].ravel(), encoded[:, supported].ravel())[0, 1] > 0.98


def test_one_sample_has_the_state_that_it_has_among_all(trained: bulkvi.BulkVI) -> None:
    rates = DecodedRates(trained)
    np.testing.assert_allclose(rates._latent_state(np.array([3])), rates._latent_state()[[3]], atol=1e-9)


@pytest.mark.parametrize("decoder", ["linear", "deep"])
def test_decoded_rates_are_finite(cohort, decoder) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    model = bulkvi.BulkVI(cohort, n_latent=2, decoder=decoder)
    model.train(5, progress_bar=False)
    rates = DecodedRates(model)
    assert np.isfinite(rates.rate_differences(model.gene_fit().study.design)).all()
