"""How a command ends: exit codes, one line on standard error, streams that nobody reads."""

import errno
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
import typer

from bulkvi.cli._command import RECEIVED, Command, Interrupted, deferred, interruptible
from bulkvi.cli._progress import error_message, exits, quiet_destructors, reporter
from tests.cli.results import context, write

# errors of the disk


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space is left on the disk."),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "o/.bulkvi-x/de.csv"), "o/de.csv: the disk quota is used up."),
        (PermissionError(errno.EACCES, "Permission denied", "o/figures"), "o/figures: no permission."),
        (OSError(errno.EROFS, "Read-only file system", "o"), "o: the file system is read-only."),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "o"), "o: too many levels of symbolic links."),
        (OSError("Download it yourself."), "Download it yourself."),
    ],
)
def test_errors_of_the_system_are_told_in_words(error: OSError, said: str):
    assert error_message(error) == said


def test_a_full_disk_behind_an_error_of_a_library_is_named(capsys: pytest.CaptureFixture[str]):
    """Matplotlib trips over its own half-written file."""
    with pytest.raises(typer.Exit) as end, exits(1, context()):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise AttributeError("'Stream' object has no attribute 'pos'")  # noqa: B904
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "Error: No space is left on the disk. Nothing was written.\n"


def test_an_error_that_is_a_bug_keeps_its_traceback():
    with pytest.raises(AttributeError), exits(1):
        raise AttributeError("x")


# standard streams


class Broken:
    """A stream that nobody reads."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, error: OSError) -> None:
        self.error = error

    def write(self, *_: object) -> NoReturn:
        raise self.error

    flush = write

    def fileno(self) -> int:
        return os.open(os.devnull, os.O_WRONLY)


def small(action: Callable[[], None]) -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None)
    made.command(cls=Command)(action)
    return made


@pytest.mark.parametrize(
    ("error", "code"), [(BrokenPipeError(errno.EPIPE, "Broken pipe"), 141), (OSError(errno.ENOSPC, "No space"), 1)]
)
def test_output_that_cannot_be_written_is_no_traceback(
    error: OSError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def action() -> None:
        monkeypatch.setattr(sys, "stdout", Broken(error))
        from rich.console import Console

        Console().print("the answer")

    with pytest.raises(SystemExit) as end:
        small(action)([])
    monkeypatch.undo()
    assert end.value.code == code
    said = capsys.readouterr().err
    assert said == (
        "" if code == 141 else "Error: standard output: no space is left on the disk. Nothing was written.\n"
    )


def test_progress_that_nobody_reads_stops_nothing(monkeypatch: pytest.MonkeyPatch):
    say = reporter()
    for stream in (Broken(BrokenPipeError()), None):
        monkeypatch.setattr(sys, "stderr", stream)
        say("Reading")


def test_closed_streams_do_not_lend_their_numbers_to_files(tmp_path: Path):
    """A file that was opened as number 2 got what libraries print on standard error."""
    code = (
        "import os, sys, typer; from bulkvi.cli._command import Command\n"
        "app = typer.Typer()\n"
        "@app.command(cls=Command)\n"
        "def action():\n"
        "    number = os.open(sys.argv.pop(), os.O_WRONLY | os.O_CREAT); os.write(2, b'noise'); os.write(1, b'noise')\n"
        "    os.write(number, b'data')\n"
        "name = sys.argv[-1]; sys.argv[:] = ['x', name]; app([])"
    )
    subprocess.run(
        f'"{sys.executable}" -c "$CODE" {tmp_path}/file <&- >&- 2>&-', shell=True, env=os.environ | {"CODE": code}
    )
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_full_disk_is_named_where_hdf5_hides_it():
    """Closing a file on a full disk ended in a traceback."""
    text = (
        "Disable slist on flush dest failure failed (file write failed: time = Mon, filename = '/out/.bulkvi-x/adata.h5ad', "
        f"file descriptor = 6, errno = {errno.ENOSPC}, error message = 'No space left on device')"
    )
    assert error_message(RuntimeError(text)) == "/out/adata.h5ad: no space is left on the disk."
    assert error_message(RuntimeError(text.replace("errno", "number"))).startswith("Disable slist")


class OpenFile:
    """An object as those of h5py, whose destructor fails where the disk is full."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __del__(self) -> None:
        sys.excepthook(type(self.error), self.error, self.error.__traceback__)  # Cython prints both
        raise self.error


def test_destructors_after_a_full_disk_print_nothing(capsys: pytest.CaptureFixture[str]):
    """h5py's printed two tracebacks after the message."""
    hook = sys.unraisablehook
    file_error = RuntimeError(f"Can't decrement id ref count (file write failed: errno = {errno.ENOSPC}, ...)")

    def action() -> None:
        def write_file() -> None:
            file = OpenFile(file_error)
            raise OSError(errno.ENOSPC, "No space left on device", str(type(file)))

        with exits(1, context()):
            write_file()

    with pytest.raises(SystemExit) as end:
        small(action)([])
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("no space is left on the disk. Nothing was written.")
    assert sys.unraisablehook is hook


def test_other_errors_of_destructors_are_printed(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda _, error, __: seen.append(f"hook {error}"))
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(f"ignored {unraisable.exc_value}"))
    with quiet_destructors():
        for error in (ValueError("a bug"), OSError(errno.ENOSPC, "No space left on device")):
            OpenFile(error)
    assert seen == ["hook a bug", "ignored a bug"]


# signals


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


@pytest.mark.parametrize(
    "error", [zlib.error("inconsistent stream state"), OSError("closed"), ValueError("closed")], ids=repr
)
def test_a_library_that_fails_once_more_while_it_is_interrupted(error: Exception, capsys: pytest.CaptureFixture[str]):
    """Matplotlib closed the stream of a half-written PDF twice: exit code 70, as of a bug."""

    def action() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise error

    with pytest.raises(SystemExit) as end:
        small(action)([])
    assert end.value.code == 128 + signal.SIGINT
    assert capsys.readouterr().err == "Interrupted (SIGINT). Nothing was written.\n"


def test_a_signal_that_was_ignored_stays_ignored():
    """As SIGHUP under nohup."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interruptible(), deferred():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
