"""What each plot does last: save and show the figure if asked to."""

from os import PathLike
from typing import Final

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

DPI: Final = 300
"""Dots per inch of saved bitmaps, and of the many points that are drawn as one in a vector file."""


def finish(ax: Axes, *, show: bool, save: str | PathLike[str] | None) -> Axes:
    """Save the figure of an Axes, then show it, each if asked to.

    Raises
    ------
    TypeError
        If ``show`` is neither True nor False.
    """
    if not isinstance(show, bool):
        raise TypeError(f"`show` is True or False; it is {show!r}.")
    figure = ax.get_figure(root=True)
    if save is not None and figure is not None:
        # text of vector files as text: journals refuse matplotlib's usual outlines
        with plt.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42}):
            figure.savefig(save, dpi=DPI)
    if show:
        plt.show()
    return ax
