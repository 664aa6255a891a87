from collections.abc import Mapping

import pandas as pd

from bulkvi import names
from bulkvi.comparison_names import BULKVI, METHOD, PERTPY_BASE_MEAN, VARIABLE
from bulkvi.gene_order import order_by_significance
from bulkvi.tl._comparison import check_table

DESEQ2 = {names.BASE_MEAN: "baseMean", names.LOG_FC_MLE: "log2FoldChange", names.LOG_FC_SE: "lfcSE", names.STAT: "stat"}
DESEQ2_SHRUNKEN = {names.BASE_MEAN: "baseMean", names.LOG_FC: "log2FoldChange", names.LOG_FC_SD: "lfcSE"}
DESEQ2_P_VALUES = {names.P_VALUE: "pvalue", names.ADJ_P_VALUE: "padj"}
PERTPY = {names.BASE_MEAN: PERTPY_BASE_MEAN} | {
    name: name for name in (names.LOG_FC, names.P_VALUE, names.ADJ_P_VALUE, names.CONTRAST)
}


def to_deseq2(de: pd.DataFrame, *, shrunken: bool = False) -> pd.DataFrame:
    """Rename the columns of a table as in DESeq2 and PyDESeq2, for tools that read theirs.

    In DESeq2, ``log2FoldChange`` and ``lfcSE`` are estimate and standard error of the same effect. Here they are ``log_fc_mle``
    and ``log_fc_se`` by default, as in ``results()``; with ``shrunken`` they are ``log_fc`` and the posterior standard
    deviation ``log_fc_sd``, as in ``lfcShrink()``. A mixture would give meaningless intervals.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``. It is not changed.
    shrunken
        Whether to return the shrunken effects. There is then no column ``stat``, which belongs to the others.

    Returns
    -------
    A new table of the same genes in the same order: ``baseMean``, ``log2FoldChange``, ``lfcSE`` (log2), ``stat``, ``pvalue``,
    ``padj``. ``stat`` is the normal quantile of the p-value with the sign of the effect; it is smaller than
    ``log2FoldChange / lfcSE``, because the dispersion is estimated. No ``padj`` is NaN: no gene is filtered.

    Raises
    ------
    TypeError, KeyError
        If ``de`` is not a table, or a column is missing.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame({"base_mean": 900.0, "log_fc_mle": 2.1, "log_fc_se": 0.2, "stat": 9.5}, index=["FKBP5"])
    >>> bv.tl.to_deseq2(de.assign(p_value=2e-21, adj_p_value=2e-21))
           baseMean  log2FoldChange  lfcSE  stat        pvalue          padj
    FKBP5     900.0             2.1    0.2   9.5  2.000000e-21  2.000000e-21
    """
    table = _rename(de, (DESEQ2_SHRUNKEN if shrunken else DESEQ2) | DESEQ2_P_VALUES)
    table.attrs = {**de.attrs, METHOD: de.attrs.get(METHOD, BULKVI)}
    return table


def to_pertpy(de: pd.DataFrame) -> pd.DataFrame:
    """Arrange a table as pertpy's methods of differential expression do, for its plots.

    Most names are the same. pertpy has the genes in a column ``variable`` instead of the index and the mean in ``baseMean``,
    and sorts by p-value. ``log_fc`` is the shrunken effect. Tables of several contrasts can be joined with ``pd.concat``.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``. It is not changed.

    Returns
    -------
    A new table with row numbers as index and the most significant genes first: ``variable``, ``baseMean``, ``log_fc``,
    ``p_value``, ``adj_p_value``, ``contrast``, then all other columns of ``de``.

    Raises
    ------
    TypeError, KeyError
        If ``de`` is not a table, or a column is missing.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame(
    ...     {"base_mean": [8.0, 900.0], "log_fc": [0.1, 2.0], "p_value": [0.5, 1e-9], "adj_p_value": [0.5, 2e-9]},
    ...     index=["ACTB", "FKBP5"],
    ... ).assign(contrast="dex: trt vs untrt")
    >>> table = bv.tl.to_pertpy(de)
    >>> table["variable"].tolist(), list(table.columns[1:5])
    (['FKBP5', 'ACTB'], ['baseMean', 'log_fc', 'p_value', 'adj_p_value'])
    """
    table = pd.concat([_rename(de, PERTPY), de.drop(columns=list(PERTPY))], axis=1)
    table.insert(0, VARIABLE, de.index)
    table.attrs = dict(de.attrs)
    return table.iloc[order_by_significance(de)].reset_index(drop=True)


def _rename(de: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Copy some columns, in this order, under other names."""
    check_table(de, columns, "de", "model.differential_expression()")
    return de[list(columns)].rename(columns=dict(columns))
