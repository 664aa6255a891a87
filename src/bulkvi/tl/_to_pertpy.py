import pandas as pd

from bulkvi.comparison_names import PERTPY_BASE_MEAN, VARIABLE
from bulkvi.gene_order import order_by_significance
from bulkvi.names import ADJ_P_VALUE, BASE_MEAN, CONTRAST, LOG_FC, P_VALUE
from bulkvi.tl._renamed import renamed

NEEDED = {
    BASE_MEAN: PERTPY_BASE_MEAN,
    LOG_FC: LOG_FC,
    P_VALUE: P_VALUE,
    ADJ_P_VALUE: ADJ_P_VALUE,
    CONTRAST: CONTRAST,
}


def to_pertpy(de: pd.DataFrame) -> pd.DataFrame:
    """Our table as pertpy's methods of differential expression give theirs, for its plots.

    Most names are the same. pertpy has the genes in a column ``variable`` instead of the index and the mean in ``baseMean``
    (its plot of means looks for that), and sorts by p-value. ``log_fc`` is the shrunken effect. Tables of several contrasts
    can be put together with ``pd.concat``.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``. It is not changed.

    Returns
    -------
    A new table with row numbers for an index and the most significant genes first: ``variable``, ``baseMean``, ``log_fc``,
    ``p_value``, ``adj_p_value``, ``contrast``, then all other columns of ``de`` as they are.

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
    ...     {"base_mean": [8.0, 900.0], "log_fc": [0.1, 2.0], "p_value": [0.5, 1e-9], "adj_p_value": [0.5, 2e-9]},
    ...     index=["ACTB", "FKBP5"],
    ... ).assign(contrast="dex: trt vs untrt")
    >>> table = bv.tl.to_pertpy(de)
    >>> table["variable"].tolist(), list(table.columns[1:5])
    (['FKBP5', 'ACTB'], ['baseMean', 'log_fc', 'p_value', 'adj_p_value'])
    """
    table = pd.concat([renamed(de, NEEDED), de.drop(columns=list(NEEDED))], axis=1)
    table.insert(0, VARIABLE, de.index)
    table.attrs = dict(de.attrs)
    return table.iloc[order_by_significance(de)].reset_index(drop=True)
