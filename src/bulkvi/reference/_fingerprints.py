"""One-way fingerprints of samples, to find samples of a study among those of a reference.

A fingerprint is a set of hashes, each of the counts of `TUPLE` genes together. The genes are among those with most counts, which
filters of genes leave in; one hash in common is enough. A sample is found if the study has all genes of one tuple with the same
counts: with a tenth of the genes missing or changed at random a tuple is complete with probability .43, with three tenths .06.
It is not found if its reads were counted in another way, rounded, scaled or added to those of other runs.

Counts cannot be read off a hash: one of 64 bits is of counts with `MIN_BITS` bits together, and tuples with fewer have none.
"""

import hashlib
from typing import Final

import numpy as np

TUPLE: Final = 8
"""Genes of a hash. With fewer, counts could be found by trying all; with more, a tuple is seldom complete."""
MOST_TUPLES: Final = 64
"""With three tenths of the genes missing at random, at least one of them is complete with probability .98."""
FEWEST_TUPLES: Final = 8
MOST_BYTES: Final = 2**20
"""Of all hashes: larger cohorts have fewer of each sample."""
MIN_BITS: Final = 60.0
"""Sum over the genes of log2(1 + count) from which a tuple is hashed: about 180 counts in each gene."""
NO_HASH: Final = 0
PERSON: Final = b"bulkvi reference"


def choose_genes(counts: np.ndarray, names: list[str]) -> np.ndarray:
    """Choose the genes of the hashes, tuples x `TUPLE` positions: those with most counts, mixed by their names.

    Their order depends neither on that of the genes nor on that of the samples.
    """
    n, n_genes = counts.shape
    number = min(max(FEWEST_TUPLES, min(MOST_TUPLES, MOST_BYTES // (8 * max(n, 1)))), n_genes // TUPLE)
    key = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    total = counts.sum(0)
    most = sorted(range(n_genes), key=lambda gene: (-total[gene], key[gene]))[: number * TUPLE]
    return np.array(sorted(most, key=lambda gene: key[gene]), dtype=np.int64).reshape(number, TUPLE)


def hash_samples(counts: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Hash the counts of samples (samples x genes) in each tuple of genes, samples x tuples; 0 where there is no hash.

    Tuples with a negative position, of a gene that the study lacks, have none, nor those with few counts.
    """
    hashes = np.full((len(counts), len(genes)), NO_HASH, dtype=np.uint64)
    for k in np.flatnonzero((genes >= 0).all(1)).tolist():
        part = counts[:, genes[k]]
        whole = np.ascontiguousarray(np.rint(part), dtype="<i8")
        enough = (np.log2(1.0 + part).sum(1) >= MIN_BITS) & (whole == part).all(1)
        for sample in np.flatnonzero(enough).tolist():
            digest = hashlib.blake2b(
                whole[sample].tobytes(), digest_size=8, person=PERSON, salt=k.to_bytes(8, "little")
            )
            hashes[sample, k] = int.from_bytes(digest.digest(), "little")
    return hashes


def shared_samples(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Find the samples of ``ours`` that have a hash in common with a sample of ``theirs``, boolean."""
    found = np.zeros(len(ours), dtype=bool)
    for k in range(ours.shape[1]):
        known = theirs[theirs[:, k] != NO_HASH, k]
        found |= np.isin(ours[:, k], known)
    return found
