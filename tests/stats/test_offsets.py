from typing import Any

import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from bulkvi.stats.counts.counts import check_offset
from bulkvi.stats.effects.effect import effect_likelihood
from bulkvi.stats.effects.likelihood_ratio import handle_separation, omnibus_test
from bulkvi.stats.effects.noise_inflation import noise_inflation
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.hidden.hidden_factors import latent_number
from bulkvi.stats.outliers.outliers import find_outliers
from bulkvi.stats.samples.leave_one_out import stabilise


@pytest.fixture
def factors(rng):
    return rng.uniform(100, 5000, size=(7, 12))


def test_factors_of_each_gene_are_relative_to_their_geometric_mean(factors):
    by_hand = np.array([[v / np.prod(column ** (1 / 7)) for v in column] for column in factors.T]).T
    np.testing.assert_allclose(np.exp(check_offset(factors).log_relative()), by_hand, rtol=1e-12)


def test_the_unit_of_a_gene_does_not_matter(factors, rng):
    relative = check_offset(factors).log_relative()
    np.testing.assert_allclose(check_offset(factors * rng.uniform(0.01, 9, 12)).log_relative(), relative, atol=1e-13)
    np.testing.assert_array_equal(check_offset(np.ones((7, 12))).log_relative(), 0)


@pytest.mark.parametrize("block_rows", [1, 3, None])
def test_every_storage_and_block_size_gives_the_same_bits(store, factors, block_rows):
    factors = factors.astype(np.float32)  # what all storages hold exactly
    expected = check_offset(factors)
    actual = check_offset(store(factors), block_rows=block_rows)
    np.testing.assert_array_equal(actual.log_mean, expected.log_mean)
    np.testing.assert_array_equal(actual.log_relative(), expected.log_relative())


IN_MEMORY: dict[str, Any] = {
    "dense": lambda x: x,
    "csr": sparse.csr_array,
    "dask": lambda x: da.from_array(x, chunks=(2, 5)),
}
REFUSED: dict[str, tuple[float, str]] = {
    "zero": (0.0, "sample 's2' has 0.0 at gene 'g3'.*allows no count at all"),
    "negative": (-1.5, "sample 's2' has -1.5 at gene 'g3'.*looks like logs: give their exponential"),
    "missing": (np.nan, "sample 's2' has nan at gene 'g3'.*mean over the other samples"),
    "infinite": (np.inf, "sample 's2' has inf at gene 'g3'"),
    "lost in 32 bits": (1e-40, r"from 1e-30 to 1e\+30.*has 1e-40"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("storage", ["dense", "csr", "dask"])
def test_a_factor_that_is_no_factor_is_named(factors, value, message, storage):
    factors[2, 3] = factors[5, 1] = value
    names: dict[str, Any] = {
        "sample_names": [f"s{i}" for i in range(7)],
        "gene_names": [f"g{i}" for i in range(12)],
        "matrix": "adata.layers['length']",
    }
    with pytest.raises(ValueError, match=rf"adata.layers\['length'\] must hold finite numbers > 0.*{message}"):
        check_offset(IN_MEMORY[storage](factors), block_rows=2, **names)


def test_without_names_positions_are_given(factors):
    factors[2, 3] = 0
    with pytest.raises(ValueError, match="sample 2 has 0.0 at gene 3"):
        check_offset(factors, block_rows=2)


@pytest.mark.parametrize("dtype", [bool, complex, object, "U1"])
def test_anything_but_numbers_is_refused(dtype):
    with pytest.raises(TypeError, match="must hold numbers > 0, such as average transcript lengths; its dtype is"):
        check_offset(np.ones((3, 2)).astype(dtype))


@pytest.mark.parametrize("shape", [(3,), (0, 2), (3, 0)])
def test_anything_but_samples_by_genes_is_refused(shape):
    with pytest.raises(ValueError, match="samples x genes with at least one of each; its shape is"):
        check_offset(np.ones(shape))


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
