"""Samples of a group apart by other columns, where the levels of a gene differ between them."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bulkvi.names import GROUP, RATE, RATE_HIGH, RATE_LOW, STRATUM, WITHIN
from bulkvi.pl._axes import LAID_OUT, check_column, legend_columns, width_in_points
from bulkvi.pl._gene_points import check_columns, legend_beneath
from bulkvi.pl._text import plain

ORIGIN: Final = ("rates", "model.get_group_rates()")
STRATUM_MARKERS: Final = ("o", "s", "^", "v")
"""Other than the diamond of a rate."""
MAX_NAMED: Final = len(STRATUM_MARKERS)
"""Most strata with a marker and a legend entry each."""
WIDTH: Final = 0.84
"""Of the strata of a group together, in groups."""
WIDEST: Final = 0.42
"""Of one stratum."""
RATE_AT: Final = 0.3
"""How far right of the middle of its stratum a rate is drawn, in widths of a stratum."""
NAMED_RATE: Final = "model's rate, credible interval"
WITHIN_RATE: Final = "model's rate"


class Strata(NamedTuple):
    """Combinations of the levels of some columns."""

    columns: list[str]
    labels: list[str]
    """Levels of each stratum, joined by a comma."""
    codes: np.ndarray
    """Stratum of each sample."""

    @property
    def width(self) -> float:
        """Of one stratum, in groups."""
        return min(WIDTH / len(self.labels), WIDEST)

    @property
    def middles(self) -> np.ndarray:
        """Place of each stratum relative to its group."""
        return self.width * (np.arange(len(self.labels)) - (len(self.labels) - 1) / 2)

    @property
    def markers(self) -> list[str]:
        """Marker of each stratum; one for all where there are many."""
        n = len(self.labels)
        return list(STRATUM_MARKERS[:n]) if n <= MAX_NAMED else [STRATUM_MARKERS[0]] * n


def strata_of(adata: AnnData, within: str | Sequence[str] | None, rates: pd.DataFrame | None) -> Strata | None:
    """Strata of the samples by these columns, or by those of the rates; None without any."""
    if within is None and rates is not None:
        within = getattr(rates, "attrs", {}).get(WITHIN)
    columns = [within] if isinstance(within, str) else list(within or ())
    if not columns:
        return None
    values = pd.concat([check_column(adata, column) for column in columns], axis=1)
    labels = values.astype(str).agg(", ".join, axis=1).to_numpy()
    codes = values.groupby(columns, observed=True, sort=True, dropna=False).ngroup().to_numpy()
    first = [int(np.flatnonzero(codes == code)[0]) for code in range(codes.max() + 1)]
    return Strata(columns, [str(labels[sample]) for sample in first], codes)


def rates_by_level(rates: pd.DataFrame, name: str, groupby: str, levels: list, strata: Strata | None) -> np.ndarray:
    """Position of a group, with strata that of the stratum, rate, lower and upper end of its interval; 4 or 5 x rates."""
    check_columns(rates, [GROUP, RATE, RATE_LOW, RATE_HIGH, *([STRATUM] if strata else [])], ORIGIN)
    rows = rates[rates.index == name]
    if rows.empty:
        raise KeyError(f"`rates` has no row of gene {name!r}; its index holds {list(rates.index[:3])} ...")
    given = [str(group) for group in rows[GROUP]]
    places = {str(level): place for place, level in enumerate(levels)}
    strange = [group for group in given if group not in places]
    values = rows[[RATE, RATE_LOW, RATE_HIGH]].to_numpy(dtype=float, na_value=np.nan).T
    if strata is not None and not strange:
        strata_places = {label: place for place, label in enumerate(strata.labels)}
        at = [strata_places.get(str(stratum), -1) for stratum in rows[STRATUM]]
        if -1 in at or rows.duplicated([GROUP, STRATUM]).any():
            raise ValueError(
                f"`rates` of gene {name!r} must have one row for a group and stratum, and strata that are levels of "
                f"{strata.columns}, {strata.labels[:5]} ...; it has {list(rows[STRATUM].unique()[:5])}."
            )
        return np.vstack([[places[group] for group in given], at, values])
    if strange or len(set(given)) < len(given):
        raise ValueError(
            f"`rates` of gene {name!r} must have one row for a group, and groups that are levels of {groupby!r}, "
            f"{list(places)}; it has {given}."
        )
    return np.vstack([[places[group] for group in given], values])


def draw_stratum_rates(ax: Axes, strata: Strata, rows: np.ndarray) -> None:
    """Draw rates with their intervals at their strata, joined by a line within each stratum.

    Parameters
    ----------
    ax
        Where to draw.
    strata
        Of the samples.
    rows
        Position of the group, stratum, rate, lower and upper end; 5 x rates.
    """
    group, stratum, rate, low, high = rows
    x = group + strata.middles[stratum.astype(int)] + RATE_AT * strata.width
    size = 3.5 if len(strata.labels) <= MAX_NAMED else 2
    ax.errorbar(
        x,
        rate,
        yerr=[rate - low, high - rate],
        fmt="D",
        color="black",
        markersize=size,
        linewidth=0.3 * size,
        capsize=0.7 * size,
    )
    for k in range(len(strata.labels)):
        at = np.flatnonzero(stratum == k)
        at = at[np.argsort(group[at])]
        ax.plot(x[at], rate[at], color="0.6", linewidth=0.7, zorder=0.9)


def strata_legend(ax: Axes, strata: Strata, *, lower: float, rates: bool) -> None:
    """Markers of the strata below an Axes, where they are few, and the rate."""
    entries = []
    if len(strata.labels) <= MAX_NAMED:
        entries = [
            _entry(marker, "0.4", plain(label)) for marker, label in zip(strata.markers, strata.labels, strict=True)
        ]
    entries += [_entry("D", "black", WITHIN_RATE)] if rates else []
    if entries:
        texts = [str(entry.get_label()) for entry in entries]
        legend_beneath(
            ax,
            entries,
            title=f"Within {', '.join(plain(column) for column in strata.columns)}",
            lower=lower,
            ncols=_columns(ax, texts),
        )


def legend_rows(ax: Axes, strata: Strata, *, rates: bool) -> int:
    """Rows of that legend, its title included."""
    texts = [plain(label) for label in strata.labels] if len(strata.labels) <= MAX_NAMED else []
    texts += [WITHIN_RATE] if rates else []
    return 1 + math.ceil(len(texts) / _columns(ax, texts)) if texts else 0


def _columns(ax: Axes, texts: Sequence[str]) -> int:
    return legend_columns(LAID_OUT * width_in_points(ax), texts)


def _entry(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, markersize=4, markeredgewidth=0, color=colour, label=label)
