"""Which genes to name, and names beside points."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke

from bulkvi.names import SYMBOL
from bulkvi.pl._text import plain, set_fonts

N_ROUNDS: Final = 300
"""Rounds of moving names apart; a limit in seconds would give another picture on another machine."""

MAX_LAYOUTS: Final = 10


def chosen_genes(table: pd.DataFrame, label: int | Sequence[str], ranked: np.ndarray, argument: str) -> np.ndarray:
    """Positions of the genes to name: the first so many of those ranked, or those that are named in the index.

    Raises
    ------
    TypeError
        If it is neither a whole number nor names.
    ValueError
        If the number is negative.
    KeyError
        If a gene is not in the index.
    """
    if isinstance(label, bool | float | np.floating):
        raise TypeError(f"`label` is a number of genes, 0 or more, or the genes themselves; it is {label!r}.")
    if isinstance(label, int | np.integer):
        if label < 0:
            raise ValueError(f"`label` is a number of genes, 0 or more, or the genes themselves; it is {label}.")
        return ranked[:label]
    genes = [label] if isinstance(label, str) else list(label)
    absent = [gene for gene in genes if gene not in table.index]
    if absent:
        raise KeyError(
            f"genes to label are not in the index of `{argument}`: {absent[:5]}; it holds {list(table.index[:3])} ..."
        )
    return np.flatnonzero(table.index.isin(genes))


def names_of(
    table: pd.DataFrame, chosen: np.ndarray, gene_names: str | Mapping[str, str] | pd.Series | None, argument: str
) -> list[str]:
    """What to call the chosen genes of the table that an argument is or holds; a gene without a name keeps its id.

    Raises
    ------
    KeyError
        If ``gene_names`` is no column of the table.
    """
    if isinstance(gene_names, str) and gene_names not in table:
        raise KeyError(f"no column {gene_names!r} in `{argument}`; it has {list(table.columns)}.")
    if gene_names is None and SYMBOL in table:
        gene_names = SYMBOL
    genes = table.index[chosen]
    if gene_names is None:
        names = list(genes)
    elif isinstance(gene_names, str):
        names = list(table[gene_names].iloc[chosen])
    else:
        names = [gene_names.get(gene) for gene in genes]
    return [str(gene if pd.isna(name) or name == "" else name) for gene, name in zip(genes, names, strict=True)]


def write_names(ax: Axes, x: np.ndarray, y: np.ndarray, names: list[str], *, ring: bool = True) -> None:
    """Write names of points where they do not hide each other, with lines to the points, which are ringed."""
    figure = ax.get_figure(root=True)
    if figure is None or not names:
        return
    white = [withStroke(linewidth=1.5, foreground="white")]
    shown = [plain(name) for name in names]
    texts = [ax.text(*at, fontsize="x-small", path_effects=white) for at in zip(x, y, shown, strict=True)]
    set_fonts(texts)
    for text in texts:
        text.set_in_layout(False)  # or names that start outside would make the Axes smaller
    if ring:
        ax.scatter(x, y, s=9, facecolors="none", edgecolors="0.2", linewidths=0.5, zorder=4)
    _settle(ax, figure)
    # an Axes of its own, as adjustText cannot draw the subfigure that ours may be in
    stage = Axes(figure, ax.get_window_extent().padded(-4).transformed(figure.transFigure.inverted()))
    adjust_text(texts, ax=stage, iter_lim=N_ROUNDS, force_text=(0.5, 0.8), force_static=(0.3, 0.5), expand=(1.15, 1.4))
    for text, point in zip(texts, zip(x, y, strict=True), strict=True):
        line = FancyArrowPatch(
            posA=text.get_position(),
            posB=point,
            patchA=text,  # type: ignore[arg-type]  # any artist that knows what it contains
            arrowstyle="-",
            shrinkB=0,
            color="0.4",
            linewidth=0.5,
        )
        ax.add_patch(line)


def _settle(ax: Axes, figure: Figure) -> None:
    """Give the Axes its final place: with equal axes, each layout of the figure brings it only nearer.

    Other axes are there at the first, and more would shrink them for a legend that is wider than they are.
    """
    before = np.full(4, np.inf)
    for _ in range(1 if ax.get_aspect() == "auto" else MAX_LAYOUTS):
        figure.draw_without_rendering()
        now = np.array(ax.get_window_extent().bounds)
        if np.abs(now - before).max() < 0.5:  # pixels
            return
        before = now
