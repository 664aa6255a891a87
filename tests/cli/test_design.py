from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from bulkvi import BulkVI
from bulkvi.cli._design import as_groups, drop_missing
from tests.cli.conftest import Files
from tests.cli.running import run


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[AnnData]:
    """Samples as they reach the training, which is left out."""
    found: list[AnnData] = []

    def stop(self: BulkVI, *_: Any, **__: Any) -> NoReturn:
        found.append(self.adata)
        raise ValueError("stopped before training")

    monkeypatch.setattr(BulkVI, "train", stop)
    return found


def with_columns(files: Files, folder: Path, **columns: Any) -> str:
    sheet = pd.read_csv(files.samples).assign(**columns)
    sheet.to_csv(folder / "changed.csv", index=False)
    return str(folder / "changed.csv")


def test_compared_numbers_are_groups(files: Files, tmp_path: Path, registered: list[AnnData]) -> None:
    """They were two points of a straight line."""
    samples = with_columns(files, tmp_path, dose=[0, 1, 10, 0, 1, 10, 0, 1, 10, 0])
    words = {"--design": "~ treatment + dose", "--contrast": "dose 10 0.0"}
    result = run(files, tmp_path / "a", samples=samples, **words)
    assert "'dose' holds numbers, and two of them are compared: they are taken for names of 3 groups" in result.stderr
    assert registered[0].obsm["_bulkvi_design"].columns.tolist() == ["treatment[T.drug]", "dose[T.1]", "dose[T.10]"]
    words["--design"] = "~ treatment + slope(dose)"
    result = run(files, tmp_path / "b", samples=samples, **words)
    assert registered[1].obsm["_bulkvi_design"].columns.tolist() == ["treatment[T.drug]", "dose"]


@pytest.mark.parametrize("levels", ["2 1", "2.0 1.0"])
def test_levels_of_a_numbered_batch_may_be_written_either_way(
    levels: str, files: Files, tmp_path: Path, registered: list[AnnData]
) -> None:
    samples = with_columns(files, tmp_path, batch=[1.0, 2.0] * 5)
    result = run(files, tmp_path / "out", samples=samples, **{"--design": "~ batch", "--contrast": f"batch {levels}"})
    assert "stopped before training" in result.stderr
    assert registered[0].obsm["_bulkvi_design"].columns.tolist() == ["batch[T.2]"]


def test_incomplete_samples_are_left_out_on_request(files: Files, tmp_path: Path, registered: list[AnnData]) -> None:
    samples = with_columns(files, tmp_path, site=["x", None, *"xyxyxyxy"], note=[None, "a"] * 5)
    words = {"--design": "~ site + treatment"}
    refused = run(files, tmp_path / "a", samples=samples, **words)
    assert refused.exit_code == 2
    assert "'site' of the sample sheet is missing for 1 samples (first: ['ctrl-1'])" in refused.stderr
    assert "or add --drop-incomplete" in refused.stderr
    kept = run(files, tmp_path / "b", "--drop-incomplete", samples=samples, **words)
    assert (
        "Note: 1 samples were left out because a column of the design is missing for them: ['ctrl-1']." in kept.stderr
    )
    assert registered[0].n_obs == 9


def test_all_samples_stay_where_nothing_is_missing() -> None:
    adata = AnnData(np.ones((3, 2)), pd.DataFrame({"a": [1, 2, None], "b": list("xyz")}, index=list("pqr")))
    assert drop_missing(adata, {"b"}) is adata
    with pytest.warns(UserWarning, match=r"\['r'\]"):
        kept = drop_missing(adata, {"a", "b"})
    assert kept.obs_names.tolist() == ["p", "q"]


@pytest.mark.parametrize("values", [[0.5, 1.5, 0.5, 1.5, 2.5, 2.5], [31, 40, 28, 55, 61, 33], [1, 2, 1, 2, 1, 2]])
def test_other_numbers_stay_numbers(values: list[float]) -> None:
    obs = pd.DataFrame({"x": values}, index=list("abcdef"))
    kept = as_groups(obs, "x", "~ C(x)")
    assert kept.tolist() == values
    assert pd.api.types.is_numeric_dtype(kept)


@pytest.mark.parametrize("name", ["dose/ml", "_index", "."])
def test_names_that_no_file_holds_are_found_before_training(name: str, files: Files, tmp_path: Path) -> None:
    samples = with_columns(files, tmp_path, **{name: [1, 2] * 5})
    result = run(files, tmp_path / "out", samples=samples)
    assert result.exit_code == 2
    assert repr(name) in result.stderr
    assert "Training" not in result.stderr


def test_a_random_effect_is_answered_with_the_option(files: Files, tmp_path: Path) -> None:
    result = run(files, tmp_path / "out", **{"--design": "~ treatment + (1 | lane)"})
    assert result.exit_code == 2
    assert "--donor 'lane'" in result.stderr
