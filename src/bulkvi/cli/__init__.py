"""The command ``bulkvi``."""

from importlib.metadata import version
from typing import Annotated

import typer

from bulkvi.cli._demo import demo
from bulkvi.cli._report import report

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


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
    """Deep generative models for bulk RNA-seq."""


app.command()(demo)
app.command()(report)
