"""Samples that are noisier than the others: outlying whichever group they are assigned to."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

SIGMA_PER_MAD = 1.4826
PRIOR_SPREAD = 0.4
PRIOR_DF = 12.0
EFFICIENCY = 0.37
FAMILY_LEVEL = 0.05
SAMPLE_LEVEL = 0.0025
LEAST_NOISE = 0.2


class NoiseDeviation(NamedTuple):
    """How noisy each sample is, and what is unusual among so many samples."""

    deviation: np.ndarray
    """Log noise less that of the others, in robust standard deviations, with the sign turned: below 0 is noisier."""
    limit: float
    """A deviation below it is unusual."""


def noise_deviation(fit: np.ndarray, groups: Sequence[np.ndarray] = ()) -> NoiseDeviation:
    r"""Compare the noise of samples, on the log scale, by the log density predicted for each.

    A sample whose values scatter by v times the usual variance has a mean log density of about :math:`(v - 1) / 2` less, so
    :math:`\log v = \log(1 + 2 (\mathrm{median} - \mathrm{fit}))`. Samples differ in quality even in good studies: the
    spread of :math:`\log v` is estimated from its median absolute value and moderated towards 0.4, with 12 prior degrees
    of freedom. A sample deviates as much as it does from all samples and from those of its own level in each
    grouping, whichever is less: the libraries of a noisy platform are compared with each other. The limit is the quantile of
    Student's t at 0.05 divided by the number of samples, or at 0.0025 if that is less.

    Parameters
    ----------
    fit
        Mean log density over the genes, one value per sample; NaN where there is none.
    groups
        Codes of the levels of each categorical variable, one array per variable.

    Returns
    -------
    Deviations (NaN where ``fit`` is) and their limit, below 0.

    Examples
    --------
    >>> fit = np.array([-1.4, -1.5, -1.45, -1.38, -1.52, -1.41, -1.47, -4.0])
    >>> found = noise_deviation(fit)
    >>> np.flatnonzero(found.deviation < found.limit).tolist()
    [7]
    """
    known = ~np.isnan(fit)
    n = int(known.sum())
    if not n:
        return NoiseDeviation(fit, -np.inf)
    log_noise = np.log(np.clip(1 + 2 * (np.median(fit[known]) - fit), LEAST_NOISE, None))
    excess = [_scaled(log_noise, np.zeros(len(fit), int), known)]
    excess += [_scaled(log_noise, codes, known) for codes in groups]
    # NaN where a sample is the only one of its level
    least = np.nanmin(np.stack(excess), axis=0, where=known, initial=np.inf)
    level = min(FAMILY_LEVEL / n, SAMPLE_LEVEL)
    limit = -float(student.isf(level, PRIOR_DF + EFFICIENCY * (n - 1)))
    return NoiseDeviation(np.where(known, -least, np.nan), limit)


def _scaled(log_noise: np.ndarray, codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Log noise less that of the level, in moderated standard deviations; NaN for the only sample of a level."""
    away = np.full(len(log_noise), np.nan)
    n_levels = 0
    for level in np.unique(codes[known]):
        members = np.flatnonzero(known & (codes == level))
        if len(members) > 1:
            n_levels += 1
            # of an even number the quieter one of the middle two: two noisy samples do not excuse each other by half
            away[members] = log_noise[members] - np.sort(log_noise[members])[(len(members) - 1) // 2]
    rest = np.sort(np.abs(away[~np.isnan(away)]))[n_levels:]  # the middle sample of each level lies at zero
    if not rest.size:
        return away / PRIOR_SPREAD
    df = EFFICIENCY * rest.size
    variance = (PRIOR_DF * PRIOR_SPREAD**2 + df * (SIGMA_PER_MAD * np.median(rest)) ** 2) / (PRIOR_DF + df)
    return away / np.sqrt(variance)
