import numpy as np
import pytest
from scipy import sparse

from bulkvi.stats.counts import counts as counts_module
from bulkvi.stats.counts.counts import check_counts

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
