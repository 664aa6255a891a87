"""Which samples carry the wrong label: mislabelled samples hide each other, so changes of label are tried together."""

import math
from typing import NamedTuple

import numpy as np

from bulkvi.stats.leave_one_out import LabelFit, label_fit

PRIOR_GIVEN = 0.5
PRIOR_MEANINGLESS = 0.1
N_SUSPECTS = 40
N_TRIED = 4
SETTLED = -0.1
TIE = 1e-6
PATIENCE = 2


class LabelSearch(NamedTuple):
    """Posterior of the labels, averaged over what may be wrong with them."""

    prob: np.ndarray
    """Posterior probability of each label, samples x labels; NaN for a sample that cannot be judged."""
    labels: np.ndarray
    """The most credible labels, indices."""
    fit: LabelFit
    """What the other samples say of each one if those labels are right."""
    prob_meaningless: float
    """Posterior probability that the labels say nothing about the values."""


def search_labels(values: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> LabelSearch:
    r"""Find the samples whose labels the others contradict.

    One wrong label spoils what is predicted for all other samples, above all for the sample it was exchanged with. So
    whole assignments of labels are compared by their pseudo-likelihood (Besag 1975),
    :math:`\sum_n \log P(\text{label}_n \mid \text{values, all other labels})` of `label_fit`: the given
    one, and those in which one label is changed or two are exchanged. Of these the few that leave the least
    residual variance are tried, and from the first of them the search goes on, until changes no longer pay. The assignments, and
    that the labels mean nothing (each with probability one over the number of labels), are averaged with their prior: 0.5
    for the given labels, 0.1 for meaningless ones, and the rest divided by the number N of possible changes, by
    :math:`N^m` for m of them.

    Parameters
    ----------
    values
        Values of about one variance, such as :func:`~bulkvi.stats.leave_one_out.stabilise` gives, samples x genes.
    rows
        Row of the design for each sample if it had each label, labels x samples x columns.
    labels
        Index of the label that each sample is held to have.

    Returns
    -------
    The posterior.

    Raises
    ------
    ValueError
        If there are too few samples to leave one out.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = np.repeat([0, 1], 5)
    >>> values = rng.normal(size=(10, 300)) + np.outer(truth, rng.normal(size=300))
    >>> rows = np.array([[[1.0, 0.0]] * 10, [[1.0, 1.0]] * 10])
    >>> given = truth.copy()
    >>> given[[0, 9]] = [1, 0]
    >>> found = search_labels(values, rows, given)
    >>> np.flatnonzero(found.labels != given).tolist()
    [0, 9]
    """
    n, n_labels = len(labels), len(rows)
    n_exchanges = (n**2 - int((np.bincount(labels, minlength=n_labels) ** 2).sum())) // 2
    log_change = -math.log(n * (n_labels - 1) + n_exchanges)
    log_rest = math.log(1 - PRIOR_GIVEN - PRIOR_MEANINGLESS)
    seen: dict[tuple[int, ...], tuple[float, LabelFit]] = {}

    def weigh(assignment: np.ndarray) -> float:
        key = tuple(assignment.tolist())
        if key not in seen:
            fit = label_fit(values, rows, assignment)
            n_changed = int((assignment != labels).sum() + 1) // 2
            log_prior = log_rest + n_changed * log_change if n_changed else math.log(PRIOR_GIVEN)
            seen[key] = (log_prior + _pseudo_log_likelihood(fit, assignment), fit)
        return seen[key][0]

    best, best_weight = labels, weigh(labels)
    centred = values - values.mean(0)
    products = centred @ centred.T
    # a change costs `log_change` and can bring at most the pseudo-likelihood up to zero
    start, patience = labels, PATIENCE
    while patience and best_weight < log_rest + log_change * (1 + int((best != labels).sum() + 1) // 2):
        patience -= 1  # with many wrong labels it is only the second or third change that shows
        proposals = _proposals(products, rows, start, seen[tuple(start.tolist())][1])
        level = -np.inf
        for explained, proposal in proposals:
            if explained < level:
                break  # only changes that explain as much as this one are still of interest
            weight = weigh(proposal)
            if _pseudo_log_likelihood(seen[tuple(proposal.tolist())][1], proposal) > SETTLED:
                level = explained * (1 - TIE)
            if weight > best_weight:
                best, best_weight, patience = proposal, weight, PATIENCE
        if not proposals:
            break
        start = proposals[0][1]
    judged = ~np.isnan(seen[tuple(labels.tolist())][1].log_posterior).all(1)
    log_meaningless = math.log(PRIOR_MEANINGLESS) - int(judged.sum()) * math.log(n_labels)
    log_weights = np.array([weight for weight, _ in seen.values()] + [log_meaningless])
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    prob = np.zeros((n, n_labels))
    for weight, (_, fit) in zip(weights, seen.values(), strict=False):
        prob += weight * np.nan_to_num(np.exp(fit.log_posterior), nan=0.0)
    prob += weights[-1] / n_labels
    total = prob.sum(1, keepdims=True)
    prob = np.where(judged[:, None], prob / total, np.nan)
    return LabelSearch(prob, best, seen[tuple(best.tolist())][1], float(weights[-1]))


def _pseudo_log_likelihood(fit: LabelFit, labels: np.ndarray) -> float:
    return float(np.nansum(fit.log_posterior[np.arange(len(labels)), labels]))


def _proposals(
    products: np.ndarray, rows: np.ndarray, labels: np.ndarray, fit: LabelFit
) -> list[tuple[float, np.ndarray]]:
    """What the design explains after changes of one label, and exchanges of two, of which it explains most; best first."""
    n, everyone = len(labels), np.arange(len(labels))
    own = np.nan_to_num(fit.log_posterior[everyone, labels], nan=0.0)
    suspects = np.argsort(own, kind="stable")[:N_SUSPECTS]
    proposals = []
    for place, sample in enumerate(suspects):
        for label in range(len(rows)):
            if label != labels[sample]:
                changed = labels.copy()
                changed[sample] = label
                proposals.append(changed)
        for other in suspects[place + 1 :]:
            if labels[sample] != labels[other]:
                changed = labels.copy()
                changed[[sample, other]] = labels[[other, sample]]
                proposals.append(changed)
    rank = np.linalg.matrix_rank(rows[labels, everyone])
    explained = np.full(len(proposals), -np.inf)
    for k, changed in enumerate(proposals):
        directions, sizes, _ = np.linalg.svd(rows[changed, everyone], full_matrices=False)
        directions = directions[:, sizes > 1e-8 * sizes[0]]
        if directions.shape[1] == rank < n - 1:
            explained[k] = (directions * (products @ directions)).sum()
    order = np.argsort(-explained, kind="stable")[:N_TRIED]
    return [(float(explained[k]), proposals[k]) for k in order if np.isfinite(explained[k])]
