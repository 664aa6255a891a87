import json
import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bulkvi.cli import app
from bulkvi.cli._run_file import checksums
from tests.reporting.study import GROUPS, NASTY, Study, default_study, without_drawing


@pytest.fixture(scope="module")
def study() -> Study:
    return default_study()


@pytest.fixture
def folder(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of ``bulkvi de``; pages are written without drawings."""
    without_drawing(monkeypatch)
    here = tmp_path / "result"
    study.model.save(str(here / "model"), overwrite=True)
    study.model.adata.write_h5ad(here / "adata.h5ad")
    table = study.de.copy()
    table.insert(0, "symbol", study.model.adata.var["symbol"])
    table.to_csv(here / "de.csv", index_label="gene_id")
    write_run(here)
    return here


def write_run(folder: Path, **entries: object) -> None:
    """Finish a folder as a run does."""
    names = [name for name in ("de.csv", "enrichment.csv", "adata.h5ad", "model/model.pt") if (folder / name).is_file()]
    (folder / "run.json").write_text(json.dumps(entries | {"checksums": checksums(folder, names)}))


def report(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def in_one_line(result: Result) -> str:
    """What was said, without the box around it."""
    return re.sub(r"[│\s]+", "", result.stderr)


def test_a_folder_gives_a_page(folder: Path, study: Study):
    """The total effect cannot be told by a table's numbers: what was asked comes from run.json."""
    de = study.model.differential_expression("arm", *GROUPS, effect="total", latent_columns=1)
    symbols = study.model.adata.var["symbol"]
    de.assign(symbol=symbols).to_csv(folder / "de.csv", index_label="gene_id")
    pd.DataFrame({"term": ["first set"], "score": [1.5]}).to_csv(folder / "enrichment.csv", index=False)
    write_run(folder, command="bulkvi de a.tsv", warnings=["Mind it."], fit=de.attrs)
    out = folder / "page.html"
    result = report(folder, "--out", out, "--title", "Total & all")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    page = out.read_text()
    for said in ("first set", "bulkvi de a.tsv", "Mind it.", "<h1>Total &amp; all</h1>"):
        assert said in page
    assert "Total: the direct effect plus the effect through 1 hidden direction" in page
    data = json.loads(page.split('id="gene-data">')[1].split("</script>")[0])
    assert set(NASTY) <= set(data["name"])  # also the gene called NA


@pytest.mark.parametrize("missing", ["de.csv", "adata.h5ad", "model"])
def test_a_folder_without_a_result_is_refused(folder: Path, missing: str):
    (folder / missing).rename(folder / "elsewhere")
    result = report(folder)
    assert result.exit_code == 2
    assert missing in in_one_line(result)
    assert not (folder / "report.html").exists()


def test_parts_of_different_results_are_refused(folder: Path):
    table = pd.read_csv(folder / "de.csv").iloc[1:]
    table.to_csv(folder / "de.csv", index=False)
    result = report(folder)
    assert result.exit_code == 2
    assert "de.csviscut" in in_one_line(result)
    write_run(folder)
    result = report(folder)
    assert result.exit_code == 2
    assert "399rows" in in_one_line(result)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_run_json_is_refused(folder: Path, text: str):
    (folder / "run.json").write_text(text)
    result = report(folder)
    assert result.exit_code == 2
    assert "run.json" in in_one_line(result)


def test_a_page_without_a_folder_is_refused_before_the_work(folder: Path):
    result = report(folder, "--out", folder / "nowhere" / "x.html")
    assert result.exit_code == 2
    assert "Thereisnofolder" in in_one_line(result)


@pytest.mark.parametrize("name", ["de.csv", "adata.h5ad", "model/model.pt"])
def test_a_page_is_not_written_over_the_result(folder: Path, name: str):
    before = (folder / name).read_bytes()
    result = report(folder, "--out", folder / name)
    assert result.exit_code == 2
    assert "partoftheresult" in in_one_line(result)
    assert (folder / name).read_bytes() == before


def test_a_number_that_json_does_not_know_is_missing_on_the_page(folder: Path, study: Study):
    fit = study.de.attrs | {"composition_shift": None}
    write_run(folder, fit=fit)
    result = report(folder)
    assert result.exit_code == 0, result.output
