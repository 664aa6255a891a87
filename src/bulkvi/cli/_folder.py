"""The folder that a command writes: a whole result or nothing, never over an input, and by one command at a time."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import typer

from bulkvi.cli._command import RECEIVED, Interrupted, deferred
from bulkvi.cli._progress import FAILURE, HIDDEN, STATE, WRONG_INPUT, exits, print_error
from bulkvi.cli._run_file import CHECKSUMS, as_json, checksums

RUN_FILE: Final = "run.json"
REPORT_FILE: Final = "report.html"
CHECK_FILE: Final = "check.json"
LOCK_FILE: Final = f"{HIDDEN}lock"
OLDER: Final = "older"
FIGURES: Final = tuple("volcano ma p_values dispersion shrinkage gene latent size_factors training enrichment".split())
"""Names of the figures of a result; the last only where gene sets were scored."""


# The first file makes a result of the others: it is removed first and written last. Then the page.
RESULTS: Final = (
    RUN_FILE,
    REPORT_FILE,
    "de.csv",
    "enrichment.csv",
    *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "png")),
    "adata.h5ad",
    "model/model.pt",
)
"""All that ``bulkvi de`` and ``bulkvi demo`` write."""
CHECKS: Final = (CHECK_FILE, "check_design.csv", "check_samples.csv", "figures/design.pdf", "figures/design.png")
"""All that ``bulkvi check`` writes."""
OUTLIERS: Final = (
    "outliers.json",
    "outliers.csv",
    "samples.csv",
    "p_value.csv.gz",
    "log_fc.csv.gz",
    "figures/outliers.pdf",
    "figures/outliers.png",
)
"""All that ``bulkvi outliers`` writes."""


def check_folder(
    out: Path, writes: Sequence[str], *, force: bool, what: str, inputs: Iterable[Path | str | None] = ()
) -> None:
    """Raise typer.BadParameter for a folder that is not empty (without ``force``), holds an input, or cannot be written.

    Parameters
    ----------
    writes
        Files that the command writes into ``out``, which need not exist; messages call them ``what``.
    inputs
        Files that the command reads; None and what is no file are ignored.
    """
    given = [Path(path) for path in inputs if path is not None and Path(path).exists()]
    for file in (out / name for name in writes):
        if file.exists() and any(file.samefile(path) for path in given):
            raise typer.BadParameter(
                f"{file} was given as input, and this command writes a file of that name into {out}. Name another folder.",
                param_hint="--out",
            )
    if out.is_dir() and any(not path.name.startswith(HIDDEN) for path in out.iterdir()) and not force:
        raise typer.BadParameter(
            f"{out} is not empty. Name another folder, or add --force to overwrite {what} in it (others stay).",
            param_hint="--out",
        )
    for file in (out / name for name in writes):
        if file.is_dir() or file.parent.is_file():
            wrong = f"{file} is a folder" if file.is_dir() else f"{file.parent} is a file"
            raise typer.BadParameter(f"{wrong}: name another folder, or move it away.", param_hint="--out")
        if file.parent.is_dir() and not os.access(file.parent, os.W_OK | os.X_OK):
            raise typer.BadParameter(f"{file.parent} may not be written into. Name another folder.", param_hint="--out")


class NewResult:
    """Files of a command until all of them are complete.

    Parameters
    ----------
    new
        Hidden folder in ``out``, on the same disk, that the files are written into.
    writes
        Files that the command may write; the first one makes a result of the others.
    meta
        ``meta`` of the command's context.
    """

    def __init__(self, out: Path, new: Path, writes: Sequence[str], meta: dict[str, Any]) -> None:
        self.out, self.new, self.writes, self.meta = out, new, writes, meta

    def move_in(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Write the summary (``run.json`` or ``check.json``), replace an older result, and return the summary with the files.

        After an OSError of a move the older files are back.
        """
        last, *others = self.writes
        names = [name for name in others if (self.new / name).is_file()]
        summary = summary | {
            "out": str(self.out),
            "files": [*names, last],
            # the page can be written again, so it has no checksum
            CHECKSUMS: checksums(self.new, [name for name in names if name != REPORT_FILE]),
        }
        (self.new / last).write_text(as_json(summary) + "\n", encoding="utf-8")
        if received := self.meta.get(RECEIVED):  # a library swallowed it
            raise Interrupted(received[0])
        with deferred():
            state = self.meta.get(STATE)
            self.meta[STATE] = f"{self.out} holds parts of a result; without {last} nothing takes them for a whole one."
            try:
                _exchange(self.new, self.out, self.writes)
            except OSError:
                self.meta[STATE] = state
                raise
            self.meta[STATE] = f"The result in {self.out} is whole."
        return summary


@contextmanager
def new_result(
    ctx: typer.Context,
    out: Path,
    writes: Sequence[str],
    *,
    force: bool,
    what: str,
    inputs: Iterable[Path | str | None] = (),
) -> Iterator[NewResult]:
    """Lock a folder that passes :func:`check_folder` and write a result; an older one stays until :meth:`NewResult.move_in`.

    ``ctx.meta`` gets the sentence on the state of the folder. The exit code is 2 if another command writes into it, and 1
    if it cannot be written.
    """
    with exits(FAILURE, ctx):
        check_folder(out, writes, force=force, what=what, inputs=inputs)
        lock, made = _lock(out)
    new = None
    try:
        with exits(FAILURE, ctx):
            check_folder(out, writes, force=force, what=what)  # another command may have been faster
            older = (out / writes[0]).is_file()
            ctx.meta[STATE] = f"The older result in {out} is as it was." if older else f"Nothing was written to {out}."
            for left in out.glob(f"{HIDDEN}*"):  # of commands that were killed
                if left.name != LOCK_FILE:
                    _remove(left)
            new = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=out))
        yield NewResult(out, new, writes, ctx.meta)
    finally:
        with deferred():
            if new is not None:
                _remove(new)
            _unlock(lock, made)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other commands from writing into a folder; exit with code 2 if one writes there now."""
    lock, made = _lock(out)
    try:
        yield
    finally:
        with deferred():
            _unlock(lock, made)


def _lock(out: Path) -> tuple[Any, list[Path]]:
    """Return the lock of a folder, and the folders made for it; the lock ends with the process, however it ends."""
    from filelock import FileLock, Timeout

    made: list[Path] = []
    while True:
        made += [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK_FILE)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print_error(f"Error: Another bulkvi is writing into {out}. Wait until it is done, or name another folder.")
            raise typer.Exit(WRONG_INPUT) from None
        except FileNotFoundError:  # another command removed its folder between the two steps
            continue
        except NotImplementedError:  # a file system without locks
            pass
        return lock, made


def _unlock(lock: Any, made: Sequence[Path]) -> None:
    """Release the lock, and remove the folders made for it that are empty."""
    with suppress(OSError):  # Windows does not remove it before it is released
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
    for folder in made:
        with suppress(OSError):
            folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange(new: Path, out: Path, writes: Sequence[str]) -> None:
    """Move older files out and new ones in, or nothing."""
    moved: list[tuple[Path, Path]] = []
    steps = [(out / name, new / OLDER / name) for name in writes]
    steps += [(new / name, out / name) for name in reversed(writes)]
    try:
        for source, target in steps:
            if os.path.lexists(source):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(source, target)  # renames, and copies where figures/ is a link to another disk
                moved.append((source, target))
    except OSError:
        for source, target in reversed(moved):
            shutil.move(target, source)
        raise
