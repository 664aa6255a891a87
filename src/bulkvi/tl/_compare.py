from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from bulkvi import comparison_names as cn
from bulkvi.arguments import check_number
from bulkvi.names import P_VALUE, STAT, SYMBOL
from bulkvi.tl._comparison import (
    Comparison,
    check_labels,
    check_level,
    count_calls,
    rank_rank_overlap,
    total_least_squares_slope,
    two_labels,
)
from bulkvi.tl._disagreement import Side, classify, explain, side_of
from bulkvi.tl._foreign_tables import recognise

Column = Literal["log_fc", "log_fc_mle"]
MIN_GENES = 3
SHARE = 0.1


def compare(
    de: pd.DataFrame,
    other: pd.DataFrame,
    *,
    level: float = 0.05,
    column: Column = "log_fc",
    low_counts: float = 10.0,
    tolerance: float = 1.0,
    labels: tuple[str, str] | None = None,
) -> Comparison:
    """Compare two tables of differential expression: where do they differ, and why?

    Each table may be bulkvi's or that of another tool; each row needs a column under one of these names:

    ================ =============== ================== =========== =============
    .                bulkvi, pertpy  DESeq2, PyDESeq2   edgeR       limma
    ================ =============== ================== =========== =============
    effect, log2     ``log_fc``      ``log2FoldChange`` ``logFC``   ``logFC``
    p-value          ``p_value``     ``pvalue``         ``PValue``  ``P.Value``
    adjusted p-value ``adj_p_value`` ``padj``           ``FDR``     ``adj.P.Val``
    ================ =============== ================== =========== =============

    Optional: ``base_mean`` or ``baseMean``, ``log_fc_se`` or ``lfcSE``, ``stat`` or ``t``, ``log_fc_mle``, ``flag``, and in
    ``attrs`` the number of latent columns and the composition shift. Gene ids are in a column ``variable`` (pertpy) or
    ``gene_id``, else in the index. Both effects must be of group 1 over group 2.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``, or any other.
    other
        The table to compare it with.
    level
        False discovery rate: genes are called at an adjusted p-value below it.
    column
        Which effects are compared, if a table has both: ``"log_fc"`` (shrunk) or ``"log_fc_mle"``.
    low_counts
        Mean count per unit size factor below which low counts are the reason of a disagreement.
    tolerance
        Difference of two effects that counts as a disagreement, log2.
    labels
        Names of the two tables. By default the tools, by their columns or ``attrs["method"]``.

    Returns
    -------
    The joined table with a ``class`` and a ``reason`` for each gene, and the concordance.

    The concordance, over the genes in both tables:

    ``pearson, spearman, slope``
        Of the effects that are finite in both. The slope of ``de`` over ``other`` is by total least squares: below 1, the
        effects of ``de`` are smaller.
    ``sign_agreement``
        Share of the same sign among the genes called in either.
    ``called_here, called_other, called_both, jaccard``
        Numbers of genes called, and called in both over called in either; a gene without a result is not called.
    ``rank_rank_overlap``
        Mean overlap of the first genes, up to a tenth, from both ends of the rankings by p-value and sign; about .05 by
        chance.

    The classes, the first that holds:

    ``absent_here, absent_other``
        No row in one of the tables.
    ``na_both, na_here, na_other``
        No effect or no adjusted p-value in both, or in one of them.
    ``opposite, only_here, only_other``
        Called in both with opposite signs; called in one, tested and not called in the other.
    ``effect_differs``
        Called in both or in none, and the effects differ by more than ``tolerance``.
    ``both, neither``
        They agree.

    The reasons, the first that holds for the class, from the tables alone:

    - absent: ``low_counts``, else ``not_in_table``
    - no result: ``independent_filtering`` (a p-value, but no adjusted one), ``no_counts``, ``outlier`` (as DESeq2 marks it:
      counts, an effect and no p-value), else ``not_tested``
    - called in one: ``outlier`` (bulkvi's flag: the count was downweighted), ``low_counts`` (the mean, or the flag
      ``low_information``), ``borderline`` (both adjusted p-values between half and twice the level), ``composition``,
      ``hidden_factor``, ``adjustment`` (its p-value would be called in the other table), ``different_effect``,
      ``different_evidence``
    - opposite signs: ``outlier``, ``low_counts``, ``composition``, ``hidden_factor``, ``different_effect``
    - effects that differ: ``shrunk`` (they agree without shrinkage), ``outlier``, ``separated``, ``low_counts``,
      ``composition``, ``hidden_factor``, ``different_effect``

    with ``composition`` if one table has subtracted a common shift of more than 0.1 and the effects were closer before;
    ``hidden_factor`` if the tables adjust for different numbers of latent columns, a property of the analysis and not of the
    gene; ``different_effect`` if the unshrunken effects differ by more than ``tolerance`` (also without another explanation),
    and ``different_evidence`` if they agree and their dispersions, priors or tests do not.

    Raises
    ------
    TypeError, KeyError, ValueError
        If one of the two is no table, a column is missing under all known names, present under two of them or not numeric,
        gene ids are missing, not unique or never in both tables, a p-value lies outside [0, 1], or an argument is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> import bulkvi as bv
    >>> genes = ["FKBP5", "VCAM1", "ACTB", "KLF9"]
    >>> ours = pd.DataFrame({"log_fc": [2.0, -1.0, 0.1, 0.9], "p_value": [1e-9, 1e-4, 0.5, 0.01]}, genes)
    >>> ours["adj_p_value"] = [4e-9, 4e-4, 1.0, 0.04]
    >>> theirs = pd.DataFrame({"log2FoldChange": [2.1, -0.9, 0.4, 1.0], "pvalue": [1e-8, 2e-4, 0.4, 0.02]}, genes)
    >>> theirs["padj"] = [1e-7, 1e-3, None, 0.06]
    >>> bv.tl.compare(ours, theirs).table[["class", "reason"]]
               class                 reason
    FKBP5       both
    VCAM1       both
    ACTB    na_other  independent_filtering
    KLF9   only_here             borderline
    """
    check_level(level)
    check_number("low_counts", low_counts, least=0)
    check_number("tolerance (log2)", tolerance, above=0)
    check_labels(labels)
    if column not in get_args(Column):
        raise ValueError(f"`column` must be one of {list(get_args(Column))}; it is {column!r}.")
    recognised = recognise(de, "de"), recognise(other, "other")
    shared = recognised[0].table.index.intersection(recognised[1].table.index)
    if shared.empty:
        first = [list(one.table.index[:3]) for one in recognised]
        raise ValueError(
            f"no gene is in both tables: `de` has {first[0]} ..., `other` {first[1]} .... Use the same gene ids in both; ids "
            "with a version, such as ENSG00000000003.15, differ from those without."
        )
    genes = recognised[0].table.index.append(recognised[1].table.index.difference(shared, sort=False))
    here, there = (side_of(one, genes, column) for one in recognised)
    classes = classify(here, there, level=level, tolerance=tolerance)
    reasons = explain(here, there, classes, level=level, low_counts=low_counts, tolerance=tolerance)
    symbols = [side.table.pop(SYMBOL) for side in (here, there) if SYMBOL in side.table]
    table = pd.concat([*symbols[:1], here.table, there.table.add_suffix(cn.OTHER)], axis=1)
    table[cn.CLASS] = pd.Categorical(classes, categories=list(cn.CLASSES))
    table[cn.REASON] = reasons
    return Comparison(
        labels=two_labels(*(one.tool for one in recognised)) if labels is None else (labels[0], labels[1]),
        contrast=recognised[0].contrast or recognised[1].contrast,
        level=level,
        column=column,
        table=table,
        concordance=_concordance(here, there, level),
        classes=_count(table),
    )


def _concordance(here: Side, other: Side, level: float) -> pd.Series:
    in_both = here.present & other.present
    finite = np.isfinite(here.effect) & np.isfinite(other.effect)
    x, y = other.effect[finite], here.effect[finite]
    varied = finite.sum() >= MIN_GENES and bool(np.ptp(x)) and bool(np.ptp(y))
    called = [side.called(level) & in_both for side in (here, other)]
    judged = (called[0] | called[1]) & finite
    ranked = finite & here.table[P_VALUE].notna().to_numpy() & other.table[P_VALUE].notna().to_numpy()
    return pd.Series(
        {
            cn.N_SHARED: int(finite.sum()),
            cn.PEARSON: float(pearsonr(x, y).statistic) if varied else np.nan,
            cn.SPEARMAN: float(spearmanr(x, y).statistic) if varied else np.nan,
            cn.SLOPE: total_least_squares_slope(x, y) if varied else np.nan,
            cn.SIGN_AGREEMENT: float((here.effect * other.effect > 0)[judged].mean()) if judged.any() else np.nan,
            **count_calls(*called),
            cn.RANK_RANK_OVERLAP: rank_rank_overlap(_ranking(here, ranked), _ranking(other, ranked), share=SHARE),
        },
        name="concordance",
    )


def _ranking(side: Side, genes: np.ndarray) -> np.ndarray:
    """Rank genes by -log10 p with the sign of the effect; p-values that underflow to 0 by statistic and effect."""
    rows, effect = side.table[genes], side.effect[genes]
    with np.errstate(divide="ignore"):
        signed = -np.sign(effect) * np.log10(rows[P_VALUE].to_numpy())
    statistic = np.sign(effect) * np.abs(rows[STAT].fillna(0.0).to_numpy())
    _, rank = np.unique(np.column_stack([signed + 0.0, statistic, effect]), axis=0, return_inverse=True)
    return rank.ravel().astype(float)


def _count(table: pd.DataFrame) -> pd.DataFrame:
    sizes = table.groupby([cn.CLASS, cn.REASON], observed=True).size().rename(cn.N_GENES).reset_index()
    sizes[cn.CLASS] = pd.Categorical(sizes[cn.CLASS], categories=list(cn.CLASSES))
    return sizes.sort_values([cn.CLASS, cn.N_GENES], ascending=[True, False], ignore_index=True)
