"""Effects of genes that can be read in several ways: each reading has a likelihood of its own, the posterior is their mixture."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.shrinkage import EffectPosterior, ShrinkagePrior, shrink


class ReadEstimate(NamedTuple):
    """Estimate and test of genes with several readings, averaged over these; natural logs."""

    mle: np.ndarray
    """Means of the likelihoods."""
    variance: np.ndarray
    """Their variances, the differences between the readings included."""
    log_p: np.ndarray
    """Natural log of the mean p-values."""


class ReadEffects(NamedTuple):
    """One effect under each reading of the genes that have several, natural log; readings of a gene stand together."""

    gene: np.ndarray
    """Gene of each reading, ascending."""
    probability: np.ndarray
    """Posterior probability of each reading, whatever effect is looked at; they add up to one over the readings of a gene."""
    effect: EffectLikelihood
    """Likelihood of the effect, nodes x readings."""
    log_p: np.ndarray
    """Natural log of the p-values, readings."""

    @property
    def genes(self) -> np.ndarray:
        """The genes, each once."""
        return np.unique(self.gene)

    def shifted(self, shift: float) -> "ReadEffects":
        """Measure the effects from ``shift``."""
        return self._replace(effect=self.effect.shifted(shift))

    def inflated(self, factor: float) -> "ReadEffects":
        """Put the nodes of each reading on one centre, their scatter about it into the variances, and multiply these."""
        return self._replace(effect=self.effect.centred().widened(factor))

    def likelihood(self, prior: ShrinkagePrior) -> EffectLikelihood:
        r"""Mix the likelihoods so that under the prior each reading has its probability; nodes x genes.

        The weight of a reading is :math:`P(R) / \sum_j \pi_j \sum_k w_k N(b_k; 0, s_k^2 + \sigma_j^2)`.
        """
        start, which = segments(self.gene)
        slot = np.arange(self.gene.size) - start[which]
        nodes, n_slots = self.effect.weight.shape[0], int(slot.max()) + 1
        shape = nodes, n_slots, start.size
        estimate, se, weight = np.zeros(shape), np.ones(shape), np.zeros(shape)
        estimate[:, slot, which] = self.effect.estimate
        se[:, slot, which] = self.effect.se
        log_weight = np.log(np.clip(self.probability, 1e-300, None)) - log_marginal(self.effect, prior)
        weight[:, slot, which] = self.effect.weight * normalised(self.gene, log_weight)
        return EffectLikelihood(*(part.reshape(nodes * n_slots, -1) for part in (estimate, se, weight)))

    def mix_into(self, posterior: EffectPosterior, prior: ShrinkagePrior, level: float, delta: float) -> None:
        """Put the mixture of the readings' posteriors into those of all genes."""
        if self.gene.size:
            mixed = shrink(self.likelihood(prior), prior, level=level, delta=delta)
            for whole, part in zip(posterior, mixed, strict=True):
                whole[self.genes] = part

    def estimate(self) -> ReadEstimate:
        """Average the estimates and p-values with the readings' probabilities."""
        mean = self.effect.mean()
        mle = average(self.gene, self.probability, mean)
        about = mean - mle[segments(self.gene)[1]]
        variance = average(self.gene, self.probability, self.effect.sd() ** 2 + about**2)
        return ReadEstimate(mle, variance, log_average(self.gene, self.probability, self.log_p))


def log_marginal(effect: EffectLikelihood, prior: ShrinkagePrior) -> np.ndarray:
    """Log of the likelihood averaged over the prior, without the root of 2 pi; genes."""
    used = prior.weight > 0
    variance = effect.se[:, None] ** 2 + prior.scale[used][:, None] ** 2
    log_density = -0.5 * (np.log(variance) + effect.estimate[:, None] ** 2 / variance)
    log_density += np.log(np.clip(effect.weight, 1e-300, None))[:, None] + np.log(prior.weight[used])[:, None]
    return logsumexp(log_density, (0, 1))


def segments(gene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First reading of each gene, and for each reading which of the genes it is of."""
    first = np.append(True, gene[1:] != gene[:-1])[: gene.size]
    return np.flatnonzero(first), np.cumsum(first) - 1


def normalised(gene: np.ndarray, log_weight: np.ndarray) -> np.ndarray:
    """Weights that add up to one over the readings of each gene."""
    start, which = segments(gene)
    if not start.size:
        return np.zeros(0)
    weight = np.exp(log_weight - np.maximum.reduceat(log_weight, start)[which])
    return weight / np.add.reduceat(weight, start)[which]


def average(gene: np.ndarray, probability: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Average over the readings of each gene, genes."""
    start, _ = segments(gene)
    return np.add.reduceat(probability * value, start) if start.size else np.zeros(0)


def log_average(gene: np.ndarray, probability: np.ndarray, log_value: np.ndarray) -> np.ndarray:
    """Log of the average of exponentials, genes."""
    start, which = segments(gene)
    if not start.size:
        return np.zeros(0)
    highest = np.maximum.reduceat(log_value, start)
    total = np.add.reduceat(probability * np.exp(log_value - highest[which]), start)
    return highest + np.log(np.maximum(total, 1e-300))


NO_READINGS = ReadEffects(np.zeros(0, dtype=int), np.zeros(0), EffectLikelihood(*np.zeros((3, 1, 0))), np.zeros(0))
