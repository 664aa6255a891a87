import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from bulkvi import comparison_names as cn
from bulkvi import enrichment_names as en
from bulkvi.names import ADJ_P_VALUE, P_VALUE
from bulkvi.tl._comparison import check_labels, check_level, check_table, count_calls, two_labels

NEEDED = (en.TERM, en.TERM_ID, en.DIRECTION, en.SCORE, P_VALUE, ADJ_P_VALUE)
MIN_TERMS = 3


def compare_enrichment(
    first: pd.DataFrame, second: pd.DataFrame, *, level: float = 0.05, labels: tuple[str, str] | None = None
) -> pd.DataFrame:
    """Compare two tables of :func:`bulkvi.tl.enrichment`: do two analyses find the same pathways?

    Use the same sets and method for both, such as once for bulkvi's table of genes and once for DESeq2's.

    Parameters
    ----------
    first, second
        Tables of :func:`bulkvi.tl.enrichment`, by the same method. They are not changed.
    level
        False discovery rate: a term is called at an adjusted p-value below it.
    labels
        Names of the two. By default the tools of their tables of genes.

    Returns
    -------
    A row for each term of either (ora: and direction), by the smaller of the two p-values: ``term, term_id``; for ora
    ``direction``; the columns of ``first``, those of ``second`` with ``_other`` appended, and ``class``: ``both`` and
    ``neither`` (called by both, by none), ``only_here``, ``only_other``, ``opposite`` (called by both with scores of opposite
    signs), ``absent_here``, ``absent_other`` (not scored there, for example because too few of its genes were tested).

    ``attrs``: ``labels``, ``enrichment_method``, ``level``, ``contrast``, and ``concordance``: ``n_shared``, ``spearman``
    of the scores, ``called_here``, ``called_other``, ``called_both``, ``jaccard``, over the terms that are in both.

    Raises
    ------
    TypeError, KeyError, ValueError
        If one is no table of enrichment, they are of different methods, no term is in both, a term is repeated in one, or an
        argument is out of range.

    Examples
    --------
    >>> import bulkvi as bv
    >>> here = pd.DataFrame({"term": ["wound healing", "translation"], "score": [4.0, 0.5], "p_value": [1e-4, 0.6]})
    >>> here = here.assign(term_id="", direction="up", adj_p_value=[2e-4, 0.6])
    >>> other = here.assign(score=[3.0, 2.5], p_value=[0.003, 0.01], adj_p_value=[0.006, 0.01])
    >>> both = bv.tl.compare_enrichment(here, other, labels=("bulkvi", "DESeq2"))
    >>> both[["term", "score", "score_other", "class"]]
                term  score  score_other       class
    0  wound healing    4.0          3.0        both
    1    translation    0.5          2.5  only_other
    """
    check_level(level)
    check_labels(labels)
    for table, argument in ((first, "first"), (second, "second")):
        check_table(table, NEEDED, argument, "bulkvi.tl.enrichment()")
    methods = [table.attrs.get(en.METHOD, "") for table in (first, second)]
    if methods[0] != methods[1]:
        raise ValueError(
            f"the two are of different methods, {methods[0]!r} and {methods[1]!r}: their scores are not comparable."
        )
    # a term of ora has a row for each direction, which must not be joined with the other one
    twice = any(table.duplicated([en.TERM, en.TERM_ID]).any() for table in (first, second))
    by = [en.TERM, en.TERM_ID, en.DIRECTION] if methods[0] == "ora" or twice else [en.TERM, en.TERM_ID]
    indexed = [_by_term(table, by, argument) for table, argument in ((first, "first"), (second, "second"))]
    shared = indexed[0].index.intersection(indexed[1].index)
    if shared.empty:
        raise ValueError(
            f"no term is in both: `first` has {first[en.TERM].head(3).tolist()} ..., `second` {second[en.TERM].head(3).tolist()} "
            "...: use the same gene sets for both."
        )
    joined = indexed[0].join(indexed[1].add_suffix(cn.OTHER), how="outer")
    joined[cn.CLASS] = pd.Categorical(_classes(joined, level), categories=list(cn.CLASSES))
    smaller = joined[[P_VALUE, P_VALUE + cn.OTHER]].min(axis=1)
    joined = joined.iloc[np.argsort(smaller.to_numpy(), kind="stable")].reset_index()
    names = labels or _labels(first, second)
    joined.attrs = {
        en.LABELS: (names[0], names[1]),
        en.METHOD: methods[0],
        en.LEVEL: level,
        en.CONTRAST: first.attrs.get(en.CONTRAST) or second.attrs.get(en.CONTRAST, ""),
        en.CONCORDANCE: _concordance(joined, level),
    }
    return joined


def _by_term(table: pd.DataFrame, by: list[str], argument: str) -> pd.DataFrame:
    repeated = table.duplicated(by)
    if repeated.any():
        raise ValueError(
            f"{int(repeated.sum())} terms are repeated in `{argument}`, such as {table.loc[repeated, en.TERM].iloc[0]!r}: give "
            "each set a unique name."
        )
    return table.set_index(by)


def _classes(joined: pd.DataFrame, level: float) -> np.ndarray:
    score, other = (joined[column].to_numpy(dtype=float) for column in (en.SCORE, en.SCORE + cn.OTHER))
    here = joined[ADJ_P_VALUE].to_numpy(dtype=float) < level
    there = joined[ADJ_P_VALUE + cn.OTHER].to_numpy(dtype=float) < level
    cases = [
        (np.isnan(score), cn.ABSENT_HERE),
        (np.isnan(other), cn.ABSENT_OTHER),
        (here & there & (score * other < 0), cn.OPPOSITE),
        (here & there, cn.BOTH),
        (here, cn.ONLY_HERE),
        (there, cn.ONLY_OTHER),
    ]
    return np.select([case for case, _ in cases], [name for _, name in cases], cn.NEITHER)


def _labels(first: pd.DataFrame, second: pd.DataFrame) -> tuple[str, str]:
    here, other = (str(table.attrs.get(en.SOURCE, "")) for table in (first, second))
    return two_labels(here, other) if here and other else ("first", "second")


def _concordance(joined: pd.DataFrame, level: float) -> dict[str, float]:
    both = joined[~joined[cn.CLASS].isin([cn.ABSENT_HERE, cn.ABSENT_OTHER])]
    varied = len(both) >= MIN_TERMS and all(np.ptp(both[column]) > 0 for column in (en.SCORE, en.SCORE + cn.OTHER))
    rank = spearmanr(both[en.SCORE], both[en.SCORE + cn.OTHER]).statistic if varied else np.nan
    called = [(both[column] < level).to_numpy() for column in (ADJ_P_VALUE, ADJ_P_VALUE + cn.OTHER)]
    return {cn.N_SHARED: len(both), cn.SPEARMAN: float(rank), **count_calls(*called)}
