"""Names that users bring, as text of a figure: no markup, one line, in fonts that have their characters."""

import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache
from typing import Final

from matplotlib import font_manager, rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

LONGEST: Final = 28
"""Characters of a name that are drawn; of a longer one both ends are."""
HEAD: Final = 16
BOX: Final = "\N{WHITE SQUARE}"
"""Drawn where no installed font has the character."""
VARIANTS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Marks that choose a variant of the character before them."""
LAST_RESORT: Final = "Last Resort"
"""Font of matplotlib that has a box for each character."""
LIKELY: Final = (
    "CJK",
    "Unicode",
    "Noto",
    "Source Han",
    "WenQuanYi",
    "Droid",
    "PingFang",
    "YaHei",
    "Gothic",
    "DejaVu",
    "Symbol",
)
"""Parts of the names of fonts that have many scripts, which are looked at first."""


def plain(name: object) -> str:
    """Text that is drawn as the characters of a name, whatever they are.

    A dollar sign is escaped: a pair of them would be read as a formula. Line breaks and control characters become spaces, marks
    without a shape of their own are left out, a long name loses its middle. Characters that no installed font has
    become boxes, with a warning for each script.
    """
    text = "".join(_shown(character) for character in str(name)).strip()
    if not text:
        return "(no name)"
    if len(text) > LONGEST:
        text = f"{text[:HEAD]}…{text[HEAD - LONGEST + 1 :]}"
    missing = sorted({character for character in text if not _font_with(character, _usual_fonts())})
    for script in sorted({_script(character) for character in missing}):
        warnings.warn(
            f"no installed font has the {script} characters of some names, which are drawn as {BOX}: install one that has "
            "them, such as a Noto font.",
            UserWarning,
            stacklevel=2,
        )
    return text.translate({ord(character): BOX for character in missing}).replace("$", r"\$")


def set_fonts(texts: Iterable[Text]) -> None:
    """Let texts use further fonts for characters that the usual one lacks; call it before they are measured or drawn."""
    for text in texts:
        usual = tuple(text.get_fontfamily())
        found = (_font_with(character, usual) for character in dict.fromkeys(text.get_text()))
        more = [font for font in dict.fromkeys(found) if font and font not in usual]
        if more:
            text.set_fontfamily([*usual, *more])


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    return "" if kind == "Cf" or character in VARIANTS else character


def _usual_fonts() -> tuple[str, ...]:
    return tuple(rcParams["font.family"])


def _script(character: str) -> str:
    name = unicodedata.name(character, "")
    return name.split()[0].lower().replace("cjk", "Chinese, Japanese or Korean") if name else "unassigned"


@cache
def _font_with(character: str, usual: tuple[str, ...]) -> str:
    """Family that has a character: the first of the usual ones, or another; empty if none has."""
    for path in _paths(usual):
        if character in _characters(path):
            return usual[0]
    entries = {entry.name: entry.fname for entry in reversed(font_manager.fontManager.ttflist)}
    order = sorted(entries, key=lambda name: (not any(part in name for part in LIKELY), name))
    for name in order:
        if not name.startswith(LAST_RESORT) and character in _characters(entries[name]):
            return name
    return ""


@cache
def _paths(usual: tuple[str, ...]) -> list[str]:
    return [str(font_manager.findfont(FontProperties(family=[family]))) for family in usual]


@cache
def _characters(path: str) -> str:
    """All characters of a font file, as one text that takes little memory; none of a file that cannot be read."""
    try:
        return "".join(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError):
        return ""
