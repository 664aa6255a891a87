"""What a method says when the labels mean nothing: empirical false discovery rates and recalibrated p-values."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bulkvi.stats.effects.multiplicity import benjamini_hochberg

UNCHANGED_ABOVE = 0.5
EXCEPTIONAL = 0.05
N_RESAMPLES = 2_000
LEVEL = 0.95


class EmpiricalFDR(NamedTuple):
    """Share of false calls that relabelled data let expect, one value a threshold; NaN where nothing is called."""

    fdr: np.ndarray
    low: np.ndarray
    """Lower end of its Monte-Carlo interval (95 %)."""
    high: np.ndarray
    share_as_many: np.ndarray
    """Share of the relabellings in which the method, run anew, makes at least as many calls."""


class Answers(NamedTuple):
    """What a method says about every gene."""

    p_value: np.ndarray
    """NaN where a gene is not tested; shape ``(n_genes,)``."""
    scores: dict[str, np.ndarray]
    """What genes are called on when it is below a threshold, by name; NaN where there is none."""

    def calls(self, thresholds: np.ndarray) -> np.ndarray:
        """Number of genes called.

        Parameters
        ----------
        thresholds
            Genes are called on a score below it.

        Returns
        -------
        Numbers: the thresholds of the first score, then those of the next.
        """
        return np.concatenate([(score < thresholds[:, None]).sum(1) for score in self.scores.values()])


class Counted(NamedTuple):
    """What is kept of the answers to a relabelling; or, after `stack`, to all of them."""

    calls: np.ndarray
    """Calls of the whole method, as `Answers.calls`."""
    null_calls: np.ndarray
    """p-values up to each cutoff."""
    up_to: np.ndarray
    """p-values up to the p-value of each gene of the data."""
    n_above: np.ndarray
    """Number of p-values above `UNCHANGED_ABOVE`."""
    n_tested: np.ndarray
    """Number of p-values."""


def count_answers(answers: Answers, thresholds: np.ndarray, cutoffs: np.ndarray, p_value: np.ndarray) -> Counted:
    """Count the answers to one relabelling.

    Parameters
    ----------
    answers
        Of the relabelled data.
    thresholds
        Below which a score is called.
    cutoffs
        p-values that the calls on the data amount to (`equal_cutoff`).
    p_value
        Of the data.

    Returns
    -------
    Numbers of calls and of p-values.

    Examples
    --------
    >>> p_value = np.array([0.001, 0.2, 0.7])
    >>> counted = count_answers(Answers(p_value, {"p": p_value}), np.array([0.05]), np.array([0.3]), p_value)
    >>> counted.calls.tolist(), counted.null_calls.tolist(), counted.up_to.tolist()
    ([1], [2], [1, 2, 3])
    """
    return Counted(
        calls=answers.calls(thresholds),
        null_calls=count_up_to(answers.p_value, cutoffs),
        up_to=count_up_to(answers.p_value, p_value),
        n_above=np.asarray((answers.p_value > UNCHANGED_ABOVE).sum()),
        n_tested=np.asarray((~np.isnan(answers.p_value)).sum()),
    )


def stack(counted: Iterable[Counted]) -> Counted:
    """Counts of all relabellings together.

    Parameters
    ----------
    counted
        Of `count_answers`.

    Returns
    -------
    The same, with the relabellings first in the shapes.

    Examples
    --------
    >>> one = Counted(np.array([1]), np.array([2]), np.array([3]), np.array(4), np.array(5))
    >>> stack([one, one]).calls.shape
    (2, 1)
    """
    return Counted(*(np.stack(part) for part in zip(*counted, strict=True)))


def equal_cutoff(p_value: np.ndarray, n_calls: int) -> float:
    """The p-value up to which so many genes lie.

    Parameters
    ----------
    p_value
        NaN where a gene is not tested.
    n_calls
        Number of genes.

    Returns
    -------
    The p-value; NaN for no gene.

    Examples
    --------
    >>> equal_cutoff(np.array([0.3, np.nan, 0.01]), 2)
    0.3
    """
    given = p_value[~np.isnan(p_value)]
    return float(np.partition(given, n_calls - 1)[n_calls - 1]) if n_calls else np.nan


def count_up_to(p_value: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Number of p-values up to each cutoff.

    Parameters
    ----------
    p_value
        NaN where a gene is not tested.
    cutoffs
        NaN for a cutoff that nothing reaches.

    Returns
    -------
    Numbers, one a cutoff.

    Examples
    --------
    >>> count_up_to(np.array([0.3, np.nan, 0.01]), np.array([0.05, 1.0]))
    array([1, 2])
    """
    ranked = np.sort(p_value[~np.isnan(p_value)])
    return np.where(np.isnan(cutoffs), 0, np.searchsorted(ranked, cutoffs, side="right"))


def null_share(p_value: np.ndarray, mean_null_above: float) -> float:
    """Share of genes without effect (Storey & Tibshirani 2003), the null distribution that of relabelled data.

    Parameters
    ----------
    p_value
        Of the data.
    mean_null_above
        Mean number of relabelled p-values above a half.

    Returns
    -------
    Number of p-values above a half over ``mean_null_above``, at most 1.

    Examples
    --------
    >>> null_share(np.array([0.001, 0.002, 0.3, 0.8]), 2.0)
    0.5
    """
    return min(1.0, float((p_value > UNCHANGED_ABOVE).sum()) / mean_null_above) if mean_null_above > 0 else 1.0


def empirical_fdr(
    calls: np.ndarray,
    null_calls: np.ndarray,
    own_calls: np.ndarray,
    *,
    used: np.ndarray,
    null_share: np.ndarray | float,
    rng: np.random.Generator,
) -> EmpiricalFDR:
    r"""False discovery rate of the calls at each threshold, as relabelled data have it.

    .. math:: \widehat{\mathrm{FDR}} = \max(\pi_0 \overline{V}, \overline{W}) / R, \quad \text{at most } 1

    with R the calls on the data, :math:`\overline{V}` the mean number of relabelled p-values that reach *the p-value of the
    last of these R calls*, :math:`\pi_0` the share of genes that could be false (Tusher, Tibshirani & Chu 2001; Storey &
    Tibshirani 2003), and :math:`\overline{W}` the mean number of calls of the whole method on relabelled data. W alone would
    not do: without real effects an adjustment done anew calls next to nothing, whatever the p-values are worth. But V alone
    overlooks that few calls may be fewer than nothing at all gives now and then, when genes vary together.

    Where the method, run anew, makes at least R calls in more than `EXCEPTIONAL` of the relabellings, the data are not told
    from relabelled data, and the rate is 1.

    Parameters
    ----------
    calls
        R, one a threshold.
    null_calls
        V, relabellings x thresholds.
    own_calls
        W, relabellings x thresholds.
    used
        Which relabellings enter the means, those that are `dissimilar`; the share with at least R calls is over all of them.
    null_share
        :math:`\pi_0`, one a threshold or for all. 1 for what assumes that all genes could be false, as Benjamini-Hochberg does;
        for what learns how many are, as s-values do, the share found by `null_share`.
    rng
        Draws resamples of the relabellings for the interval. Its upper end counts one relabelling more, with one call more
        than the most seen: what 30 relabellings did not show may still be there in one of 10.

    Returns
    -------
    One value a threshold.

    Examples
    --------
    >>> null_calls, own_calls, used = np.array([[4], [6]]), np.zeros((2, 1)), np.array([True, True])
    >>> rng = np.random.default_rng(0)
    >>> empirical_fdr(np.array([100]), null_calls, own_calls, used=used, null_share=1.0, rng=rng).fdr
    array([0.05])
    """
    called = calls > 0
    rate = 1 / np.where(called, calls, np.nan)
    at_cutoff, anew = null_calls[used] * null_share, own_calls[used]
    false = np.where(at_cutoff.mean(0) >= anew.mean(0), at_cutoff, anew)
    more = np.vstack([false, false.max(0) + 1])
    mean = np.minimum(false.mean(0) * rate, 1.0)
    low = np.minimum(np.quantile(_resampled_means(false, rng), (1 - LEVEL) / 2, axis=0) * rate, mean)
    high = np.clip(np.quantile(_resampled_means(more, rng), (1 + LEVEL) / 2, axis=0) * rate, mean, 1.0)
    as_many = np.where(called, (own_calls >= calls).mean(0), np.nan)
    like_chance = as_many > EXCEPTIONAL
    return EmpiricalFDR(np.where(like_chance, 1.0, mean), low, np.where(like_chance, 1.0, high), as_many)


def _resampled_means(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = values.shape[0]
    return rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES) @ values / n


def recalibrate(p_value: np.ndarray, n_up_to: np.ndarray, n_pooled: int) -> tuple[np.ndarray, np.ndarray]:
    """p-values by rank among the relabelled p-values of all genes, and those adjusted by Benjamini-Hochberg.

    Parameters
    ----------
    p_value
        Of the data; NaN where a gene is not tested.
    n_up_to
        Number of relabelled p-values, pooled over genes and relabellings, up to each of them.
    n_pooled
        Number of relabelled p-values.

    Returns
    -------
    ``(n_up_to + 1) / (n_pooled + 1)``, the data counted among the relabellings so that none is 0 (Phipson & Smyth 2010), and
    the adjusted ones.

    Examples
    --------
    >>> recalibrate(np.array([0.001, 0.2]), np.array([3, 39]), 199)
    (array([0.02, 0.2 ]), array([0.04, 0.2 ]))
    """
    recalibrated = np.where(np.isnan(p_value), np.nan, (n_up_to + 1) / (n_pooled + 1))
    return recalibrated, benjamini_hochberg(recalibrated)
