"""How well effects fit the effects that the features have on all genes."""

import numpy as np
from scipy.special import logsumexp

from bulkvi.stats.effects.shrinkage import mixture_weights
from bulkvi.stats.genes import FittedGenes, genes_of

LEARN_GENES = 2_000
N_SCALES = 9
SMALLEST_SCALE = 0.05
"""Smallest sd, over the samples, of the log rates that the features make: less is as none."""


def log_effect_evidence(features: np.ndarray, fit: FittedGenes, read: FittedGenes) -> np.ndarray:
    """Log of the integral of each reading's likelihood of the effects over the prior that all genes have."""
    centred = features - features.mean(0)
    _, size, right = np.linalg.svd(centred, full_matrices=False)
    used = size > 1e-9 * max(float(size.max()), 1e-300)
    turn = size[used, None] * right[used] / np.sqrt(features.shape[0])
    middle = fit.nodes.coef.shape[0] // 2
    order = np.lexsort((fit.base_mean,))
    chosen = order[:: max(1, -(-order.size // LEARN_GENES))]
    alone = genes_of(fit, chosen).nodes
    alone = alone._replace(**{name: getattr(alone, name)[[middle]] for name in ("coef", "covariance")})
    scale = np.concatenate([[0.0], SMALLEST_SCALE * 2.0 ** np.arange(N_SCALES)])
    learned = _log_marginal(turn, alone.coef, alone.covariance, scale)[0]
    weight, _ = mixture_weights(np.exp(learned - learned.max(0)), 1.0)
    with np.errstate(divide="ignore"):
        log_prior = np.log(weight)[:, None] + np.log(np.clip(read.nodes.weight, 1e-300, None))[:, None]
    return logsumexp(log_prior + _log_marginal(turn, read.nodes.coef, read.nodes.covariance, scale), (0, 1))


def _log_marginal(turn: np.ndarray, coef: np.ndarray, covariance: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Log ``N(turn coef; 0, turn C turn' + scale^2 I)``, nodes x scales x genes."""
    p = coef.shape[1]
    row, column = np.tril_indices(p)
    outer = np.einsum("iq,jq->ijq", turn[:, row], turn[:, column])
    outer = outer + np.where(row == column, 0.0, np.einsum("iq,jq->ijq", turn[:, column], turn[:, row]))
    spread = np.einsum("ijq,kqg->kgij", outer, covariance)
    value, vector = np.linalg.eigh(spread)
    place = np.einsum("kgij,kgi->kgj", vector, np.einsum("ip,kpg->kgi", turn, coef))
    variance = np.clip(value, 1e-12, None)[:, None] + scale[:, None, None] ** 2
    return -0.5 * (np.log(2 * np.pi * variance) + place[:, None] ** 2 / variance).sum(-1)
