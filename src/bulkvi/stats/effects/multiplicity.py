"""Calling many genes at once: Benjamini-Hochberg and s-values."""

import numpy as np


def benjamini_hochberg(p_value: np.ndarray) -> np.ndarray:
    """Adjusted p-values: the smallest false discovery rate at which a gene is called.

    ``min over p_(j) >= p_(i) of p_(j) m / j`` over the m sorted p-values (Benjamini & Hochberg 1995). NaN (a gene
    that was not tested) stays NaN and does not count. Ties get the same value.

    Parameters
    ----------
    p_value
        p-values in [0, 1], or NaN; shape ``(n_genes,)``.

    Returns
    -------
    Adjusted p-values in [0, 1], shape ``(n_genes,)``.

    Raises
    ------
    ValueError
        If a p-value lies outside [0, 1].

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    p = np.asarray(p_value, dtype=float)
    tested = ~np.isnan(p)
    given = p[tested]
    if ((given < 0) | (given > 1)).any():
        raise ValueError("`p_value` must lie in [0, 1]; mark genes that were not tested with NaN.")
    order = np.argsort(given, kind="stable")
    scaled = given[order] * (given.size / np.arange(1, given.size + 1))
    adjusted = np.full(p.shape, np.nan)
    back = np.empty(given.size)
    back[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted[tested] = np.minimum(back, 1.0)
    return adjusted


def s_value(lfsr: np.ndarray) -> np.ndarray:
    """Expected share of wrong signs among a gene and all genes at least as sure: the mean of their lfsr.

    The s-value of Stephens (2017), *False discovery rates: a new deal*, a function of the lfsr alone: tied genes get
    the same value, the mean over all of them and all surer ones. NaN stays NaN and does not count.

    Parameters
    ----------
    lfsr
        Local false sign rates in [0, 1], or NaN; shape ``(n_genes,)``.

    Returns
    -------
    s-values, shape ``(n_genes,)``.

    Raises
    ------
    ValueError
        If a rate lies outside [0, 1].

    Examples
    --------
    >>> s_value(np.array([0.5, 0.01, 0.03, 0.03])).round(4).tolist()
    [0.1425, 0.01, 0.0233, 0.0233]
    """
    rate = np.asarray(lfsr, dtype=float)
    known = ~np.isnan(rate)
    given = rate[known]
    if ((given < 0) | (given > 1)).any():
        raise ValueError("`lfsr` must lie in [0, 1]; mark genes without an answer with NaN.")
    ranked = np.sort(given)
    running = np.cumsum(ranked) / np.arange(1, ranked.size + 1)
    out = np.full(rate.shape, np.nan)
    out[known] = running[np.searchsorted(ranked, given, side="right") - 1]
    return out
