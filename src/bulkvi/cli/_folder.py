"""The folder that a command writes: never over what was given to it, and never beside what an older run left."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import typer

from bulkvi.cli._figures import FIGURES

RUN_FILE: Final = "run.json"
REPORT_FILE: Final = "report.html"
CHECK_FILE: Final = "check.json"


def drawn(name: str) -> tuple[str, str]:
    """The two files of a figure."""
    return f"figures/{name}.pdf", f"figures/{name}.png"


# Those that speak for the rest come first: a run that is cut short leaves none that says what is no longer there.
RESULTS: Final = (
    RUN_FILE,
    REPORT_FILE,
    "de.csv",
    "enrichment.csv",
    *(file for name in FIGURES for file in drawn(name)),
    "adata.h5ad",
    "model/model.pt",
)
"""All that ``bulkvi de`` and ``bulkvi demo`` write."""
CHECKS: Final = (CHECK_FILE, "check_design.csv", "check_samples.csv", *drawn("design"))
"""All that ``bulkvi check`` writes."""


def open_folder(
    out: Path, writes: Sequence[str], *, force: bool, what: str, inputs: Iterable[Path | str | None] = ()
) -> None:
    """Refuse a folder that is not empty, unless it is to be written over; and one where that would hit an input.

    Parameters
    ----------
    out
        The folder; it need not exist.
    writes
        Files that the command writes into it.
    force
        Whether it may hold something.
    what
        What to call these files in messages.
    inputs
        Files that the command reads; None and what is no file are passed over.

    Raises
    ------
    typer.BadParameter
        If the folder holds anything and ``force`` is not set, or one of ``inputs`` is among ``writes``.
    """
    given = [Path(path) for path in inputs if path is not None and Path(path).exists()]
    for file in (out / name for name in writes):
        if file.exists() and any(file.samefile(path) for path in given):
            raise typer.BadParameter(
                f"{file} was given as input, and this command writes a file of that name into {out}. Name another folder.",
                param_hint="--out",
            )
    if out.is_dir() and any(out.iterdir()) and not force:
        raise typer.BadParameter(
            f"{out} is not empty. Name another folder, or add --force to overwrite {what} in it (others stay).",
            param_hint="--out",
        )


def clear_folder(out: Path, writes: Sequence[str]) -> None:
    """Make the folder, and delete of it what an older run of the same command left; nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    for name in writes:
        (out / name).unlink(missing_ok=True)


def files_in(out: Path, writes: Sequence[str]) -> list[str]:
    """Those of ``writes`` that lie in the folder, in their order."""
    return [name for name in writes if (out / name).is_file()]
