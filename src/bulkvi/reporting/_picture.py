"""A plot that is embedded in the page and written to files: drawn once, without a display."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH: Final = 3.3
"""Inches: one column of a journal."""
SCALE: Final = 1.18
"""Size on the page relative to that of the file, so that text of 10 points reads like that of the page."""
DPI: Final = 180
"""Resolution of what the page holds as pixels: clouds of thousands of points."""
FILE_DPI: Final = 300
LARGEST_SVG: Final = 400_000
"""Bytes; a larger one is slow to open, and embedded as PNG."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its description."""

    figure: Figure
    title: str
    caption: str
    """How to read it."""
    alt: str
    """What is seen, for readers who do not see it."""
    scale: float
    file: str
    """Name of its files, without an ending; empty if it is on the page only."""

    @property
    def width(self) -> int:
        """CSS pixels."""
        return round(96 * self.scale * self.figure.get_figwidth())

    @property
    def height(self) -> int:
        """CSS pixels."""
        return round(96 * self.scale * self.figure.get_figheight())

    @cached_property
    def source(self) -> str:
        """Data URI: SVG, or PNG where SVG would be large."""
        # as an image each SVG has its own space of ids, which inside one page would clash
        kind, content = "svg+xml", self._content("svg")
        if len(content) > LARGEST_SVG:
            kind, content = "png", self._content("png")
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

    def _content(self, kind: str) -> bytes:
        buffer = BytesIO()
        # no date and no random ids: the same analysis gives the same page
        with rc_context({"svg.hashsalt": "bulkvi"}):
            self.figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
        return buffer.getvalue()

    def write(self, folder: Path) -> None:
        """Write the figure as PNG and PDF."""
        for kind in ("png", "pdf"):
            self.figure.savefig(folder / f"{self.file}.{kind}", dpi=FILE_DPI)


def draw(
    plot: Callable[[Axes], object],
    *,
    title: str = "",
    caption: str = "",
    alt: str = "",
    height: float,
    scale: float = SCALE,
    file: str = "",
) -> Picture:
    """Draw on an Axes of its own; ``height`` in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    plot(figure.subplots())
    # all formats have one layout: with an engine each of them would be drawn twice
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine(None)
    return Picture(figure, title, caption, alt, scale, file)
