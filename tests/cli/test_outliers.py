"""`bulkvi outliers` on files."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import bulkvi
from bulkvi.cli import app
from tests.cli.conftest import Files
from tests.regression.test_outlier_scores import make_scores


def run(files: Files, out: Path, *options: str, counts: Path | None = None) -> Result:
    return CliRunner().invoke(
        app, ["outliers", str(counts or files.counts), str(files.samples), "--out", str(out), *options]
    )


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_an_outlier_of_a_cohort_is_found_and_written(files: Files, tmp_path: Path):
    table = pd.read_csv(files.counts, index_col=0)
    sample = table.columns[2]
    gene = table.drop(columns="gene_name").median(axis=1).sort_values().index[200]
    table.loc[gene, sample] = 100 * int(table.loc[gene].drop("gene_name").max())
    table.to_csv(tmp_path / "counts.csv")
    result = run(files, tmp_path / "out", counts=tmp_path / "counts.csv")
    assert result.exit_code == 0, result.output
    assert f"{sample}  {gene}:" in result.stdout
    assert "the other 9 samples" in result.stdout
    calls = pd.read_csv(tmp_path / "out" / "outliers.csv")
    assert [sample, gene] in calls[["sample", "gene"]].to_numpy().tolist()
    assert pd.read_csv(tmp_path / "out" / "samples.csv", index_col=0).loc[sample, "n_up"] >= 1
    p_value = pd.read_csv(tmp_path / "out" / "p_value.csv.gz", index_col=0)
    assert p_value.loc[gene, sample] == pytest.approx(calls["p_value"].iloc[0], rel=1e-4)


def test_against_a_reference(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scores = make_scores()
    given = {}

    def load(path: Path) -> SimpleNamespace:
        given["path"] = path
        return SimpleNamespace(score=lambda adata, adjust: given.update(shape=adata.shape, adjust=adjust) or scores)

    monkeypatch.setattr(bulkvi, "Reference", SimpleNamespace(load=load), raising=False)
    file = tmp_path / "lcl.ref"
    file.write_text("a reference")
    result = run(files, tmp_path / "out", "--reference", str(file), "--adjust", "bh", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert given == {"path": file, "shape": (10, 300), "adjust": "bh"}
    assert summary["n_outliers"] == 2
    assert summary["compared_with"] == "the others"
    assert sorted(summary["files"]) == contents(tmp_path / "out")


def test_wrong_input_has_exit_code_2(files: Files, tmp_path: Path):
    assert run(files, tmp_path / "out", "--reference", str(tmp_path / "none.ref")).exit_code == 2
    wrong = run(files, tmp_path / "out", "--adjust", "holm")
    assert wrong.exit_code == 2
    assert "adjust" in wrong.output
    assert not (tmp_path / "out" / "outliers.json").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert run(files, tmp_path / "full").exit_code == 2
