"""The query that a table of differential expression answers, and its description."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import names
from bulkvi.model import BulkVI
from bulkvi.reference_names import REFERENCE

TOLERANCE = 1e-6


class Query(NamedTuple):
    """The comparison of a table."""

    label: str
    """The comparison in words, as in the column ``contrast``."""
    arguments: dict[str, Any]
    """Arguments of ``differential_expression``: all of them, those that the label names (two groups), or none."""
    attrs: dict[str, Any]
    """``attrs`` of the table; empty if they were not kept with it."""
    slope: str | None = None
    """Numeric column of ``obs``, if the effect is the change per unit of it."""

    @property
    def is_known(self) -> bool:
        """Whether all arguments are known."""
        return "effect" in self.arguments

    @property
    def groupby(self) -> str | None:
        """Column of the two groups, if two groups were compared."""
        return self.arguments.get("groupby")

    @property
    def groups(self) -> tuple[Any, Any] | None:
        """The two groups; a positive fold change is higher expression in the first."""
        return (self.arguments["group1"], self.arguments["group2"]) if self.groupby is not None else None

    @property
    def interval(self) -> str:
        """Name of the interval, such as 95 % interval."""
        return f"{100 * self.arguments['level']:g} % interval" if self.is_known else "Interval"

    @property
    def direction(self) -> str:
        """Text to follow the word up; empty for a weighted sum."""
        if self.slope is not None:
            return f" with {self.slope}"
        return "" if self.groups is None else f" in {self.groups[0]}"

    @property
    def unit(self) -> str:
        """Text to follow the words fold change."""
        if self.slope is not None:
            return f" per unit of {self.slope}"
        return "" if self.groups is None else f" of {self.groups[0]} over {self.groups[1]}"

    def describe_effect(self) -> str:
        """Describe the kind of effect in the table."""
        if not self.is_known:
            return "Not kept with the table."
        n = int(self.attrs.get(names.N_LATENT_COLUMNS, 0))
        hidden = f"{n} hidden direction{'s' * (n != 1)} of the data"
        match self.arguments["effect"]:
            case "direct" if REFERENCE in self.attrs:
                own = f", and {hidden} beyond them" if n else ""
                return f"Direct: the directions of the reference{own} held fixed, so that a hidden batch is not mistaken for the effect."
            case "total" if REFERENCE in self.attrs:
                return "Total: the direct effect plus the effect through the directions of the reference, which these samples cannot separate."
            case "direct" if n:
                return f"Direct: {hidden} held fixed, so that a hidden batch is not mistaken for the effect."
            case "direct":
                return "Direct, by the design alone: no hidden direction of the data entered the comparison."
            case "latent":
                return f"Latent: the part of the difference that goes through {hidden if n else 'the latent state'}."
            case _:
                return f"Total: the direct effect plus the effect through {hidden}."

    def describe_sign(self) -> str:
        """Describe the meaning of a positive fold change."""
        if self.slope is not None:
            return (
                f"Effects are changes of log2 expression per unit of {self.slope}: +1 is twice as much for each unit, −1 half as "
                f"much. Up means that expression rises with {self.slope}. Over several units effects add up."
            )
        if self.groups is None:
            return (
                f"The effect is the weighted sum {self.label} of coefficients of the design, on the log2 scale: +1 is twice as "
                "much, −1 half as much. Up means that the sum is positive."
            )
        first, second = self.groups
        return f"Fold changes are {first} over {second} on the log2 scale: +1 is twice as much in {first}, −1 half as much."


def query_from_table(model: BulkVI, de: pd.DataFrame) -> Query:
    """Recognise the query of a table by its ``attrs``.

    A table from a file has no ``attrs``, or those of another run, which name other groups than its label. Then the two groups
    of the label are known and nothing else: effect, latent columns, delta and level are left open.
    """
    label = str(de[names.CONTRAST].iloc[0])
    if names.QUERY in de.attrs:
        query = Query(label, dict(de.attrs[names.QUERY]), dict(de.attrs))
        if query.groups is None:
            slope = _slope_column(model, query.arguments)
            return query if slope is None else query._replace(label=f"Change per unit of {slope}", slope=slope)
        if label == f"{query.groupby}: {query.groups[0]} vs {query.groups[1]}":
            return query
    groups = _groups_in_label(label, model.adata)
    return Query(label, {} if groups is None else dict(zip(("groupby", "group1", "group2"), groups, strict=True)), {})


def _slope_column(model: BulkVI, arguments: Mapping[str, Any]) -> str | None:
    """Return the column of ``obs`` whose slope has the weights of the contrast, if there is one."""
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


def _groups_in_label(label: str, adata: AnnData) -> tuple[str, Any, Any] | None:
    """Return the column and the two levels of a label, if it can be read in one way only."""
    found = [
        (column, first, second)
        for column in adata.obs.columns
        if label.startswith(f"{column}: ")
        for first, second in permutations(adata.obs[column].dropna().unique().tolist(), 2)
        if label == f"{column}: {first} vs {second}"
    ]
    return found[0] if len(found) == 1 else None


def group_sizes(adata: AnnData, query: Query, groupby: str | None) -> list[Mapping[str, Any]]:
    """Count the samples of each level of a column, compared groups first."""
    if groupby is None:
        return []
    column = adata.obs[groupby]
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 10:
        return []
    sizes = column.value_counts(sort=False)
    compared = list(query.groups or ()) if groupby == query.groupby else []
    roles = dict(zip(compared, ("compared", "compared with"), strict=False))
    rest = "also in the model" if compared else ""
    ordered = [*compared, *(level for level in sizes.index if level not in compared)]
    return [{"group": str(level), "samples": int(sizes[level]), "role": roles.get(level, rest)} for level in ordered]
