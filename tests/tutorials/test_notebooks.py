"""The tutorials run from start to end, and find what they say they find."""

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
TOLD = "told by the test: "


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "tutorials" / f"{name}.ipynb", as_version=4)


def run(name: str, asked: str, folder: Path) -> dict[str, Any]:
    """Execute a notebook in a folder of its own, and one cell more that says what the names of ``asked`` are then."""
    notebook = read(name)
    notebook.cells.append(
        nbformat.v4.new_code_cell(f"import json\nprint({TOLD!r} + json.dumps({asked}, default=float))")
    )
    NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    printed = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
    return json.loads(printed.partition(TOLD)[2])


def needs(*files: str) -> None:
    """Skip, and say so, where the folder of real data lacks one of the files."""
    named = os.environ.get("BULKVI_DATA_DIR")
    for file in files:
        if not named or not (Path(named) / file).exists():
            pytest.skip(f"no {file}: set BULKVI_DATA_DIR to the folder that holds it")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_has_been_run_and_is_light(path: Path) -> None:
    cells = [cell for cell in read(path.stem).cells if cell.cell_type == "code"]
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "display_data" in kinds
    assert "error" not in kinds
    assert path.stat().st_size < 1.5e6
    assert "site-packages" not in path.read_text()  # a warning with the paths of somebody's machine


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_it_answers_how_long_it_takes_and_what_is_next(path: Path) -> None:
    cells = [cell.source for cell in read(path.stem).cells]
    assert all(word in cells[0] for word in ("**The question.**", "**Time.**", "**Needs.**"))
    assert "## What next" in cells[-1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_in_the_documentation(path: Path) -> None:
    index = (ROOT / "docs" / "tutorials" / "index.md").read_text()
    assert f"{{doc}}`{path.stem}`" in index
    assert f"\n{path.stem}\n" in index


@pytest.mark.slow
def test_the_first_analysis_finds_glucocorticoid_action(tmp_path: Path) -> None:
    asked = """{
        "low": de.set_index("symbol").loc[known, "log_fc_low"].to_dict(),
        "adjusted": de.set_index("symbol").loc[known, "adj_p_value"].to_dict(),
        "terms": terms["term"].head(10).tolist(),
    }"""
    said = run("first_analysis", asked, tmp_path)
    assert set(said["low"]) == {"FKBP5", "PER1", "DUSP1", "TSC22D3"}
    assert min(said["low"].values()) > 1
    assert max(said["adjusted"].values()) < 1e-3
    assert "regulation of glucose import" in said["terms"]
    assert (tmp_path / "airway.html").stat().st_size > 1e6


@pytest.mark.slow
def test_the_mammary_study_is_reproduced_and_corrected(tmp_path: Path) -> None:
    needs("gse60450_mammary", "genesets/reactome_mouse_ortholog_symbol.gmt.gz")
    asked = """{
        "decoded": np.corrcoef(study.loc[tested, "log_fc"], decoded[tested])[0, 1],
        "replicates": int((group[nearest] == group).sum()),
        "luminal": study["log_fc"].corr(luminal),
        "lactation": study["log_fc"].corr(lactation),
        "ranks": de.set_index("symbol").loc[["Wap", "Csn2", "Csn1s2b"], "rank"].astype(int).to_dict(),
        "reactome": both["reactome"].attrs["concordance"]["spearman"],
        "left_out": len(left_out),
        "finite": int(np.isfinite(left_out["bulkvi, decoded"]).sum()),
    }"""
    said = run("mammary_study", asked, tmp_path)
    assert said["decoded"] > 0.95
    assert said["replicates"] == 12
    assert said["luminal"] > 0.95 > 0.5 > said["lactation"]
    assert max(said["ranks"].values()) < 50
    assert said["reactome"] > 0.95
    assert said["left_out"] == said["finite"] == 5


@pytest.mark.slow
def test_side_by_side_only_tests_have_p_values_and_only_their_doubt_shrinks(tmp_path: Path) -> None:
    asked = """{
        "tests": [name for name, table in answers.items() if table["p_value"].notna().any()],
        "pydeseq2": effects.loc[expressed, "bulkvi"].corr(effects.loc[expressed, "PyDESeq2"]),
        "sd": [row["median sd of log_fc"] for row in rows],
        "false": [row["of them false"] / row["called"] for row in rows],
    }"""
    said = run("side_by_side", asked, tmp_path)
    assert said["tests"] == ["bulkvi", "PyDESeq2"]
    assert said["pydeseq2"] > 0.99
    ours_small, scvi_small, ours_large, scvi_large = said["sd"]
    assert ours_large < 0.5 * ours_small
    assert scvi_large > 0.8 * scvi_small
    assert max(said["false"][0], said["false"][2]) < 0.1
    assert said["false"][1] > 0.2


@pytest.mark.slow
def test_a_hidden_batch_is_found_and_costs_less_than_left_alone(tmp_path: Path) -> None:
    needs("bottomly/counts.tsv.gz")
    asked = """{
        "strongest": report["strongest_with"].tolist(),
        "jaccard": {name: row["Jaccard index with told"] for name, row in rows.items()},
        "empirical_fdr": str(calibration),
    }"""
    said = run("hidden_batch", asked, tmp_path)
    assert said["strongest"] == ["batch", "batch"]
    assert said["jaccard"]["withheld, latent columns"] > said["jaccard"]["withheld, none"]
    assert "adj_p_value < 0.05" in said["empirical_fdr"]
    assert "not above nominal" in said["empirical_fdr"].splitlines()[1]


@pytest.mark.slow
def test_with_scanpy_neighbours_share_the_treatment_and_androgen_stands_first(tmp_path: Path) -> None:
    needs("genesets/progeny_human_top500.tsv.gz")
    asked = """{
        "neighbours": int((nearest == adata.obs["dex"]).sum()),
        "first": activity["term"].iloc[0],
        "low": activity["score_low"].iloc[0],
        "pathways": adata.obsm["score_ulm"].shape[1],
    }"""
    said = run("with_scanpy", asked, tmp_path)
    assert said["neighbours"] == 8
    assert said["first"] == "Androgen"
    assert said["low"] > 2
    assert said["pathways"] == 14
