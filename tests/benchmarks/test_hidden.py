"""What must hold beside hidden factors, on data sets that nothing was chosen on."""

import importlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SEEDS = range(20, 24)


@pytest.fixture(scope="module")
def hidden() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.hidden")


def fdr_bound(limit: float, calls: pd.Series) -> float:
    """A limit of the FDR and three binomial standard errors of what so many calls show."""
    return limit + 3 * np.sqrt(limit * (1 - limit) / calls.sum())


def false_share(rows: pd.DataFrame, calls: str = "calls", fdr: str = "FDR") -> float:
    return float((rows[fdr] * rows[calls]).sum() / rows[calls].sum())


def test_hidden_factors_cost_neither_errors_nor_power(hidden, monkeypatch) -> None:
    kinds = ["nothing hidden", "r = 0", "r = 0.6", "three, r = 0.3", "continuous, 60 %, r = 0.3"]
    monkeypatch.setattr(hidden, "SCENARIOS", {kind: hidden.SCENARIOS[kind] for kind in kinds})
    monkeypatch.setattr(hidden, "SIZES", (5, 10))
    monkeypatch.setattr(hidden, "N_GENES", 3000)
    rows = [
        row for data, factors in hidden.simulations(SEEDS) for row in hidden.judge(data, hidden.ours(data, factors))
    ]
    table = pd.DataFrame(rows)
    for kind, size in product(kinds, (5, 10)):
        cell = table[(table["scenario"] == kind) & (table["n"] == size)].set_index("method")
        with_columns, without = cell.loc["bulkvi"], cell.loc["bulkvi, no latent columns"]
        limit = 0.08 if size == 5 else 0.07
        assert false_share(with_columns) < fdr_bound(limit, with_columns["calls"]), (kind, size)
        assert false_share(with_columns, "s calls", "s FDR") < fdr_bound(limit, with_columns["s calls"]), (kind, size)
        if kind == "nothing hidden":
            assert (with_columns["latent columns"] == 0).all()
            assert (with_columns["calls"].to_numpy() == without["calls"].to_numpy()).all()
            continue
        assert (with_columns["latent columns"] >= 1).all()
        # 1,200 changed genes of a cell: a difference of .014 is worth about one standard error
        power = [float(cell.loc[method, "TPR at 5 % FDP"].mean()) for method in ("bulkvi", "oracle")]
        assert power[0] > power[1] - 0.04, (kind, size)
    found = table[table["scenario"] != "nothing hidden"].groupby("method")["TPR at 5 % FDP"].mean()
    assert found["bulkvi"] > found["oracle"] - 0.02
    assert found["bulkvi"] > found["bulkvi, no latent columns"] + 0.05


@pytest.mark.filterwarnings("ignore:Unchanged genes have")  # without latent columns a hidden batch passes for a shift
def test_effects_in_real_noise_are_found_with_few_false_ones(hidden, monkeypatch, data_dir) -> None:
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    rows = [row for data in hidden.thinned_counts(SEEDS) for row in hidden.judge(data, hidden.ours(data))]
    table = pd.DataFrame(rows)
    for name, rows_of_data in table.groupby("scenario"):
        data = rows_of_data.set_index("method")
        with_columns, without = data.loc["bulkvi"], data.loc["bulkvi, no latent columns"]
        assert false_share(with_columns) < fdr_bound(0.06, with_columns["calls"]), name
        assert with_columns["TPR at 5 % FDP"].mean() > without["TPR at 5 % FDP"].mean() + 0.01, name
