"""How noisy is a contrast once hidden factors are held fixed? Told by directions that are held out."""

import numpy as np
from scipy.linalg import eigh

N_DIRECTIONS = 60
N_DIRECTIONS_LARGE = 24
LARGE = 200


def held_out_noise(residuals: np.ndarray, n_features: int, max_factors: int, rng: np.random.Generator) -> np.ndarray:
    r"""Mean log noise of a random contrast of the samples beside 0, 1, 2, ... leading factors of all others.

    A contrast of the design is one direction in the space of the samples, of which the residuals know nothing. So a random
    direction v of the residuals is held out, :math:`y_g = v^\top r_g`; the leading k factors are learned from all other
    directions, as singular vectors with loadings :math:`W`; where they stand along v is told by all genes together, least
    squares of y on W; and

    .. math:: e_k(v) = \frac{1}{G} \sum_g (y_g - W_g^\top \delta)^2

    is what remains. A factor that is there takes its part off; one that is made of noise brings its loadings' noise in.
    (Leaving out one direction is to a factor analysis what leaving out one sample is to a regression; see Owen & Wang
    2016, *Bi-cross-validation for factor analysis*.)

    Parameters
    ----------
    residuals
        Standardised residuals, samples x genes, projected off the features.
    n_features
        Rank p of the features.
    max_factors
        Most factors, at most n - p - 2.
    rng
        Source of the directions. Which they are does not depend on the order of the samples.

    Returns
    -------
    Mean over directions of :math:`\log e_k`, k from 0 to ``max_factors``.

    Examples
    --------
    Two factors in 12 samples:

    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(12, 500)) + rng.normal(size=(12, 2)) @ rng.normal(size=(2, 500))
    >>> held_out_noise(noise, 0, 4, rng).round(1)
    array([0.8, 0.6, 0.2, 0.2, 0.2])
    """
    n, n_genes = residuals.shape
    m = n - n_features
    gram = residuals @ residuals.T / n_genes
    spectrum, vectors = np.linalg.eigh(gram)
    spectrum, vectors = spectrum[n_features:], vectors[:, n_features:]
    # an eigenvector's sign is arbitrary: the skewness of what it holds says which it has here
    sign = np.sign(((vectors.T @ residuals) ** 3).sum(1))
    rows = []
    while len(rows) < (N_DIRECTIONS if m <= LARGE else N_DIRECTIONS_LARGE):
        rotation = np.linalg.qr(rng.normal(size=(m, m)))[0] * sign[:, None]
        turned = (rotation.T * spectrum) @ rotation
        rows += [_remaining(turned, v, max_factors) for v in range(min(m, N_DIRECTIONS_LARGE))]
    return np.log(rows).mean(0)


def _remaining(gram: np.ndarray, held_out: int, max_factors: int) -> np.ndarray:
    """``e_k`` of one direction: the Schur complement of the leading eigenspace of the others."""
    others = np.delete(np.arange(len(gram)), held_out)
    first = others.size - max_factors
    values, vectors = eigh(gram[np.ix_(others, others)], subset_by_index=[first, others.size - 1])
    explained = ((vectors.T @ gram[others, held_out]) ** 2 / values)[::-1]
    return gram[held_out, held_out] - np.append(0.0, explained.cumsum())
