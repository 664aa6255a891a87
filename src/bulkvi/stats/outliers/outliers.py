"""Wild counts: which they are, and the weights that keep them from deciding anything."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bulkvi.stats.dispersion.prior import dispersion_prior
from bulkvi.stats.dispersion.profile import dispersion_profile
from bulkvi.stats.nb.block import Array, Block, Layout, blocks, convert, is_torch, make_layout
from bulkvi.stats.nb.regression import block_genes, check_regression
from bulkvi.stats.outliers.contamination import Suspects, Verdict, coding_free, wild_probability

MAX_LEVERAGE = 0.32
CALL = 0.8
SCREEN = 0.4
N_BINS = 20
OWN_SCALE = 40
OWN_SHARE = 0.7
CACHE_ENTRIES = 2**14
START_ROUNDS = 12
START_RATIO = 0.7
START_BOUND = 0.5
START_FAR = 2.0
START_SHARE = 0.01
LEARN_GENES = 3_000
LEARN_COUNTS = 100_000
LEARN_TIMES = 3
LEARN_ROUNDS = 3
ROUNDS = 6
SECOND_START = 0.25
STRUCTURE_SHARE = 0.01
STRUCTURE_RATIO = 3.0
STRUCTURE_TIMES = 3


class Outliers(NamedTuple):
    """Wild counts of a data set."""

    weight: Array
    """Weight of each observation for `fit_genes`, samples x genes: 1, or where it is called wild the probability that it
    is not."""
    called: Array
    """Whether it is called wild, samples x genes: a posterior probability above `CALL`."""
    share: float
    """Share of the judged observations that are wild, estimated from all genes; 0 if none could be judged."""
    structured: Array
    """Samples that deviate in so many genes that it is structure and not chance; nothing in them is called."""
    judged: Array
    """Samples with so small a leverage that a wild count in them can be told from the others."""


class _Trend(NamedTuple):
    """Dispersions and share of wild counts, learned from all genes."""

    log_mean: np.ndarray
    """Log mean rates, ascending."""
    log_trend: np.ndarray
    """Prior mean of the log dispersion there."""
    variance: float
    """Prior variance of the log dispersions."""
    share: float
    """Share of wild counts."""

    def at(self, log_mean: np.ndarray) -> np.ndarray:
        """Prior mean of the log dispersion of genes with these log mean rates."""
        return np.interp(log_mean, self.log_mean, self.log_trend)


class _Cohort(NamedTuple):
    """A data set; what has samples, but for counts and offset, is in the order of the layout."""

    counts: np.ndarray
    offset: np.ndarray
    basis: np.ndarray
    """Orthonormal basis of the features, samples x rank."""
    eligible: np.ndarray
    """Whether a sample is judged, samples."""
    layout: Layout
    order: np.ndarray

    def blocks(self, genes: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, Block]]:
        """Blocks of some of the genes, and which these are."""
        for begin in range(0, genes.size, size):
            part = genes[begin : begin + size]
            offset = self.offset if self.offset.ndim == 1 else self.offset[:, part]
            yield part, next(blocks(self.counts[:, part], offset, None, self.layout, self.order, part.size))[1]


def find_outliers(counts: Array, features: Array, *, offset: Array, ridge: Array) -> Outliers:
    r"""Find single counts that neither their gene's other counts nor the dispersions of all genes can explain.

    A count is negative binomial, or with probability :math:`\epsilon` wild: anywhere on the log scale about its mean
    (`bulkvi.stats.outliers.contamination`). :math:`\epsilon` and the dispersion trend are learned from all genes by EM, so that
    clean data lose nothing. Each count is judged by the rest of its gene, the dispersion integrated out: a gene whose every
    replicate scatters is dispersed, not wild. Only genes with a suspicious count are looked at; the search starts from a
    robust regression of the log rates. Where a quarter of a group or more looks wild, it starts a second time, from the
    gene's median over all samples, and the start with the higher evidence at its end is kept: of three high and two low
    counts in a group, those are then believed that agree with the other groups.

    A count is called, and loses weight, at a probability above `CALL` = 0.8 rather than 0.5: a good count that is dropped
    makes its gene look more certain than it is, a wild one that is kept only costs power.

    Not judged, and of weight 1, are

    - samples with a leverage in the design above `MAX_LEVERAGE`: of a pair of replicates nobody knows which one is wild, and
      of three the two that happen to agree would outvote the third. (Judging three found .44 instead of .32 of the changed
      genes with 2 % wild counts, and made four false calls in a comparison of yeast replicates that had none.)
    - samples that deviate in more than `STRUCTURE_SHARE` of the genes plus `STRUCTURE_RATIO` times the usual share: that
      is a batch, a condition or a failed library.

    Parameters
    ----------
    counts
        Counts, samples x genes, >= 0.
    features
        Design columns (with the intercept) and any others, samples x p.
    offset
        Natural log of the size factors, one a sample, or samples x genes.
    ridge
        Prior precisions of the coefficients, p (or p x p), natural log scale.

    Returns
    -------
    Arrays of the kind given; the work is done in numpy, also for torch tensors. Time and memory are linear in samples x
    genes, with a bounded workspace.

    Raises
    ------
    ValueError
        If shapes do not fit each other or a value is not allowed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.negative_binomial(10, 0.1, size=(10, 200))
    >>> counts[3, 7] = 3000
    >>> group = np.repeat([0.0, 1.0], 5)
    >>> found = find_outliers(
    ...     counts, np.column_stack([np.ones(10), group]), offset=np.zeros(10), ridge=np.array([1e-6, 1e-2])
    ... )
    >>> np.argwhere(found.called).tolist()
    [[3, 7]]
    """
    check_regression(counts, features, offset, ridge, None)
    x, f, o, d = (
        np.asarray(a.detach().cpu()) if is_torch(a) else np.asarray(a) for a in (counts, features, offset, ridge)
    )
    n, p = f.shape
    weight, called = np.ones(x.shape), np.zeros(x.shape, dtype=bool)
    structured = np.zeros(n, dtype=bool)
    share = 0.0
    f, d = coding_free(f.astype(float), d)
    layout, order = make_layout(f, d)
    left, size, _ = np.linalg.svd(f[order], full_matrices=False)
    basis = left[:, size > 1e-9 * size[0]]
    small = (basis**2).sum(1) <= MAX_LEVERAGE
    cohort = _Cohort(x, o, basis, small, layout, order)
    if n > p and cohort.eligible.any():
        mean, sigma, suspicious = _screen(cohort)
        if suspicious.any():
            for _ in range(STRUCTURE_TIMES):
                trend, rate = _learn(cohort, mean, sigma, suspicious, n - p)
                usual = float(np.median(rate[cohort.eligible]))
                odd = cohort.eligible & (rate > STRUCTURE_SHARE + STRUCTURE_RATIO * usual)
                structured[order[odd]] = True
                cohort = cohort._replace(eligible=cohort.eligible & ~odd)
                if not odd.any() or not cohort.eligible.any():
                    break
            share = trend.share
            for genes, block in cohort.blocks(np.flatnonzero(suspicious), max(64, block_genes(n) // 16)):
                wild = np.empty((n, genes.size))
                wild[order] = _probability(cohort, block, sigma[genes], trend)
                called[:, genes] = wild > CALL
                weight[:, genes] = np.where(wild > CALL, 1.0 - wild, 1.0)
    judged = np.zeros(n, dtype=bool)
    judged[order] = small
    return Outliers(
        convert(weight, like=counts),
        convert(called, like=counts),
        share,
        convert(structured, like=counts),
        convert(judged, like=counts),
    )


def _screen(cohort: _Cohort) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean rate, usual sd of the log rate at that mean, and whether some count is further off than n normal ones would be."""
    n, n_genes = cohort.counts.shape
    mean, scale, furthest = np.empty(n_genes), np.empty(n_genes), np.empty(n_genes)
    free = 1 - (cohort.basis**2).sum(1)
    informative = free > 0.1
    for genes, block in cohort.blocks(np.arange(n_genes), block_genes(n)):
        z = _log_rate(block)
        residual = np.abs(z - cohort.basis @ (cohort.basis.T @ z)) / np.sqrt(np.maximum(free, 1e-6))[:, None]
        mean[genes] = (block.counts / block.exposure).mean(0)
        scale[genes] = np.median(residual[informative], 0) / 0.6745
        furthest[genes] = residual[cohort.eligible].max(0)
    place = np.argsort(np.argsort(mean, kind="stable"), kind="stable") * N_BINS // n_genes
    usual = np.array([np.median(scale[place == k]) if (place == k).any() else 0.0 for k in range(N_BINS)])
    sigma = np.maximum(usual[place], np.sqrt(1 / (mean + 0.5)))
    usual_here = np.maximum(sigma, OWN_SHARE * scale) if n - cohort.basis.shape[1] >= OWN_SCALE else sigma
    return mean, sigma, furthest > (SCREEN + np.sqrt(2 * np.log(n))) * usual_here


def _learn(
    cohort: _Cohort, mean: np.ndarray, sigma: np.ndarray, suspicious: np.ndarray, n_free: int
) -> tuple[_Trend, np.ndarray]:
    """Dispersions and share of wild counts from some of the genes, evenly over the means, and the share by sample."""
    n, n_genes = cohort.counts.shape
    n_learn = min(n_genes, LEARN_GENES, max(LEARN_GENES // 6, LEARN_COUNTS // n))
    some = np.argsort(mean, kind="stable")[np.linspace(0, n_genes - 1, n_learn).astype(int)]
    _, block = next(cohort.blocks(some, n_learn))
    suspect = np.flatnonzero(suspicious[some])
    few = _genes(block, suspect)
    weight = np.ones(block.counts.shape)
    weight[:, suspect] = _start(cohort, few, sigma[some[suspect]], _row_fit(cohort, few, sigma[some[suspect]]))
    share, rate = START_SHARE, np.zeros(n)
    for _ in range(LEARN_TIMES):
        log_mean = _log_mean(block, weight)
        prior = dispersion_prior(dispersion_profile(block._replace(weights=weight), n_free), log_mean)
        if suspect.size:
            start = few._replace(weights=np.ascontiguousarray(weight[:, suspect]))
            suspects = Suspects(start, prior.log_trend[suspect], prior.variance, cohort.eligible)
            verdict = wild_probability(suspects, share, LEARN_ROUNDS, int(cohort.eligible.sum()) * n_learn)
            weight[:, suspect] = 1 - verdict.probability
            share, rate = verdict.share, verdict.probability.sum(1) / n_learn
    up = np.argsort(log_mean, kind="stable")
    return _Trend(log_mean[up], prior.log_trend[up], prior.variance, share), rate


def _probability(cohort: _Cohort, block: Block, sigma: np.ndarray, trend: _Trend) -> np.ndarray:
    """Probability that each count of a block is wild, from the better of two starts; samples in the order of the layout."""

    def search(some: Block, start: np.ndarray, log_trend: np.ndarray) -> Verdict:
        suspects = Suspects(some._replace(weights=start), log_trend, trend.variance, cohort.eligible)
        return wild_probability(suspects, trend.share, ROUNDS)

    start = _start(cohort, block, sigma, _row_fit(cohort, block, sigma))
    log_trend = trend.at(_log_mean(block, start))
    first = search(block, start, log_trend)
    leverage = (cohort.basis**2).sum(1)
    again = np.flatnonzero(leverage @ (start < 0.5) >= SECOND_START)
    if again.size:
        few = _genes(block, again)
        start = _start(cohort, few, sigma[again], np.median(_log_rate(few), 0))
        second = search(few, start, log_trend[again])
        better = second.evidence > first.evidence[again]
        first.probability[:, again[better]] = second.probability[:, better]
    return first.probability


def _row_fit(cohort: _Cohort, block: Block, sigma: np.ndarray) -> np.ndarray:
    """Log rates by Huber's robust regression on the features, by modified residuals with a bound drawn in step by step."""
    out = _log_rate(block)
    few = max(64, CACHE_ENTRIES // out.shape[0])
    for begin in range(0, out.shape[1], few):
        part = slice(begin, begin + few)
        z = np.ascontiguousarray(out[:, part])
        fitted = cohort.basis @ (cohort.basis.T @ z)
        bound = np.abs(z - fitted).max(0)
        for _ in range(START_ROUNDS):
            bound = np.maximum(START_RATIO * bound, START_BOUND * sigma[part])
            fitted += cohort.basis @ (cohort.basis.T @ np.clip(z - fitted, -bound, bound))
        out[:, part] = fitted
    return out


def _start(cohort: _Cohort, block: Block, sigma: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Weights to start from: one half at `START_FAR` usual standard deviations from the fitted log rates."""
    residual = (_log_rate(block) - fitted) / sigma
    return np.where(cohort.eligible[:, None], 1 / (1 + (residual / START_FAR) ** 4), 1.0)


def _log_rate(block: Block) -> np.ndarray:
    return np.log((block.counts + 0.5) / block.exposure)


def _log_mean(block: Block, weight: np.ndarray) -> np.ndarray:
    return np.log(np.maximum((weight * block.counts / block.exposure).sum(0) / weight.sum(0), 1e-3))


def _genes(block: Block, which: np.ndarray) -> Block:
    """Some of the genes of a block without weights."""
    exposure = block.exposure if block.exposure.shape[1] == 1 else np.ascontiguousarray(block.exposure[:, which])
    return block._replace(counts=np.ascontiguousarray(block.counts[:, which]), exposure=exposure)
