"""Questions of ``bulkvi de``: contrasts, slopes, weighted sums and omnibus tests, as they are given."""

import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import typer

from bulkvi.cli._run_file import SEPARATOR

Kind = Literal["contrast", "slope", "weights", "omnibus"]
LONGEST_NAME: Final = 120
"""Bytes of the name of a folder; file systems allow 255 for it and any suffix."""

Contrasts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN TEST REFERENCE",
        help="Two groups to compare: up means more in TEST than in REFERENCE. It may be given again, for several questions to "
        "one trained model; so may --slope, --weights and --omnibus.",
    ),
]
Slopes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Numeric column of the design: the log2 change per unit of it. Up means that expression rises with it.",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'COLUMN=WEIGHT,...'",
        help="Any other contrast, such as an interaction: weights of columns of the design matrix, "
        "'dose[T.high]=1,dose[T.low]=-1/2', "
        "or 'genotype[T.mutant]:treatment[T.drug]=1'. The error about an unknown column lists them.",
    ),
]
Omnibus = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the design: any difference between its levels, or any effect of its numbers (omnibus test by "
        "likelihood ratio).",
    ),
]
Delta = Annotated[
    float,
    typer.Option(
        metavar="LOG2",
        help="Smallest effect that matters, log2 (of a slope per unit): p-values test for a larger one.",
    ),
]


class Question(NamedTuple):
    """A question to a trained model."""

    kind: Kind
    words: tuple[str, ...]
    """What followed the option."""
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

    def sign_in_words(self) -> str:
        """What +1 means; for an omnibus test what is tested."""
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
    """List the questions of a command line in the order of its help, each with a folder name of its own.

    Raises
    ------
    typer.BadParameter
        If there is none, or options do not go together.
    """
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
    """Readable name of a folder, without anything that a file system or a shell takes amiss."""
    parts = [re.sub(r"[^\w.+-]+", "_", unicodedata.normalize("NFC", word)).strip("_.-") or "_" for word in words]
    name = f"{parts[0]}_{parts[1]}_vs_{parts[2]}" if kind == "contrast" else f"{kind}_{parts[0]}"
    return name.encode()[:LONGEST_NAME].decode(errors="ignore").rstrip(".")


def _unused(name: str, used: Sequence[str]) -> str:
    """The name, with a number if another question has it; capitals are the same to some file systems."""
    taken = {other.casefold() for other in used}
    numbered = (name if k == 1 else f"{name}_{k}" for k in range(1, len(used) + 2))
    return next(each for each in numbered if each.casefold() not in taken)


def folder_of(out: Path, question: Question, questions: Sequence[Question]) -> Path:
    """Where the results of a question go: the folder itself, or one in it where there are several."""
    return out if len(questions) == 1 else out / question.folder
