"""The axis of the counts of one gene."""

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bulkvi.pl._normalised import symbol_of
from bulkvi.pl._text import plain


def gene_title(adata: AnnData, position: int) -> str:
    """Symbol and name of a gene, or its name alone."""
    name = plain(adata.var_names[position])
    symbol = plain(symbol_of(adata, position))
    return name if symbol == name else f"{symbol} ({name})"


def log1p(x: np.ndarray) -> np.ndarray:
    """log(1 + x), and its mirror image below zero, where the margin of the Axes may be."""
    return np.sign(x) * np.log1p(np.abs(x))


def expm1(y: np.ndarray) -> np.ndarray:
    """The inverse of :func:`log1p`."""
    return np.sign(y) * np.expm1(np.abs(y))


def set_count_ticks(ax: Axes) -> None:
    """Round numbers as ticks of an axis of log(1 + x)."""
    low, high = ax.get_ylim()
    if high < 1:
        ax.set_ylim(top=1)
    decades = 10.0 ** np.arange(np.ceil(np.log10(max(high, 10))))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [tick for tick in (0, *np.outer(decades, steps).ravel()) if low <= tick <= high]
        if 3 <= len(ticks) <= 7:
            ax.yaxis.set_major_locator(FixedLocator(ticks))
            break
    ax.yaxis.set_minor_locator(NullLocator())
    thousands = EngFormatter(sep=" ")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: thousands(x) if x >= 10_000 else f"{x:,.4g}"))
