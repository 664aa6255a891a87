"""Draws of effects from what a table says of their posterior."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

N_HALVINGS = 60


class SpikeAndNormal(NamedTuple):
    """A point mass at zero and a normal curve for each gene, in the unit of the effect."""

    zero: np.ndarray
    """Probability of no effect."""
    mean: np.ndarray
    """Mean of the normal curve."""
    sd: np.ndarray
    """Its standard deviation."""


def spike_and_normal(mean: np.ndarray, sd: np.ndarray, lfsr: np.ndarray) -> SpikeAndNormal:
    r"""The point mass at zero and normal curve that have a posterior's mean, standard deviation and local false sign rate.

    The posterior of `summarise_effect` is a point mass and many normal curves, of which a table keeps three numbers. With
    one curve these have one solution: for a point mass of :math:`q`

    .. math::

        m = \frac{\mathrm{mean}}{1 - q}, \qquad s^2 = \frac{\mathrm{sd}^2 + \mathrm{mean}^2}{1 - q} - m^2, \qquad
        q + (1 - q)\, \Phi(-|m| / s) = \mathrm{lfsr},

    whose left side is looked for by halving between 0 and the largest :math:`q` with :math:`s \ge 0`. Where a table's three
    numbers lie outside what one curve can do, the nearest end is taken: mean and standard deviation then still hold.

    Parameters
    ----------
    mean
        Posterior means of the effects, one a gene; any unit.
    sd
        Posterior standard deviations, same unit.
    lfsr
        Local false sign rates, 0 to 1.

    Returns
    -------
    The point mass and normal curve of each gene.

    Examples
    --------
    >>> parts = spike_and_normal(np.array([1.4]), np.array([1.00747]), np.array([0.300022]))
    >>> [float(part[0].round(2)) for part in parts]
    [0.3, 2.0, 0.5]
    """
    mean, sd, lfsr = (np.asarray(part, dtype=float) for part in (mean, sd, lfsr))
    second = sd**2 + mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.where(second > 0, sd**2 / second, 1.0)
    low, high = np.zeros_like(mean), largest
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        over = _false_sign(middle, mean, second) > lfsr
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    zero = (low + high) / 2
    curve = _curve(zero, mean, second)
    return SpikeAndNormal(zero, *curve)


def draw_effects(parts: SpikeAndNormal, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Independent draws of all effects.

    Parameters
    ----------
    parts
        Of `spike_and_normal`.
    n_draws
        How many.
    rng
        Generator.

    Returns
    -------
    Draws x genes, exactly 0 where the point mass was drawn.

    Examples
    --------
    >>> parts = SpikeAndNormal(np.array([0.9]), np.array([2.0]), np.array([0.1]))
    >>> draws = draw_effects(parts, 1000, np.random.default_rng(0))
    >>> bool(0.87 < (draws == 0).mean() < 0.93)
    True
    """
    shape = n_draws, parts.zero.size
    present = rng.random(shape) >= parts.zero
    return np.where(present, parts.mean + parts.sd * rng.standard_normal(shape), 0.0)


def _curve(zero: np.ndarray, mean: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left = np.maximum(1 - zero, 1e-12)
    centre = mean / left
    return centre, np.sqrt(np.clip(second / left - centre**2, 0.0, None))


def _false_sign(zero: np.ndarray, mean: np.ndarray, second: np.ndarray) -> np.ndarray:
    centre, spread = _curve(zero, mean, second)
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong = ndtr(np.where(spread > 0, -np.abs(centre) / spread, -np.inf))
    return zero + (1 - zero) * wrong
