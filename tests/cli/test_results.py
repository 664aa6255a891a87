import json
import re
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest

from bulkvi.cli._results import p_text, show_results
from tests.cli.conftest import Files
from tests.cli.running import run


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.04, "4e-02"), (1e-300, "1e-300"), (9e-301, "<1e-300"), (5e-324, "<1e-300"), (0.0, "<1e-300")],
)
def test_a_p_value_that_underflows_is_a_bound(p_value: float, text: str):
    assert p_text(p_value) == text


def test_the_first_genes_are_those_of_the_largest_statistic_and_named_as_they_are(capsys: pytest.CaptureFixture[str]):
    table = pd.DataFrame(
        {
            "log_fc": [1.0, -2.0, 3.0],
            "log_fc_low": 0.5,
            "log_fc_high": 4.0,
            "stat": [50.0, -60.0, 40.0],
            "p_value": 0.0,
            "adj_p_value": 0.0,
            "flag": "",
        },
        index=[":smile:", "two\nlines", "[red]gene"],
    )
    show_results(table, level=0.05, sign="")
    lines = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert lines == ["two lines", ":smile:", "[red]gene"]


# gene sets


def gene_sets_of(files: Files, path: Path) -> Path:
    """Sets of symbols: the strongest true effects up, those down, and genes at random."""
    effect = files.truth.var["true_log_fc"].to_numpy()
    seen = np.flatnonzero(files.truth.to_df().to_numpy().sum(axis=0) > 200)
    order = seen[np.argsort(effect[seen])]
    random = np.random.default_rng(0).choice(seen, 20, replace=False)
    lines = [
        "\t".join((name, "", *(f"Sym{k}" for k in genes)))
        for name, genes in (("up", order[-20:]), ("down", order[:20]), ("random", random))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.usefixtures("plain")
def test_gene_sets_are_scored_drawn_and_shown(files: Files, tmp_path: Path):
    result = run(files, tmp_path / "out", "--gene-sets", str(gene_sets_of(files, tmp_path / "sets.gmt")))
    assert result.exit_code == 0, result.output
    terms = pd.read_csv(tmp_path / "out" / "enrichment.csv").set_index("term")
    assert terms.loc["up", "score_low"] > 0 > terms.loc["down", "score_high"]
    assert terms.loc["up", "adj_p_value"] < 0.01 < terms.loc["random", "adj_p_value"]
    assert re.search(r"2 of 3 gene sets go up or down, compared with all \d+ (tested|annotated) genes", result.stdout)
    assert (tmp_path / "out" / "figures" / "enrichment.png").is_file()
    assert "enrichment.csv" in json.loads((tmp_path / "out" / "run.json").read_text())["files"]
    assert "random" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "neither a file nor one of .*'go_bp'"),
        ("set\tdescription\n", "line 1 .* name, description and genes"),
        ("set\t\tIL6\tTNF\tCXCL8\n", "gene names do not fit .*add a column symbol or gene_name to COUNTS"),
        (
            "set\t\tSym1\tSym2\tSym3\n",
            "None of the 1 gene sets of .* has 10 to 500 genes in COUNTS: 1 have fewer, 0 more",
        ),
    ],
)
def test_wrong_gene_sets_are_found_before_the_work(content: str | None, said: str, files: Files, tmp_path: Path):
    path = tmp_path / "sets"
    if content is not None:
        path.write_text(content)
    result = run(files, tmp_path / "out", "--gene-sets", str(path))
    assert result.exit_code == 2
    assert re.search(said, result.stderr)
    assert "Training" not in result.stderr


def test_gene_sets_need_an_extra_and_it_is_named(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bulkvi.cli._results.find_spec", lambda _: None)
    result = run(files, tmp_path / "out", "--gene-sets", "go_bp")
    assert result.exit_code == 2
    assert "pip install 'bulkvi[enrichment]'" in result.stderr


@pytest.mark.usefixtures("plain")
def test_sets_that_cannot_be_scored_leave_the_rest_of_the_answer(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> NoReturn:
        raise ValueError("not these")

    monkeypatch.setattr("bulkvi.tl.enrichment", fail)
    result = run(files, tmp_path / "out", "--gene-sets", str(gene_sets_of(files, tmp_path / "sets.gmt")))
    assert result.exit_code == 0, result.output
    assert "Gene sets left out: not these" in result.stderr
    assert "Gene sets left out" in json.loads((tmp_path / "out" / "run.json").read_text())["warnings"][-1]
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "enrichment.csv").exists()
