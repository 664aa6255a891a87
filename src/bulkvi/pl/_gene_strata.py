"""Samples of a group separated by the levels of other columns, and the rates of each group."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from bulkvi.names import GROUP, RATE, RATE_HIGH, RATE_LOW, STRATUM, WITHIN
from bulkvi.pl._figure import LAID_OUT, legend_below, legend_columns, legend_height, legend_marker
from bulkvi.pl._gene_table import check_table
from bulkvi.pl._samples import check_column
from bulkvi.pl._text import plain, width_in_points

STRATUM_MARKERS: Final = ("o", "s", "^", "v")  # other than the diamond of a rate
MAX_NAMED: Final = len(STRATUM_MARKERS)
"""Most strata with a marker and a legend entry each."""
WIDTH: Final = 0.84  # width of all strata of a group, in groups
WIDEST: Final = 0.42  # largest width of one stratum, in groups
RATE_AT: Final = 0.3  # place of a rate to the right of the middle of its stratum, in widths of a stratum
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
        """Width of one stratum, in groups."""
        return min(WIDTH / len(self.labels), WIDEST)

    @property
    def middles(self) -> np.ndarray:
        """Place of each stratum relative to its group."""
        return self.width * (np.arange(len(self.labels)) - (len(self.labels) - 1) / 2)

    @property
    def markers(self) -> list[str]:
        """Marker of each stratum; the same for all if there are many."""
        n = len(self.labels)
        return list(STRATUM_MARKERS[:n]) if n <= MAX_NAMED else [STRATUM_MARKERS[0]] * n


def find_strata(adata: AnnData, within: str | Sequence[str] | None, rates: pd.DataFrame | None) -> Strata | None:
    """Stratify the samples by these columns, by default by those of the rates; None without any."""
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
    """Position of the group, of the stratum (0 without strata), rate, lower and upper end of its interval; 5 x rates."""
    needed = [GROUP, RATE, RATE_LOW, RATE_HIGH, *([STRATUM] if strata else [])]
    check_table(rates, needed, ("rates", "model.get_group_rates()"))
    rows = rates[rates.index == name]
    if rows.empty:
        raise KeyError(f"`rates` has no row of gene {name!r}; its index holds {list(rates.index[:3])} ...")
    given = [str(group) for group in rows[GROUP]]
    places = {str(level): place for place, level in enumerate(levels)}
    unknown = [group for group in given if group not in places]
    stratum = [0] * len(rows)
    if strata is not None and not unknown:
        stratum_places = {label: place for place, label in enumerate(strata.labels)}
        stratum = [stratum_places.get(str(one), -1) for one in rows[STRATUM]]
        if -1 in stratum or rows.duplicated([GROUP, STRATUM]).any():
            raise ValueError(
                f"`rates` of gene {name!r} must have one row for a group and stratum, and strata that are levels of "
                f"{strata.columns}, {strata.labels[:5]} ...; it has {list(rows[STRATUM].unique()[:5])}."
            )
    elif unknown or len(set(given)) < len(given):
        raise ValueError(
            f"`rates` of gene {name!r} must have one row for a group, and groups that are levels of {groupby!r}, "
            f"{list(places)}; it has {given}."
        )
    values = rows[[RATE, RATE_LOW, RATE_HIGH]].to_numpy(dtype=float, na_value=np.nan).T
    return np.vstack([[places[group] for group in given], stratum, values])


def draw_stratum_rates(ax: Axes, strata: Strata, rows: np.ndarray) -> None:
    """Draw rates with their intervals at their strata, joined by a line within each; ``rows`` are :func:`rates_by_level`."""
    group, stratum, rate, low, high = rows
    x = group + strata.middles[stratum.astype(int)] + RATE_AT * strata.width
    size = 3.5 if len(strata.labels) <= MAX_NAMED else 2
    look: dict[str, Any] = {
        "fmt": "D",
        "color": "black",
        "markersize": size,
        "linewidth": 0.3 * size,
        "capsize": 0.7 * size,
    }
    ax.errorbar(x, rate, yerr=[rate - low, high - rate], **look)
    for k in range(len(strata.labels)):
        at = np.flatnonzero(stratum == k)
        at = at[np.argsort(group[at])]
        ax.plot(x[at], rate[at], color="0.6", linewidth=0.7, zorder=0.9)


def draw_strata_legend(ax: Axes, strata: Strata, *, lower: float, rates: bool) -> float:
    """Explain the markers of the strata, unless there are many, and the rate; return the height of the legend, inches."""
    looks = [("D", "black", WITHIN_RATE)] if rates else []
    if len(strata.labels) <= MAX_NAMED:
        named = zip(strata.markers, strata.labels, strict=True)
        looks = [*((marker, "0.4", plain(label)) for marker, label in named), *looks]
    if not looks:
        return 0.0
    entries = [legend_marker(colour, label, marker=marker, markersize=4) for marker, colour, label in looks]
    n_columns = legend_columns(LAID_OUT * width_in_points(ax), [label for _, _, label in looks])
    title = f"Within {', '.join(plain(column) for column in strata.columns)}"
    legend_below(ax, entries, title=title, lower=lower, ncols=n_columns)
    return legend_height(len(entries), n_columns, title=True)
