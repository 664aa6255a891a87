"""Designs: how a formula reads the columns of ``obs``, and which effects it can estimate."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats.contingency import association, crosstab

from bulkvi.arguments import warn_user
from bulkvi.design_names import ASSOCIATION, COLUMN, FINDING, MEASURE, OTHER_COLUMN, REMEDY, SEVERITY
from bulkvi.names import N_SAMPLES
from bulkvi.study.columns import column_of, is_number, names_groups
from bulkvi.study.design import make_design, numbers_in_design
from bulkvi.study.design_check import Columns, design_findings, findings_table, sort_columns
from bulkvi.study.formula import read_formula
from bulkvi.study.formula_names import CATEGORY, NUMBER


class DesignCheck(NamedTuple):
    """Result of :func:`check_design`; ``print`` it for a summary."""

    design: str
    """The formula."""
    findings: pd.DataFrame
    """A row for each finding, serious ones first: ``severity`` (serious, note), ``finding``, ``remedy``."""
    cells: pd.DataFrame
    """Number of samples (``n_samples``) for each combination of the categorical variables of the design, 0 included."""
    association: pd.DataFrame
    """A row for each pair of columns of obs: ``column``, ``other_column``, ``association`` (0 to 1), ``measure``."""
    left_out: dict[str, str]
    """Columns of obs that were not compared, and the reason."""
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


class DesignVariable(NamedTuple):
    """Kind of a column of ``obs`` in a design."""

    kind: str
    """``"groups"``: an effect for each level; ``"slope"``: one for each unit."""
    is_explicit: bool
    """Whether its dtype or the formula decides, as ``C(x)`` and ``slope(x)`` do; else its name and values decide."""


def check_design(adata: AnnData, design: str, *, contrast: str | Sequence[Any] | None = None) -> DesignCheck:
    """Check which effects a design can estimate: replicates, confounding, repeated measures.

    Only the table of samples is used: sizes of the cells of the design, residual degrees of freedom, levels with one sample,
    variables of the design that are confounded with another column, columns that look like repeated measures, and the
    association of every two columns. ``setup_anndata`` runs this check and warns of serious findings: a variable confounded
    with a column of a technical name (batch, lane, plate, run, ...), a level with one sample, or libraries in several rows. No
    residual degree of freedom is serious too.

    Parameters
    ----------
    adata
        Samples x genes; only ``obs`` is read. It is not changed.
    design
        Formula of the design, for example ``"~ cell + dex"``.
    contrast
        The column that is compared, or a tuple of column, test and reference level. Findings about other variables are
        then notes. By default every variable of the design may be compared.

    Returns
    -------
    Tables, with a summary: ``print(check)``. :func:`bulkvi.pl.design` draws the associations: Cramer's V of two categorical
    columns, eta squared (share of variance between the levels) of a categorical and a numeric one, squared correlation of two
    numeric ones. Repeated whole numbers are categories; columns with another value in (nearly) every sample, or the same in
    all, are left out and listed. Missing values are left out pair by pair.

    Warns
    -----
    UserWarning
        For each column of numbers in the design that is read as names of groups, or that is a slope and may hold names.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``adata`` is not an AnnData, the formula cannot be read, a variable is not a column of ``obs``, has missing values or
        a level without samples, the design is not of full rank, or it does not hold the contrast.

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
    _check_anndata(adata)
    findings = design_findings(adata.obs, design, contrast=contrast)
    coded, matrix = make_design(design, adata.obs)
    columns = sort_columns(adata.obs, coded.variables, coded.levels)
    for numbers in numbers_in_design(coded, adata.obs):
        warn_user(numbers)
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


def design_variables(adata: AnnData, design: str) -> dict[str, DesignVariable]:
    """List the columns of ``obs`` in a design formula, each as groups or as a slope.

    Text, yes/no and categories are groups. Numbers are slopes, unless they are names of groups: whole numbers in a column named
    donor, batch, plate and the like, or repeated numbers 1, 2, 3, ... in a column whose name is not that of a quantity (age,
    dose, day, score). ``C(x)`` makes groups of any column, ``slope(x)`` a slope.

    Parameters
    ----------
    adata
        Samples x genes; only ``obs`` is read, and values may be missing.
    design
        Right-hand side of a formula.

    Returns
    -------
    The kind of each column in the formula, in alphabetical order.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``adata`` is not an AnnData, ``design`` is not text or no formula of columns, numbers, operators and known
        transforms, or a column is missing.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=50)
    >>> adata.obs["donor"] = [1, 2, 3, 4, 5, 6] * 2
    >>> bv.tl.design_variables(adata, "~ donor + group")
    {'donor': DesignVariable(kind='groups', is_explicit=False), 'group': DesignVariable(kind='groups', is_explicit=True)}
    """
    _check_anndata(adata)
    read = read_formula(design, adata.obs.columns)
    found = {}
    for name in read.variables:
        column = column_of(adata.obs, name)
        roles = {use.role for use in read.names.uses.values() if use.column == name}
        if not is_number(column) or CATEGORY in roles:
            found[name] = DesignVariable("groups", is_explicit=True)
        elif NUMBER in roles:
            found[name] = DesignVariable("slope", is_explicit=True)
        else:
            found[name] = DesignVariable("groups" if names_groups(name, column) else "slope", is_explicit=False)
    return found


def _cells(obs: pd.DataFrame, held: list[str]) -> pd.DataFrame:
    if not held:
        return pd.DataFrame({N_SAMPLES: pd.Series(dtype=int)})
    cells = obs[held].astype("category").groupby(held, observed=False)
    return cells.size().rename(N_SAMPLES).reset_index()


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
    """Cramer's V of two columns of codes: the square root of chi squared over its maximum; NaN if a column has one level.

    It is 1 if the column with more levels determines the other. With few samples and many levels it is large by chance.
    """
    table = crosstab(a, b).count
    if min(table.shape) < 2:
        return float("nan")
    return float(association(table, method="cramer"))


def correlation_ratio(groups: np.ndarray, values: np.ndarray) -> float:
    r"""Eta squared, the share of the variance of numbers between groups; NaN for one group or equal numbers.

    .. math:: \eta^2 = \sum_k n_k (\bar x_k - \bar x)^2 \Big/ \sum_n (x_n - \bar x)^2
    """
    _, codes = np.unique(groups, return_inverse=True)
    centred = values - values.mean()
    total = float(centred @ centred)
    if total == 0 or not codes.any():
        return float("nan")
    sums = np.bincount(codes, centred)
    return float((sums**2 / np.bincount(codes)).sum() / total)


def squared_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Square of Pearson's correlation of two columns of numbers; NaN if one is constant."""
    x, y = a - a.mean(), b - b.mean()
    scale = float((x @ x) * (y @ y))
    return float(x @ y) ** 2 / scale if scale else float("nan")


def _check_anndata(adata: AnnData) -> None:
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
