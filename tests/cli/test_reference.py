import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import bulkvi
from bulkvi.cli import app
from tests.cli.conftest import Files


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reference", *arguments])


@pytest.fixture(scope="module")
def built(files: Files, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("reference") / "cells.ref"
    choices = ["--design", "~ `library type`", "--directions", "2", "--licence", "CC0", "--json"]
    return out, run("build", str(files.counts), str(files.samples), "--out", str(out), *choices)


def test_a_reference_is_built_and_can_be_loaded(built: tuple[Path, Result]) -> None:
    out, result = built
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["name"], summary["licence"], summary["n_samples"]) == ("cells", "CC0", 10)
    assert summary["bytes"] == out.stat().st_size
    reference = bulkvi.Reference.load(out)
    assert reference.provenance.design == "~ `library type`"
    assert np.isfinite(reference.values.level).sum() == summary["n_genes"]
    assert list(summary["directions"]) == reference.directions
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_show_prints_what_a_reference_holds(built: tuple[Path, Result]) -> None:
    out, _ = built
    result = run("show", str(out))
    assert result.exit_code == 0
    assert result.stdout.startswith("Reference 'cells'\n")
    assert "10, design ~ `library type`" in result.stdout
    shown = json.loads(run("show", str(out), "--json").stdout)
    assert shown["n_samples"] == 10


def test_wrong_files_are_explained(built: tuple[Path, Result], files: Files, tmp_path: Path) -> None:
    out, _ = built
    result = run("show", str(files.counts))
    assert result.exit_code == 2
    assert "is no reference of bulkvi" in result.output
    cut = tmp_path / "cut.ref"
    cut.write_bytes(out.read_bytes()[:-100])
    assert run("show", str(cut)).exit_code == 2
    inputs = [str(files.counts), str(files.samples)]
    again = run("build", *inputs, "--out", str(out))
    assert again.exit_code == 2
    assert "--force" in again.output
    nowhere = run("build", *inputs, "--out", str(tmp_path / "none" / "x.ref"))
    assert nowhere.exit_code == 2
    assert "no folder" in nowhere.output
    unknown = run("build", *inputs, "--design", "~ planet", "--out", str(tmp_path / "x.ref"))
    assert unknown.exit_code == 2
    assert "planet" in unknown.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.ref"]


@pytest.mark.usefixtures("plain")
def test_a_study_is_compared_beside_a_reference(built: tuple[Path, Result], files: Files, tmp_path: Path) -> None:
    out, _ = built
    # other counts of the same genes: samples that are in the reference too are refused
    arguments = ["de", str(files.counts), str(files.samples), "--design", "~ treatment", "--reference", str(out)]
    arguments += ["--contrast", "treatment", "drug", "control", "--out", str(tmp_path / "results")]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "are in the reference 'cells' too" in refused.output
    table = pd.read_csv(files.counts, index_col=0)
    changed = tmp_path / "counts.csv"
    samples = table.columns[1:]
    table[samples] += np.random.default_rng(0).poisson(2, (len(table), len(samples)))
    table.to_csv(changed)
    arguments[1] = str(changed)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "results" / "run.json").read_text())
    assert record["reference"] == {"file": str(out), "name": "cells"}
    page = (tmp_path / "results" / "report.html").read_text()
    assert "The prior of the dispersions was informed by the reference cohort cells" in page
