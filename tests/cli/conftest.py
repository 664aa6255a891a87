"""Files as a user would have them: a small simulated cohort, whose every answer is known."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from anndata import AnnData

from bulkvi import datasets
from tests.reporting.study import without_drawing


class Files(NamedTuple):
    folder: Path
    counts: Path
    samples: Path
    truth: AnnData


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Five drug and five control samples of two library types; genes have symbols."""
    folder = tmp_path_factory.mktemp("files")
    truth = datasets.simulate(n_per_group=5, n_genes=300, n_batches=2, effect_sd=2.0, seed=3)
    truth.obs_names = [f"{'ctrl' if group == 'A' else 'drug'}-{k}" for k, group in enumerate(truth.obs["group"])]
    counts = truth.to_df().T
    counts.insert(0, "gene_name", [f"Sym{k}" for k in range(truth.n_vars)])
    counts.to_csv(folder / "counts.csv", index_label="gene_id")
    sheet = pd.DataFrame(index=truth.obs_names)
    sheet["treatment"] = truth.obs["group"].map({"A": "control", "B": "drug"}).astype(str)
    sheet["library type"] = truth.obs["batch"].astype(str)
    sheet["lane"] = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]
    sheet["depth"] = truth.obs["true_depth"]
    sheet.to_csv(folder / "samples.csv", index_label="sample")
    return Files(folder, folder / "counts.csv", folder / "samples.csv", truth)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and figures without drawings."""
    without_drawing(monkeypatch)
