"""Numbers that name groups (donor 1, 2, 3): told from measurements by the column's name and by how its values repeat."""

import re
from typing import Any, Final

import numpy as np
import pandas as pd

GROUPS: Final = frozenset(
    "batch batches lane lanes plate plates run runs flowcell library lib libraries sequencer center centre site sites hospital "
    "clinic lab operator technician chip slide pool kit machine instrument barcode cohort study donor donors patient patients "
    "subject subjects individual individuals participant participants person persons animal animals mouse mice rat rats fish fly "
    "block blocks replicate replicates rep biorep bioreps clone clones line litter litters family families cage cages tank plot "
    "plots pair pairs pairing twin twins id ids code group groups arm genotype strain cluster well row".split()
)
"""Words of a name that say: the values are names."""
QUANTITIES: Final = frozenset(
    "age ages year years yr yrs month months week weeks day days hour hours hr hrs h min mins minute minutes sec second seconds "
    "time times timepoint tp when date dose doses conc concentration amount weight height length width mass volume bmi rin rqn score "
    "scores percent percentage pct fraction frac ratio rate purity size sizes depth count counts "
    "number num n reads umi umis pc pcs sv dim umap temperature temp ph od mg ug ng ml ul mm um nm log coverage yield quality "
    "quantity mean sum total median".split()
)
"""Words of a name that say: the values are measured or counted."""
MIN_LEVELS: Final = 3
"""With two values a slope and two groups are the same."""
MAX_SHOWN: Final = 5


def is_number(column: pd.Series) -> bool:
    """Whether a column holds numbers, yes and no left out."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def as_labels(column: pd.Series) -> pd.Series:
    """The same with whole numbers as such (1.0 is 1), so that they are written alike as names of groups."""
    if not is_number(column) or pd.api.types.is_complex_dtype(column) or column.isna().any():
        return column
    if pd.api.types.is_integer_dtype(column):
        return column.astype(column.dtype.name.lower()) if pd.api.types.is_extension_array_dtype(column) else column
    values = column.to_numpy(float)
    whole = bool((np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**53)).all())
    return column.astype(float).astype("int64") if whole else column


def names_groups(name: Any, column: pd.Series) -> bool:
    """Whether the numbers of a column are names of groups, so that a slope over them means nothing.

    They are if they are whole and either the column's name says so (donor, batch, plate_id) or they are 1, 2, 3, ... (or a run
    of whole numbers), each of them twice on average, and the name is not that of a quantity (age, dose, day, score).
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
    """Words of a column's name in small letters: ``donorID``, ``donor_id`` and ``Donor.1`` all have donor."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", str(name)).lower()
    return set(re.split(r"[\W\d_]+", apart)) - {""}


def said_of_numbers(obs: pd.DataFrame, labels: list[str], slopes: list[str]) -> list[str]:
    """What to say about columns of numbers by themselves in a design, so that nobody has to guess.

    Parameters
    ----------
    obs
        The samples.
    labels
        Columns taken for names of groups.
    slopes
        Columns taken for measurements; those that are so beyond doubt are passed over.
    """
    said = []
    for name in labels:
        said.append(
            f"Column {name!r} holds the numbers {_first(obs[name])}, taken for names of {obs[name].nunique()} groups and not for a slope. "
            f"If they are measurements, write slope({_quoted(name)}) in its place; C({_quoted(name)}) says that they are names."
        )
    for name in slopes:
        values = as_labels(obs[name])
        n = values.nunique()
        whole = pd.api.types.is_integer_dtype(values)
        if whole and MIN_LEVELS <= n <= len(obs) / 2 and not words_of(name) & QUANTITIES:
            said.append(
                f"Column {name!r} holds the numbers {_first(obs[name])} and enters the design as a slope. "
                f"If they are names of groups, write C({_quoted(name)}) in its place; slope({_quoted(name)}) says that they are numbers."
            )
    return said


def _first(column: pd.Series) -> str:
    values = sorted(as_labels(column).unique().tolist())
    return f"{', '.join(map(str, values[:MAX_SHOWN]))}{', ...' if len(values) > MAX_SHOWN else ''}"


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
