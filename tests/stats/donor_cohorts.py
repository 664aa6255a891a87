"""Counts of samples that share donors, with known truth; natural logs."""

from typing import NamedTuple

import numpy as np

RIDGE = np.array([1e-6, 1e-2])


class DonorCohort(NamedTuple):
    """Negative binomial counts of two groups whose samples come from donors."""

    counts: np.ndarray
    features: np.ndarray
    donor: np.ndarray
    offset: np.ndarray
    effect: np.ndarray
    donor_sd: np.ndarray


def make_donors(
    rng: np.random.Generator,
    samples: list[tuple[int, int]],
    n_genes: int = 200,
    *,
    donor_sd: float = 0.4,
    share: float = 0.1,
    effect_sd: float = 0.8,
) -> DonorCohort:
    """Samples as (donor, group); a gene's donor sd and dispersion scatter log-normally, a share of the genes changes."""
    donor, group = (np.array(column) for column in zip(*samples, strict=True))
    mean = np.exp(rng.normal(4.5, 1.8, n_genes))
    dispersion = np.minimum((0.05 + 2 / mean) * np.exp(rng.normal(0, 0.5, n_genes)), 20.0)
    sd = donor_sd * np.exp(rng.normal(0, 0.4, n_genes))
    effect = np.where(rng.random(n_genes) < share, rng.normal(0, effect_sd, n_genes), 0.0)
    offset = rng.normal(0, 0.3, donor.size)
    shift = rng.standard_normal((donor.max() + 1, n_genes)) * sd
    expected = np.exp(offset[:, None] + shift[donor] + np.outer(group, effect)) * mean
    counts = rng.poisson(expected * dispersion * rng.gamma(1 / dispersion, size=expected.shape)).astype(float)
    features = np.column_stack([np.ones(donor.size), group.astype(float)])
    return DonorCohort(counts, features, donor, offset, effect, sd)


def pairs(n_donors: int) -> list[tuple[int, int]]:
    """Both groups from every donor."""
    return [(d, g) for d in range(n_donors) for g in (0, 1)]


def repeats(n_donors: int, n_repeats: int) -> list[tuple[int, int]]:
    """Several samples of every donor, who is in one group."""
    return [(d, d % 2) for d in range(n_donors) for _ in range(n_repeats)]
