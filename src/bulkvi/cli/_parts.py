"""The questions of a folder of results that have a page, with what ``run.json`` holds of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from bulkvi.cli._folder import RUN_FILE
from bulkvi.cli._run_file import read_older

MODEL_FILES: Final = ("adata.h5ad", "model/model.pt")


class Part(NamedTuple):
    """A question and its results."""

    folder: Path
    run: dict[str, Any]
    """Entries of ``run.json`` on the analysis and on this question."""


def top_of(folder: Path) -> Path:
    """The folder with the trained model: itself, or that around it if it is the folder of one of several questions."""
    above = folder.resolve().parent
    names = [entry.get("folder") for entry in read_older(above / RUN_FILE).get("questions", ())]
    return above if folder.resolve().name in names and not (folder / MODEL_FILES[0]).exists() else folder


def parts_of(folder: Path, top: Path, run: Mapping[str, Any]) -> list[Part]:
    """The questions to write a page on.

    Parameters
    ----------
    folder
        As it was given: ``top``, or the folder of one of its questions.
    top
        Folder with the trained model.
    run
        What is in its ``run.json``.

    Raises
    ------
    typer.BadParameter
        If none of the questions has a page, or ``run.json`` names a folder elsewhere.
    """
    entries = run.get("questions") or [dict(run)]
    inner = [entry for entry in entries if entry.get("folder", ".") != "."]
    if not inner:
        parts = [Part(folder, dict(run))]
    else:
        for entry in inner:
            name = str(entry["folder"])
            if Path(name).name != name or name == "..":
                raise typer.BadParameter(f"{top / RUN_FILE} names a folder {name!r}, which is no plain name.")
        parts = [
            Part(top / str(entry["folder"]), {**run, **entry, "warnings": _notes(run) + _notes(entry)})
            for entry in inner
        ]
        if folder != top:
            parts = [part for part in parts if part.folder.name == folder.resolve().name]
    with_page = [part for part in parts if part.run.get("kind") != "omnibus"]
    if not with_page:
        raise typer.BadParameter(
            f"{folder} holds an omnibus test, of which there is no page: its table is de.csv, its figures are in figures/.",
            param_hint="DIR",
        )
    return with_page


def _notes(of: Mapping[str, Any]) -> list[Any]:
    notes = of.get("warnings")
    return notes if isinstance(notes, list) else []
