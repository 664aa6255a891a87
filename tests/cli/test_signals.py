"""Signals, and the places that would swallow them."""

import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bulkvi.cli._command import RECEIVED
from bulkvi.cli._signals import Interrupted, deferred, interruptible
from tests.cli.results import context, write


def test_a_signal_that_a_library_swallowed_still_counts(tmp_path: Path):
    with pytest.raises(Interrupted), interruptible() as received:
        ctx = context()
        ctx.meta[RECEIVED] = received
        with suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        write(tmp_path / "out", "new", ctx=ctx)
    assert not (tmp_path / "out").exists()


def test_a_signal_that_arrives_while_python_cleans_up_is_sent_again(capsys: pytest.CaptureFixture[str]):
    """It was swallowed with a traceback, and the run went on to its end."""

    class Cleaned:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    hook = sys.unraisablehook
    with pytest.raises(Interrupted), interruptible():
        Cleaned()
        time.sleep(10)
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


def test_a_signal_that_was_ignored_stays_ignored():
    """As SIGHUP under nohup."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interruptible(), deferred():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
