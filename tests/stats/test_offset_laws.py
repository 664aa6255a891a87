"""Laws of offsets of single counts that hold for every function with an offset."""

from typing import Any

import numpy as np
import pytest

from bulkvi.stats.effects.effect import effect_likelihood
from bulkvi.stats.effects.likelihood_ratio import handle_separation, omnibus_test
from bulkvi.stats.effects.noise_inflation import noise_inflation
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.hidden.hidden_factors import latent_number
from bulkvi.stats.outliers.outliers import find_outliers
from bulkvi.stats.samples.leave_one_out import stabilise

# What reads offsets: counts, offset and a fit with it to one array, genes last.
FEATURES = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6)])
RIDGE = effect_ridge(FEATURES)
CONTRAST = np.array([0.0, 1.0])


def _given(offset: np.ndarray) -> dict[str, Any]:
    return {"offset": offset, "ridge": RIDGE}


READERS: dict[str, Any] = {
    "base_mean": lambda x, o, fit: fit.base_mean,
    "fit_genes": lambda x, o, fit: np.vstack([fit.prior.mean, fit.nodes.coef.reshape(-1, x.shape[1])]),
    "find_outliers": lambda x, o, fit: find_outliers(x, FEATURES, **_given(o)).weight,
    "omnibus_test": lambda x, o, fit: omnibus_test(x, FEATURES, CONTRAST[None], fit, **_given(o)).stat,
    "handle_separation": lambda x, o, fit: (
        handle_separation(effect_likelihood(fit.nodes, CONTRAST), x, FEATURES, CONTRAST, fit, **_given(o)).log_p
    ),
    "stabilise": lambda x, o, fit: stabilise(x, np.exp(o), np.exp(fit.prior.mean)),
}
WHOLE: dict[str, Any] = {
    "noise_inflation": lambda x, o, fit: noise_inflation(x, FEATURES, o, fit).factor,
    "latent_number": lambda x, o, fit: latent_number(x, FEATURES, o, fit, np.random.default_rng(0)).singular_values,
}
DRAWS: dict[str, Any] = {
    "by chance": lambda x, o, fit: latent_number(x, FEATURES, o, fit, np.random.default_rng(0)).threshold,
}


@pytest.fixture
def drawn(rng):
    """Counts of 12 samples whose offsets differ in each count, one sample wild and two genes silent in a group."""
    mean = np.exp(rng.normal(4, 1.5, 150))
    offset = rng.normal(0, 0.3, (12, 1)) + rng.normal(0, 0.5, (12, 150))
    mean = np.exp(offset) * mean
    mean[6:, :40:2] *= 1.5  # something that genes share
    counts = rng.poisson(rng.gamma(20, 1 / 20, mean.shape) * mean).astype(float) + 1
    counts[3, 100] *= 50
    counts[:6, [20, 120]] = 0
    return counts, offset


def _read(reader: Any, counts: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return reader(counts, offset, fit_genes(counts, FEATURES, **_given(offset)))


@pytest.mark.parametrize("reader", (READERS | WHOLE | DRAWS).values(), ids=READERS | WHOLE | DRAWS)
def test_offsets_of_every_count_say_what_offsets_of_samples_say(reader, drawn):
    counts, offset = drawn
    once, each = offset[:, 0], np.repeat(offset[:, :1], counts.shape[1], 1)
    np.testing.assert_allclose(_read(reader, counts, each), _read(reader, counts, once), rtol=1e-9)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_offsets_belong_to_their_genes(reader, drawn, rng):
    counts, offset = drawn
    order = rng.permutation(counts.shape[1])
    expected = _read(reader, counts, offset)[..., order]
    np.testing.assert_allclose(_read(reader, counts[:, order], offset[:, order]), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("reader", WHOLE.values(), ids=WHOLE)
def test_what_is_read_from_all_genes_reads_each_with_its_own_offsets(reader, drawn, rng):
    counts, offset = drawn
    order = rng.permutation(counts.shape[1])
    np.testing.assert_allclose(
        _read(reader, counts[:, order], offset[:, order]), _read(reader, counts, offset), rtol=1e-6, atol=1e-9
    )
