"""Weaknesses of a design: cells without replicates, confounding with other columns of obs, repeated measures."""

import re
from collections.abc import Collection, Iterator, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bulkvi.design_names import FINDING, REMEDY, SEVERITY
from bulkvi.stats.rank import well_conditioned
from bulkvi.study.columns import is_number, names_groups, words_of
from bulkvi.study.design import Design, make_design

SERIOUS = "serious"
NOTE = "note"
MIN_FREE = 2
SAMPLES_PER_DONOR = 4
TECHNICAL = frozenset(
    "batch batches lane lanes plate plates run runs flowcell library lib seq sequencing sequencer date center centre site "
    "operator technician chip slide pool kit machine instrument barcode".split()
)
REPEATED = frozenset(
    "donor donors patient patients subject subjects individual participant person animal mouse rat pair block replicate rep "
    "clone litter family".split()
)
LIBRARIES = frozenset(
    "lib library libraries sample samples biosample specimen replicate replicates rep reps techrep techreps".split()
)
"""Words for a sample: rows of one level are parts of it, or measure it again."""
RUNS = frozenset("run runs lane lanes flowcell barcode srr srx".split())
"""Words for what sequences samples: parts of one sample, or a batch of several."""


class Finding(NamedTuple):
    """One weakness of a design."""

    severity: str
    finding: str
    remedy: str


def design_findings(
    obs: pd.DataFrame, formula: str, also: tuple[str, ...] = (), contrast: str | Sequence[Any] | None = None
) -> list[Finding]:
    """Return the weaknesses of a design, serious ones first; raise as `make_design` does.

    ``also`` are further columns that the model accounts for. ``contrast`` is the column that is compared, or column, test and
    reference level: findings about other columns are notes then.
    """
    design, matrix = make_design(formula, obs)
    found = list(_freedom(len(matrix), matrix.shape[1], formula))
    found += _of_columns(obs, design, also, matrix.to_numpy(), *_compared(contrast, obs, design.variables, formula))
    return sorted(found, key=lambda finding: finding.severity != SERIOUS)


def _compared(
    contrast: str | Sequence[Any] | None, obs: pd.DataFrame, variables: tuple[str, ...], formula: str
) -> tuple[str | None, list[Any]]:
    if contrast is None:
        return None, []
    column, *levels = [contrast] if isinstance(contrast, str) else list(contrast)
    if column not in variables:
        raise ValueError(
            f"contrast={contrast!r}: the design {formula!r} does not hold {column!r}; it has {list(variables)}."
        )
    if len(levels) not in (0, 2) or not all((obs[column] == level).any() for level in levels):
        raise ValueError(
            f"contrast={contrast!r}: give the column, or the column and two of its levels {obs[column].unique().tolist()[:10]}."
        )
    return column, levels


def _of_columns(
    obs: pd.DataFrame,
    design: Design,
    also: tuple[str, ...],
    matrix: np.ndarray,
    compared: str | None = None,
    levels: Sequence[Any] = (),
) -> Iterator[Finding]:
    columns = sort_columns(obs, design.variables, design.levels)
    factors = [name for name in design.variables if name in columns.categories]
    others = [name for name in columns.categories if name not in {*design.variables, *also}]
    cells = pd.factorize(pd.MultiIndex.from_frame(obs[factors]))[0] if factors else np.zeros(len(obs), int)
    repeated = {name: [*_repeats(name, columns.categories[name], cells, factors, matrix)] for name in others if factors}
    for variable in factors:
        is_compared = compared in (None, variable)
        chosen = list(levels) if variable == compared and levels else obs[variable].unique()
        part = obs[variable].isin(chosen).to_numpy()
        codes = columns.categories[variable][part]
        found = [*_similar_names(obs[variable]), *_small_groups(obs[variable][part])]
        for other in others:
            if not repeated[other]:
                found += _confounding(variable, other, codes, columns.categories[other][part])
        yield from (finding if is_compared else finding._replace(severity=NOTE) for finding in found)
    for name in others:
        yield from repeated.get(name, [])


def findings_table(findings: list[Finding]) -> pd.DataFrame:
    """Return a table with one row per finding."""
    return pd.DataFrame(findings, columns=[SEVERITY, FINDING, REMEDY])


def first_warning(obs: pd.DataFrame, formula: str, also: tuple[str, ...]) -> str | None:
    """Describe the first serious finding about the columns; None without any."""
    design, matrix = make_design(formula, obs)  # a lack of residual degrees of freedom is an error of the regression
    found = _of_columns(obs, design, also, matrix.to_numpy())
    serious = [finding for finding in found if finding.severity == SERIOUS]
    if not serious:
        return None
    more = f" ({len(serious) - 1} more serious findings.)" if len(serious) > 1 else ""
    return (
        f"The design {formula!r}: {serious[0].finding} {serious[0].remedy}{more} All findings: "
        f"print(bulkvi.tl.check_design(adata, {formula!r}))."
    )


def _freedom(n_samples: int, n_columns: int, formula: str) -> Iterator[Finding]:
    free = n_samples - n_columns
    if free > MIN_FREE:
        return
    yield Finding(
        SERIOUS if free == 0 else NOTE,
        f"{n_samples} samples and {n_columns} columns leave {free} residual degrees of freedom.",
        f"The variance between samples can {'not' if free == 0 else 'hardly'} be estimated under {formula!r}: add samples or "
        "leave out variables.",
    )


def _similar_names(column: pd.Series) -> Iterator[Finding]:
    # dots and spaces are part of a number
    levels = sorted(level for level in map(str, column.dropna().unique()) if re.search(r"[^\W\d_]", level))
    plain = pd.Series(levels, index=[re.sub(r"[\s._]+", "", level).lower() for level in levels], dtype=object)
    similar = plain[plain.index.duplicated(keep=False) & (plain.index != "")]
    if len(similar):
        yield Finding(
            SERIOUS,
            f"Levels of {column.name!r} differ only in capitals, spaces, dots or underscores: {', '.join(map(repr, similar[:4]))}.",
            "If they are one group, write them alike: now they are compared as different ones.",
        )


def _small_groups(column: pd.Series) -> Iterator[Finding]:
    counts = column.value_counts()
    alone = sorted(map(str, counts.index[counts == 1]))
    if alone:
        yield Finding(
            NOTE if _has_word(column.name, REPEATED | TECHNICAL) else SERIOUS,
            f"{column.name!r} has levels with one sample: {', '.join(alone[:5])}{' ...' if len(alone) > 5 else ''}.",
            "Their results depend on the variance of the other groups: add samples, merge levels or leave them out.",
        )


def _confounding(variable: str, other: str, a: np.ndarray, b: np.ndarray) -> Iterator[Finding]:
    known = b >= 0
    a, b = a[known], b[known]
    pairs = len(np.unique(a.astype(np.int64) * (int(b.max()) + 1) + b))
    n_a, n_b = len(np.unique(a)), len(np.unique(b))
    if min(n_a, n_b) < 2 or n_b > known.sum() / 2 or pairs > max(n_a, n_b):
        return
    technical = _has_word(other, TECHNICAL)
    if n_a != n_b and not technical:  # a finer or coarser division of the samples, such as the cells of the design
        return
    # the effect of a donor is of no interest, so a donor may have a batch to itself
    severity = SERIOUS if technical and not _has_word(variable, REPEATED | TECHNICAL) else NOTE
    if n_a == n_b:
        finding = f"{variable!r} is fully confounded with {other!r}: each level of one has one level of the other."
    elif n_b > n_a:
        finding = (
            f"{variable!r} is fully confounded with {other!r}: each level of {other!r} has one level of {variable!r}."
        )
    else:
        finding = (
            f"{other!r} follows from {variable!r}: levels of {variable!r} that differ in it are confounded with it."
        )
    if technical and n_b > n_a:
        remedy = (
            f"Add samples that cross {variable!r} with {other!r}; or name {other!r} as donor_key in setup_anndata, so that the "
            f"groups are compared by how much levels of {other!r} differ."
        )
    elif technical:
        remedy = (
            "No analysis of these samples can separate their effects: report this with the results, or add samples that "
            f"cross {variable!r} with {other!r}."
        )
    else:
        remedy = f"If {other!r} is not another word for {variable!r}, its effect cannot be separated from it."
    yield Finding(severity, finding, remedy)


def _repeats(
    name: str, codes: np.ndarray, cells: np.ndarray, factors: list[str], matrix: np.ndarray
) -> Iterator[Finding]:
    known = codes >= 0
    a, b = cells[known], codes[known]
    levels, n_per_level = np.unique(b, return_counts=True)
    pairs, n_per_pair = np.unique(np.stack([a, b]), axis=1, return_counts=True)
    n_cells, nested = len(np.unique(a)), len(pairs[0]) == len(levels)
    # a column that the design decides repeats nothing
    if (n_per_level > 1).mean() <= 0.5 or len(pairs[0]) == n_cells or n_cells < 2:
        return
    library = _has_word(name, LIBRARIES)
    if not library:
        if _has_word(name, RUNS):
            batch = (
                not nested or len(levels) <= 2 * n_cells
            )  # two lanes per group are batches, many are parts of samples
        else:
            coarse = len(levels) < 3 or known.sum() > SAMPLES_PER_DONOR * len(levels)
            batch = _has_word(name, TECHNICAL) or (coarse and not _has_word(name, REPEATED))
        if batch:
            return
    design = " and ".join(repr(factor) for factor in factors)
    donor = f"name {name!r} as donor_key in setup_anndata"
    if (n_per_pair > 1).mean() > 0.5:
        parts = nested and not _has_word(name, REPEATED - LIBRARIES)
        what = "repeats of one sample (lanes, technical replicates)" if parts else "repeated measures of one thing"
        summed = f"Technical replicates are added up: bulkvi.pp.sum_replicates(adata, {name!r}). Other repeats: "
        yield Finding(
            SERIOUS if library and nested else NOTE,
            f"Levels of {name!r} have several samples within a level of {design}: they may be {what}.",
            f"Samples of one {name!r} are then not independent replicates (pseudo-replication). "
            f"{summed if parts else 'If so, '}{donor}.",
        )
    elif not nested:
        coded = np.zeros((len(codes), len(levels)))
        coded[np.flatnonzero(known), np.searchsorted(levels, b)] = 1
        whole = np.hstack([well_conditioned(matrix[None])[0], coded])[known]
        free = int(known.sum()) - int(np.linalg.matrix_rank(whole))
        yield Finding(
            NOTE,
            f"Levels of {name!r} come back in several levels of {design}: the samples may be paired.",
            f"With {name!r} in the design its differences no longer count as noise: '~ {name} + {factors[-1]}'. Where the "
            f"levels are many, {donor} instead."
            if free > MIN_FREE
            else f"If so, {donor}: in the design its {len(levels)} levels would leave {free} residual degrees of freedom.",
        )


def _has_word(name: Any, words: Set[str]) -> bool:
    return bool(words & (words_of(name) | {re.sub("[_ ]", "", str(name)).lower()}))


MAX_LEVELS = 1000
MOSTLY_DISTINCT = 0.75
OWN_PREFIXES = ("_scvi", "_bulkvi")


class Columns(NamedTuple):
    """Columns of obs, as associations between them are measured."""

    categories: dict[str, np.ndarray]
    """Codes of the levels of each categorical column; -1 where missing."""
    numbers: dict[str, np.ndarray]
    """Values of each numeric column; NaN where missing."""
    left_out: dict[str, str]
    """Columns without groups of samples, and why."""


def sort_columns(obs: pd.DataFrame, in_design: Collection[str] = (), levels: Collection[str] = ()) -> Columns:
    """Divide columns of obs into categorical, numeric, and neither (identifiers and constants).

    Whole numbers that repeat (at most half as many as samples), or whose name is that of a batch or donor, are categories. For
    columns of the design, ``levels`` holds the names of the categorical ones.
    """
    categories, numbers, left_out = {}, {}, {}
    for given in obs.columns:
        name, column = str(given), obs[given]
        if name.startswith(OWN_PREFIXES):
            continue
        if isinstance(column, pd.DataFrame):
            left_out[name] = "several columns of one name"
            continue
        try:
            codes, found = pd.factorize(column)
        except TypeError:
            left_out[name] = "things that have no levels, such as lists"
            continue
        n_known = int((codes >= 0).sum())
        numeric = is_number(column)
        if name in in_design:
            is_category = name in levels
        else:
            repeats = pd.api.types.is_integer_dtype(column) and len(found) <= n_known / 2
            is_category = numeric and (repeats or names_groups(name, column))
        if len(found) < 2:
            left_out[name] = "the same in every sample"
        elif numeric and not is_category:
            numbers[name] = column.to_numpy(dtype=float, na_value=np.nan)
        elif len(found) == n_known and name not in in_design:
            left_out[name] = "another value in every sample (an identifier)"
        elif len(found) > MOSTLY_DISTINCT * n_known and name not in in_design:
            left_out[name] = "another value in nearly every sample (an identifier, or free text)"
        elif len(found) > MAX_LEVELS:
            left_out[name] = f"{len(found)} levels"
        else:
            categories[name] = codes
    return Columns(categories, numbers, left_out)
