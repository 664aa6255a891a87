"""The command ``bulkvi``."""

from importlib.metadata import version
from typing import Annotated

import typer

from bulkvi.cli._check import check
from bulkvi.cli._command import Command, RecordedCommand
from bulkvi.cli._de import de
from bulkvi.cli._demo import demo
from bulkvi.cli._outliers import outliers
from bulkvi.cli._reference import reference
from bulkvi.cli._report import report

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False, rich_markup_mode=None
)


def _print_version(value: bool) -> None:  # noqa: FBT001  # typer calls it with the flag
    if value:
        typer.echo(f"bulkvi {version('bulkvi')}")
        raise typer.Exit


@app.callback()
def bulkvi(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Deep generative models for bulk RNA-seq.

    \b
    See that it works:      bulkvi demo --out bulkvi-demo
    Look at your samples:   bulkvi check counts.csv samples.csv --design '~ batch + treatment'
    Compare two groups:     bulkvi de counts.csv samples.csv --design '~ batch + treatment' \\
                                --contrast treatment drug control --out results
    Learn from a cohort:    bulkvi reference build counts.csv samples.csv --out lcl.ref

    `bulkvi COMMAND --help` explains the files and options.
    """  # noqa: D301  # click wraps what is not below a backspace


app.command(cls=RecordedCommand)(demo)
app.command(cls=RecordedCommand)(check)
app.command(cls=RecordedCommand)(de)
app.command(cls=RecordedCommand)(outliers)
app.command(cls=Command)(report)
app.add_typer(reference, name="reference")
