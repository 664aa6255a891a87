import pandas as pd

from bulkvi.comparison_names import BULKVI, METHOD
from bulkvi.names import (
    ADJ_P_VALUE,
    BASE_MEAN,
    LOG_FC,
    LOG_FC_MLE,
    LOG_FC_SD,
    LOG_FC_SE,
    P_VALUE,
    STAT,
)
from bulkvi.tl._renamed import renamed

UNSHRUNKEN = {
    BASE_MEAN: "baseMean",
    LOG_FC_MLE: "log2FoldChange",
    LOG_FC_SE: "lfcSE",
    STAT: "stat",
    P_VALUE: "pvalue",
    ADJ_P_VALUE: "padj",
}
SHRUNKEN = {
    BASE_MEAN: "baseMean",
    LOG_FC: "log2FoldChange",
    LOG_FC_SD: "lfcSE",
    P_VALUE: "pvalue",
    ADJ_P_VALUE: "padj",
}


def to_deseq2(de: pd.DataFrame, *, shrunken: bool = False) -> pd.DataFrame:
    """Our table under the column names of DESeq2 and PyDESeq2, for tools that read theirs.

    In DESeq2, ``log2FoldChange`` and ``lfcSE`` are estimate and standard error of one number, and so are they here:
    ``log_fc_mle`` with ``log_fc_se`` by default, as in ``results()``; with ``shrunken``, ``log_fc`` with the posterior's
    ``log_fc_sd``, as ``lfcShrink()`` has them. Mixing them would give intervals of nothing.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``. It is not changed.
    shrunken
        Whether to give the shrunken effects. There is then no column ``stat``, which belongs to the others.

    Returns
    -------
    A new table of the same genes in the same order: ``baseMean``, ``log2FoldChange``, ``lfcSE`` (log2), ``stat``, ``pvalue``,
    ``padj``. ``stat`` is the normal quantile of the p-value with the sign of the effect; it is smaller than
    ``log2FoldChange / lfcSE``, because the dispersion is not known. No ``padj`` is NaN: nothing is filtered.

    Raises
    ------
    TypeError
        If ``de`` is not a table.
    KeyError
        If a column is missing.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame(
    ...     {
    ...         "base_mean": [900.0],
    ...         "log_fc_mle": [2.1],
    ...         "log_fc_se": [0.2],
    ...         "stat": [9.5],
    ...         "p_value": [2e-21],
    ...         "adj_p_value": [2e-21],
    ...     },
    ...     index=["FKBP5"],
    ... )
    >>> bv.tl.to_deseq2(de)
           baseMean  log2FoldChange  lfcSE  stat        pvalue          padj
    FKBP5     900.0             2.1    0.2   9.5  2.000000e-21  2.000000e-21
    """
    table = renamed(de, SHRUNKEN if shrunken else UNSHRUNKEN)
    table.attrs = {**de.attrs, METHOD: de.attrs.get(METHOD, BULKVI)}
    return table
