"""Output of a command on standard error: steps, the package's warnings as notes, errors without a traceback."""

import errno
import gc
import logging
import os
import re
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from types import TracebackType
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
STATE: Final = "bulkvi.state"
"""In ``meta`` of a command's context: the sentence on the state of its folder."""
REASONS: Final = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EIO: "the disk failed",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
}
DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
HIDDEN: Final = ".bulkvi-"
"""Begins the names of files that exist only while a command writes."""
VERBOSE_LOGGERS: Final = ("lightning.pytorch.utilities.rank_zero", "matplotlib.font_manager", "scvi.data._download")


def reporter() -> Say:
    """Return a function that prints a line with the seconds since now, to standard error."""
    start = time.perf_counter()

    def say(text: str) -> None:
        print_error(f"{time.perf_counter() - start:5.1f} s  {text}")

    return say


@contextmanager
def warnings_as_notes(say: Say) -> Iterator[list[str]]:
    """Print warnings of bulkvi as notes of one line, and list them; suppress warnings and output of other libraries."""
    from bulkvi.arguments import BulkVIWarning  # NumPy would delay --help

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
        of_the_package = category is BulkVIWarning or (category is UserWarning and PACKAGE in Path(filename).parents)
        if of_the_package and text not in notes:
            notes.append(text)
            say(f"Note: {translate_to_flags(text)}")

    loggers = [logging.getLogger(name) for name in VERBOSE_LOGGERS]
    levels = [logger.level for logger in loggers]
    # standard output is for the answer
    with warnings.catch_warnings(action="always"), redirect_stdout(StringIO()):
        warnings.showwarning = show  # restored by catch_warnings
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield notes
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def exits(code: int, ctx: typer.Context | None = None) -> Iterator[None]:
    """Turn the errors that bulkvi explains into their message and an exit code, ``WRONG_INPUT`` or ``FAILURE``.

    With the context of a command that writes a folder the message includes the state of the folder.
    """
    try:
        yield
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as error:
        # libraries may fail in their own way on a full disk
        of_disk = disk_error(error) is not None
        if not isinstance(error, EXPLAINED[code]) and not of_disk:
            raise
        state = f" {ctx.meta[STATE]}" if ctx is not None and STATE in ctx.meta else ""
        print_error(f"Error: {translate_to_flags(error_message(error))}{state}")
        if of_disk:
            _release_files(error)
        raise typer.Exit(code) from error


def print_error(line: str) -> None:
    """Print a line on standard error, also if nobody reads it: the result is more important."""
    with suppress(OSError, ValueError):
        typer.echo(line, err=True)


def error_message(error: BaseException) -> str:
    """Return the message of an error; one of the operating system is described in words."""
    disk = disk_error(error)
    if disk is None and isinstance(error, OSError) and error.errno is not None:
        disk = error
    if disk is not None:
        where = [Path(str(name)) for name in (disk.filename, getattr(error, "filename", None)) if name]
        parts = [part for part in where[0].parts if not part.startswith(HIDDEN)] if where else []
        text = f"{Path(*parts)}: {reason(disk)}" if parts else reason(disk).capitalize()
        return f"{text}."
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def reason(error: OSError) -> str:
    """Describe the reason of the operating system."""
    known = REASONS.get(error.errno or 0)
    return known or (error.strerror or str(error)).rstrip(".").lower()


def disk_error(error: BaseException | None) -> OSError | None:
    """Return the error of the disk that caused an error, if there is one; libraries wrap it in their own."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return error
        # HDF5 closes a file with an error of its own, which holds that of the disk as text
        if isinstance(error, RuntimeError) and (found := re.search(r"\berrno = (\d+)", str(error))):
            number = int(found[1])
            if number in DISK_ERRORS:
                file = re.search(r"filename = '([^']*)'", str(error))
                return OSError(number, os.strerror(number), file[1] if file else None)
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def quiet_destructors() -> Iterator[None]:
    """Hide the errors of a full disk that h5py's destructors print: the command reports the disk itself.

    Cython prints them twice, by ``sys.excepthook`` and by ``sys.unraisablehook``.
    """
    excepthook, unraisablehook = sys.excepthook, sys.unraisablehook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if disk_error(error) is None:
            excepthook(kind, error, trace)

    def show_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
        if disk_error(unraisable.exc_value) is None:
            unraisablehook(unraisable)

    sys.excepthook, sys.unraisablehook = show, show_unraisable
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook = excepthook, unraisablehook


def _release_files(error: BaseException | None) -> None:
    """Let go of the open files in the frames of an error, so that their destructors run before the command ends."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keep Python's garbage collector from the objects of libraries that are imported, a quarter of the time of that."""
    was_enabled, loaded = gc.isenabled(), "torch" in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if not loaded:
            gc.freeze()  # they stay until the end
        if was_enabled:
            gc.enable()


ARGUMENTS: Final = (
    *(
        "match",
        "samples_in",
        "gene_column",
        "sample_column",
        "layer",
        "sheet",
        "duplicate_genes",
        "missing",
        "strandedness",
    ),
    *("transcripts", "lengths", "genes", "min_counts", "control_genes"),
)
FLAGS: Final = {name: f"--{name.replace('_', '-')}" for name in ARGUMENTS} | {"sex_key": "--sex"}
"""Options of the arguments that messages name."""
PYTHON_TO_FLAGS: Final = (
    (r"print\(bulkvi\.tl\.check_design\(adata, ('[^']*')\)\)", r"bulkvi check COUNTS SAMPLES --design \1"),
    (r"name ('[^']*') as donor_key in setup_anndata", r"add --donor \1"),
    (r"donor_key='([^']*)' (of|in) setup_anndata", r"--donor '\1'"),
    (r"donor_key (of|in) setup_anndata", "--donor"),
    (r"bulkvi\.pp\.sum_replicates\(adata, ('[^']*')\)", r"--sum-replicates \1"),
    (r": adata\[adata\.obs\[.*?\]\.notna\(\)\]", " (take their rows out of the sheet, or add --drop-incomplete)"),
    (r"Rename it: adata\.obs = adata\.obs\.rename\(.*\)", "Rename it"),
    (r"(a column that )?adata\.obs lacks", r"\1the sample sheet lacks"),
    (r"\badata\.obs\b", "the sample sheet"),
    (r"\bAdd it in setup_anndata", "Add it to --design"),
    (r"\(omnibus_test\)", "(--omnibus)"),
    (r"\bWeigh columns of the design in its place", "In its place weigh columns of the design with --weights"),
    (r"\bround_counts=True", "--round"),
    (r"with bulkvi\.pp\.sum_replicates", "with --sum-replicates COLUMN"),
    (r"\bgive composition_shift=True", "add --composition-shift"),
    (r"\bgive composition_shift=False", "add --no-composition-shift"),
    (r"\bmethod='poscounts'", "--size-factors poscounts"),
    (r"\bcontrol_genes: ", "--control-genes: "),
    (r"bulkvi\.pp\.filter_genes may have removed (\w+)", r"--min-counts may have removed \1"),
)
"""Python in messages, and the text that replaces it."""


def translate_to_flags(message: str) -> str:
    """Replace arguments of Python in a message, such as ``match='case'``, by options of the command line."""
    for python, here in PYTHON_TO_FLAGS:
        message = re.sub(python, here, message)
    for argument, flag in FLAGS.items():
        for quoted in set(re.findall(rf"\b{argument}='([^']*)'", message)):
            message = message.replace(f"{argument}='{quoted}'", f"{flag} {shlex.quote(quoted)}")
        message = re.sub(rf"\b{argument}=(\w+)", rf"{flag} \1", message)
        message = re.sub(rf"\bas {argument}\b", f"with {flag}", message)
    return message
