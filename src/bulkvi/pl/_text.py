"""Text of a figure: names of users as plain characters, captions, and names near their points."""

import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import numpy as np
from adjustText import adjust_text
from matplotlib import font_manager, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

SMALL: Final = 0.833  # font size that matplotlib calls small, as a share of the usual one
LONGEST: Final = 28  # characters of a name that are drawn; a longer one loses its middle
HEAD: Final = 16
BOX: Final = "\N{WHITE SQUARE}"
"""Drawn where no installed font has the character."""
VARIANTS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Marks that choose a variant of the character before them."""
LIKELY_FONTS: Final = (
    *("CJK", "Unicode", "Noto", "Source Han", "WenQuanYi", "Droid"),
    *("PingFang", "YaHei", "Gothic", "DejaVu", "Symbol"),
)
"""Parts of the names of fonts with many scripts, which are searched first."""
N_ROUNDS: Final = 300  # rounds of moving names apart; a limit in seconds would give another picture on another machine
MAX_LAYOUTS: Final = 10
NAME_MARGIN: Final = 0.15  # free room around named samples, as a share of the axis


def plain(name: object) -> str:
    """Return a name as text that is drawn character by character, on one line.

    A dollar sign is escaped: matplotlib reads a pair of them as a formula. Line breaks and control characters become
    spaces, invisible marks are left out. Characters that no installed font has become boxes, with a warning per script.
    """
    text = "".join(_visible(character) for character in str(name)).strip()
    if not text:
        return "(no name)"
    if len(text) > LONGEST:
        text = f"{text[:HEAD]}…{text[HEAD - LONGEST + 1 :]}"
    missing = sorted({character for character in text if not _font_with(character, tuple(rcParams["font.family"]))})
    for script in sorted({_script(character) for character in missing}):
        warnings.warn(
            f"no installed font has the {script} characters of some names, which are drawn as {BOX}: install one that has "
            "them, such as a Noto font.",
            UserWarning,
            stacklevel=2,
        )
    return text.translate({ord(character): BOX for character in missing}).replace("$", r"\$")


def set_fonts(texts: Iterable[Text]) -> None:
    """Add fonts for characters that the usual one lacks; call it before the texts are measured or drawn."""
    for text in texts:
        usual = tuple(text.get_fontfamily())
        found = (_font_with(character, usual) for character in dict.fromkeys(text.get_text()))
        more = [font for font in dict.fromkeys(found) if font and font not in usual]
        if more:
            text.set_fontfamily([*usual, *more])


def width_in_points(ax: Axes) -> float:
    """Width of an Axes, points."""
    return 72 * ax.get_window_extent().width / ax.figure.dpi


def text_width(n_characters: int) -> float:
    """Approximate width of small text, points."""
    return 0.5 * SMALL * rcParams["font.size"] * n_characters


def write_caption(ax: Axes, parts: Sequence[str]) -> None:
    """Write parts above an Axes, separated by semicolons, in as many lines as its width needs; names must be :func:`plain`."""
    lines = [parts[0]]
    for part in parts[1:]:
        joined = f"{lines[-1]}; {part}"
        if text_width(len(joined)) <= width_in_points(ax):
            lines[-1] = joined
        else:
            lines[-1] += ";"
            lines.append(part)
    set_fonts([ax.set_title("\n".join(lines), loc="left", fontsize="small")])


def write_names(ax: Axes, x: np.ndarray, y: np.ndarray, names: list[str], *, ring: bool = True) -> None:
    """Write names near their points without overlap, joined to them by lines; optionally draw a ring around each point."""
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
    _fix_position(ax, figure)
    # a separate Axes, as adjustText cannot draw the subfigure that ours may be in
    stage = Axes(figure, ax.get_window_extent().padded(-4).transformed(figure.transFigure.inverted()))
    adjust_text(texts, ax=stage, iter_lim=N_ROUNDS, force_text=(0.5, 0.8), force_static=(0.3, 0.5), expand=(1.15, 1.4))
    for text, point in zip(texts, zip(x, y, strict=True), strict=True):
        line = FancyArrowPatch(
            posA=text.get_position(),
            posB=point,
            patchA=text,  # type: ignore[arg-type]  # any artist with `contains`
            arrowstyle="-",
            shrinkB=0,
            color="0.4",
            linewidth=0.5,
        )
        ax.add_patch(line)


def _fix_position(ax: Axes, figure: Figure) -> None:
    """Lay out the figure until the Axes has its final position.

    With equal axes each layout only approaches it. Other axes have it after one; more layouts would shrink them if a
    legend is wider.
    """
    before = np.full(4, np.inf)
    for _ in range(1 if ax.get_aspect() == "auto" else MAX_LAYOUTS):
        figure.draw_without_rendering()
        now = np.array(ax.get_window_extent().bounds)
        if np.abs(now - before).max() < 0.5:  # pixels
            return
        before = now


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    return "" if kind == "Cf" or character in VARIANTS else character


def _script(character: str) -> str:
    name = unicodedata.name(character, "")
    return name.split()[0].lower().replace("cjk", "Chinese, Japanese or Korean") if name else "unassigned"


@cache
def _font_with(character: str, usual: tuple[str, ...]) -> str:
    """Family that has a character: the first of the usual ones, or another; empty if none has."""
    for family in usual:
        if character in _characters(str(font_manager.findfont(FontProperties(family=[family])))):
            return usual[0]
    entries = {entry.name: entry.fname for entry in reversed(font_manager.fontManager.ttflist)}
    order = sorted(entries, key=lambda name: (not any(part in name for part in LIKELY_FONTS), name))
    for name in order:
        # matplotlib's font "Last Resort" has a box for each character
        if not name.startswith("Last Resort") and character in _characters(entries[name]):
            return name
    return ""


@cache
def _characters(path: str) -> str:
    """All characters of a font file, as one text that takes little memory; none of a file that cannot be read."""
    try:
        return "".join(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError):
        return ""
