import json
import logging
import socket
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from typer.testing import CliRunner, Result

from bulkvi import BulkVI, datasets
from bulkvi.cli import _demo as demo_module
from bulkvi.cli import app

FIGURES = [
    "volcano",
    "ma",
    "p_values",
    "dispersion",
    "shrinkage",
    "gene",
    "latent",
    "size_factors",
    "training",
    "enrichment",
]
COLUMNS = [
    "symbol",
    "base_mean",
    "log_fc",
    "log_fc_sd",
    "log_fc_low",
    "log_fc_high",
    "log_fc_mle",
    "log_fc_se",
    "log_fc_decoded",
    "stat",
    "p_value",
    "adj_p_value",
    "lfsr",
    "s_value",
    "prob_effect",
    "dispersion",
    "flag",
    "contrast",
]


class Run(NamedTuple):
    folder: Path
    result: Result
    logged: list[str]
    """What Lightning and scvi-tools logged."""


class Listener(logging.Handler):
    """Keeps the messages that pass the level of a logger."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of the demo over an older one, which may neither reach the network nor open a window."""

    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise PermissionError(f"the demo may not do this: {arguments} {options}")

    folder = tmp_path_factory.mktemp("demo")
    here = folder / "results" / "here"
    here.mkdir(parents=True)
    (here / "de.csv").write_text("from an older run")
    (here / "notes.txt").write_text("mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr("matplotlib.pyplot.figure", refuse)
        listener = Listener()
        loggers = [logging.getLogger(name) for name in ("lightning.pytorch.utilities.rank_zero", "scvi.data._download")]
        for logger in loggers:
            logger.addHandler(listener)
        try:
            result = CliRunner().invoke(app, ["demo", "--out", "results/here", "--force"])
            again = CliRunner().invoke(app, ["report", "results/here", "--out", "results/again.html"])
        finally:
            for logger in loggers:
                logger.removeHandler(listener)
    assert result.exit_code == 0, result.output
    assert again.exit_code == 0, again.output
    (folder / "results" / "again.html").rename(folder / "again.html")
    return Run(here, result, listener.heard)


@pytest.fixture(scope="module")
def de(run: Run) -> pd.DataFrame:
    return pd.read_csv(run.folder / "de.csv", index_col="gene_id", keep_default_na=False)


@pytest.fixture(scope="module")
def adata(run: Run) -> AnnData:
    return read_h5ad(run.folder / "adata.h5ad")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_lie_in_the_folder_and_nowhere_else(run: Run):
    expected = ["adata.h5ad", "de.csv", "enrichment.csv", "model/model.pt", "notes.txt", "report.html", "run.json"]
    expected += [f"figures/{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "png")]
    assert sorted(contents(run.folder)) == sorted(expected)
    assert sorted(path.name for path in run.folder.parents[1].iterdir()) == ["again.html", "results"]


def test_force_spares_files_that_are_not_the_demos(run: Run):
    assert (run.folder / "notes.txt").read_text() == "mine"


def test_table_has_all_columns_and_a_row_for_each_gene_in_order(de: pd.DataFrame, adata: AnnData):
    assert de.index.tolist() == adata.var_names.tolist()
    assert de.columns.tolist() == COLUMNS
    assert de["symbol"].tolist() == adata.var["symbol"].tolist()
    assert np.isfinite(de.select_dtypes("number").to_numpy()).all()
    assert set(de["contrast"]) == {"dex: trt vs untrt"}


@pytest.mark.parametrize("gene", ["FKBP5", "PER1", "TSC22D3", "DUSP1", "KLF15", "CRISPLD2", "ZBTB16"])
def test_known_responders_to_dexamethasone_are_up(de: pd.DataFrame, gene: str):
    row = de.set_index("symbol").loc[gene]
    assert row["log_fc"] > 1.5
    assert row["adj_p_value"] < 1e-4


def test_first_go_terms_fit_what_a_glucocorticoid_does(run: Run):
    terms = pd.read_csv(run.folder / "enrichment.csv")
    first = terms.head(10)
    up = first[first["direction"] == "up"]["term"].tolist()
    assert "glucose import" in up  # named for it
    assert "regulation of glucose import" in up
    assert terms.set_index("term").loc["cellular response to glucocorticoid stimulus", "adj_p_value"] < 0.05
    assert "glucose import" in run.result.stdout
    called = f"{(terms['adj_p_value'] < 0.05).sum():,} of {len(terms):,} gene sets go up or down"
    assert called in run.result.stdout


def test_demo_without_the_extra_says_how_to_get_go_terms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("bulkvi.cli._demo.find_spec", lambda name: None)
    said: list[str] = []
    assert demo_module._go_terms(pd.DataFrame(), tmp_path, said.append) is None
    assert said == ["GO terms left out: they need decoupler, pip install 'bulkvi[enrichment]'"]


def test_counts_are_the_filtered_airway_with_a_latent_state(adata: AnnData):
    airway = datasets.airway()
    np.testing.assert_array_equal(adata.X, airway[:, adata.var_names].X)
    assert adata.X.sum(0).min() >= 10
    assert airway[:, ~airway.var_names.isin(adata.var_names)].X.sum(0).max() < 10
    assert adata.obsm["X_bulkvi"].shape == (8, 2)
    assert adata.obs["size_factor"].gt(0).all()


def test_model_loads_and_gives_the_same_latent_state(run: Run, adata: AnnData):
    model = BulkVI.load(run.folder / "model", adata=adata)
    np.testing.assert_allclose(model.get_latent_representation(), adata.obsm["X_bulkvi"], atol=1e-5)


def test_figures_are_pictures(run: Run):
    for name in FIGURES:
        assert (run.folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (run.folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_summary_shows_the_ten_first_genes(run: Run, de: pd.DataFrame):
    first = de.sort_values("p_value").head(10)
    genes = run.result.stdout.split("gene sets go")[0]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in genes.splitlines() if "│" in line]
    assert [row[0] for row in rows] == first["symbol"].tolist()
    assert [row[1] for row in rows] == [f"{x:+.2f}" for x in first["log_fc"]]
    ends = zip(first["log_fc_low"], first["log_fc_high"], strict=True)
    assert [row[2] for row in rows] == [f"{low:+.2f} to {high:+.2f}" for low, high in ends]
    assert [row[3] for row in rows] == [f"{p:.0e}" for p in first["adj_p_value"]]
    assert [row[4] for row in rows] == first["flag"].tolist()


def test_summary_counts_the_genes_called(run: Run, de: pd.DataFrame):
    called = de[de["adj_p_value"] < 0.05]
    up = (called["log_fc"] > 0).sum()
    said = f"{len(called):,} of {len(de):,} genes change (adj_p_value < 0.05): {up:,} up, {len(called) - up:,} down."
    assert said in run.result.stdout
    assert 1_000 < up < len(called) - 1_000


def test_summary_explains_the_sign_and_says_what_lies_where(run: Run):
    assert "log2, treated (trt) over untreated (untrt): +1 is twice as much" in run.result.stdout
    for name in (
        "results/here:",
        "de.csv",
        "enrichment.csv",
        "figures/",
        *FIGURES,
        "report.html",
        "adata.h5ad",
        "model/",
    ):
        assert name in run.result.stdout


def test_progress_goes_to_standard_error(run: Run):
    assert "Training" in run.result.stderr
    assert "Training" not in run.result.stdout


def test_neither_demo_nor_report_passes_on_talk_of_other_libraries(run: Run):
    assert run.logged == []
    for line in run.result.stderr.splitlines():
        assert " s  " in line, line  # each line is a step, with its time


def test_run_json_holds_what_was_done_and_found(run: Run, de: pd.DataFrame):
    said = json.loads((run.folder / "run.json").read_text())
    assert said["command"] == "bulkvi demo --out results/here --force"
    assert (said["n_genes_read"], said["min_counts"], said["n_genes"]) == (33_469, 10, len(de))
    assert said["calls"]["all"] == (de["adj_p_value"] < 0.05).sum()
    assert said["enrichment"]["enrichment_method"] == "ulm"
    assert set(said["files"]) == set(contents(run.folder)) - {"notes.txt"}


def test_the_page_can_be_written_again_from_the_folder(run: Run):
    """Also what csv files do not keep: command, methods, how gene sets were scored."""
    first = (run.folder / "report.html").read_text()
    assert "bulkvi demo --out results/here --force" in first
    assert "Counts of 33,469 genes in 8 samples were read; the 22,369 genes with at least 10 counts" in first
    assert "GO biological processes, were scored by a univariate linear model" in first
    again = (run.folder.parents[1] / "again.html").read_text()
    methods = [page.split('id="methods"')[1].split("</section>")[0] for page in (first, again)]
    assert methods[0] == methods[1]
    assert "bulkvi demo --out results/here --force" in again


def test_a_folder_that_is_not_empty_is_refused_and_left_as_it_is(run: Run):
    before = contents(run.folder)
    result = CliRunner().invoke(app, ["demo", "--out", str(run.folder)])
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert "--force" in result.stderr
    assert contents(run.folder) == before


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_seed_reaches_start_and_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seeds = []

    def stop(model: BulkVI, *, seed: int, **_: Any) -> NoReturn:
        seeds.extend([seed, model.init_params_["non_kwargs"]["seed"]])
        raise InterruptedError

    monkeypatch.setattr(BulkVI, "train", stop)
    CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "out"), "--seed", "7"])
    assert seeds == [7, 7]
