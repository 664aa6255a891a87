from typing import Any

import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from bulkvi.stats.counts import counts as counts_module
from bulkvi.stats.counts.counts import check_counts, check_offset

SAMPLES = [f"s{i}" for i in range(6)]
GENES = [f"g{i}" for i in range(5)]


@pytest.fixture
def counts(rng):
    return rng.poisson(2, size=(6, 5)) + np.eye(6, 5, dtype=int) + np.eye(6, 5, k=-1, dtype=int)


@pytest.mark.parametrize("block_rows", [1, 4, None])
def test_counts_in_every_storage_give_the_total_of_each_sample(store, counts, block_rows):
    np.testing.assert_array_equal(check_counts(store(counts), block_rows=block_rows), counts.sum(axis=1))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32])
def test_any_real_dtype_passes_when_its_values_are_integers(counts, dtype):
    x = np.minimum(counts, 1).astype(dtype)
    np.testing.assert_array_equal(check_counts(x), np.minimum(counts, 1).sum(axis=1))


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (np.nan, "Missing and infinite"),
        (np.inf, "Missing and infinite"),
        (-np.inf, "Missing and infinite"),
        (-2.0, "log-transformed or centred values: give the raw counts, in X or in a layer"),
        (0.5, "TPM, log or normalised values: give the raw counts, in X or in a layer"),
        (7.25, "Round expected counts"),
    ],
)
def test_an_entry_that_is_not_a_count_is_named_in_every_storage(store, counts, value, advice):
    x = counts.astype(np.float64)
    x[3, 1] = x[4, 0] = value
    message = rf"^the layer must hold raw counts .* 's3' has {value} at gene 'g1'. .*{advice}"
    with pytest.raises(ValueError, match=message):
        check_counts(store(x), sample_names=SAMPLES, gene_names=GENES, matrix="the layer", block_rows=2)


def test_the_first_stored_entry_of_a_sparse_row_is_named_by_its_own_row():
    x = sparse.csr_array(np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 0.5]]))
    with pytest.raises(ValueError, match="sample 2 has 0.5 at gene 1"):
        check_counts(x)


def test_a_negative_integer_is_refused(counts):
    counts[5, 4] = -1
    with pytest.raises(ValueError, match="sample 5 has -1.0 at gene 4"):
        check_counts(counts)


@pytest.mark.parametrize("block_rows", [1, None])
def test_samples_without_counts_are_named_and_counted(store, counts, block_rows):
    counts[[1, 4]] = 0
    with pytest.raises(ValueError, match="2 of 6 samples have no counts at all in x: 's1', 's4'. .*drop these samples"):
        check_counts(store(counts), sample_names=SAMPLES, block_rows=block_rows)


def test_only_the_first_few_empty_samples_are_listed():
    with pytest.raises(ValueError, match="9 of 9 samples .*: 0, 1, 2, 3, 4 and others. Every"):
        check_counts(np.zeros((9, 2)))


def test_stored_zeros_are_zeros():
    x = sparse.csr_array(np.ones((2, 3)))
    x.data[:3] = 0
    with pytest.raises(ValueError, match="1 of 2 samples have no counts"):
        check_counts(x)


def test_a_sparse_matrix_is_never_made_dense(monkeypatch, counts):
    monkeypatch.setattr(sparse.csr_array, "toarray", lambda *_: pytest.fail("made dense"))
    check_counts(sparse.csr_array(counts))


@pytest.mark.parametrize("x", [np.ones(3), np.ones((0, 3)), np.ones((3, 0)), np.ones((2, 2, 2))])
def test_a_matrix_without_samples_or_genes_is_refused(x):
    with pytest.raises(ValueError, match="must be samples x genes"):
        check_counts(x)


@pytest.mark.parametrize("x", [np.array([["a"]]), np.array([[1j]]), np.array([[None]], dtype=object)])
def test_entries_that_are_no_numbers_are_refused(x):
    with pytest.raises(TypeError, match="must hold numbers; its dtype is"):
        check_counts(x)


def test_reading_stops_at_the_first_offence(monkeypatch, counts):
    read = []
    original = counts_module.iter_stored_blocks

    def spy(*args, **kwargs):
        for rows, block in original(*args, **kwargs):
            read.append(rows.start)
            yield rows, block

    monkeypatch.setattr(counts_module, "iter_stored_blocks", spy)
    counts[1, 0] = -1
    with pytest.raises(ValueError, match="raw counts"):
        check_counts(counts, block_rows=1)
    assert read == [0, 1]


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


def test_a_count_beyond_any_library_is_named(store, counts):
    x = counts.astype(np.float64)
    x[2, 3] = 1e13
    with pytest.raises(ValueError, match="count of 1e\\+13 for sample 'c' at gene 3: no library has so many reads"):
        check_counts(store(x), sample_names=list("abcdefghijklmno")[: len(x)])
