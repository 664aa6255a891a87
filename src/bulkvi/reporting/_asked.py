"""What was asked of the model, in words."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import names
from bulkvi.model import BulkVI

TOLERANCE = 1e-6
# Between them they tell apart what effect was asked for, of what size (delta), and how sure (level).
TELLING = [names.LOG_FC, names.LOG_FC_LOW, names.LOG_FC_HIGH, names.P_VALUE]


class Asked(NamedTuple):
    """The comparison that a table answers."""

    label: str
    """The comparison in words, as in the column ``contrast``."""
    arguments: dict[str, Any]
    """Arguments of ``differential_expression``; empty if they are not known."""
    attrs: dict[str, Any]
    """``attrs`` of the table; empty if they are not known."""
    slope: str | None = None
    """Numeric column of ``obs``, if the effect is the change per unit of it."""

    @property
    def groupby(self) -> str | None:
        """Column of the two groups, if it is two groups that were compared."""
        return self.arguments.get("groupby")

    @property
    def groups(self) -> tuple[Any, Any] | None:
        """The two groups, the one that is up where fold changes are positive first."""
        return (self.arguments["group1"], self.arguments["group2"]) if self.groupby is not None else None

    @property
    def interval(self) -> str:
        """Name of the interval, such as 95 % interval."""
        return f"{100 * self.arguments['level']:g} % interval" if self.arguments else "Interval"

    def effect_in_words(self) -> str:
        """Which effect the table holds."""
        if not self.arguments:
            return "Not kept with the table."
        n = int(self.attrs.get(names.N_LATENT_COLUMNS, 0))
        held = f"{n} hidden direction{'s' * (n != 1)} of the data"
        match self.arguments["effect"]:
            case "direct" if n:
                return f"Direct: {held} held fixed, so that a hidden batch does not pass for the effect."
            case "direct":
                return "Direct, by the design alone: no hidden direction of the data entered the comparison."
            case "latent":
                return f"Latent: the part of the difference that {held or 'the latent state'} carries."
            case _:
                return f"Total: the direct effect and what {held} carry, added up."

    def up(self) -> str:
        """Which way is up, to follow the word up; empty if it is the sign of a weighted sum."""
        if self.slope is not None:
            return f" with {self.slope}"
        return "" if self.groups is None else f" in {self.groups[0]}"

    def of_what(self) -> str:
        """What the fold changes are of, to follow their name."""
        if self.slope is not None:
            return f" per unit of {self.slope}"
        return "" if self.groups is None else f" of {self.groups[0]} over {self.groups[1]}"

    def sign_in_words(self) -> str:
        """What a positive fold change means."""
        if self.slope is not None:
            return (
                f"Effects are changes of log2 expression per unit of {self.slope}: with each unit more, +1 is twice as much, −1 "
                f"half as much. Up means that expression rises with {self.slope}. Over several units effects add up."
            )
        if self.groups is None:
            return (
                f"The effect is the weighted sum {self.label} of coefficients of the design, on the log2 scale: +1 is twice as "
                "much, −1 half as much. Up means that the sum is positive."
            )
        first, second = self.groups
        return f"Fold changes are {first} over {second} on the log2 scale: +1 is twice as much in {first}, −1 half as much."


def asked_of(model: BulkVI, de: pd.DataFrame) -> Asked:
    """Recognise the comparison of a table.

    A table that was read from a file has lost its ``attrs``, or been given those of another run, which name other groups
    than its label. If its label names two groups, the comparison is made again
    with default arguments; where it gives the same table, that is what was asked, and else it is left unknown.
    """
    label = str(de[names.CONTRAST].iloc[0])
    if names.QUERY in de.attrs:
        asked = Asked(label, dict(de.attrs[names.QUERY]), dict(de.attrs))
        if asked.groups is None:
            slope = _slope_of(model, asked.arguments)
            return asked if slope is None else asked._replace(label=f"Change per unit of {slope}", slope=slope)
        if label == f"{asked.groupby}: {asked.groups[0]} vs {asked.groups[1]}":
            return asked
    groups = _groups_of(label, model.adata)
    if groups is None:
        return Asked(label, {}, {})
    again = model.differential_expression(*groups)
    same = np.allclose(again[TELLING], de[TELLING], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return Asked(label, dict(again.attrs[names.QUERY]), dict(again.attrs)) if same else Asked(label, {}, {})


def _slope_of(model: BulkVI, arguments: Mapping[str, Any]) -> str | None:
    """Column of ``obs`` whose slope the weights of the design's columns are; None if they are not the slope of one."""
    given = pd.Series(arguments.get("contrast") or {}, dtype=float)
    for column in model.adata.obs.columns:
        try:
            weights = model.get_slope_weights(str(column))
        except (KeyError, ValueError):
            continue
        weights = weights[weights != 0]
        if set(weights.index) == set(given.index) and np.allclose(weights, given[weights.index], rtol=TOLERANCE):
            return str(column)
    return None


def _groups_of(label: str, adata: AnnData) -> tuple[str, Any, Any] | None:
    """Column and two levels that a label names, if there is one way to read it."""
    found = [
        (column, first, second)
        for column in adata.obs.columns
        if label.startswith(f"{column}: ")
        for first, second in permutations(adata.obs[column].dropna().unique().tolist(), 2)
        if label == f"{column}: {first} vs {second}"
    ]
    return found[0] if len(found) == 1 else None


def group_sizes(adata: AnnData, asked: Asked, groupby: str | None) -> list[Mapping[str, Any]]:
    """Number of samples of each level of the column compared, those compared first."""
    if groupby is None:
        return []
    column = adata.obs[groupby]
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 10:
        return []
    sizes = column.value_counts(sort=False)
    compared = list(asked.groups or ()) if groupby == asked.groupby else []
    roles = {0: "compared", 1: "compared with"}
    ordered = [*compared, *(level for level in sizes.index if level not in compared)]
    return [
        {
            "group": str(level),
            "samples": int(sizes[level]),
            "role": roles[compared.index(level)] if level in compared else ("also in the model" if compared else ""),
        }
        for level in ordered
    ]
