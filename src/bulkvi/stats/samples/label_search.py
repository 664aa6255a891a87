"""Search for wrong labels of samples: mislabelled samples mask each other, so changes of labels are tried together."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, gammaln

from bulkvi.stats.rank import well_conditioned
from bulkvi.stats.samples.leave_one_out import LabelFit, label_fit

PRIOR_GIVEN = 0.32
PRIOR_CHANGED = 0.6
PRIOR_PARTLY = 0.02
PRIOR_MEANINGLESS = 0.06
SHARE_EXCHANGED = 0.75
FURTHER_EXCHANGE = 0.8
PRIOR_WRONG = 0.01
SMALL_COHORT = 8
N_CANDIDATES = 40
N_TRIED = 4
CERTAIN = -0.1
TIE = 1e-6
PATIENCE = 2


class LabelSearch(NamedTuple):
    """Posterior of the labels, averaged over the ways in which they may be wrong."""

    prob: np.ndarray
    """Posterior probability of each label, samples x labels; NaN for a sample that cannot be tested."""
    labels: np.ndarray
    """The most probable labels, indices."""
    fit: LabelFit
    """Prediction of each sample from the others under those labels."""
    prob_changed: float
    """Posterior probability that some labels are wrong, whichever they are."""
    prob_meaningless: float
    """Posterior probability that the labels have nothing to do with the values."""


class _Assignment(NamedTuple):
    """One assignment of labels."""

    labels: np.ndarray
    fit: LabelFit
    log_ratio: float
    """Log probability of these labels given the values, less that of the given labels; flat prior."""


def search_labels(values: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> LabelSearch:
    r"""Find samples whose labels disagree with all other samples.

    One wrong label biases the prediction of all other samples, above all of the sample it was exchanged with. So whole
    assignments of labels are compared: the given one, and those in which one label is changed or two are exchanged. Those
    with the least residual variance are tried, and the search continues from the first of them until no change is an
    improvement.

    Assignments are compared by their pseudo-likelihood (Besag 1975), :math:`\sum_n \log P(\text{label}_n \mid
    \text{values, all other labels})` from leave-one-out predictions. It overstates a change, since a wrong label
    lowers the terms of many samples. So the given labels are compared with the most probable change, b, in another way: the log
    probability of b relative to the given labels a is summed over the labels in which they differ (Brook 1964), half of it
    with the other labels as in a and half with the other labels as in b,

    .. math:: \frac{1}{2} \sum_{n: a_n \ne b_n} \sum_{c \in \{a, b\}}
        \log \frac{P(b_n \mid \text{values}, c_{-n})}{P(a_n \mid \text{values}, c_{-n})}.

    Two more hypotheses are that the samples differ as in b but the labels are right (a subtype, or an unrecorded factor of a
    share of the samples, uniform prior on the share), and that the labels are meaningless (every arrangement of as many of
    each is equally probable). All are averaged with their prior: 0.32 for the given labels, 0.06 for meaningless ones, 0.02 for
    such factors, and 0.6 for changes: three quarters of it divided by the number of possible exchanges, one quarter by that of
    single changes; each further exchange costs a factor of 0.8. With n > 8 samples changes have the prior 4.8 / n, and the
    given labels the rest: more samples can be wrong by chance, and a true change has more evidence. Within a hypothesis every
    single label is wrong with prior probability 0.01, which is the posterior where the values have no information.

    ``values`` (samples x genes) have about equal variance, as of `stabilise`; ``rows`` is the row of the design for each sample
    under each label, labels x samples x columns; ``labels`` are the given ones, as indices.
    """
    rows = well_conditioned(rows)
    tried = [*_try_assignments(values, rows, labels).values()]
    judged = ~np.isnan(tried[0].fit.log_posterior).all(1)
    n_changed = np.array([(one.labels != labels).sum() for one in tried])
    log_prior = np.array([_log_prior(labels, one.labels, len(rows)) for one in tried])
    log_likelihood = np.array([_pseudo_log_likelihood(one.fit, one.labels) for one in tried])
    if len(tried) > 1:
        # a sum over all samples counts the influence of one label many times
        top = 1 + int((log_prior + log_likelihood)[1:].argmax())
        log_likelihood[0] = log_likelihood[top] - tried[top].log_ratio
    best = tried[int((log_prior + log_likelihood).argmax())]
    log_share = betaln(1 + n_changed, 1 + len(labels) - n_changed) - n_changed * math.log(max(len(rows) - 1, 1))
    log_partly = np.where(n_changed > 0, math.log(PRIOR_PARTLY) + log_share + log_likelihood, -np.inf)
    # the sizes of the groups are part of the plan of a study, whatever the labels are
    sizes = np.bincount(labels[judged], minlength=len(rows))
    log_meaningless = math.log(PRIOR_MEANINGLESS) + float(gammaln(sizes + 1).sum() - gammaln(sizes.sum() + 1))
    log_weights = np.array([*(log_prior + log_likelihood), *log_partly, log_meaningless])
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    prob = weights[-1] / len(rows) + weights[len(tried) : -1].sum() * _prior_of_label(labels, len(rows))
    for weight, one in zip(weights, tried, strict=False):
        prob += weight * _posterior(one.fit, one.labels, len(rows))
    prob[~judged] = np.nan
    return LabelSearch(prob, best.labels, best.fit, float(weights[1 : len(tried)].sum()), float(weights[-1]))


def _try_assignments(values: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> dict[tuple[int, ...], _Assignment]:
    """The given labels first, then the changes of them that were tried."""
    start = _Assignment(labels, label_fit(values, rows, labels), 0.0)
    tried = {tuple(labels.tolist()): start}
    best_weight = _weight(labels, start, len(rows))
    centred = values - values.mean(0)
    products = centred @ centred.T
    patience = PATIENCE
    # a change has at most this prior, and can raise the pseudo-likelihood at most to zero
    most = max(_log_prior(labels, changed, len(rows)) for changed in _smallest_changes(labels))
    while patience and best_weight < most:
        patience -= 1  # with many wrong labels only the second or third change is an improvement
        proposals = _propose(products, rows, start.labels, start.fit)
        level = -np.inf
        for explained, proposal in proposals:
            if explained < level:
                break  # only changes that explain as much as this one remain of interest
            key = tuple(proposal.tolist())
            if key not in tried:
                fit = label_fit(values, rows, proposal)
                tried[key] = _Assignment(
                    proposal, fit, start.log_ratio + _log_ratio(start.labels, start.fit, proposal, fit)
                )
            if _pseudo_log_likelihood(tried[key].fit, proposal) > CERTAIN:
                level = explained * (1 - TIE)
            weight = _weight(labels, tried[key], len(rows))
            if weight > best_weight:
                best_weight, patience = weight, PATIENCE
        if not proposals:
            break
        start = tried[tuple(proposals[0][1].tolist())]
    return tried


def _smallest_changes(labels: np.ndarray) -> list[np.ndarray]:
    """One label changed, and two exchanged."""
    changed, exchanged = labels.copy(), labels.copy()
    other = int((labels != labels[0]).argmax())
    changed[0] = labels[other]
    exchanged[[0, other]] = labels[[other, 0]]
    return [changed, exchanged]


def _weight(given: np.ndarray, one: _Assignment, n_labels: int) -> float:
    return _log_prior(given, one.labels, n_labels) + _pseudo_log_likelihood(one.fit, one.labels)


def _log_prior(given: np.ndarray, labels: np.ndarray, n_labels: int) -> float:
    """Log prior of an assignment: exchanges of two labels, and single changes, each kind one of its number."""
    n = len(given)
    log_changed = math.log(PRIOR_CHANGED * min(1.0, SMALL_COHORT / n))
    if not (given != labels).any():
        return math.log(PRIOR_GIVEN + PRIOR_CHANGED - math.exp(log_changed))
    moves = np.zeros((n_labels, n_labels), int)
    np.add.at(moves, (given, labels), 1)
    np.fill_diagonal(moves, 0)
    n_exchanged = int(np.minimum(moves, moves.T).sum()) // 2
    n_single = int(moves.sum()) - 2 * n_exchanged
    possible = (n**2 - int((np.bincount(given, minlength=n_labels) ** 2).sum())) // 2
    return (
        log_changed
        + n_exchanged * math.log(SHARE_EXCHANGED / max(possible, 1))
        + n_single * math.log((1 - SHARE_EXCHANGED) / (n * (n_labels - 1)))
        + math.lgamma(n_exchanged + 1)
        + max(n_exchanged - 1, 0) * math.log(FURTHER_EXCHANGE)
        + math.lgamma(n_single + 1)
    )


def _log_ratio(a: np.ndarray, fit_a: LabelFit, b: np.ndarray, fit_b: LabelFit) -> float:
    """Log probability of the labels b less that of the labels a."""
    moved = np.flatnonzero(a != b)
    steps = [fit.log_posterior[moved, b[moved]] - fit.log_posterior[moved, a[moved]] for fit in (fit_a, fit_b)]
    return float(np.nansum(np.mean(steps, axis=0)))


def _prior_of_label(labels: np.ndarray, n_labels: int) -> np.ndarray:
    prior = np.full((len(labels), n_labels), PRIOR_WRONG / max(n_labels - 1, 1))
    prior[np.arange(len(labels)), labels] = 1 - PRIOR_WRONG
    return prior


def _posterior(fit: LabelFit, labels: np.ndarray, n_labels: int) -> np.ndarray:
    """Posterior of each label if all others are those of the assignment; the prior where nothing is predicted."""
    prior = _prior_of_label(labels, n_labels)
    known = ~np.isnan(fit.log_posterior).all(1)
    joint = prior * np.nan_to_num(np.exp(fit.log_posterior), nan=0.0)
    total = joint.sum(1, keepdims=True)
    return np.where(known[:, None] & (total > 0), joint / np.where(total > 0, total, 1), prior)


def _pseudo_log_likelihood(fit: LabelFit, labels: np.ndarray) -> float:
    return float(np.nansum(fit.log_posterior[np.arange(len(labels)), labels]))


def _propose(
    products: np.ndarray, rows: np.ndarray, labels: np.ndarray, fit: LabelFit
) -> list[tuple[float, np.ndarray]]:
    """Changes of one label and exchanges of two with the largest variance explained by the design, best first."""
    n, all_samples = len(labels), np.arange(len(labels))
    given = np.nan_to_num(fit.log_posterior[all_samples, labels], nan=0.0)
    candidates = np.argsort(given, kind="stable")[:N_CANDIDATES]
    proposals = []
    for place, sample in enumerate(candidates):
        for label in range(len(rows)):
            if label != labels[sample]:
                changed = labels.copy()
                changed[sample] = label
                proposals.append(changed)
        for other in candidates[place + 1 :]:
            if labels[sample] != labels[other]:
                changed = labels.copy()
                changed[[sample, other]] = labels[[other, sample]]
                proposals.append(changed)
    rank = np.linalg.matrix_rank(rows[labels, all_samples])
    explained = np.full(len(proposals), -np.inf)
    for k, changed in enumerate(proposals):
        directions, sizes, _ = np.linalg.svd(rows[changed, all_samples], full_matrices=False)
        directions = directions[:, sizes > 1e-8 * sizes[0]]
        if directions.shape[1] == rank < n - 1:
            explained[k] = (directions * (products @ directions)).sum()
    order = np.argsort(-explained, kind="stable")[:N_TRIED]
    return [(float(explained[k]), proposals[k]) for k in order if np.isfinite(explained[k])]
