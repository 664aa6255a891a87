"""A command of ``bulkvi``: its words, signals that end it, one line on standard error, and an exit code that scripts can rely on."""

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import typer
from typer.core import TyperCommand

from bulkvi.cli._progress import FAILURE, STATE, print_error, quiet_destructors, reason

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
BY_SIGNAL: Final = 128
"""Exit codes above it are those of signals."""
DELAY: Final = 0.05
"""Seconds until a swallowed signal is sent again."""
RECEIVED: Final = "bulkvi.signals"
BROKEN_PIPE: Final = BY_SIGNAL + 13
"""As a program that SIGPIPE ends."""
COMMAND: Final = "bulkvi.command"
SEPARATOR: Final = "\x1f"
"""Between the words of a repeated option with several words, which typer's lists do not support."""
WORDS: Final = {"--contrast": 3}
"""Options of that kind, with their numbers of words."""


class Command(TyperCommand):
    """A command that can be interrupted, and whose output may have no reader."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; exit with 128 + the number of a signal, 141 without a reader of standard output, 1 if it cannot be written."""
        _open_closed_streams()
        ctx.meta[STATE] = "Nothing was written."
        try:
            with quiet_destructors(), interruptible() as ctx.meta[RECEIVED]:
                try:
                    value = super().invoke(ctx)
                    if sys.stdout is not None:
                        sys.stdout.flush()
                    return value
                finally:
                    ctx.close()
        except Interrupted as end:
            raise _exit_by_signal(end, ctx) from None
        except (BrokenPipeError, SystemExit) as end:
            # rich turns the one into the other
            if isinstance(end, SystemExit) and not isinstance(end.__context__, BrokenPipeError):
                raise
            _discard_output()
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:
            _discard_output()
            if (interruption := _interruption(error)) is not None:
                raise _exit_by_signal(interruption, ctx) from None
            print_error(f"Error: standard output: {reason(error)}. {ctx.meta[STATE]}")
            raise typer.Exit(FAILURE) from error
        except Exception as error:
            # a library that was interrupted may fail once more while it closes its files
            if (interruption := _interruption(error)) is not None:
                raise _exit_by_signal(interruption, ctx) from None
            raise


def _exit_by_signal(end: "Interrupted", ctx: Any) -> typer.Exit:
    """Print that a signal ended the command, and return its exit."""
    print_error(f"Interrupted ({end.signal.name}). {ctx.meta[STATE]}")
    return typer.Exit(BY_SIGNAL + end.signal)


def _interruption(error: BaseException | None) -> "Interrupted | None":
    """Return the signal during whose handling an error was raised; None if there was none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Interrupted):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _open_closed_streams() -> None:
    """Open closed standard streams on the null device, or a result file gets their number and the output of libraries."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _discard_output() -> None:
    """Discard what is still to be flushed to standard output: it would fail again when Python ends."""
    with suppress(OSError, ValueError, AttributeError):  # a stream without a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class RecordedCommand(Command):
    """A command that records its command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Record the arguments; typer.BadParameter if a design lacks its quotes, or a contrast does not have three words."""
        ctx.meta[COMMAND] = shlex.join(["bulkvi", str(ctx.info_name), *args])
        words: list[str] = []
        for arg in args:
            flag, equals, first = arg.partition("=")
            words += [flag, first] if equals and flag in WORDS else [arg]
        args = words
        _check_words(args)
        return super().parse_args(ctx, _joined(args))


def _words_after(args: list[str], at: int) -> list[str]:
    """Return the words after an option, up to the next one; a number below zero is no option."""
    words: list[str] = []
    for word in args[at + 1 :]:
        if word.startswith("-") and not re.fullmatch(r"-[\d.]+(e-?\d+)?", word):
            break
        words.append(word)
    return words


def _joined(args: list[str]) -> list[str]:
    """Join the words of each option that takes several."""
    joined: list[str] = []
    k = 0
    while k < len(args):
        if args[k] == "--":
            return joined + args[k:]
        joined.append(args[k])
        n = WORDS.get(args[k], 0)
        if n:
            joined.append(SEPARATOR.join(args[k + 1 : k + 1 + n]))
        k += 1 + n
    return joined


def _check_words(args: list[str]) -> None:
    """Raise for the option that has too few or too many words; the parser would name the next one."""
    n_before = next((k for k, word in enumerate(args) if word.startswith("-")), len(args))
    for flag, wanted, remedy in (
        (
            "--contrast",
            3,
            "COLUMN TEST REFERENCE, without 'vs'; words with spaces go in quotes. For the slope of a column of numbers write "
            "--slope COLUMN, for any difference between its levels --omnibus COLUMN",
        ),
        ("--design", 1, "one formula in single quotes, '~ batch + treatment'"),
    ):
        for at in (k for k, word in enumerate(args) if word == flag):
            given = _words_after(args, at)
            # COUNTS and SAMPLES may follow the options
            if len(given) < wanted or n_before == 2 and len(given) > wanted:
                raise typer.BadParameter(f"{flag} takes {remedy}. Given: {shlex.join(given) or 'nothing'}.")


class Interrupted(BaseException):
    """A signal arrived; no ``except Exception`` may catch it."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Raise :class:`Interrupted` when a signal arrives; yield the list of those that did.

    Some libraries swallow exceptions: before the result is written the list is checked. Python swallows them where it
    cleans up objects: the signal is sent again.
    """
    received: list[int] = []
    again: list[threading.Timer] = []
    report_unraisable = sys.unraisablehook

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise Interrupted(number)

    def send_again(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, Interrupted):
            report_unraisable(unraisable)
            return
        again.append(threading.Timer(DELAY, _send_to_main_thread, [unraisable.exc_value.signal]))
        again[-1].start()

    sys.unraisablehook = send_again
    try:
        with _handled_by(stop):
            try:
                yield received
            finally:
                for timer in again:
                    timer.cancel()
    finally:
        sys.unraisablehook = report_unraisable


def _send_to_main_thread(number: int) -> None:
    """Send a signal; one that another thread raises does not end a system call of the main thread."""
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


@contextmanager
def deferred() -> Iterator[None]:
    """Deliver signals at the end of a short block that must be completed."""
    received: list[int] = []
    try:
        with _handled_by(lambda number, _: received.append(number)):
            yield
    finally:
        if received:
            signal.raise_signal(received[0])


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Set a handler of the signals that are not ignored (as SIGHUP is under nohup), and restore the former ones."""
    if threading.current_thread() is not threading.main_thread():  # only this one may set handlers
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = {number: former for number, former in before.items() if former not in (signal.SIG_IGN, None)}
    try:
        for number in handled:
            signal.signal(number, handler)
        yield
    finally:
        for number, former in handled.items():
            signal.signal(number, former)
