from os import PathLike
from typing import Literal, get_args

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from bulkvi import power_names as pn
from bulkvi.pl._figure import AXES_HEIGHT, OKABE_ITO, finish, legend_below, legend_height, new_axes
from bulkvi.pl._text import plain, write_caption

PowerKind = Literal["power", "calls", "interval_width", "chance"]
LINES = {
    pn.POWER: (pn.POWER, pn.POWER_ANY, pn.FALSE_SHARE),
    pn.CALLS: (pn.CALLS, pn.CHANGED, pn.FALSE_CALLS),
    pn.INTERVAL_WIDTH: (pn.INTERVAL_WIDTH,),
}
Y_LABELS = {
    pn.POWER: "Share of genes",
    pn.CALLS: "Genes",
    pn.INTERVAL_WIDTH: "Width of 95 % interval (log2)",
    pn.CHANCE: "Chance to be called",
}
MARKERS = "os^Dv<>P"
MAX_GENES = len(OKABE_ITO)
BESIDE = 0.012
"""Shift of each line to the side, relative to the range of the x axis: bars of equal n must not hide each other."""


def power(
    table: pd.DataFrame,
    *,
    kind: PowerKind = "power",
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw what a future study finds against its number of samples. How many replicates are needed?

    Points are expected values, bars the ranges of the table. ``kind="power"``: shares of the changed genes that are called, and of
    the calls that are false. ``"calls"``: numbers of calls, of false ones, and of genes that are changed by more than ``delta``.
    ``"interval_width"``: width of the 95 % interval of the median gene. ``"chance"``: chance of each named gene to be called.

    Parameters
    ----------
    table
        Result of :func:`bulkvi.tl.power`. It is not changed.
    kind
        Which of the quantities.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    KeyError
        If the table lacks a column of :func:`bulkvi.tl.power`.
    ValueError
        If ``kind`` is unknown, or the table has no named gene, or more than 8, for ``"chance"``.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=3, n_genes=300)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    >>> table = bv.tl.power(bv.BulkVI(adata), "group", "B", "A", n=[3, 6], progress_bar=False)
    >>> bv.pl.power(table).get_xlabel()
    'Samples per group'
    """
    if kind not in get_args(PowerKind):
        raise ValueError(f"`kind` must be one of {', '.join(map(repr, get_args(PowerKind)))}; it is {kind!r}.")
    needed = [pn.N_PER_GROUP, pn.QUANTITY, pn.GENE, pn.EXPECTED, pn.LOW, pn.HIGH]
    if absent := [name for name in needed if name not in table.columns]:
        raise KeyError(f"the table has no columns {absent}: give a result of bulkvi.tl.power.")
    settings = table.attrs.get(pn.SETTINGS, {})
    lines = _lines(table, kind, settings)
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + legend_height(len(lines)))
    sizes = np.unique(table[pn.N_PER_GROUP])
    reach = max(float(sizes[-1] - sizes[0]), 1.0)
    handles = []
    for i, (label, rows) in enumerate(lines.items()):
        x = rows[pn.N_PER_GROUP].to_numpy() + (i - (len(lines) - 1) / 2) * BESIDE * reach
        colour = OKABE_ITO[i]
        ax.vlines(x, rows[pn.LOW], rows[pn.HIGH], color=colour, linewidth=1.6, alpha=0.6)
        handles += ax.plot(
            x, rows[pn.EXPECTED], color=colour, marker=MARKERS[i], markersize=4, linewidth=1, label=plain(label)
        )
    ax.set(xlabel="Samples per group", ylabel=Y_LABELS[kind], xlim=(sizes[0] - 0.08 * reach, sizes[-1] + 0.08 * reach))
    ax.xaxis.set_major_locator(FixedLocator(sizes.tolist()) if sizes.size <= 8 else MaxNLocator(6, integer=True))
    ax.xaxis.set_minor_locator(NullLocator())
    if kind in (pn.POWER, pn.CHANCE):
        ax.set_ylim(-0.02, 1.02)
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    else:
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if kind == pn.CALLS else "{x:g}"))
    if kind != pn.INTERVAL_WIDTH:
        legend_below(ax, handles, ncols=1 if kind != pn.CHANCE else None)
    if settings:
        first, second = settings["pilot"]
        pilot = f"{settings['contrast']}, from {first} against {second} samples"
        write_caption(ax, [pilot, f"{settings['level']:.0%} ranges"])
    return finish(ax, show=show, save=save)


def _lines(table: pd.DataFrame, kind: str, settings: dict) -> dict[str, pd.DataFrame]:
    """Rows of each line by its label, in order of n."""
    table = table.sort_values(pn.N_PER_GROUP, kind="stable")
    if kind == pn.CHANCE:
        rows = table[table[pn.QUANTITY] == pn.CHANCE]
        genes = list(dict.fromkeys(rows[pn.GENE]))
        if not 1 <= len(genes) <= MAX_GENES:
            raise ValueError(
                f"The table has the chances of {len(genes)} genes, and 1 to {MAX_GENES} can be drawn: give genes= to bulkvi.tl.power, or "
                "draw a part of the table."
            )
        return {gene: rows[rows[pn.GENE] == gene] for gene in genes}
    delta = f"{settings['delta']:g} (log2)" if "delta" in settings else "delta"
    labels = {
        pn.POWER: f"found, above {delta}",
        pn.POWER_ANY: "found, all changes",
        pn.FALSE_SHARE: "false calls",
        pn.CALLS: "called",
        pn.CHANGED: f"changed, above {delta}",
        pn.FALSE_CALLS: "falsely called",
        pn.INTERVAL_WIDTH: "median gene",
    }
    return {labels[name]: table[table[pn.QUANTITY] == name] for name in LINES[kind]}
