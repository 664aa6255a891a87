import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from bulkvi.stats.counts import blocks
from bulkvi.stats.counts.blocks import by_rows, iter_row_blocks, iter_stored_blocks, read_rows


@pytest.fixture
def counts(rng):
    return rng.poisson(1, size=(11, 7))


@pytest.mark.parametrize("block_rows", [1, 4, 11, 100, None])
def test_row_blocks_put_together_are_the_matrix_in_every_storage(store, counts, block_rows):
    parts = list(iter_row_blocks(store(counts), block_rows=block_rows))
    covered = np.concatenate([np.arange(11)[rows] for rows, _ in parts])
    np.testing.assert_array_equal(covered, np.arange(11))
    np.testing.assert_array_equal(np.vstack([block for _, block in parts]), counts)
    assert all(block.dtype == np.float64 and block.flags.c_contiguous for _, block in parts)
    assert max(len(block) for _, block in parts) <= (block_rows or 11)


@pytest.mark.parametrize("rows", [slice(None), slice(2, 7), slice(10, 11), slice(4, 4)])
def test_rows_are_read_from_every_storage(store, counts, rows):
    read = read_rows(store(counts), rows)
    np.testing.assert_array_equal(read, counts[rows])
    assert read.dtype == np.float64 and read.flags.c_contiguous


def test_stored_blocks_stay_sparse_and_keep_their_dtype(counts):
    x = sparse.csc_array(counts.astype(np.int16))
    stored = [block for _, block in iter_stored_blocks(x, block_rows=4)]
    assert all(isinstance(block, sparse.csr_array) and block.dtype == np.int16 for block in stored)
    np.testing.assert_array_equal(sparse.vstack(stored).toarray(), counts)


def test_the_default_block_fits_the_byte_budget(monkeypatch, counts):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 3 * 7 * 8)
    assert [len(block) for _, block in iter_row_blocks(counts)] == [3, 3, 3, 2]


def test_a_row_larger_than_the_budget_is_still_read(monkeypatch, counts):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8)
    assert [len(block) for _, block in iter_row_blocks(counts)] == [1] * 11


@pytest.mark.parametrize("block_rows", [1, 2, 5, 100])
def test_each_dask_chunk_is_computed_once_a_pass(counts, block_rows):
    computed = []

    def load(chunk):
        computed.append(len(chunk))
        return chunk

    x = da.from_array(counts, chunks=(3, -1)).map_blocks(load, meta=np.empty((0, 0), dtype=counts.dtype))
    computed.clear()
    for _ in iter_row_blocks(x, block_rows=block_rows):
        pass
    assert sorted(computed) == [2, 3, 3, 3]


def test_a_dask_cohort_is_never_computed_as_a_whole(counts):
    x = da.from_array(counts, chunks=(2, -1))
    assert [len(block) for _, block in iter_row_blocks(x, block_rows=5)] == [4, 4, 3]


def test_only_storage_by_columns_is_converted(counts):
    csr = sparse.csr_array(counts)
    assert by_rows(csr) is csr
    assert by_rows(counts) is counts
    assert isinstance(by_rows(sparse.csc_matrix(counts)), sparse.csr_matrix)
