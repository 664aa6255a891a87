"""Tables of differential expression of any tool, under bulkvi's column names."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.comparison_names import BULKVI, DESEQ2, METHOD, NEEDED, PERTPY, PYDESEQ2, VARIABLE, WELCOME

SAME = 0.01  # relative difference allowed between an effect and its Wald statistic times standard error, unless shrunk
NUMBERS = (
    names.BASE_MEAN,
    names.LOG_FC,
    names.LOG_FC_MLE,
    names.LOG_FC_SE,
    names.STAT,
    names.P_VALUE,
    names.ADJ_P_VALUE,
)


class Recognised(NamedTuple):
    """A table of any tool under bulkvi's names."""

    table: pd.DataFrame
    """Indexed by gene (text, unique): the columns of ``NUMBERS``, NaN where the tool has none, ``flag``, and
    ``symbol`` if there is one."""
    tool: str
    """Name of the tool."""
    contrast: str
    """The contrast in words; empty if it is unknown."""
    by_cooks_distance: bool
    """Whether a gene with counts and no p-value has an outlier, as in DESeq2."""
    shrunk: bool
    """Whether the effects are shrunk and the unshrunken ones missing."""
    n_latent_columns: int
    composition_shift: float


def recognise(table: pd.DataFrame, argument: str) -> Recognised:
    """Find effects, p-values and gene ids in a table of any tool."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"`{argument}` must be a table (pandas.DataFrame), not {type(table).__name__}.")
    found = {ours: _one_of(table, ours, argument) for ours in NEEDED}
    for ours, known in WELCOME.items():
        present = [name for name in known if name in table]
        if present:
            found[ours] = present[0]
    if names.LOG_FC_MLE in table and table[names.LOG_FC_MLE].notna().any():
        found[names.LOG_FC_MLE] = names.LOG_FC_MLE
    by_our_names = found[names.P_VALUE] == names.P_VALUE
    tool = NEEDED[names.P_VALUE][found[names.P_VALUE]]
    if by_our_names and VARIABLE in table:
        tool = PERTPY
    tool = str(table.attrs.get(METHOD, tool))
    genes = _genes(table, argument)
    values = {ours: _numbers(table, found[ours], argument) if ours in found else np.nan for ours in NUMBERS}
    flags = table[names.FLAG].fillna("").astype(str).to_numpy() if names.FLAG in table else ""
    plain = pd.DataFrame(values | {names.FLAG: flags}, index=genes)
    if names.SYMBOL in table:
        plain[names.SYMBOL] = table[names.SYMBOL].to_numpy()
    _check_p_values(plain, argument)
    like_deseq2 = found[names.LOG_FC] == "log2FoldChange" or {"baseMean", "lfcSE"} <= set(table.columns)
    shrunk = like_deseq2 and names.LOG_FC_MLE not in found and _looks_shrunk(plain, of_a_wald_test=tool != BULKVI)
    if names.LOG_FC_MLE not in found:
        plain[names.LOG_FC_MLE] = plain[names.LOG_FC]
    contrasts = table[names.CONTRAST].dropna().astype(str).unique() if names.CONTRAST in table else []
    return Recognised(
        plain,
        tool,
        contrasts[0] if len(contrasts) == 1 else "",
        by_cooks_distance=like_deseq2 or tool in (DESEQ2, PYDESEQ2),
        shrunk=shrunk,
        n_latent_columns=int(table.attrs.get(names.N_LATENT_COLUMNS, 0)),
        composition_shift=float(table.attrs.get(names.COMPOSITION_SHIFT, 0.0)),
    )


def _one_of(table: pd.DataFrame, ours: str, argument: str) -> str:
    known = NEEDED[ours]
    present = [name for name in known if name in table]
    choices = ", ".join(f"{name!r} ({tool})" for name, tool in known.items())
    if not present:
        raise KeyError(
            f"`{argument}` has no column for {ours!r} under any known name: {choices}. It has "
            f"{list(table.columns)}; rename one, for example table.rename(columns={{...: {ours!r}}})."
        )
    if len(present) > 1:
        raise ValueError(
            f"`{argument}` has {ours!r} under {len(present)} names, {present}: drop all but one. Known names: {choices}."
        )
    return present[0]


def _genes(table: pd.DataFrame, argument: str) -> pd.Index:
    """Gene ids as text: a table read from a file may have numbers."""
    column = next((name for name in (VARIABLE, names.GENE_ID) if name in table), None)
    if column is None and isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"`{argument}` has row numbers as index and no column {VARIABLE!r} or {names.GENE_ID!r}: put the gene ids into its "
            f"index, for example table.set_index({str(table.columns[0])!r}). Columns: {list(table.columns)}."
        )
    ids = pd.Series(table.index if column is None else table[column].to_numpy())
    if ids.isna().any():
        raise ValueError(f"{int(ids.isna().sum())} rows of `{argument}` have no gene id: drop them.")
    if not ids.is_unique:
        contrasts = table[names.CONTRAST].unique() if names.CONTRAST in table else []
        repeated = list(ids[ids.duplicated()].unique()[:5])
        remedy = (
            f"it holds the contrasts {list(contrasts[:5])}: choose one, table[table[{names.CONTRAST!r}] == ...]."
            if len(contrasts) > 1
            else "merge or drop the repeated rows."
        )
        raise ValueError(f"genes of `{argument}` must be unique; repeated are {repeated}: {remedy}")
    return pd.Index(ids.astype(str), name=None)


def _numbers(table: pd.DataFrame, column: str, argument: str) -> np.ndarray:
    """A column as numbers; infinite ones become NaN."""
    try:
        values = pd.to_numeric(table[column]).to_numpy(dtype=float, na_value=np.nan, copy=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {column!r} of `{argument}` must hold numbers: {error}") from error
    values[np.isinf(values)] = np.nan
    return values


def _check_p_values(plain: pd.DataFrame, argument: str) -> None:
    for column in (names.P_VALUE, names.ADJ_P_VALUE):
        wrong = plain.index[(plain[column] < 0) | (plain[column] > 1)]
        if len(wrong):
            raise ValueError(
                f"p-values lie between 0 and 1; `{argument}` has {plain.loc[wrong[0], column]:g} for {column!r} of gene "
                f"{wrong[0]!r}, and {len(wrong)} such genes in all."
            )


def _looks_shrunk(plain: pd.DataFrame, *, of_a_wald_test: bool) -> bool:
    """Whether effects in DESeq2's columns are from ``lfcShrink``: there is no statistic, or one of other effects."""
    statistic = plain[names.STAT].to_numpy()
    if np.isnan(statistic).all():
        return True
    if not of_a_wald_test:
        return False
    wald, effect = statistic * plain[names.LOG_FC_SE].to_numpy(), plain[names.LOG_FC].to_numpy()
    known = np.isfinite(wald) & np.isfinite(effect)
    return bool(known.any() and (np.abs(wald - effect)[known] > SAME * np.abs(wald[known]) + 1e-6).mean() > 0.5)
