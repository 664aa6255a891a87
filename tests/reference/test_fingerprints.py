import numpy as np
import pytest

from bulkvi.reference._fingerprints import MOST_BYTES, NO_HASH, TUPLE, choose_genes, hash_samples, shared_samples

N, GENES = 12, 1_000


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(np.exp(rng.normal(6, 1.5, GENES) + rng.normal(0, 0.3, (N, GENES)))).astype(float)


def test_genes_are_those_with_most_counts_in_whatever_order(counts: np.ndarray, rng: np.random.Generator) -> None:
    names = [f"g{k}" for k in range(GENES)]
    chosen = choose_genes(counts, names)
    assert chosen.shape == (64, TUPLE)
    order = rng.permutation(GENES)
    again = choose_genes(counts[rng.permutation(N)][:, order], [names[k] for k in order])
    np.testing.assert_array_equal(order[again], chosen)
    rest = np.setdiff1d(np.arange(GENES), chosen)
    assert counts.sum(0)[chosen].min() >= counts.sum(0)[rest].max()


def test_panels_and_large_cohorts_have_fewer_hashes() -> None:
    assert choose_genes(np.ones((3, 20)), list("abcdefghijklmnopqrst")).shape == (2, TUPLE)
    assert choose_genes(np.ones((3, 5)), list("abcde")).shape == (0, TUPLE)
    many = np.broadcast_to(1.0, (10_000, GENES))
    n_tuples = len(choose_genes(many, [f"g{k}" for k in range(GENES)]))
    assert 8 <= n_tuples <= MOST_BYTES / 8 / 10_000


def test_samples_are_found_if_genes_are_missing_or_changed(counts: np.ndarray) -> None:
    """A tuple stays complete with probability (1 - q)^8: at q = .1 and .2 one of 64 does in all but 1e-15 and 6e-6 of samples."""
    genes = choose_genes(counts, [f"g{k}" for k in range(GENES)])
    theirs = hash_samples(counts[:6], genes)
    for share, seed in ((0.0, 1), (0.1, 2), (0.2, 3)):
        rng = np.random.default_rng(seed)
        missing = rng.random(GENES) < share
        ours = np.where(missing[genes], -1, genes)
        np.testing.assert_array_equal(shared_samples(hash_samples(counts, ours), theirs), np.arange(N) < 6)
        changed = counts + (rng.random(counts.shape) < share)
        np.testing.assert_array_equal(shared_samples(hash_samples(changed, genes), theirs), np.arange(N) < 6)


def test_few_or_broken_counts_and_lacking_genes_have_no_hash(counts: np.ndarray) -> None:
    genes = choose_genes(counts, [f"g{k}" for k in range(GENES)])
    assert (hash_samples(np.full((2, GENES), 100.0), genes) == NO_HASH).all()
    assert (hash_samples(np.full((2, GENES), 200.0), genes) != NO_HASH).all()
    assert (hash_samples(counts + 0.5, genes) == NO_HASH).all()
    assert (hash_samples(counts, np.full_like(genes, -1)) == NO_HASH).all()
    # samples without hashes are not taken for each other
    none = np.zeros((3, 64), dtype=np.uint64)
    assert not shared_samples(none, none).any()


def test_the_same_counts_in_another_tuple_have_another_hash() -> None:
    genes = np.arange(16).reshape(2, 8)
    first, second = hash_samples(np.full((1, 16), 1_000.0), genes)[0]
    assert first != second
