from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bulkvi.arguments import check_whole
from bulkvi.latent_names import AXIS, LOADING, LOADING_HIGH, LOADING_LOW
from bulkvi.pl._figure import finish, new_panels, set_round_ticks
from bulkvi.pl._gene_table import DOWN, UP, GeneNames, check_table, display_names
from bulkvi.pl._text import plain, set_fonts, write_caption

ORIGIN: Final = ("loadings", "model.get_top_loadings()")
MOST_PANELS: Final = 4  # axes that are drawn unless they are named
ROW: Final = 0.15  # height of a gene, inches
AROUND: Final = 0.75  # height of the labels and margins of a panel, inches


def loadings(
    loadings: pd.DataFrame,
    *,
    axes: str | Sequence[str] | None = None,
    n_genes: int = 10,
    gene_names: GeneNames = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Any:  # an Axes or a list, by the argument
    """Draw the genes with the largest loadings on axes of the latent representation. Which genes are behind an axis?

    A point is the log2 fold change of a gene per standard deviation of the samples along the axis, a line its credible interval;
    genes that rise along the axis are above, those that fall below. What a gene set has to do with an axis is better judged from
    all loadings: ``model.get_loadings()``.

    Parameters
    ----------
    loadings
        Table of ``model.get_top_loadings()``. It is not changed.
    axes
        Axes to draw, such as ``"axis_1"``, or several, for a panel each; by default all of the table, up to 4.
    n_genes
        Largest number of genes for each axis.
    gene_names
        Names of the genes: a column of the table, or names by gene. By default the column ``symbol``, else the index.
    ax, show, save
        Axes to draw on, for one axis, by default in a new figure of one column width (3.3 inches) per panel; whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes for one axis given by its name, else a list of them.

    Raises
    ------
    TypeError, KeyError, ValueError
        If the table has no such column or axis, ``n_genes`` is below 1, or ``ax`` is given for several axes.

    Examples
    --------
    >>> import bulkvi as bv
    >>> table = pd.DataFrame(
    ...     {"axis": "axis_1", "loading": [1.2, -0.8], "loading_low": [1.0, -1.1], "loading_high": [1.4, -0.5]},
    ...     index=["FKBP5", "VCAM1"],
    ... )  # in practice model.get_top_loadings()
    >>> ax = bv.pl.loadings(table, axes="axis_1")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['FKBP5', 'VCAM1']
    """
    check_table(loadings, [AXIS, LOADING, LOADING_LOW, LOADING_HIGH], ORIGIN)
    check_whole("n_genes", n_genes, least=1)
    known = list(dict.fromkeys(loadings[AXIS]))
    chosen = known[:MOST_PANELS] if axes is None else [axes] if isinstance(axes, str) else list(axes)
    if absent := [name for name in chosen if name not in known]:
        raise KeyError(f"no axes {absent} in `loadings`; it has {known}.")
    if not chosen or (ax is not None and len(chosen) > 1):
        raise ValueError(
            f"`axes` names {len(chosen)}; give one or more, and one only with `ax`: a panel needs an Axes of its own."
        )
    parts = [_top(loadings[(loadings[AXIS] == name).to_numpy()], n_genes) for name in chosen]
    height = AROUND + ROW * max(map(len, parts))
    panels = new_panels(len(parts), height=height) if ax is None else [ax]
    for panel, name, part in zip(panels, chosen, parts, strict=True):
        _draw(panel, part, display_names(part, np.arange(len(part)), gene_names, "loadings"))
        write_caption(panel, [plain(str(name).replace("_", " ").capitalize())])
    finish(panels[0], show=show, save=save)
    return panels[0] if isinstance(axes, str) or ax is not None else panels


def _top(table: pd.DataFrame, n_genes: int) -> pd.DataFrame:
    """Rows with the largest absolute loadings, the highest loading first."""
    largest = table[LOADING].abs().to_numpy().argsort(kind="stable")[::-1][:n_genes]
    part = table.iloc[largest]
    return part.iloc[np.argsort(-part[LOADING].to_numpy(), kind="stable")]


def _draw(ax: Axes, part: pd.DataFrame, names: list[str]) -> None:
    """Draw intervals from top to bottom, in the colours of genes that rise and fall."""
    rows = np.arange(len(part))
    value, low, high = (part[column].to_numpy(dtype=float) for column in (LOADING, LOADING_LOW, LOADING_HIGH))
    for at, colour in ((value >= 0, UP), (value < 0, DOWN)):
        ax.hlines(rows[at], low[at], high[at], color=colour, linewidth=1.2)
        ax.scatter(value[at], rows[at], color=colour, s=14, zorder=3)
    ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set_yticks(rows, [plain(name) for name in names], fontsize="x-small")
    set_fonts(ax.get_yticklabels())
    ax.set_ylim(len(part) - 0.5, -0.5)
    set_round_ticks(ax.xaxis)
    ax.tick_params(axis="x", labelsize="small")
    ax.set_xlabel("log2 fold change per sd", fontsize="small")
