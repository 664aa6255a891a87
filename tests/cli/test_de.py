import json
import re
import shlex
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from typer.testing import CliRunner, Result

from bulkvi import BulkVI
from bulkvi.cli import app
from bulkvi.cli._run_file import checksums
from bulkvi.regression import fit, hidden, regression
from tests.cli.conftest import Files
from tests.cli.running import DESIGN, run


@pytest.fixture(scope="module")
def results(files: Files, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("de") / "new" / "results"
    result = run(files, out, "--seed", "5", "--json")
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture(scope="module")
def table(results: tuple[Path, Result]) -> pd.DataFrame:
    return pd.read_csv(results[0] / "de.csv", index_col="gene_id", keep_default_na=False)


def test_the_known_effects_are_found(table: pd.DataFrame, files: Files):
    truth = files.truth.var["true_log_fc"][table.index]
    strong = (truth.abs() > 1.5) & (table["base_mean"] > 20)
    assert strong.sum() >= 5
    assert (table.loc[strong, "adj_p_value"] < 0.05).mean() > 0.8
    assert (np.sign(table.loc[strong, "log_fc"]) == np.sign(truth[strong])).all()  # drug over control
    assert set(table["contrast"]) == {"treatment: drug vs control"}


def test_symbols_stand_in_front(table: pd.DataFrame):
    assert table.columns[0] == "symbol"
    assert table["symbol"].str.startswith("Sym").all()


def test_the_folder_holds_what_the_summary_lists(results: tuple[Path, Result]):
    out, _ = results
    listed = json.loads((out / "run.json").read_text())["files"]
    assert sorted(listed) == sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert {"de.csv", "figures/volcano.pdf", "adata.h5ad", "model/model.pt", "run.json"} <= set(listed)


def test_the_summary_has_sizes_and_checksums_of_its_files(results: tuple[Path, Result]):
    out, result = results
    summary = json.loads(result.stdout)
    assert set(summary["checksums"]) == set(summary["files"]) - {"run.json", "report.html"}
    assert summary["checksums"] == checksums(out, summary["checksums"])
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_standard_output_is_the_summary_and_nothing_else(results: tuple[Path, Result]):
    out, result = results
    assert json.loads(result.stdout) == json.loads((out / "run.json").read_text())
    assert "Training" in result.stderr


def test_the_summary_says_what_was_asked_and_found(results: tuple[Path, Result], table: pd.DataFrame):
    summary = json.loads(results[1].stdout)
    called = table["adj_p_value"] < 0.05
    assert summary["calls"]["all"] == called.sum() > 0
    assert summary["calls"]["up"] == (called & (table["log_fc"] > 0)).sum()
    assert summary["design"] == DESIGN
    assert summary["contrast"] == {"column": "treatment", "test": "drug", "reference": "control"}
    assert summary["n_samples_compared"] == {"drug": 5, "control": 5}
    assert (summary["seed"], summary["n_samples"], summary["n_genes"]) == (5, 10, len(table))
    assert summary["read"]["samples_in"] == "columns"
    assert set(summary["versions"]) >= {"bulkvi", "python", "torch", "scvi-tools", "anndata"}


def test_the_command_in_the_summary_is_the_one_that_was_given(results: tuple[Path, Result], files: Files):
    words = shlex.split(json.loads(results[1].stdout)["command"])
    assert words[:4] == ["bulkvi", "de", str(files.counts), str(files.samples)]
    assert words[words.index("--design") + 1] == DESIGN


def test_the_model_loads_with_the_data_beside_it(results: tuple[Path, Result], table: pd.DataFrame):
    out, _ = results
    adata = read_h5ad(out / "adata.h5ad")
    model = BulkVI.load(out / "model", adata=adata)
    again = model.differential_expression("treatment", "drug", "control")
    np.testing.assert_allclose(again["log_fc"], table["log_fc"], atol=1e-6)
    assert model.init_params_["non_kwargs"]["seed"] == 5


def test_a_result_is_not_written_over_without_force(results: tuple[Path, Result], files: Files):
    before = (results[0] / "de.csv").read_bytes()
    result = run(files, results[0])
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert (results[0] / "de.csv").read_bytes() == before


class Reached(Exception):
    """The analysis itself began."""


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What reaches the training, which does not take place."""
    seen: dict[str, Any] = {}

    def stop(model: BulkVI, *, seed: int, **_: Any) -> NoReturn:
        seen.update(seed=seed, adata=model.adata)
        raise Reached

    monkeypatch.setattr(BulkVI, "train", stop)
    return seen


def test_force_writes_over(results: tuple[Path, Result], files: Files, stopped: dict[str, Any]):
    assert isinstance(run(files, results[0], "--force").exception, Reached)


def test_options_reach_the_analysis(files: Files, tmp_path: Path, stopped: dict[str, Any]):
    run(files, tmp_path, "--size-factors", "depth", "--min-counts", "2000", "--seed", "7")
    adata = stopped["adata"]
    assert stopped["seed"] == 7
    np.testing.assert_allclose(adata.obs["size_factor"], files.truth.obs["true_depth"])
    kept = files.truth.to_df().sum() >= 2000
    assert 0 < adata.n_vars < files.truth.n_vars
    assert adata.var_names.tolist() == kept.index[kept].tolist()


def test_donors_reach_the_analysis(files: Files, tmp_path: Path, stopped: dict[str, Any]):
    sheet = pd.read_csv(files.samples)
    sheet["patient"] = [f"p{k % 5}" for k in range(10)]
    sheet.to_csv(tmp_path / "pairs.csv", index=False)
    pairs = {"samples": str(tmp_path / "pairs.csv"), "--donor": "patient", "--design": "~ treatment"}
    assert isinstance(run(files, tmp_path / "a", **pairs).exception, Reached)
    assert stopped["adata"].uns["_scvi_manager_uuid"]
    assert "patient" in str(
        BulkVI._get_most_recent_anndata_manager(stopped["adata"]).registry["setup_args"]["donor_key"]
    )
    result = run(files, tmp_path / "b", **pairs | {"--donor": "patent"})
    assert result.exit_code == 2
    assert "'patent'" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--contrast drug control --design '~ treatment'",
            "--contrast takes COLUMN TEST REFERENCE.*Given: drug control",
        ),
        (
            "--contrast treatment drug vs control --design '~ treatment'",
            "without 'vs'.*Given: treatment drug vs control",
        ),
        ("--contrast treatment drug control --design /root treatment + lane", "one formula in single quotes"),
    ],
)
def test_options_with_a_wrong_number_of_words_are_named(words: str, said: str, files: Files, tmp_path: Path):
    given = ["de", str(files.counts), str(files.samples), *shlex.split(words), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert re.search(said, " ".join(result.stderr.replace("│", " ").split()))


def test_files_may_stand_behind_the_options(files: Files, tmp_path: Path, stopped: dict[str, Any]):
    words = ["de", "--design", "~ treatment", "--contrast", "treatment", "drug", "control"]
    given = [*words, str(files.counts), str(files.samples), "--out", str(tmp_path / "out")]
    assert isinstance(CliRunner().invoke(app, given).exception, Reached)


def test_messages_speak_of_the_files_and_not_of_python(files: Files, tmp_path: Path):
    sheet = pd.read_csv(files.samples)
    sheet.loc[2, "library type"] = None
    sheet.to_csv(tmp_path / "gap.csv", index=False)
    result = run(files, tmp_path / "out", samples=str(tmp_path / "gap.csv"))
    assert result.exit_code == 2
    assert "Column 'library type' of the sample sheet is missing for 1 samples" in result.stderr
    assert "adata" not in result.stderr


def test_the_transposed_matrix_works_and_is_said(files: Files, tmp_path: Path, stopped: dict[str, Any]):
    files.truth.to_df().to_csv(tmp_path / "transposed.csv")
    result = run(files, tmp_path / "out", counts=str(tmp_path / "transposed.csv"))
    assert "the samples in its rows" in result.stderr
    upright = files.truth[:, stopped["adata"].var_names].X
    np.testing.assert_array_equal(stopped["adata"].X, upright)


def test_a_warning_of_the_package_is_a_note_of_one_line(files: Files, tmp_path: Path, stopped: dict[str, Any]):
    sheet = pd.read_csv(files.samples).drop(index=[0])
    sheet.to_csv(tmp_path / "nine.csv", index=False)
    result = run(files, tmp_path / "out", samples=str(tmp_path / "nine.csv"))
    (note,) = [line for line in result.stderr.splitlines() if "Note:" in line]
    assert "1 samples are not in the sample sheet and were left out: ['ctrl-0']" in note
    assert "UserWarning" not in result.stderr


def test_a_numbered_batch_in_the_design_is_noted(files: Files, tmp_path: Path, stopped: dict[str, Any]):
    result = run(files, tmp_path / "a", **{"--design": "~ lane + treatment"})
    assert "'lane' holds the numbers 1, 2, 3, taken for names of 3 groups and not for a slope" in result.stderr
    assert stopped["adata"].obsm["_bulkvi_design"].shape[1] == 3
    assert "slope" not in run(files, tmp_path / "b", **{"--design": "~ C(lane) + treatment"}).stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--design": "~  + treatment"}, "has an empty term. If there was a name in backticks, the shell"),
        ({"--design": "~ library type + treatment"}, "Put names with spaces in backticks: `library type`"),
        ({"--design": "~ tretment"}, "needs a column 'tretment' .* Did you mean 'treatment'"),
        ({"--design": "~ `library type`"}, "does not hold 'treatment'. Add it"),
        ({"--contrast": "treatmen drug control"}, "no such column; it has .*COLUMN TEST REFERENCE"),
        ({"--contrast": "treatment drug ctrl"}, r"no sample has 'ctrl' there. It has .*control \(5 samples\)"),
        ({"--contrast": "treatment drug drug"}, "both groups are 'drug'"),
        ({"--size-factors": "deph"}, "give median_of_ratios, poscounts, or a column"),
        ({"--min-counts": "100000000"}, "lower the threshold"),
        ({"--match": "fuzzy"}, "--match fuzzy is unknown"),
        ({"--design": "~ treatment + C(depth)"}, "none is left to tell|not of full rank"),
    ],
)
def test_wrong_input_is_explained_before_the_work(changed: dict, said: str, files: Files, tmp_path: Path):
    result = run(files, tmp_path / "out", **changed)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    (message,) = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert re.search(said, message)
    assert not (tmp_path / "out" / "de.csv").exists()
    assert not result.stdout


def test_names_that_do_not_match_are_answered_with_the_option_that_helps(
    files: Files, tmp_path: Path, stopped: dict[str, Any]
):
    """R's read.csv turns ctrl-0 into ctrl.0."""
    dotted = files.counts.read_text().replace("ctrl-", "ctrl.").replace("drug-", "drug.")
    (tmp_path / "dotted.csv").write_text(dotted)
    result = run(files, tmp_path / "out", counts=str(tmp_path / "dotted.csv"))
    assert result.exit_code == 2
    assert "'ctrl-0' in the sheet is 'ctrl.0' in the counts" in result.stderr
    assert "add --match r_names" in result.stderr
    run(files, tmp_path / "out", "--match", "r_names", counts=str(tmp_path / "dotted.csv"))
    assert stopped["adata"].obs_names.tolist() == files.truth.obs_names.tolist()


def test_tpm_are_recognised(files: Files, tmp_path: Path):
    counts = files.truth.to_df()
    length = np.random.default_rng(0).uniform(300, 5000, counts.shape[1])
    tpm = (counts / length).T
    (tpm / tpm.sum() * 1e6).round(3).to_csv(tmp_path / "tpm.csv")
    result = run(files, tmp_path / "out", counts=str(tmp_path / "tpm.csv"))
    assert result.exit_code == 2
    assert "they are TPM (or CPM)" in result.stderr
    assert "needs raw counts: the table of featureCounts, HTSeq or STAR" in result.stderr


def test_a_failure_on_the_way_has_exit_code_1(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> NoReturn:
        raise ValueError("the climb diverged")

    monkeypatch.setattr(BulkVI, "train", fail)
    result = run(files, tmp_path / "out")
    assert result.exit_code == 1
    assert "Error: the climb diverged" in result.stderr


@pytest.mark.usefixtures("plain")
def test_each_design_is_regressed_once(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every table, figure and page fitted all genes anew."""
    fitted: list[tuple[str, ...]] = []

    def counted(study: Any, features: pd.DataFrame, **options: Any) -> Any:
        fitted.append(tuple(features.columns))
        return regression.regress_genes(study, features, **options)

    for module in (fit, hidden):
        monkeypatch.setattr(module, "regress_genes", counted)
    more = ["--contrast", "treatment", "control", "drug", "--omnibus", "treatment"]
    result = run(files, tmp_path / "out", *more, **{"--design": "~ treatment"})
    assert result.exit_code == 0, result.output
    entries = json.loads((tmp_path / "out" / "run.json").read_text())["questions"]
    assert [entry["kind"] for entry in entries] == ["contrast", "contrast", "omnibus"]
    n_latent = entries[0]["fit"]["n_latent_columns"]
    assert n_latent > 0  # the library type is hidden
    assert [len(columns) for columns in fitted] == [2, 2 + n_latent]
    assert len(list((tmp_path / "out").glob("*/report.html"))) == 2
