"""Questions of ``bulkvi de``: contrasts, slopes, weighted sums and omnibus tests, as they are given."""

import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import typer

from bulkvi.cli._command import SEPARATOR

Kind = Literal["contrast", "slope", "weights", "omnibus"]
LONGEST_NAME: Final = 120
"""Bytes of the name of a folder; file systems allow 255 for it and any suffix."""


class Question(NamedTuple):
    """A question to a trained model."""

    kind: Kind
    words: tuple[str, ...]
    """Words after the option."""
    folder: str
    """Name of its folder, where there are several questions."""
    column: str | None = None
    """Column of the sample sheet that it is about; None for weights of several or none."""
    groups: tuple[str, Any, Any] | None = None
    """Column, test and reference of a contrast, as in the sample sheet."""
    weights: dict[str, float] | None = None
    """Weights of columns of the design, of a slope or a weighted sum."""
    numbers: tuple[float, float] | None = None
    """Smallest and largest value of a numeric column, of a slope or an omnibus test."""

    @property
    def flag(self) -> str:
        """The option as it was given."""
        return f"--{self.kind} {' '.join(self.words)}"

    @property
    def label(self) -> str:
        """The question in a few words."""
        match self.kind:
            case "contrast":
                column, test, reference = self.groups or self.words
                return f"{column}: {test} vs {reference}"
            case "slope":
                return f"{self.column or self.words[0]}: change per unit"
            case "weights":
                return ", ".join(f"{column} = {weight:g}" for column, weight in (self.weights or {}).items())
            case _:
                return f"{self.column or self.words[0]}: any difference"

    def describe_sign(self) -> str:
        """Describe the meaning of +1, or the hypotheses of an omnibus test."""
        match self.kind:
            case "contrast":
                column, test, reference = self.groups or self.words
                return f"log2, {test} over {reference} ({column}): +1 is twice as much in {test}, -1 half as much."
            case "slope":
                low, high = self.numbers or (math.nan, math.nan)
                return (
                    f"log2 per unit of {self.column}, which is {low:g} to {high:g} here: with each unit more, +1 is twice as "
                    f"much, -1 half as much. Up: expression rises with {self.column}."
                )
            case "weights":
                return f"log2, the weighted sum {self.label}: +1 is twice as much, -1 half as much."
            case _:
                return f"Likelihood ratio test of the design against the design without {self.column}: no direction."


def questions_in(
    contrasts: Sequence[str] | None,
    slopes: Sequence[str] | None,
    weights: Sequence[str] | None,
    omnibus: Sequence[str] | None,
    *,
    delta: float,
    gene_sets: str | None,
) -> list[Question]:
    """List the questions of a command line in the order of its help, each with a folder name; typer.BadParameter if there is none."""
    given: list[tuple[Kind, tuple[str, ...]]] = [
        *(("contrast", tuple(words.split(SEPARATOR))) for words in contrasts or ()),
        *(("slope", (words,)) for words in slopes or ()),
        *(("weights", (words,)) for words in weights or ()),
        *(("omnibus", (words,)) for words in omnibus or ()),
    ]
    if not given:
        raise typer.BadParameter(
            "Nothing to compare: give --contrast COLUMN TEST REFERENCE, --slope COLUMN, --weights 'COLUMN=WEIGHT,...' or "
            "--omnibus COLUMN.",
            param_hint="--contrast",
        )
    for kind, words in given:
        if not all(word.strip(" `") for word in words):
            raise typer.BadParameter(f"A word is empty: {' '.join(map(repr, words))}.", param_hint=f"--{kind}")
    if not (math.isfinite(delta) and delta >= 0):
        raise typer.BadParameter(f"{delta:g} is not 0 or more (log2); give 1 for twofold, say.", param_hint="--delta")
    if all(kind == "omnibus" for kind, _ in given):
        for flag, what in (("--delta", "a smallest effect" if delta else None), ("--gene-sets", gene_sets)):
            if what is not None:
                raise typer.BadParameter(
                    "An omnibus test has no effect and no direction. Add a --contrast or --slope, or leave this out.",
                    param_hint=flag,
                )
    folders: list[str] = []
    for kind, words in given:
        folders.append(_unused(_folder_name(kind, words), folders))
    return [Question(kind, words, folder) for (kind, words), folder in zip(given, folders, strict=True)]


def _folder_name(kind: Kind, words: tuple[str, ...]) -> str:
    """Return a readable name of a folder that is safe for file systems and shells."""
    parts = [re.sub(r"[^\w.+-]+", "_", unicodedata.normalize("NFC", word)).strip("_.-") or "_" for word in words]
    name = f"{parts[0]}_{parts[1]}_vs_{parts[2]}" if kind == "contrast" else f"{kind}_{parts[0]}"
    return name.encode()[:LONGEST_NAME].decode(errors="ignore").rstrip(".")


def _unused(name: str, used: Sequence[str]) -> str:
    """Add a number to a name that another question has; some file systems ignore case."""
    taken = {other.casefold() for other in used}
    numbered = (name if k == 1 else f"{name}_{k}" for k in range(1, len(used) + 2))
    return next(each for each in numbered if each.casefold() not in taken)


def folder_of(out: Path, question: Question, questions: Sequence[Question]) -> Path:
    """Return the folder of the results of a question: ``out``, or a folder in it if there are several questions."""
    return out if len(questions) == 1 else out / question.folder
