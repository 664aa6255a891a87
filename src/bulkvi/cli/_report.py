"""``bulkvi report``: the page of a result folder.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bulkvi.cli._folder import REPORT_FILE, RUN_FILE
from bulkvi.cli._parts import MODEL_FILES, Part, parts_of, top_of
from bulkvi.cli._progress import noted, reporter

if TYPE_CHECKING:
    import pandas as pd

    from bulkvi import BulkVI

NEEDED: Final = ("de.csv", *MODEL_FILES)
READ: Final = (*NEEDED, "enrichment.csv", RUN_FILE)


def report(
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

    Reads de.csv, adata.h5ad, model/ and, where they lie there, enrichment.csv and run.json. With several questions there is
    a page in the folder of each; DIR may be one of these. The file opens in any browser without a network. model/ is unpickled: open only folders that you trust.
    """
    top = top_of(folder)
    run = _run_of(top)
    parts = parts_of(folder, top, run)
    if len(parts) > 1 and (out is not None or title is not None):
        names = ", ".join(part.folder.name for part in parts)
        raise typer.BadParameter(
            f"{folder} holds several questions ({names}): name the folder of one of them in its place.",
            param_hint="--title" if out is None else "--out",
        )
    pages = [out or part.folder / REPORT_FILE for part in parts]
    for part, page in zip(parts, pages, strict=True):
        _check_page(part.folder, top, page)
    with noted(reporter()):
        from anndata import read_h5ad

        from bulkvi import BulkVI

        with redirect_stdout(sys.stderr):  # scvi-tools talks on standard output, which is for the path
            model = BulkVI.load(str(top / "model"), adata=read_h5ad(top / "adata.h5ad"))
        for part, page in zip(parts, pages, strict=True):
            typer.echo(_write(model, part, page, title))


def _check_page(folder: Path, top: Path, page: Path) -> None:
    """Raise unless the files of a page are there, and it is none of them."""
    if not page.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {page.parent} to write {page.name} into.", param_hint="--out")
    read = [top / name if name in (*MODEL_FILES, RUN_FILE) else folder / name for name in READ]
    if any(page.exists() and file.exists() and page.samefile(file) for file in read):
        raise typer.BadParameter(
            f"{page} is part of the result that the page is made of. Name another file.", param_hint="--out"
        )
    missing = [name for name, file in zip(READ, read, strict=True) if name in NEEDED and not file.is_file()]
    if missing:
        raise typer.BadParameter(
            f"{folder} has no {' and no '.join(missing)}. Name a folder that bulkvi de or bulkvi demo wrote.",
            param_hint="DIR",
        )


def _write(model: "BulkVI", part: Part, page: Path, title: str | None) -> Path:
    from bulkvi import report as write_report

    folder, run = part
    enrichment = folder / "enrichment.csv"
    try:
        return write_report(
            model,
            _table_of(folder, run),
            page,
            enrichment=_pathways_of(enrichment, run) if enrichment.is_file() else None,
            title=title,
            groupby=run.get("groupby"),
            level=run.get("level", 0.05),
            warnings=run.get("warnings", ()),
            command=run.get("command"),
            run=run,
        )
    except (KeyError, ValueError) as error:
        raise typer.BadParameter(f"{folder} does not hold together: {error}", param_hint="DIR") from error


def _run_of(folder: Path) -> dict[str, Any]:
    """What ``bulkvi de`` wrote down about its run; empty without a file."""
    path = folder / RUN_FILE
    if not path.is_file():
        return {}
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}. Delete it, or run the analysis again.") from error
    if not isinstance(run, dict):
        raise typer.BadParameter(f"{path} must hold an object with names such as command and fit.")
    return run


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
