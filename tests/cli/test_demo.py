import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from typer.testing import CliRunner, Result

from bulkvi import BulkVI, datasets
from bulkvi.cli import app

FIGURES = ["latent", "log_fc_scatter", "size_factors", "training"]


class Run(NamedTuple):
    folder: Path
    result: Result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of the demo, which may neither reach the network nor open a window."""

    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise PermissionError(f"the demo may not do this: {arguments} {options}")

    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr("matplotlib.pyplot.figure", refuse)
        result = CliRunner().invoke(app, ["demo", "--out", "results/here"])
    assert result.exit_code == 0, result.output
    return Run(folder / "results" / "here", result)


@pytest.fixture(scope="module")
def de(run: Run) -> pd.DataFrame:
    return pd.read_csv(run.folder / "de.csv", index_col="gene_id")


@pytest.fixture(scope="module")
def adata(run: Run) -> AnnData:
    return read_h5ad(run.folder / "adata.h5ad")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_lie_in_the_folder_and_nowhere_else(run: Run):
    expected = ["adata.h5ad", "de.csv", "model/model.pt"]
    expected += [f"figures/{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "png")]
    assert sorted(contents(run.folder)) == sorted(expected)
    assert [path.name for path in run.folder.parents[1].iterdir()] == ["results"]


def test_table_has_a_row_for_each_gene_in_order(de: pd.DataFrame, adata: AnnData):
    assert de.index.tolist() == adata.var_names.tolist()
    assert de.columns[0] == "symbol"
    assert de["symbol"].tolist() == adata.var["symbol"].tolist()
    assert {"base_mean", "log_fc_decoded", "contrast"} <= set(de.columns)
    assert de["log_fc_decoded"].notna().all()


@pytest.mark.parametrize("gene", ["FKBP5", "PER1", "TSC22D3", "DUSP1", "KLF15", "CRISPLD2", "ZBTB16"])
def test_known_responders_to_dexamethasone_are_up(de: pd.DataFrame, gene: str):
    assert de.set_index("symbol").loc[gene, "log_fc_decoded"] > 1.5


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


def test_summary_shows_the_ten_largest_changes_among_expressed_genes(run: Run, de: pd.DataFrame):
    expressed = de[de["base_mean"] > 10]
    largest = expressed.sort_values("log_fc_decoded", key=abs, ascending=False).head(10)
    rows = [line for line in run.result.stdout.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == largest["symbol"].tolist()
    assert [row.split("│")[2].strip() for row in rows] == [f"{x:+.2f}" for x in largest["log_fc_decoded"]]


def test_summary_explains_the_sign_and_says_what_lies_where(run: Run):
    assert "log2, treated (trt) over untreated (untrt): +1 is twice as much" in run.result.stdout
    assert "without uncertainty" in run.result.stdout
    for name in ("results/here:", "de.csv", "figures/", "adata.h5ad", "model/"):
        assert name in run.result.stdout


def test_progress_goes_to_standard_error(run: Run):
    assert "Training" in run.result.stderr
    assert "Training" not in run.result.stdout


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


def test_another_process_gives_the_same_numbers_and_force_spares_other_files(tmp_path: Path, de: pd.DataFrame):
    (tmp_path / "de.csv").write_text("from an older run")
    (tmp_path / "notes.txt").write_text("mine")
    command = [sys.executable, "-c", "from bulkvi.cli import app; app()", "demo", "--out", str(tmp_path), "--force"]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env={**os.environ, "COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    again = pd.read_csv(tmp_path / "de.csv", index_col="gene_id")
    pd.testing.assert_frame_equal(again, de, rtol=1e-6, atol=1e-6)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert "Traceback" not in done.stderr
