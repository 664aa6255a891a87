"""Columns of obs as a design codes them: text and names of groups as categories, measurements as numbers."""

import re
from collections.abc import Collection, Hashable
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from bulkvi.study.formula import Formula
from bulkvi.study.formula_names import CATEGORY, PLAIN


class Columns(NamedTuple):
    """Columns of obs by the words of the rewritten formula."""

    table: pd.DataFrame
    """Samples x words."""
    levels: dict[str, list[Any]]
    """Levels of the columns of obs that are categories."""


def coded_columns(parsed: Formula, obs: pd.DataFrame, known: dict[str, list[Any]] | None = None) -> Columns:
    """Code the column of each word of a formula in its role, as a category or a number.

    ``known`` holds the levels of the categories of the training samples, for new samples. Raise ValueError if a column has
    missing values, a dtype that a design does not accept, a level without samples, only one level, or an unknown level.
    """
    columns = {name: _complete(column_of(obs, name), obs) for name in parsed.variables}
    labels = [
        name
        for name in numbers_by_themselves(parsed, obs)
        if (names_groups(name, columns[name]) if known is None else name in known)
    ]
    table, levels = {}, {}
    for word, (name, role) in parsed.names.uses.items():
        column = _in_role(columns[name], role, is_label=name in labels)
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = _with_samples(column) if known is None else _in_known_levels(column, known, parsed)
            levels[name] = list(column.cat.categories)
        table[word] = column
    return Columns(pd.DataFrame(table, index=obs.index), levels)


def numbers_by_themselves(parsed: Formula, obs: pd.DataFrame) -> list[str]:
    """Return the columns of numbers that are terms by themselves: slopes, unless they are names of groups."""
    found = dict.fromkeys(use.column for use in parsed.names.uses.values() if use.role == PLAIN)
    return [name for name in found if is_number(column_of(obs, name))]


def require_columns(required: Collection[str], obs: pd.DataFrame) -> None:
    """Raise KeyError with the columns that obs lacks."""
    present = set(map(str, obs.columns))
    missing = sorted(name for name in required if name not in present)
    if missing:
        raise KeyError(f"The design needs the columns {missing} of adata.obs; it has {list(obs.columns)}.")


def column_of(obs: pd.DataFrame, name: str) -> pd.Series:
    """Return the column of that name; raise ValueError if there are several."""
    places = [k for k, label in enumerate(obs.columns) if str(label) == name]
    if len(places) > 1:
        raise ValueError(f"adata.obs has {len(places)} columns {name!r}. Rename all but one.")
    return obs.iloc[:, places[0]].rename(name)


def _complete(column: pd.Series, obs: pd.DataFrame) -> pd.Series:
    if column.isna().any():
        samples = list(obs.index[column.isna()][:5])
        raise ValueError(
            f"Column {column.name!r} of adata.obs is missing for {int(column.isna().sum())} samples (first: {samples}). "
            f"Fill it in or leave these samples out: adata[adata.obs[{column.name!r}].notna()]."
        )
    return column


def _in_role(column: pd.Series, role: str, *, is_label: bool) -> pd.Series:
    reason = _not_taken(column)
    if reason and not (role == CATEGORY and _is_date(column)):
        raise ValueError(f"The design cannot be built from adata.obs: {reason}")
    if is_number(column):
        return as_labels(column).astype("category") if is_label or role == CATEGORY else column.astype(float)
    return column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")


def _with_samples(column: pd.Series) -> pd.Series:
    """Return the column; raise ValueError if a level has no samples, or if there is one level only."""
    counts = column.value_counts()
    empty = list(counts.index[counts == 0])
    if empty:
        raise ValueError(
            f"Column {column.name!r} of adata.obs has levels without samples: {empty}. Remove them with "
            f"adata.obs[{column.name!r}] = adata.obs[{column.name!r}].cat.remove_unused_categories()."
        )
    if len(counts) == 1:
        raise ValueError(
            f"Column {column.name!r} of adata.obs has one level, {counts.index[0]!r}, in every sample: it explains nothing. "
            "Leave it out of the design, or bring in samples of another level."
        )
    return column


def _in_known_levels(column: pd.Series, known: dict[str, list[Any]], parsed: Formula) -> pd.Series:
    levels = known.get(str(column.name))
    if levels is None:
        return column
    unknown = sorted(set(column.astype(object)) - set(levels), key=str)
    if unknown:
        raise ValueError(
            f"Column {column.name!r} of obs has levels {unknown} that the design {parsed.text!r} was not fitted with. "
            f"Known levels: {levels}."
        )
    return pd.Series(pd.Categorical(column.astype(object), categories=levels), index=column.index, name=column.name)


def _is_date(column: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(column) or isinstance(column.dtype, pd.PeriodDtype)


def _not_taken(column: pd.Series) -> str | None:
    """Explain why a design does not accept a column, and what to give instead; None if it does."""
    kinds = "A design takes numbers, text, yes/no and categories."
    if _is_date(column):
        return (
            f"column {column.name!r} holds dates ({column.dtype}). {kinds} For days as categories use C({column.name}); for "
            "a trend over time make a column of numbers, such as days since the first one."
        )
    if pd.api.types.is_timedelta64_dtype(column) or pd.api.types.is_complex_dtype(column):
        return f"column {column.name!r} is of dtype {column.dtype}. {kinds} Make a column of numbers from it."
    if column.dtype == object and not column.map(lambda value: isinstance(value, Hashable)).all():
        return f"column {column.name!r} holds things such as {column.iloc[0]!r}. {kinds}"
    return None


GROUPS: Final = frozenset(
    "batch batches lane lanes plate plates run runs flowcell library lib libraries sequencer center centre site sites hospital "
    "clinic lab operator technician chip slide pool kit machine instrument barcode cohort study donor donors patient patients "
    "subject subjects individual individuals participant participants person persons animal animals mouse mice rat rats fish fly "
    "block blocks replicate replicates rep biorep bioreps clone clones line litter litters family families cage cages tank plot "
    "plots pair pairs pairing twin twins id ids code group groups arm genotype strain cluster well row".split()
)
"""Words in the name of a column whose values are names."""
QUANTITIES: Final = frozenset(
    "age ages year years yr yrs month months week weeks day days hour hours hr hrs h min mins minute minutes sec second seconds "
    "time times timepoint tp when date dose doses conc concentration amount weight height length width mass volume bmi rin rqn score "
    "scores percent percentage pct fraction frac ratio rate purity size sizes depth count counts "
    "number num n reads umi umis pc pcs sv dim umap temperature temp ph od mg ug ng ml ul mm um nm log coverage yield quality "
    "quantity mean sum total median".split()
)
"""Words in the name of a column whose values are measured or counted."""
MIN_LEVELS: Final = 3
"""With two values a slope and two groups are the same."""
MAX_SHOWN: Final = 5


def is_number(column: pd.Series) -> bool:
    """Whether a column holds numbers; booleans are not numbers here."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def as_labels(column: pd.Series) -> pd.Series:
    """Return whole numbers as integers (1.0 is 1), so that equal numbers are equal names of groups."""
    if not is_number(column) or pd.api.types.is_complex_dtype(column) or column.isna().any():
        return column
    if pd.api.types.is_integer_dtype(column):
        return column.astype(column.dtype.name.lower()) if pd.api.types.is_extension_array_dtype(column) else column
    values = column.to_numpy(float)
    whole = bool((np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**53)).all())
    return column.astype(float).astype("int64") if whole else column


def names_groups(name: Any, column: pd.Series) -> bool:
    """Whether the numbers of a column are names of groups, so that a slope over them is meaningless.

    They are whole numbers, and either the column's name is one of a grouping (donor, batch, plate_id), or they are consecutive,
    each occurs twice on average, and the name is not one of a quantity (age, dose, day, score).
    """
    values = as_labels(column).dropna()
    if not is_number(column) or not pd.api.types.is_integer_dtype(values) or values.empty:
        return False
    words = words_of(name)
    if words & QUANTITIES:
        return False
    if words & GROUPS:
        return True
    distinct = np.unique(values.to_numpy())
    consecutive = distinct[-1] - distinct[0] == len(distinct) - 1
    return bool(consecutive and MIN_LEVELS <= len(distinct) <= len(values) / 2)


def words_of(name: Any) -> set[str]:
    """Split a column's name into lower-case words: ``donorID``, ``donor_id`` and ``Donor.1`` all contain donor."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", str(name)).lower()
    return set(re.split(r"[\W\d_]+", spaced)) - {""}


def warnings_of_numbers(obs: pd.DataFrame, labels: list[str], slopes: list[str]) -> list[str]:
    """Describe how a design uses columns of numbers: ``labels`` as names of groups, ``slopes`` as measurements.

    Slopes that are measurements beyond doubt are left out.
    """
    messages = []
    for name in labels:
        messages.append(
            f"Column {name!r} holds the numbers {_first(obs[name])}, taken for names of {obs[name].nunique()} groups and not for a slope. "
            f"If they are measurements, write slope({_quoted(name)}) in its place; C({_quoted(name)}) declares them names."
        )
    for name in slopes:
        values = as_labels(obs[name])
        n = values.nunique()
        whole = pd.api.types.is_integer_dtype(values)
        if whole and MIN_LEVELS <= n <= len(obs) / 2 and not words_of(name) & QUANTITIES:
            messages.append(
                f"Column {name!r} holds the numbers {_first(obs[name])} and enters the design as a slope. "
                f"If they are names of groups, write C({_quoted(name)}) in its place; slope({_quoted(name)}) declares them numbers."
            )
    return messages


def _first(column: pd.Series) -> str:
    values = sorted(as_labels(column).unique().tolist())
    return f"{', '.join(map(str, values[:MAX_SHOWN]))}{', ...' if len(values) > MAX_SHOWN else ''}"


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
