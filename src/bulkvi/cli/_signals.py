"""Signals that end a command."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
BY_SIGNAL: Final = 128
"""Exit codes above it are those of signals."""
DELAY: Final = 0.05
"""Seconds until a swallowed signal is sent again."""


class Interrupted(BaseException):
    """A signal arrived; no ``except Exception`` on the way may keep it."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Raise :class:`Interrupted` when a signal arrives; yield the list of those that did.

    Libraries swallow exceptions in some places: who writes the result looks into the list. Python swallows them where it
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
        again.append(threading.Timer(DELAY, signal.raise_signal, [unraisable.exc_value.signal]))
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


@contextmanager
def deferred() -> Iterator[None]:
    """Deliver signals at the end of a short block that must be done as a whole."""
    received: list[int] = []
    try:
        with _handled_by(lambda number, _: received.append(number)):
            yield
    finally:
        if received:
            signal.raise_signal(received[0])


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Set a handler of the signals that are not ignored (as SIGHUP is under nohup), and put the former ones back."""
    if threading.current_thread() is not threading.main_thread():  # only this one may set handlers
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = {number: former for number, former in before.items() if former not in (signal.SIG_IGN, None)}
    try:
        for number in heard:
            signal.signal(number, handler)
        yield
    finally:
        for number, former in heard.items():
            signal.signal(number, former)
