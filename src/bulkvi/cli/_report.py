"""``bulkvi report``: the page of a result folder.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bulkvi.cli._folder import REPORT_FILE, RUN_FILE, locked
from bulkvi.cli._progress import STATE, WRONG_INPUT, exits, noted, reporter
from bulkvi.cli._whole import CHECKSUMS, check_whole, read_run

if TYPE_CHECKING:
    import pandas as pd

NEEDED: Final = ("de.csv", "adata.h5ad", "model/model.pt")
PATHWAYS: Final = "enrichment.csv"
READ: Final = (*NEEDED, PATHWAYS, RUN_FILE)


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
    run. The file opens in any browser without a network. model/ is unpickled: open only folders that you trust.
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
    with ExitStack() as stack:
        stack.enter_context(exits(WRONG_INPUT, ctx))
        if page.parent.samefile(folder):
            stack.enter_context(locked(folder))
        run = read_run(folder / RUN_FILE)
        names = [name for name in READ if name in NEEDED or name in run[CHECKSUMS]]
        check_whole(folder, run, names)
        stack.enter_context(noted(reporter()))
        from anndata import read_h5ad

        from bulkvi import BulkVI
        from bulkvi import report as write_report

        model = BulkVI.load(folder / "model", adata=read_h5ad(folder / "adata.h5ad"))
        table = _table_of(folder, run)
        terms = _pathways_of(folder / PATHWAYS, run) if PATHWAYS in names else None
        if read_run(folder / RUN_FILE) != run:
            raise ValueError(f"{folder} got another result while it was read. Try again.")
        try:
            written = write_report(
                model,
                table,
                page,
                enrichment=terms,
                title=title,
                level=run.get("level", 0.05),
                warnings=run.get("warnings", ()),
                command=run.get("command"),
                run=run,
            )
        except (KeyError, ValueError) as error:
            raise typer.BadParameter(f"{folder} does not hold together: {error}", param_hint="DIR") from error
        ctx.meta[STATE] = f"{written} is whole."
    typer.echo(written)


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
