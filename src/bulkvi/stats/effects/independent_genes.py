"""How many independent genes all genes are worth, and what that says of a direction without residuals."""

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, polygamma

N_COUNTS = 200
SMALLEST_SPREAD = 1e-12
SMALLEST_LOG_SD = 0.05
SMALLEST_NULL_SHARE = 0.5


class ExpectedInflation(NamedTuple):
    """Prior of the log of the factor on the variance of null statistics."""

    log_mean: float
    log_sd: float
    least_null: float = SMALLEST_NULL_SHARE
    """Smallest share of genes without effect; 0 where it is not known that most genes do not change."""

    @property
    def spread(self) -> float:
        """The standard deviation, no smaller than it can be known."""
        return max(self.log_sd, SMALLEST_LOG_SD)


def independent_genes(eigenvalues: np.ndarray, n_genes: int) -> float:
    r"""Estimate how many independent genes would spread the variance over directions as these eigenvalues are spread.

    For :math:`\nu` independent genes :math:`\sum_g r_g r_g^\top` is a Wishart matrix with :math:`\nu` degrees of freedom. With
    v the mean squared deviation of its m eigenvalues from their mean, in units of the mean,
    :math:`E[v] \approx (m - 1)(m + 2) / (m \nu + 2)`, a mean of :math:`D = (m - 1)(m + 2) / 2` squared deviations
    (Mauchly 1940, *Significance test for sphericity*), so that :math:`v (m \nu + 2) / 2 \sim \chi^2_D`. Returned is the
    posterior mean of :math:`\log \nu`, exponentiated, for a prior that is even in :math:`\log \nu` between one gene and all: of
    two replicates a group D is 2, which leaves much open, and of one direction nothing is learned.
    """
    nu, probability = posterior_of_independent(eigenvalues, n_genes)
    return float(np.exp(probability @ np.log(nu)))


def posterior_of_independent(eigenvalues: np.ndarray, n_genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of independent genes with their probabilities."""
    m = eigenvalues.size
    nu = np.geomspace(1.0, max(n_genes, 1), N_COUNTS)
    spread = max(float(np.var(eigenvalues / eigenvalues.mean())), SMALLEST_SPREAD)
    x = spread * (m * nu + 2) / 2
    log_density = (m - 1) * (m + 2) / 4 * np.log(x) - x / 2 if m > 1 else np.zeros(nu.size)
    density = np.exp(log_density - log_density.max())
    return nu, density / density.sum()


def variance_of_next_direction(eigenvalues: np.ndarray, n_genes: int) -> ExpectedInflation:
    r"""Expect the variance over genes of one more direction, relative to the mean of m directions that were seen.

    With :math:`\nu` independent genes it is :math:`F(\nu, m \nu)`, whose logarithm has the mean
    :math:`\psi(\nu/2) - \log(\nu/2) - \psi(m\nu/2) + \log(m\nu/2)` and the variance :math:`\psi'(\nu/2) + \psi'(m\nu/2)`; both
    are averaged over the posterior of :math:`\nu` (`independent_genes`).
    """
    nu, probability = posterior_of_independent(eigenvalues, n_genes)
    seen = eigenvalues.size * nu / 2
    mean = digamma(nu / 2) - np.log(nu / 2) - digamma(seen) + np.log(seen)
    variance = polygamma(1, nu / 2) + polygamma(1, seen)
    centre = float(probability @ mean)
    return ExpectedInflation(centre, float(np.sqrt(probability @ (variance + (mean - centre) ** 2))), 0.0)
