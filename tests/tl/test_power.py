"""Predictions of power: laws, an oracle of the interval, and truth that is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

import bulkvi
from bulkvi import power_names as pn
from bulkvi.tl import power
from tests.cohorts import set_up

GIVEN = ("group", "B", "A")


@pytest.fixture(scope="module")
def pilot() -> bulkvi.BulkVI:
    return set_up(bulkvi.datasets.simulate(n_per_group=3, n_genes=250, seed=2))


@pytest.fixture(scope="module")
def table(pilot: bulkvi.BulkVI) -> pd.DataFrame:
    return power(pilot, *GIVEN, n=[3, 12], genes=strongest(pilot, 2), progress_bar=False)


def strongest(model: bulkvi.BulkVI, number: int) -> list[str]:
    """Names of the gene with the largest effect, and of unchanged ones."""
    size = model.adata.var["true_log_fc"].abs().to_numpy() * (model.adata.X.sum(0) > 3000)
    order = np.argsort(-size, kind="stable")
    return [str(name) for name in model.adata.var_names[[order[0], *order[1 - number :]]]]


def values(table: pd.DataFrame, quantity: str, column: str = pn.EXPECTED) -> np.ndarray:
    return table.loc[table[pn.QUANTITY] == quantity, column].to_numpy()


def test_the_table_is_tidy(table: pd.DataFrame):
    assert list(table) == [pn.N_PER_GROUP, pn.QUANTITY, pn.GENE, pn.EXPECTED, pn.LOW, pn.HIGH]
    assert set(table[pn.QUANTITY]) == set(pn.QUANTITIES)
    assert not table.isna().to_numpy().any()
    assert (table[pn.LOW] <= table[pn.HIGH]).all()
    shares = table[table[pn.QUANTITY].isin([pn.POWER, pn.POWER_ANY, pn.FALSE_SHARE, pn.CHANCE])]
    assert shares[[pn.EXPECTED, pn.LOW, pn.HIGH]].stack().between(0, 1).all()
    assert table.attrs[pn.SETTINGS]["pilot"] == [3, 3]


def test_more_samples_find_more_and_narrow_the_intervals(table: pd.DataFrame):
    for quantity in (pn.POWER, pn.POWER_ANY, pn.CALLS):
        small, large = values(table, quantity)
        assert large > small
    small, large = values(table, pn.INTERVAL_WIDTH)
    assert large == pytest.approx(small / 2, rel=0.25)  # the root of four times the samples
    assert np.ptp(values(table, pn.CHANGED)) == 0  # one truth for all sizes


def test_a_large_effect_has_a_better_chance_than_none(table: pd.DataFrame):
    changed, unchanged = values(table, pn.CHANCE)[2:]
    assert changed > 0.9
    assert unchanged < 0.4


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table(pilot: bulkvi.BulkVI):
    first, threads, other = (
        power(pilot, *GIVEN, n=4, seed=seed, n_jobs=n_jobs, progress_bar=False)
        for seed, n_jobs in ((3, 1), (3, 2), (4, 1))
    )
    pd.testing.assert_frame_equal(first, threads)
    assert (values(first, pn.INTERVAL_WIDTH) != values(other, pn.INTERVAL_WIDTH)).any()


@pytest.mark.slow
def test_a_size_does_not_depend_on_the_other_sizes(pilot: bulkvi.BulkVI, table: pd.DataFrame):
    alone = power(pilot, *GIVEN, n=3, genes=strongest(pilot, 2), progress_bar=False)
    pd.testing.assert_frame_equal(alone, table[table[pn.N_PER_GROUP] == 3].reset_index(drop=True))


@pytest.mark.slow
def test_without_effects_there_is_nothing_to_find():
    quiet = set_up(bulkvi.datasets.simulate(n_per_group=5, n_genes=500, de_share=0.0, seed=1))
    table = power(quiet, *GIVEN, n=6, latent_columns=0, progress_bar=False)
    assert values(table, pn.CALLS)[0] <= 1
    assert values(table, pn.POWER)[0] < 0.2
    assert values(table, pn.CHANGED)[0] < 5


@pytest.mark.slow
def test_the_order_of_the_genes_changes_the_draws_only():
    adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=600, seed=3)
    turned = adata[:, ::-1].copy()
    first, second = (power(set_up(one), *GIVEN, n=5, progress_bar=False) for one in (adata, turned))
    for quantity in (pn.POWER, pn.CHANGED, pn.INTERVAL_WIDTH):
        assert values(first, quantity)[0] == pytest.approx(values(second, quantity)[0], rel=0.15)


@pytest.mark.slow
def test_the_interval_has_the_width_of_the_information():
    """Variance of a log fold change: 1 / mean + dispersion of each group, over its samples."""
    adata = bulkvi.datasets.simulate(n_per_group=20, n_genes=500, de_share=0.0, depth_spread=1.0, seed=4)
    model, n = set_up(adata), 15
    table = power(model, *GIVEN, n=n, latent_columns=0, progress_bar=False)
    variance = 2 / n * (1 / model.adata.var["true_base_mean"] + model.adata.var["true_dispersion"])
    width = 2 * norm.isf(0.025) * np.sqrt(variance) / np.log(2)
    assert values(table, pn.INTERVAL_WIDTH)[0] == pytest.approx(np.median(width), rel=0.08)


@pytest.fixture(scope="module")
def predicted() -> list[tuple[bulkvi.BulkVI, pd.DataFrame]]:
    """Pilots of three against three, and what each predicts for six and for ten."""
    pilots = [set_up(bulkvi.datasets.simulate(n_per_group=3, n_genes=2000, seed=seed)) for seed in range(12)]
    return [(pilot, power(pilot, *GIVEN, n=[6, 10], progress_bar=False)) for pilot in pilots]


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 10])
def test_predictions_from_three_against_three_hold(predicted: list[tuple[bulkvi.BulkVI, pd.DataFrame]], n: int):
    """Pilots and future studies of one truth; of 12 ranges at 80 %, at least as many hold as are likely with 1 in 1,000."""
    held, error = [], []
    for seed, (pilot, both) in enumerate(predicted):
        table = both[both[pn.N_PER_GROUP] == n]
        # the same genes and effects, other samples
        future = bulkvi.datasets.simulate(n_per_group=n, n_genes=2000, seed=seed, depth_spread=1.9)
        future = future[:, pilot.adata.var_names].copy()
        model = set_up(future)
        model.train(5, progress_bar=False)
        called = model.differential_expression("group", "B", "A", latent_columns=0)["adj_p_value"] < 0.05
        large = pilot.adata.var["true_log_fc"].abs() > 0.5
        found = called.reindex(large.index[large], fill_value=False).mean()
        low, expected, high = (values(table, pn.POWER, column)[0] for column in (pn.LOW, pn.EXPECTED, pn.HIGH))
        held.append(low <= found <= high)
        error.append(expected - found)
    assert abs(np.mean(error)) < 0.07
    assert sum(held) >= binom.ppf(1e-3, 12, 0.8)


@pytest.mark.parametrize(
    ("more", "error", "match"),
    [
        pytest.param({"n": 1}, ValueError, "n is 1.*at least 2", id="one sample"),
        pytest.param({"n": [3, 2.5]}, TypeError, "n is 2.5", id="not whole"),
        pytest.param({"n": []}, ValueError, "n is empty", id="no size"),
        pytest.param({"alpha": 1.5}, ValueError, "alpha is 1.5", id="alpha above 1"),
        pytest.param({"alpha": 0}, ValueError, "alpha is 0", id="alpha 0"),
        pytest.param({"delta": -1}, ValueError, "delta is -1", id="negative delta"),
        pytest.param({"level": 1.0}, ValueError, "level is 1.0", id="certainty"),
        pytest.param({"n_draws": 5}, ValueError, "n_draws is 5.*at least 9", id="fewer draws than a range needs"),
        pytest.param({"genes": ["no gene"]}, KeyError, "no gene", id="unknown gene"),
        pytest.param({"genes": "gene001"}, TypeError, "list of genes", id="one name"),
        pytest.param({"depth": -1}, ValueError, "depth", id="negative depth"),
        pytest.param({"n_jobs": 0}, ValueError, "n_jobs", id="no thread"),
    ],
)
def test_wrong_arguments(pilot: bulkvi.BulkVI, more: dict, error: type, match: str):
    with pytest.raises(error, match=match):
        power(pilot, *GIVEN, progress_bar=False, **more)


def test_groups_and_models_that_do_not_exist(pilot: bulkvi.BulkVI):
    with pytest.raises(ValueError, match="no sample has this level"):
        power(pilot, "group", "B", "C", progress_bar=False)
    with pytest.raises(TypeError, match="must be a BulkVI model"):
        power(pilot.adata, *GIVEN)
