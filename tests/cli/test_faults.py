"""A command that dies, or meets another, or a full disk, leaves nothing that is taken for a result."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bulkvi import BulkVI
from bulkvi.cli import _folder, app
from bulkvi.cli._command import SIGNALS, Interrupted, interruptible
from bulkvi.cli._folder import RESULTS, locked, new_result
from bulkvi.cli._progress import STATE
from bulkvi.cli._run_file import check_whole, checksums, read_run
from tests.cli.conftest import Files
from tests.cli.results import NAMES, contents, context, fill, is_whole, write
from tests.cli.running import run

# signals


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("older", [False, True])
def test_a_signal_in_training_ends_with_its_code_and_writes_nothing(
    number: signal.Signals, older: bool, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """SIGTERM in training once ended with exit code 0 and no result."""
    out = tmp_path / "new" / "out"
    if older:
        write(out, "old")
    before = contents(tmp_path)
    monkeypatch.setattr(BulkVI, "train", lambda *_, **__: signal.raise_signal(number))
    handlers = [signal.getsignal(each) for each in SIGNALS]
    result = run(files, out, "--force")
    assert result.exit_code == 128 + number
    state = f"The older result in {out} is as it was." if older else f"Nothing was written to {out}."
    assert result.stderr.splitlines()[-1] == f"Interrupted ({number.name}). {state}"
    assert contents(tmp_path) == before
    assert (tmp_path / "new").exists() == older
    assert [signal.getsignal(each) for each in SIGNALS] == handlers


def test_a_signal_while_files_are_moved_waits_until_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, "old")
    plain = shutil.move

    def move(source: Path, target: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        plain(source, target)

    monkeypatch.setattr(_folder.shutil, "move", move)
    ctx = context()
    with pytest.raises(Interrupted), interruptible():
        write(tmp_path, "new", ctx=ctx)
    assert ctx.meta[STATE] == f"The result in {tmp_path} is whole."
    assert is_whole(tmp_path) == "new"
    assert sorted(contents(tmp_path)) == sorted([*NAMES, "run.json"])


# one command at a time


def test_a_second_command_on_the_folder_is_refused_at_once(files: Files, tmp_path: Path):
    """Two commands once mixed their files, and both ended with exit code 0."""
    out = tmp_path / "not" / "there"
    with locked(out):
        result = run(files, out)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()  # before anything is read
        assert line.startswith(f"Error: Another bulkvi is writing into {out}. Wait until")
    assert not (tmp_path / "not").exists()


def test_the_lock_and_the_leftovers_of_a_dead_process_block_nobody(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path; from types import SimpleNamespace\n"
        "from bulkvi.cli._folder import RESULTS, new_result\n"
        "with new_result(SimpleNamespace(meta={}), Path(sys.argv[1]), RESULTS, force=False, what='it') as result:\n"
        "    (result.new / 'de.csv').write_text('half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")]).returncode == -signal.SIGKILL
    assert len(contents(tmp_path / "out")) == 2
    with new_result(context(), tmp_path / "out", RESULTS, force=False, what="it") as result:
        fill(result, "new")
    assert is_whole(tmp_path / "out") == "new"
    assert sorted(contents(tmp_path / "out")) == sorted([*NAMES, "run.json"])


# all or nothing


def test_a_result_that_is_not_moved_in_leaves_no_trace(tmp_path: Path):
    with new_result(context(), tmp_path / "a" / "b", RESULTS, force=False, what="it") as result:
        (result.new / "de.csv").write_text("x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_th", range(0, 12, 2))
def test_a_move_that_fails_puts_the_older_result_back(n_th: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, "old")
    (tmp_path / "figures" / "mine.png").write_text("mine")
    before = contents(tmp_path)
    break_at(n_th, lambda: OSError(errno.ENOSPC, "No space left on device"), monkeypatch)
    ctx = context()
    with pytest.raises(OSError):
        write(tmp_path, "new", ctx=ctx)
    assert contents(tmp_path) == before
    assert ctx.meta[STATE] == f"The older result in {tmp_path} is as it was."


def test_a_kill_between_any_two_moves_leaves_nothing_that_is_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Moves go on until the kill, and nothing is put back."""

    class Killed(BaseException):
        pass

    seen = []
    for n_th in range(2 * len(NAMES) + 3):
        out = tmp_path / str(n_th)
        write(out, "old")
        with monkeypatch.context() as patch:
            break_at(n_th, Killed, patch)
            with suppress(Killed):
                write(out, "new")
        seen.append(is_whole(out))
        assert (out / "run.json").exists() == (seen[-1] is not None)
    assert seen == ["old", *[None] * (2 * len(NAMES) + 1), "new"]


def break_at(n_th: int, error: Callable[[], BaseException], patch: pytest.MonkeyPatch) -> None:
    """Let the n-th move fail, and the later ones work again."""
    plain, calls = shutil.move, []

    def move(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == n_th + 1:
            raise error()
        plain(source, target)

    patch.setattr(_folder.shutil, "move", move)


def test_a_folder_or_a_file_in_the_way_is_found_before_the_work(tmp_path: Path):
    (tmp_path / "a" / "de.csv").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "figures").write_text("mine")
    for name, said in (("a", "de.csv is a folder"), ("b", "figures is a file")):
        with pytest.raises(typer.BadParameter, match=said):
            write(tmp_path / name, "new")


def test_figures_may_lie_on_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A rename fails there, and the file is copied."""
    plain = os.rename

    def rename(source: Any, target: Any) -> None:
        if "figures" in str(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        plain(source, target)

    monkeypatch.setattr(os, "rename", rename)
    write(tmp_path, "old")
    write(tmp_path, "new")
    assert is_whole(tmp_path) == "new"


# what the page is made of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "result", "old", names=(*NAMES, "enrichment.csv"))
    return tmp_path / "result"


@pytest.mark.parametrize("name", ["de.csv", "enrichment.csv", "adata.h5ad", "model/model.pt"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "longer"])
def test_a_page_is_made_only_of_what_one_run_wrote(name: str, damage: str, folder: Path):
    path = folder / name
    text = path.read_text()
    if damage == "missing":
        path.unlink()
    else:
        path.write_text({"cut": text[:-1], "changed": text[:-1] + "X", "longer": text + "\n"}[damage])
    result = CliRunner().invoke(app, ["report", str(folder)])
    said = "".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert name in said
    assert {"missing": "hasno", "cut": "iscut", "changed": "checksum", "longer": "anotherrun"}[damage] in said
    assert "gain" in said or "Nameafolder" in said
    assert (folder / "report.html").read_text() == "old report.html"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "has no run.json, which is written last.*did not finish. Run the analysis again"),
        ("", "cut or damaged"),
        ('{"checksums": {', "cut or damaged"),
        ("{}", "no entry 'checksums'"),
        ('{"checksums": []}', "'checksums' is list"),
        ('{"checksums": {}, "fit": 3}', "'fit' is int"),
        ('{"checksums": {}}', "de.csv is not of the run"),
    ],
)
def test_a_folder_needs_a_whole_run_json(text: str | None, said: str, folder: Path):
    (folder / "run.json").unlink()
    if text is not None:
        (folder / "run.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        check_whole(folder, read_run(folder / "run.json"), ["de.csv"])
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code == 2


def test_checksums_are_those_of_sha256sum(tmp_path: Path):
    (tmp_path / "empty").write_text("")
    (tmp_path / "abc").write_text("abc")
    found = checksums(tmp_path, ["empty", "abc"])
    assert (found["empty"]["size"], found["abc"]["size"]) == (0, 3)
    assert found["empty"]["sha256"].startswith("e3b0c44298fc1c14")
    assert found["abc"]["sha256"].startswith("ba7816bf8f01cfea")


def test_a_page_is_not_written_while_another_command_writes_the_folder(folder: Path, tmp_path: Path):
    with locked(folder):
        result = CliRunner().invoke(app, ["report", str(folder)])
        assert "Another bulkvi is writing" in result.stderr
        elsewhere = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "page.html")])
        assert "Another bulkvi" not in elsewhere.stderr


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_made_ends_with_one_line(
    code: int, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = Path.mkdir

    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        if path.name == "out":
            raise OSError(code, os.strerror(code), str(path))
        plain(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = run(files, tmp_path / "out")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {tmp_path / 'out'}: ")
    assert line.endswith("Nothing was written.")
