"""How closely two columns of a table of samples go together: 0 for not at all, 1 where one says all of the other."""

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats.contingency import association, crosstab

from bulkvi.design_names import ASSOCIATION, COLUMN, FINDING, MEASURE, OTHER_COLUMN, REMEDY, SEVERITY
from bulkvi.names import N_SAMPLES
from bulkvi.study.design import make_design, numbers_in_design
from bulkvi.study.design_check import Columns, design_findings, findings_table, sort_columns


class DesignCheck(NamedTuple):
    """What :func:`check_design` found; ``print`` it for the findings in words."""

    design: str
    """The formula."""
    findings: pd.DataFrame
    """A row for each finding, serious ones first: ``severity`` (serious, note), ``finding``, ``remedy``."""
    cells: pd.DataFrame
    """Number of samples (``n_samples``) for each combination of the categorical variables of the design, 0 included."""
    association: pd.DataFrame
    """A row for each pair of columns of obs: ``column``, ``other_column``, ``association`` (0 to 1), ``measure``."""
    left_out: dict[str, str]
    """Columns of obs that were not compared, and why."""
    n_samples: int
    """Number of samples."""
    n_columns: int
    """Number of columns of the design matrix, its rank."""

    @property
    def residual_df(self) -> int:
        """Residual degrees of freedom: samples less columns."""
        return self.n_samples - self.n_columns

    def __str__(self) -> str:
        lines = [
            f"Design {self.design}: {self.n_samples} samples, {self.n_columns} columns, {self.residual_df} residual degrees "
            "of freedom"
        ]
        if len(self.cells):
            sizes = self.cells[N_SAMPLES]
            empty = f", {int((sizes == 0).sum())} of them empty" if (sizes == 0).any() else ""
            span = f"{sizes.min()}" if sizes.nunique() == 1 else f"{sizes.min()} to {sizes.max()}"
            lines.append(f"Cells of the design: {len(sizes)}, samples in each: {span}{empty}")
        if self.findings.empty:
            lines.append("Nothing found against it.")
        for row in self.findings.to_dict("records"):
            lines += ["", f"[{row[SEVERITY]}] {row[FINDING]}", f"    {row[REMEDY]}"]
        if self.left_out:
            reasons = dict.fromkeys(self.left_out.values())
            names = {why: [name for name, other in self.left_out.items() if other == why] for why in reasons}
            lines += ["", "Not compared:"] + [f"    {', '.join(names[why])}: {why}" for why in reasons]
        return "\n".join(lines)


def check_design(adata: AnnData, design: str, *, contrast: str | Sequence[Any] | None = None) -> DesignCheck:
    """Check what a design can tell: replicates, confounding, repeated measures.

    Looks at the table of samples alone: sizes of the cells of the design, residual degrees of freedom, levels with one
    sample, variables of the design that are confounded with another column, columns that look like repeated measures,
    and how closely every two columns are associated. ``setup_anndata`` runs it and warns of what is serious: a
    variable confounded with a column whose name looks technical (batch, lane, plate, run, ...), a level with one sample, or
    libraries that are in several rows. No residual degree of freedom is serious too.

    Parameters
    ----------
    adata
        Samples x genes; only ``obs`` is read. It is not changed.
    design
        Formula of what is to be explained, for example ``"~ cell + dex"``.
    contrast
        The column that is compared, or a tuple of column, test and reference level. Findings that do not concern this
        comparison are notes then. Without one every variable of the design may be compared.

    Returns
    -------
    Tables, with a summary in words: ``print(check)``. :func:`bulkvi.pl.design` draws the associations: Cramer's V of two
    categorical columns, eta squared (share of variance between the levels) of a categorical and a numeric one, squared
    correlation of two numeric ones. Whole numbers that repeat count as categories; columns with another value in
    (nearly) every sample, or the same in all, are left out and listed. Missing values are left out pair by pair.

    Warns
    -----
    UserWarning
        For each column of numbers in the design that is taken for names of groups, or that is a slope and may be meant as names.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData.
    KeyError
        If a variable is not a column of ``obs``.
    ValueError
        If the formula cannot be read, a variable has missing values or a level without samples, the design is not of full
        rank (a donor nested in a group, say), or it does not hold the contrast; the message names the columns.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> print(bv.tl.check_design(adata, "~ cell + dex"))
    Design ~ cell + dex: 8 samples, 5 columns, 3 residual degrees of freedom
    Cells of the design: 8, samples in each: 1
    Nothing found against it.
    <BLANKLINE>
    Not compared:
        geo: another value in every sample (an identifier)
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
    findings = design_findings(adata.obs, design, contrast=contrast)
    coded, matrix = make_design(design, adata.obs)
    columns = sort_columns(adata.obs, coded.variables, coded.levels)
    for numbers in numbers_in_design(coded, adata.obs):
        warnings.warn(numbers, UserWarning, stacklevel=2)
    held = [name for name in coded.variables if name in columns.categories]
    return DesignCheck(
        design=design,
        findings=findings_table(findings),
        cells=_cells(adata.obs, held),
        association=_association(columns),
        left_out=columns.left_out,
        n_samples=len(matrix),
        n_columns=matrix.shape[1],
    )


def _cells(obs: pd.DataFrame, held: list[str]) -> pd.DataFrame:
    if not held:
        return pd.DataFrame({N_SAMPLES: pd.Series(dtype=int)})
    table = obs[held].astype("category")
    return table.groupby(held, observed=False).size().rename(N_SAMPLES).reset_index()


def _association(columns: Columns) -> pd.DataFrame:
    rows = []
    everything = columns.categories | columns.numbers
    for first, second in combinations(everything, 2):
        a, b = everything[first], everything[second]
        known = _known(a) & _known(b)
        a, b = a[known], b[known]
        numeric = (first in columns.numbers) + (second in columns.numbers)
        # categorical columns come first, so a mixed pair is (categorical, numeric)
        compare, measure = (
            (cramers_v, "Cramer's V"),
            (correlation_ratio, "eta squared"),
            (squared_correlation, "squared correlation"),
        )[numeric]
        rows.append((first, second, compare(a, b) if known.any() else np.nan, measure))
    return pd.DataFrame(rows, columns=[COLUMN, OTHER_COLUMN, ASSOCIATION, MEASURE])


def _known(values: np.ndarray) -> np.ndarray:
    return values >= 0 if values.dtype.kind == "i" else np.isfinite(values)


def cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    """Cramer's V of two categorical columns: how far they are from independent.

    1 where the column with more levels decides the other. With few samples and many levels it is large by chance alone.

    Parameters
    ----------
    a, b
        Codes of the levels, shape ``(n_samples,)``.

    Returns
    -------
    The square root of chi squared over its largest possible value, in [0, 1]; NaN if a column has one level.

    Examples
    --------
    >>> cramers_v(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    1.0
    >>> cramers_v(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    0.0
    """
    table = crosstab(a, b).count
    if min(table.shape) < 2:
        return float("nan")
    return float(association(table, method="cramer"))


def correlation_ratio(groups: np.ndarray, values: np.ndarray) -> float:
    r"""Eta squared: share of the variance of a numeric column that lies between the levels of a categorical one.

    .. math:: \eta^2 = \sum_k n_k (\bar x_k - \bar x)^2 \Big/ \sum_n (x_n - \bar x)^2

    Parameters
    ----------
    groups
        Codes of the levels, shape ``(n_samples,)``.
    values
        Numbers, shape ``(n_samples,)``.

    Returns
    -------
    A number in [0, 1]; NaN if there is one level or the numbers are all the same.

    Examples
    --------
    >>> correlation_ratio(np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 5.0, 7.0]))
    0.8
    """
    _, codes = np.unique(groups, return_inverse=True)
    centred = values - values.mean()
    total = float(centred @ centred)
    if total == 0 or not codes.any():
        return float("nan")
    sums = np.bincount(codes, centred)
    return float((sums**2 / np.bincount(codes)).sum() / total)


def squared_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Square of Pearson's correlation of two numeric columns.

    Parameters
    ----------
    a, b
        Numbers, shape ``(n_samples,)``.

    Returns
    -------
    A number in [0, 1]; NaN if a column is constant.

    Examples
    --------
    >>> squared_correlation(np.array([1.0, 2.0, 3.0]), np.array([6.0, 4.0, 2.0]))
    1.0
    """
    x, y = a - a.mean(), b - b.mean()
    scale = float((x @ x) * (y @ y))
    return float(x @ y) ** 2 / scale if scale else float("nan")
