import json
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from typer.testing import CliRunner

from bulkvi import BulkVI
from bulkvi.cli import app
from bulkvi.cli._folder import CHECKS, RESULTS, check_folder
from tests.cli.conftest import Files
from tests.cli.running import DESIGN, run

OLD = ("de.csv", "enrichment.csv", "run.json", "report.html", "figures/enrichment.png", "model/model.pt")
FOREIGN = ("notes.txt", "figures/mine.png", "model/mine.pt", "samples.csv", "check_samples.csv")


def fill(folder: Path) -> Path:
    """What an older run, and the user, left."""
    for name in (*OLD, *FOREIGN):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_sheet_is_not_written_over(files: Files, tmp_path: Path):
    """The tables of ``bulkvi check`` once were called as inputs are called."""
    shutil.copy(files.counts, tmp_path)
    shutil.copy(files.samples, tmp_path)
    given = [str(tmp_path / "counts.csv"), str(tmp_path / "samples.csv"), "--design", DESIGN]
    result = CliRunner().invoke(app, ["check", *given, "--out", str(tmp_path), "--force"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "samples.csv").read_text() == files.samples.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("counts.csv", "samples.csv", "check.json", "check_design.csv", "check_samples.csv", "figures")
    }


@pytest.mark.parametrize(("option", "name"), [("counts", "adata.h5ad"), ("samples", "de.csv")])
def test_an_input_that_would_be_written_over_is_refused_even_with_force(
    option: str, name: str, files: Files, tmp_path: Path
):
    given = tmp_path / name
    shutil.copy(getattr(files, option), given)
    before = given.read_bytes()
    for path in (given, tmp_path / "." / ".." / tmp_path.name / name):
        result = run(files, tmp_path, "--force", **{option: str(path)})
        assert result.exit_code == 2
        assert "was given as input" in " ".join(result.stderr.replace("│", " ").split())
    assert given.read_bytes() == before


def test_an_input_behind_a_link_is_an_input(tmp_path: Path):
    (tmp_path / "sheet.csv").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "check_samples.csv").symlink_to(tmp_path / "sheet.csv")
    with pytest.raises(typer.BadParameter, match="was given as input"):
        check_folder(tmp_path / "out", CHECKS, force=True, what="it", inputs=[None, "go_bp", tmp_path / "sheet.csv"])


def test_neither_a_wrong_input_nor_a_failure_touches_the_old_result(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A run that failed once took the older result with it."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise ValueError("the climb diverged")

    monkeypatch.setattr(BulkVI, "train", fail)
    fill(tmp_path)
    before = contents(tmp_path)
    assert run(files, tmp_path, "--force", "--donor", "patent").exit_code == 2
    assert contents(tmp_path) == before
    failed = run(files, tmp_path, "--force")
    assert failed.exit_code == 1
    assert f"Error: the climb diverged The older result in {tmp_path} is as it was." in failed.stderr
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("plain")
def test_a_new_result_lists_its_own_files_and_has_no_old_ones(files: Files, tmp_path: Path):
    fill(tmp_path)
    result = run(files, tmp_path, "--force", "--json")
    assert result.exit_code == 0, result.output
    listed = json.loads(result.stdout)["files"]
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {*listed} == there - {*FOREIGN}
    assert {*listed} <= {*RESULTS}
    assert {name: (tmp_path / name).read_text() for name in FOREIGN} == dict.fromkeys(FOREIGN, "old")
    assert not {name for name in there if "enrichment" in name}
