import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bulkvi.cli import app
from bulkvi.cli._run_file import checksums
from tests.cli.conftest import Files

DESIGN = "~ `library type` + treatment"


def run(counts: Path, samples: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["check", str(counts), str(samples), "--design", DESIGN, *options])


def test_nothing_is_found_where_nothing_is_wrong(files: Files):
    result = run(files.counts, files.samples)
    assert result.exit_code == 0
    assert "10 samples, 3 columns, 7 residual degrees of freedom" in result.stdout
    assert "Labels of treatment: 10 of 10 samples agree with their labels." in result.stdout
    assert "Labels of library type: 10 of 10 samples agree with their labels." in result.stdout


def test_swapped_samples_are_found_and_written(files: Files, tmp_path: Path):
    sheet = pd.read_csv(files.samples, index_col=0)
    sheet.loc[["ctrl-1", "drug-8"], "treatment"] = ["drug", "control"]
    sheet.to_csv(tmp_path / "swapped.csv")
    result = run(files.counts, tmp_path / "swapped.csv", "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0, result.output  # a finding is no failure
    summary = json.loads(result.stdout)
    flagged = {row["sample"]: row["flag"] for row in summary["labels"]["treatment"]["samples"] if row["flag"]}
    assert flagged == {"ctrl-1": "swapped", "drug-8": "swapped"}
    written = pd.read_csv(tmp_path / "out" / "check_samples.csv").query("column == 'treatment' and flag == 'swapped'")
    assert written["sample"].tolist() == ["ctrl-1", "drug-8"]
    assert sorted(summary["files"]) == sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    plain = run(files.counts, tmp_path / "swapped.csv", "--label", "treatment")
    assert "[swapped] ctrl-1: labelled drug, more likely control" in plain.stdout
    assert "may have been exchanged with drug-8" in plain.stdout
    assert "Labels of library type" not in plain.stdout


def test_confounding_is_said_with_a_remedy(files: Files, tmp_path: Path):
    sheet = pd.read_csv(files.samples, index_col=0)
    sheet["batch"] = sheet["treatment"].map({"control": "monday", "drug": "tuesday"})
    sheet.to_csv(tmp_path / "confounded.csv")
    result = run(files.counts, tmp_path / "confounded.csv")
    assert result.exit_code == 0
    assert "[serious]" in result.stdout
    assert "'batch'" in result.stdout


def test_a_folder_with_results_is_refused(files: Files, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    result = run(files.counts, files.samples, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "--force" in result.stderr


def test_wrong_input_has_exit_code_2(files: Files):
    result = run(files.counts, files.samples, "--label", "age")
    assert result.exit_code == 2
    assert "Error: groupby='age' is not a column" in result.stderr


def test_an_interrupted_check_leaves_the_older_one(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out"
    given = (files.counts, files.samples, "--out", str(out), "--force")
    assert run(*given).exit_code == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    summary = json.loads((out / "check.json").read_text())
    assert summary["checksums"] == checksums(out, [name for name in summary["files"] if name != "check.json"])
    monkeypatch.setattr("bulkvi.pl.design", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    result = run(*given)
    assert result.exit_code == 143
    assert result.stderr.endswith(f"Interrupted (SIGTERM). The older result in {out} is as it was.\n")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_there_is_one_line_for_each_kind_of_finding(files: Files, tmp_path: Path):
    sheet = pd.read_csv(files.samples, index_col=0)
    sheet["random"] = ["a", "b"] * 5
    counts = pd.read_csv(files.counts, index_col=0)
    noise = np.random.default_rng(0).lognormal(0, 2, (len(counts), 2))
    counts[["ctrl-1", "ctrl-2"]] = (counts[["ctrl-1", "ctrl-2"]] * noise).round().astype(int)
    counts.to_csv(tmp_path / "noisy.csv")
    sheet.to_csv(tmp_path / "samples.csv")
    result = CliRunner().invoke(
        app, ["check", str(tmp_path / "noisy.csv"), str(tmp_path / "samples.csv"), "--design", "~ treatment"]
    )
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "[outlying]" in line]
    assert "ctrl-1: labelled control; ctrl-2: labelled control. Each is an outlier" in line


@pytest.mark.parametrize("name", ["sex", "Gender", "patient info"])
def test_the_sex_is_checked_on_the_command_line(files: Files, tmp_path: Path, name: str):
    counts = pd.read_csv(files.counts, index_col=0)
    counts["gene_name"] = ["XIST", "UTY", *counts["gene_name"][2:]]
    samples = [column for column in counts if column != "gene_name"]
    sex = np.array(["female", "male"] * 5)
    counts.loc[counts.index[0], samples] = np.where(sex == "female", 900, 1)
    counts.loc[counts.index[1], samples] = np.where(sex == "male", 900, 1)
    counts.to_csv(tmp_path / "counts.csv")
    sheet = pd.read_csv(files.samples, index_col=0).assign(**{name: sex})
    sheet.iloc[3, -1] = "female"
    sheet.to_csv(tmp_path / "samples.csv")
    options = [] if name != "patient info" else ["--sex", name]
    result = run(tmp_path / "counts.csv", tmp_path / "samples.csv", *options)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.startswith(("Sex", "    [sex_mismatch]"))]
    assert f"Sex ({name}) by" in lines[0]
    assert "5 female, 5 male" in lines[0]
    assert lines[1] == f"    [sex_mismatch] {sheet.index[3]}: genes of male"
    wrong = run(tmp_path / "counts.csv", tmp_path / "samples.csv", "--sex", "treatment")
    assert wrong.exit_code == 2
    assert "Error: --sex treatment" in wrong.stderr


def test_lanes_of_one_library_are_called_repeats_with_the_option_that_adds_them_up(files: Files, tmp_path: Path):
    counts = pd.read_csv(files.counts, index_col=0).drop(columns="gene_name")
    sheet = pd.read_csv(files.samples, index_col=0)[["treatment"]].assign(library=lambda table: table.index)
    lanes = pd.concat([counts.add_suffix("_L1"), counts.add_suffix("_L2")], axis=1)
    lanes.to_csv(tmp_path / "counts.csv")
    twice = pd.concat([sheet.set_axis(sheet.index + lane) for lane in ("_L1", "_L2")])
    twice.to_csv(tmp_path / "samples.csv", index_label="sample")
    arguments = ["check", str(tmp_path / "counts.csv"), str(tmp_path / "samples.csv"), "--design", "~ treatment"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "--sum-replicates 'library'" in result.stdout
    assert "add --donor 'library'" in result.stdout
    assert "confounded" not in result.stdout
