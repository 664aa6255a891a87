"""A command that ends by the conventions: one line on standard error, and an exit code that scripts can rely on."""

import os
import sys
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperCommand

from bulkvi.cli._progress import FAILURE, STATE, print_error, reason
from bulkvi.cli._signals import BY_SIGNAL, Interrupted, interruptible

RECEIVED = "bulkvi.signals"
BROKEN_PIPE = BY_SIGNAL + 13
"""As a program that SIGPIPE ends."""


class Command(TyperCommand):
    """A command that can be interrupted, and whose output may have no reader."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises
        ------
        typer.Exit
            With 128 + the number of the signal that arrived; with 141 if nobody reads standard output any more; with 1 if it
            cannot be written.
        """
        _open_closed_streams()
        ctx.meta[STATE] = "Nothing was written."
        try:
            with interruptible() as ctx.meta[RECEIVED]:
                try:
                    value = super().invoke(ctx)
                    if sys.stdout is not None:
                        sys.stdout.flush()
                    return value
                finally:
                    ctx.close()
        except Interrupted as end:
            print_error(f"Interrupted ({end.signal.name}). {ctx.meta[STATE]}")
            raise typer.Exit(BY_SIGNAL + end.signal) from None
        except (BrokenPipeError, SystemExit) as end:
            # rich turns the one into the other
            if isinstance(end, SystemExit) and not isinstance(end.__context__, BrokenPipeError):
                raise
            _discard_output()
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:
            _discard_output()
            print_error(f"Error: standard output: {reason(error)}. {ctx.meta[STATE]}")
            raise typer.Exit(FAILURE) from error


def _open_closed_streams() -> None:
    """Give the numbers of closed standard streams to nothing, lest a result file gets one and what libraries print goes into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _discard_output() -> None:
    """Send what is still to be flushed to standard output nowhere: it would fail again when Python ends."""
    with suppress(OSError, ValueError, AttributeError):  # a stream without a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
