"""A plot as part of a page: drawn without a display, embedded without a file."""

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Final, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH: Final = 3.9
"""Inches; the page shows them at up to this width, where text of 10 points reads like that of the page."""
DPI: Final = 150
"""Of what is drawn as pixels: clouds of thousands of points."""
LARGEST_SVG: Final = 400_000
"""Bytes; a larger one is slow to open, and drawn as PNG."""


class Picture(NamedTuple):
    """A figure of the page."""

    source: str
    """Data URI."""
    width: int
    """CSS pixels."""
    height: int
    title: str
    says: str
    """How to read it, for everyone."""
    alt: str
    """What is seen, for who does not see it."""


def draw(
    plot: Callable[[Axes], object], *, title: str, says: str, alt: str, height: float, width: float = WIDTH
) -> Picture:
    """Draw on an Axes of its own and embed as SVG, or as PNG where that would be large."""
    figure = Figure(figsize=(width, height), layout="constrained")
    plot(figure.subplots())
    # as an image each SVG has its own space of ids, which inside one page would clash
    kind, saved = "svg+xml", _saved(figure, "svg")
    if len(saved) > LARGEST_SVG:
        kind, saved = "png", _saved(figure, "png")
    source = f"data:image/{kind};base64,{base64.b64encode(saved).decode()}"
    return Picture(source, round(96 * width), round(96 * height), title, says, alt)


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = BytesIO()
    # no date and no random ids: the same analysis gives the same page
    with rc_context({"svg.hashsalt": "bulkvi"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()
