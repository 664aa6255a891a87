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
from bulkvi.cli._progress import noted, reporter

if TYPE_CHECKING:
    import pandas as pd

NEEDED: Final = ("de.csv", "adata.h5ad", "model/model.pt")
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

    Reads de.csv, adata.h5ad, model/ and, where they lie there, enrichment.csv and run.json. The file opens in any browser
    without a network. model/ is unpickled: open only folders that you trust.
    """
    page = out or folder / REPORT_FILE
    if not page.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {page.parent} to write {page.name} into.", param_hint="--out")
    if any(page.exists() and (folder / name).exists() and page.samefile(folder / name) for name in READ):
        raise typer.BadParameter(
            f"{page} is part of the result that the page is made of. Name another file.", param_hint="--out"
        )
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise typer.BadParameter(
            f"{folder} has no {' and no '.join(missing)}. Name a folder that bulkvi de or bulkvi demo wrote.",
            param_hint="DIR",
        )
    run = _run_of(folder)
    with noted(reporter()):
        from anndata import read_h5ad

        from bulkvi import BulkVI
        from bulkvi import report as write_report

        with redirect_stdout(sys.stderr):  # scvi-tools talks on standard output, which is for the path
            model = BulkVI.load(str(folder / "model"), adata=read_h5ad(folder / "adata.h5ad"))
        enrichment = folder / "enrichment.csv"
        try:
            written = write_report(
                model,
                _table_of(folder, run),
                page,
                enrichment=_pathways_of(enrichment, run) if enrichment.is_file() else None,
                title=title,
                level=run.get("level", 0.05),
                warnings=run.get("warnings", ()),
                command=run.get("command"),
                run=run,
            )
        except (KeyError, ValueError) as error:
            raise typer.BadParameter(f"{folder} does not hold together: {error}", param_hint="DIR") from error
    typer.echo(written)


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
