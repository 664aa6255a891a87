import json
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from typer.testing import CliRunner

from bulkvi import BulkVI
from bulkvi.cli import app
from bulkvi.cli._folder import CHECKS, RESULTS, clear_folder, open_folder
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


def left(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (folder / name).is_file() and (folder / name).read_text() == "old"]


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
        open_folder(tmp_path / "out", CHECKS, force=True, what="it", inputs=[None, "go_bp", tmp_path / "sheet.csv"])


def test_force_deletes_the_old_result_and_nothing_else(tmp_path: Path):
    fill(tmp_path)
    open_folder(tmp_path, RESULTS, force=True, what="it")
    assert left(tmp_path, OLD) == list(OLD)
    clear_folder(tmp_path, RESULTS)
    assert left(tmp_path, OLD) == []
    assert left(tmp_path, FOREIGN) == list(FOREIGN)


def test_a_wrong_input_leaves_the_old_result_and_a_failure_none_of_it(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An old page beside a run that failed looked like its result."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise ValueError("the climb diverged")

    monkeypatch.setattr(BulkVI, "train", fail)
    fill(tmp_path)
    assert run(files, tmp_path, "--force", "--donor", "patent").exit_code == 2
    assert left(tmp_path, OLD) == list(OLD)
    assert run(files, tmp_path, "--force").exit_code == 1
    assert left(tmp_path, OLD) == []
    assert left(tmp_path, FOREIGN) == list(FOREIGN)


def test_a_new_result_lists_its_own_files_and_has_no_old_ones(files: Files, tmp_path: Path):
    fill(tmp_path)
    result = run(files, tmp_path, "--force", "--json")
    assert result.exit_code == 0, result.output
    listed = json.loads(result.stdout)["files"]
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {*listed} == there - {*FOREIGN}
    assert {*listed} <= {*RESULTS}
    assert not {name for name in there if "enrichment" in name}
