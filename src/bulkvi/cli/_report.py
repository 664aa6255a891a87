"""``bulkvi report``: the page of a result folder.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bulkvi.cli._folder import REPORT_FILE, RUN_FILE, locked
from bulkvi.cli._parts import MODEL_FILES, Part, parts_of, top_of
from bulkvi.cli._progress import STATE, WRONG_INPUT, exits, noted, reporter
from bulkvi.cli._whole import CHECKSUMS, check_whole, read_run

if TYPE_CHECKING:
    import pandas as pd

    from bulkvi import BulkVI

TABLE: Final = "de.csv"
PATHWAYS: Final = "enrichment.csv"


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
        stack.enter_context(noted(reporter()))
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
    """Names, in ``run.json``, of the files that a page is made of."""
    inside = "" if part.folder == top else f"{part.folder.name}/"
    found = [f"{inside}{PATHWAYS}"] if f"{inside}{PATHWAYS}" in run[CHECKSUMS] else []
    return [f"{inside}{TABLE}", *MODEL_FILES, *found]


def _check_page(part: Part, top: Path, page: Path) -> None:
    """Raise unless the files of a page are there, and it is none of them."""
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
        raise typer.BadParameter(f"{part.folder} does not hold together: {error}", param_hint="DIR") from error


def _table_of(folder: Path, run: dict[str, Any]) -> "pd.DataFrame":
    """The table as ``differential_expression`` gave it; csv keeps no ``attrs``; run.json may, as ``fit``."""
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
    """The table of gene sets, with the ``attrs`` that run.json may hold."""
    import pandas as pd

    table = pd.read_csv(path)
    table.attrs = dict(run.get("enrichment") or {})
    return table
