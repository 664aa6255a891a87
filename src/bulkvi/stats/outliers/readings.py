"""Readings of a gene: all its counts kept, or some of them outlying; each with its regression and its evidence."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from bulkvi.stats.effects.readings import normalised, segments
from bulkvi.stats.genes import FittedGenes, fit_under_prior, genes_of, join_fits
from bulkvi.stats.outliers.contamination import OUTLYING_SCALE
from bulkvi.stats.outliers.effect_evidence import log_effect_evidence
from bulkvi.stats.outliers.outliers import Outliers
from bulkvi.stats.outliers.suspected import Suspected

CALL = 0.5
"""Probability above which a count is called outlying: nothing depends on the call, so the more probable is said."""
NEGLIGIBLE = 1e-7
"""Probability below which a reading is left out."""
PRESUMED_SHARE = 1e-4
"""Share of outlying counts presumed where none are seen, at most, and at most one count: few genes do not tell that there are none."""
LARGEST_SHARE = 0.3
N_SHARES = 80
SIDE_ROUNDS = 4


class Readings(NamedTuple):
    """Readings of the genes of which counts may be outlying; those of a gene stand together."""

    gene: np.ndarray
    """Gene of each reading, ascending."""
    dropped: np.ndarray
    """Counts that are outlying, samples x readings."""
    fit: FittedGenes
    """Regressions without these counts, one column a reading."""
    log_evidence: np.ndarray
    """Log marginal likelihood of the gene's counts under a flat prior of the effects, that of which counts are outlying
    included, readings."""
    probability: np.ndarray
    """Posterior probability under the effects that the features have on all genes, readings."""

    def select(self, which: np.ndarray) -> "Readings":
        """Select readings."""
        return Readings(
            self.gene[which],
            self.dropped[:, which],
            genes_of(self.fit, which),
            self.log_evidence[which],
            self.probability[which],
        )


def weigh_readings(
    counts: np.ndarray,
    features: np.ndarray,
    fit: FittedGenes,
    outliers: Outliers,
    reduced: Readings | None = None,
    *,
    judged: np.ndarray,
    offset: np.ndarray,
    ridge: np.ndarray,
) -> tuple[Outliers, Readings | None]:
    """Judge suspected counts by the readings of their genes: the outliers, and the readings that are not negligible.

    Genes of ``fit`` are replaced by their most probable reading, in place. ``reduced`` are readings given fewer features; a
    gene whose readings there concern a sample that is not ``judged`` given all features keeps them, with their evidence.
    """
    given = {"offset": offset, "ridge": ridge}
    suspected, parts = outliers.suspected, []
    if reduced is not None and reduced.gene.size:
        unjudged = (reduced.dropped & ~judged[:, None]).any(0)
        carried = np.isin(reduced.gene, reduced.gene[unjudged])
        if carried.any():
            parts.append(read_again(counts, features, fit, reduced.select(np.flatnonzero(carried)), **given))
        left = ~np.isin(suspected.gene, reduced.gene[carried])
        suspected = Suspected(suspected.gene[left], suspected.dropped[:, left])
    n_tested = max(int((judged & ~outliers.structured).sum()), 1) * counts.shape[1]
    share = outliers.share
    if suspected.gene.size:
        own, share = read_genes(counts, features, fit, suspected, n_tested=n_tested, **given)
        parts.append(own)
    if not parts:
        return outliers, None
    readings = join_readings(parts)
    weight = 1.0 - settle(fit, readings)
    called = outlying_probability(readings, counts.shape[1]) > CALL
    return outliers._replace(weight=weight, called=called, share=share), contested(readings)


def join_readings(parts: list[Readings]) -> Readings:
    """Concatenate readings of different genes, genes ascending."""
    if len(parts) == 1:
        return parts[0]
    together = Readings(
        np.concatenate([part.gene for part in parts]),
        np.concatenate([part.dropped for part in parts], 1),
        join_fits([part.fit for part in parts]),
        np.concatenate([part.log_evidence for part in parts]),
        np.concatenate([part.probability for part in parts]),
    )
    return together.select(np.argsort(together.gene, kind="stable"))


def read_genes(
    counts: np.ndarray,
    features: np.ndarray,
    fit: FittedGenes,
    suspected: Suspected,
    *,
    offset: np.ndarray,
    ridge: np.ndarray,
    n_tested: int,
) -> tuple[Readings, float]:
    r"""Weigh the readings of genes with suspected counts; returns them and the share of outlying counts.

    A reading R of a gene says which of its counts are outlying, S; the others are negative binomial. Its evidence is

    .. math:: Z_R = \epsilon^{|S|} (1 - \epsilon)^{n - |S|} \prod_{i \in S} 2 \rho_i q(y_i \mid m_i)
        \int p(\alpha) \, L_R(\alpha) \, d\alpha

    with L the adjusted likelihood of the kept counts, under a flat prior of the effects, and :math:`\rho_i` the share of outlying
    counts that are on the same side of their mean as this one. A flat prior lets a reading have
    any effect for free: that the features make effects in few genes, and of which size, multiplies it by

    .. math:: \int N(u_R; u, C_R) \, g(u) \, du, \qquad g = \pi_0 \delta_0 + \sum_j \pi_j N(0, \sigma_j^2 I)

    with u the log rates that the features make, in orthogonal coordinates (their variance over the samples is
    :math:`|u|^2`), so that the coding of the features does not matter. The weights of g are those of highest likelihood
    over all genes; :math:`\epsilon` and the share above are those of highest likelihood over the genes' readings.
    """
    n = counts.shape[0]
    own = np.unique(suspected.gene)
    gene = np.concatenate([own, suspected.gene])
    dropped = np.concatenate([np.zeros((n, own.size), dtype=bool), suspected.dropped], 1)
    up = np.argsort(gene, kind="stable")
    gene, dropped = gene[up], dropped[:, up]
    y, o = counts[:, gene], offset if offset.ndim == 1 else offset[:, gene]
    read = fit_under_prior(y, features, fit, offset=o, ridge=ridge, weights=(~dropped).astype(float), genes=gene)
    terms, n_up = _outlying_terms(y, features, read, dropped, o)
    log_evidence = read.nodes.log_evidence + terms
    prior, size = log_effect_evidence(features, fit, read), np.stack([n_up, dropped.sum(0) - n_up])
    share, log_odds = _learn_odds(gene, log_evidence + prior, size, n_tested, min(1 / counts.size, PRESUMED_SHARE))
    log_evidence = log_evidence + log_odds @ size
    readings = Readings(gene, dropped, read, log_evidence, normalised(gene, log_evidence + prior))
    return readings, share


def read_again(
    counts: np.ndarray,
    features: np.ndarray,
    fit: FittedGenes,
    readings: Readings,
    *,
    offset: np.ndarray,
    ridge: np.ndarray,
) -> Readings:
    """Fit readings with other features; which of them is right stays as it was judged."""
    gene = readings.gene
    o, kept = offset if offset.ndim == 1 else offset[:, gene], (~readings.dropped).astype(float)
    again = fit_under_prior(counts[:, gene], features, fit, offset=o, ridge=ridge, weights=kept, genes=gene)
    return readings._replace(fit=again)


def contested(readings: Readings) -> Readings:
    """Leave out readings that are negligible, and then genes whose only reading keeps all counts."""
    readings = readings.select(np.flatnonzero(readings.probability > NEGLIGIBLE))
    start, which = segments(readings.gene)
    if start.size:
        outlying = np.logical_or.reduceat(readings.dropped.any(0), start)
        readings = readings.select(np.flatnonzero(outlying[which]))
    return readings._replace(probability=normalised(readings.gene, np.log(readings.probability)))


def settle(fit: FittedGenes, readings: Readings) -> np.ndarray:
    """Replace genes of a fit by their most probable readings, in place; returns the outlying counts, samples x genes."""
    start, which = segments(readings.gene)
    dropped = np.zeros((readings.dropped.shape[0], fit.base_mean.size), dtype=bool)
    if not start.size:
        return dropped
    best = np.lexsort((-readings.probability, readings.gene))[start]
    genes, chosen = readings.gene[best], genes_of(readings.fit, best)
    for whole, part in zip(fit.nodes, chosen.nodes, strict=True):
        whole[..., genes] = part
    for whole, part in (
        (fit.base_mean, chosen.base_mean),
        (fit.gene_dispersion, chosen.gene_dispersion),
        (fit.prior.log_trend, chosen.prior.log_trend),
        (fit.prior.mean, chosen.prior.mean),
        (fit.prior.sd, chosen.prior.sd),
    ):
        whole[genes] = part
    if isinstance(fit.prior.trend_variance, np.ndarray):
        fit.prior.trend_variance[genes] = chosen.prior.trend_variance
    dropped[:, genes] = readings.dropped[:, best]
    return dropped


def outlying_probability(readings: Readings, n_genes: int) -> np.ndarray:
    """Probability of each count that it is outlying, samples x genes."""
    out = np.zeros((readings.dropped.shape[0], n_genes))
    start, _ = segments(readings.gene)
    if start.size:
        out[:, readings.gene[start]] = np.add.reduceat(readings.probability * readings.dropped, start, 1)
    return out


def _outlying_terms(
    counts: np.ndarray, features: np.ndarray, read: FittedGenes, dropped: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log density of the outlying counts, less the terms of these counts alone, and how many are above their means; readings.

    The density is that of `contamination`: logistic about the fitted mean on the log scale, all below 1/2 at zero.
    """
    middle = read.nodes.coef.shape[0] // 2
    sample, column = np.nonzero(dropped)
    if not sample.size:
        return np.zeros(dropped.shape[1]), np.zeros(dropped.shape[1])
    log_exposure = offset[sample] if offset.ndim == 1 else offset[sample, column]
    log_rate = np.einsum("cp,pc->c", features[sample], read.nodes.coef[middle][:, column])
    y = counts[sample, column]
    centre = np.log(np.exp(np.clip(log_exposure + log_rate, -40.0, 40.0)) + 0.5)
    t = np.abs(np.log(y + 0.5) - centre) / OUTLYING_SCALE
    body = -t - 2 * np.log1p(np.exp(-t)) - np.log(OUTLYING_SCALE * (y + 0.5))
    log_density = np.where(y >= 0.5, body, -np.logaddexp(0.0, centre / OUTLYING_SCALE))
    log_density -= y * log_exposure - gammaln(y + 1.0)
    above = np.log(y + 0.5) > centre
    return np.bincount(column, log_density, dropped.shape[1]), np.bincount(column[above], minlength=dropped.shape[1])


def _learn_odds(
    gene: np.ndarray, log_weight: np.ndarray, size: np.ndarray, n_tested: int, least: float
) -> tuple[float, np.ndarray]:
    """Share of outlying counts of highest likelihood, not below ``least``, and the log odds of one above and one below.

    ``size`` are the outlying counts above and below their means, 2 x readings. Which of the two is how frequent is estimated
    with one pseudo-count each.
    """
    start, which = segments(gene)
    shares = np.geomspace(least, max(LARGEST_SHARE, least), N_SHARES)
    log_side, share, total = np.zeros(2), shares[0], size.sum(0)
    for _ in range(SIDE_ROUNDS):
        likelihood = np.empty(N_SHARES)
        sided = log_weight + log_side @ size
        for k, share in enumerate(shares):
            here = sided + total * (np.log(share) - np.log1p(-share))
            highest = np.maximum.reduceat(here, start)
            summed = np.add.reduceat(np.exp(here - highest[which]), start)
            likelihood[k] = (highest + np.log(summed)).sum() + n_tested * np.log1p(-share)
        share = shares[np.argmax(likelihood)]
        log_odds = log_side + np.log(share) - np.log1p(-share)
        count = 1.0 + size @ normalised(gene, log_weight + log_odds @ size)
        log_side = np.log(2 * count / count.sum())
    return float(share), log_odds


def fill_unjudged(outliers: Outliers, reduced: Outliers) -> Outliers:
    """Fill samples that cannot be judged given all features with the outliers given fewer of them."""
    rows = (~outliers.judged & reduced.judged)[:, None]
    return outliers._replace(
        weight=np.where(rows, reduced.weight, outliers.weight),
        called=np.where(rows, reduced.called, outliers.called),
        judged=outliers.judged | reduced.judged,
    )
