"""What a command says on standard error: steps, the package's warnings as notes, errors without a traceback."""

import logging
import re
import shlex
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer

Say = Callable[[str], None]

PACKAGE: Final = Path(__file__).parents[1]
WRONG_INPUT: Final = 2
FAILURE: Final = 1
EXPLAINED: Final = {
    WRONG_INPUT: (ValueError, KeyError, TypeError, ImportError, OSError),
    FAILURE: (ValueError, KeyError, OSError),  # others are bugs, and want their traceback
}
TALKATIVE: Final = ("lightning.pytorch.utilities.rank_zero", "matplotlib.font_manager", "scvi.data._download")


def reporter() -> Say:
    """A function that prints a line with the seconds since now, to standard error."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    start = time.perf_counter()

    def say(text: str) -> None:
        console.print(f"{time.perf_counter() - start:5.1f} s  {text}", soft_wrap=True)

    return say


@contextmanager
def noted(say: Say) -> Iterator[list[str]]:
    """Say warnings of bulkvi as notes of one line, and list them; leave those about other libraries' insides out."""
    notes: list[str] = []

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: object = None,
    ) -> None:
        text = " ".join(str(message).split())
        if category is UserWarning and PACKAGE in Path(filename).parents and text not in notes:
            notes.append(text)
            say(f"Note: {in_flags(text)}")

    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(action="always"):
        warnings.showwarning = show  # put back by catch_warnings
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield notes
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def exits(code: int) -> Iterator[None]:
    """Turn the errors that bulkvi explains into their message and an exit code."""
    try:
        yield
    except EXPLAINED[code] as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        typer.echo(f"Error: {in_flags(text)}", err=True)
        raise typer.Exit(code) from error


FLAGS: Final = {
    "match": "--match",
    "samples_in": "--samples-in",
    "gene_column": "--gene-column",
    "sample_column": "--sample-column",
    "layer": "--layer",
    "duplicate_genes": "--duplicate-genes",
    "missing": "--missing",
    "strandedness": "--strandedness",
    "transcripts": "--transcripts",
    "min_counts": "--min-counts",
    "sex_key": "--sex",
}
"""How the arguments that messages name are given on the command line."""


IN_WORDS: Final = (
    (r"print\(bulkvi\.tl\.check_design\(adata, ('[^']*')\)\)", r"bulkvi check COUNTS SAMPLES --design \1"),
    (r"name ('[^']*') as donor_key in setup_anndata", r"add --donor \1"),
    (r"donor_key (of|in) setup_anndata", "--donor"),
    (r"bulkvi\.pp\.sum_replicates\(adata, ('[^']*')\)", r"--sum-replicates \1"),
    (r": adata\[adata\.obs\[.*?\]\.notna\(\)\]", " (take their rows out of the sheet)"),
    (r"(a column that )?adata\.obs lacks", r"\1the sample sheet lacks"),
    (r"\badata\.obs\b", "the sample sheet"),
    (r"\bround_counts=True", "--round"),
)
"""What messages say in Python, and what it is called here."""


def in_flags(message: str) -> str:
    """The message with arguments of Python, such as ``match='case'``, as options of the command line."""
    for python, here in IN_WORDS:
        message = re.sub(python, here, message)
    for argument, flag in FLAGS.items():
        for quoted in set(re.findall(rf"\b{argument}='([^']*)'", message)):
            message = message.replace(f"{argument}='{quoted}'", f"{flag} {shlex.quote(quoted)}")
        message = re.sub(rf"\b{argument}=(\w+)", rf"{flag} \1", message)
        message = re.sub(rf"\bas {argument}\b", f"with {flag}", message)
    return message
