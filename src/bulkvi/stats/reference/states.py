"""Where the samples of a study stand along the directions of a reference cohort, beside the study's own design."""

from typing import NamedTuple

import numpy as np
from scipy.stats import f as f_distribution

from bulkvi.stats.nb.regression import nb_regression
from bulkvi.stats.predictive.layer import spread_over

MAX_GENES = 6_000
"""Genes that the states are estimated from: more of them do not move a state by a tenth of its standard error."""
MIN_MEAN = 2.0
"""Mean count of these genes: rarer ones say next to nothing of a sample, and their working residuals are skewed."""
LARGEST_RESIDUAL = 4.0
"""Standardised residual beyond which a count gains no more influence: single outlying counts do not move a sample."""
MAX_ROUNDS = 12
TOLERANCE = 1e-3
"""Change of the states, in standard deviations of the cohort, below which they are settled."""
PRIOR_SAMPLES = 1.0
"""Samples that the spread of the cohort is worth in the spread of the study."""


class StudyStates(NamedTuple):
    """States of the samples along the directions, projected off the design, in standard deviations of the cohort."""

    mean: np.ndarray
    """Samples x directions."""
    covariance: np.ndarray
    """Posterior covariance of the state of a usual sample, directions x directions."""
    scale: np.ndarray
    """Standard deviation of the states in the study, directions."""
    residual_df: int
    """Dimensions of the samples that the design leaves."""

    @property
    def spread(self) -> np.ndarray:
        """Covariance of the states between samples that the design does not tell apart, directions x directions."""
        return self.mean.T @ self.mean / self.residual_df + self.covariance


def study_states(
    counts: np.ndarray,
    features: np.ndarray,
    loadings: np.ndarray,
    loadings_variance: np.ndarray,
    *,
    offset: np.ndarray,
    ridge: np.ndarray,
    dispersion: np.ndarray,
) -> StudyStates:
    r"""Estimate the states of samples from all genes together, each gene with a level and effects of the study's own.

    .. math:: \log m_{ng} = o_n + x_n^\top \beta_g + z_n^\top W_g, \qquad z_{nk} \sim N(0, \lambda_k^2)

    with the loadings W of a cohort, whose states have mean square 1. Levels and effects differ between studies, so that only
    the part of z off the design is told by W; how far the states go along the design is a question of the effects (`align`).
    Coefficients and states take turns: a negative binomial regression per gene at given states, and a Fisher step of each
    sample's state, in which a gene has the variance :math:`1 / m + \alpha_g + \sum_k z_k^2 \mathrm{Var}(W_{gk})` of its log rate.
    :math:`\lambda_k^2` is the mean square of the states and their posterior variance; the cohort's 1 counts as `PRIOR_SAMPLES`. Along a
    direction that the genes of the study do not follow, all states are near 0.

    Parameters
    ----------
    counts
        Samples x genes.
    features
        Design, samples x columns.
    loadings, loadings_variance
        Posterior mean and variance in the cohort, directions x genes, natural log; 0 for genes that it lacks.
    offset
        Natural log of the exposure, samples or samples x genes.
    ridge
        Prior precisions of the coefficients.
    dispersion
        Of each gene.
    """
    n, k = len(counts), len(loadings)
    basis = np.linalg.qr(features)[0]
    residual_df = n - features.shape[1]
    base = offset[:, None] if offset.ndim == 1 else offset
    state, scale, covariance = np.zeros((n, k)), np.ones(k), np.eye(k)
    for _ in range(MAX_ROUNDS):
        moved = base + state @ loadings
        given = {"offset": moved, "dispersion": dispersion, "ridge": ridge}
        mean = np.exp(moved + features @ nb_regression(counts, features, tol=1e-2, **given).coef)
        sd = np.sqrt(1 / mean + dispersion + state**2 @ loadings_variance)
        residual = np.clip((counts - mean) / mean / sd, -LARGEST_RESIDUAL, LARGEST_RESIDUAL) / sd
        score = residual @ loadings.T - state / scale**2
        inverse = np.stack([np.linalg.inv((loadings / row**2) @ loadings.T + np.diag(1 / scale**2)) for row in sd])
        step = np.einsum("nkl,nl->nk", inverse, score)
        step -= basis @ (basis.T @ step)
        state, covariance = state + step, inverse.mean(0)
        squares = (state**2).sum(0) + residual_df * np.diagonal(covariance)
        scale = np.sqrt((squares + PRIOR_SAMPLES) / (residual_df + PRIOR_SAMPLES))
        if np.abs(step).max() < TOLERANCE:
            break
    return StudyStates(state, covariance, scale, residual_df)


def telling_genes(base_mean: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Positions of the genes that states are estimated from: known, with a mean count, at even ranks of it."""
    genes = np.flatnonzero(known & (base_mean >= MIN_MEAN))
    return genes[spread_over(base_mean[genes], MAX_GENES)]


def carried_p_value(
    states: StudyStates, delta: np.ndarray, loadings: np.ndarray, precision: np.ndarray, chance: float
) -> float:
    r"""p-value that two groups stand no further apart along the directions than their replicates do.

    The states of a group are a sample, so that by chance the groups' difference :math:`\delta` has ``chance`` times the
    covariance of replicates. Over all directions

    .. math:: \frac{\sum_g (W_g^\top \delta)^2 / s_g^2}{v \sum_g W_g^\top \hat\Sigma W_g / s_g^2} \sim F(\nu, m \nu)

    with :math:`\nu` the number of directions that are as wide as these are (Satterthwaite 1946), and for the direction with the
    largest ratio F(1, m), times the number of directions. The smaller of the two, times two.
    """
    df = states.residual_df
    scaled = loadings * precision
    within = np.maximum(np.diagonal(states.spread), 1e-300)
    weight = within * (scaled**2).sum(1)
    if not weight.sum() > 0:
        return 1.0
    spread = float(np.einsum("kg,kl,lg->", scaled, states.spread, scaled, optimize=True))
    ratio = float(((delta @ scaled) ** 2).sum()) / (chance * spread)
    nu = float(weight.sum() ** 2 / (weight**2).sum())
    together = f_distribution.sf(ratio, nu, df * nu)
    single = f_distribution.sf((delta**2 / (chance * within)).max(), 1, df) * len(delta)
    return float(min(1.0, 2 * min(together, single)))
