"""``bulkvi report``: the page of a result folder.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from bulkvi.cli._folder import REPORT_FILE, RUN_FILE, locked
from bulkvi.cli._progress import STATE, WRONG_INPUT, exits, paused_collector, reporter, warnings_as_notes
from bulkvi.cli._run_file import CHECKSUMS, check_whole, read_older, read_run

if TYPE_CHECKING:
    import pandas as pd

    from bulkvi import BulkVI

TABLE: Final = "de.csv"
PATHWAYS: Final = "enrichment.csv"
MODEL_FILES: Final = ("adata.h5ad", "model/model.pt")


class Part(NamedTuple):
    """A question and its results."""

    folder: Path
    run: dict[str, Any]
    """Entries of ``run.json`` on the analysis and on this question."""


def report(
    ctx: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder that bulkvi de or bulkvi demo left.", exists=True, file_okay=False),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="File to write; report.html in the folder if left out.", dir_okay=False)
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page; the comparison if left out.")] = None,
) -> None:
    """Write the page of a result again: genes, plots and checks in one HTML file.

    Reads de.csv, adata.h5ad, model/, enrichment.csv and run.json, and refuses files that are cut, changed, or not of one
    run. With several questions there is a page in the folder of each; DIR may be one of these. The file opens in any browser
    without a network. model/ is unpickled: open only folders that you trust.
    """
    top = top_of(folder)
    with ExitStack() as stack:
        stack.enter_context(exits(WRONG_INPUT, ctx))
        if out is None or out.parent.is_dir() and out.parent.samefile(folder):
            stack.enter_context(locked(top))
        run = read_run(top / RUN_FILE)
        parts = parts_of(folder, top, run)
        if len(parts) > 1 and (out is not None or title is not None):
            names = ", ".join(part.folder.name for part in parts)
            raise typer.BadParameter(
                f"{folder} holds several questions ({names}): name the folder of one of them in its place.",
                param_hint="--title" if out is None else "--out",
            )
        pages = [out or part.folder / REPORT_FILE for part in parts]
        for part, page in zip(parts, pages, strict=True):
            _check_page(part, top, page)
        check_whole(top, run, list(dict.fromkeys(name for part in parts for name in _files_of(part, top, run))))
        stack.enter_context(warnings_as_notes(reporter()))
        with paused_collector():
            from anndata import read_h5ad

            from bulkvi import BulkVI

        model = BulkVI.load(top / "model", adata=read_h5ad(top / "adata.h5ad"))
        tables = [_table_of(part.folder, part.run) for part in parts]
        pathways = [
            _pathways_of(part.folder / PATHWAYS, part.run) if (part.folder / PATHWAYS).is_file() else None
            for part in parts
        ]
        if read_run(top / RUN_FILE) != run:
            raise ValueError(f"{top} got another result while it was read. Try again.")
        for part, page, table, terms in zip(parts, pages, tables, pathways, strict=True):
            _write(model, part, page, table, terms, title)
            ctx.meta[STATE] = f"{page} is whole."
    for page in pages:
        typer.echo(page)


def _files_of(part: Part, top: Path, run: dict[str, Any]) -> list[str]:
    """List the names, in ``run.json``, of the files that a page is made of."""
    inside = "" if part.folder == top else f"{part.folder.name}/"
    found = [f"{inside}{PATHWAYS}"] if f"{inside}{PATHWAYS}" in run[CHECKSUMS] else []
    return [f"{inside}{TABLE}", *MODEL_FILES, *found]


def _check_page(part: Part, top: Path, page: Path) -> None:
    """Raise unless the files of a page exist, and the page is none of them."""
    if not page.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {page.parent} to write {page.name} into.", param_hint="--out")
    needed = {TABLE: part.folder / TABLE} | {name: top / name for name in MODEL_FILES}
    for file in (*needed.values(), part.folder / PATHWAYS, top / RUN_FILE):
        if page.exists() and file.exists() and page.samefile(file):
            raise typer.BadParameter(
                f"{page} is part of the result that the page is made of. Name another file.", param_hint="--out"
            )
    missing = [name for name, file in needed.items() if not file.is_file()]
    if missing:
        raise typer.BadParameter(
            f"{part.folder} has no {' and no '.join(missing)}. Name a folder that bulkvi de or bulkvi demo wrote.",
            param_hint="DIR",
        )


def _write(
    model: "BulkVI", part: Part, page: Path, table: "pd.DataFrame", terms: "pd.DataFrame | None", title: str | None
) -> None:
    from bulkvi import report as write_report

    run = part.run
    try:
        write_report(
            model,
            table,
            page,
            enrichment=terms,
            title=title,
            groupby=run.get("groupby"),
            level=run.get("level", 0.05),
            warnings=run.get("warnings", ()),
            command=run.get("command"),
            run=run,
        )
    except (KeyError, ValueError) as error:
        raise typer.BadParameter(f"{part.folder} is not consistent: {error}", param_hint="DIR") from error


def _table_of(folder: Path, run: dict[str, Any]) -> "pd.DataFrame":
    """Read the table of ``differential_expression``; its ``attrs`` are the entry ``fit`` of run.json."""
    import pandas as pd

    from bulkvi.names import CONTRAST, FLAG, GENE_ID, SYMBOL

    path = folder / "de.csv"
    text = (GENE_ID, SYMBOL, FLAG, CONTRAST)
    columns = pd.read_csv(path, nrows=0).columns
    if GENE_ID not in columns:
        raise typer.BadParameter(f"{path} has no column {GENE_ID}.", param_hint="DIR")
    # only a number can be missing: a gene may be called NA
    missing = {column: [""] for column in columns if column not in text}
    table = pd.read_csv(
        path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=missing, index_col=GENE_ID
    )
    # JSON has no NaN
    table.attrs = {key: float("nan") if value is None else value for key, value in run.get("fit", {}).items()}
    return table


def _pathways_of(path: Path, run: dict[str, Any]) -> "pd.DataFrame":
    """Read the table of gene sets, with the ``attrs`` in run.json."""
    import pandas as pd

    table = pd.read_csv(path)
    table.attrs = dict(run.get("enrichment") or {})
    return table


def top_of(folder: Path) -> Path:
    """Return the folder with the trained model: this one, or the one above if it belongs to one of several questions."""
    above = folder.resolve().parent
    names = [entry.get("folder") for entry in read_older(above / RUN_FILE).get("questions", ())]
    return above if folder.resolve().name in names and not (folder / MODEL_FILES[0]).exists() else folder


def parts_of(folder: Path, top: Path, run: Mapping[str, Any]) -> list[Part]:
    """List the questions to write a page on; ``folder`` is ``top``, with the trained model, or that of a question in it."""
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


def _notes(run: Mapping[str, Any]) -> list[Any]:
    notes = run.get("warnings")
    return notes if isinstance(notes, list) else []
