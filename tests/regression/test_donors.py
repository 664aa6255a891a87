from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.study.groups import donor_codes
from tests.cohorts import set_up
from tests.stats.donor_cohorts import make_donors, pairs, repeats


def cohort_of(samples: list[tuple[int, int]], n_genes: int = 300, seed: int = 0) -> AnnData:
    """Samples of donors, with the donors' names in another order than the donors."""
    simulated = make_donors(np.random.default_rng(seed), samples, n_genes)
    group = simulated.features[:, 1] == 1
    obs = pd.DataFrame(
        {
            "group": pd.Categorical(np.where(group, "B", "A")),
            "donor": [f"donor{9 - d % 10}{d // 10}" for d in simulated.donor],
        },
        index=[f"sample{i}" for i in range(len(group))],
    )
    adata = AnnData(simulated.counts.astype(np.int32), obs=obs)
    adata.var["effect"] = simulated.effect
    adata = adata[:, adata.X.sum(0) >= 10].copy()
    bulkvi.pp.size_factors(adata)
    return adata


def test_pairs_gain_power_and_repeats_lose_false_calls() -> None:
    calls = {}
    for name, samples in {"pairs": pairs(8), "repeats": repeats(10, 3)}.items():
        adata = cohort_of(samples, 1000)
        for key in (None, "donor"):
            model = set_up(adata, donor_key=key)
            model.is_trained_ = True
            table = model.differential_expression("group", "B", "A", latent_columns=0)
            called = (table["adj_p_value"] < 0.05).to_numpy()
            calls[name, key] = called.sum(), (called & (adata.var["effect"] == 0).to_numpy()).sum()
            assert not table.isna().any().any()
    assert calls["pairs", "donor"][0] > 1.3 * calls["pairs", None][0]
    assert calls["repeats", None][1] > 0.2 * calls["repeats", None][0]
    n, false = calls["repeats", "donor"]
    assert false <= 0.05 * n + 4 * np.sqrt(0.05 * n)


def test_the_other_tables_know_of_donors(tmp_path: Any) -> None:
    adata = cohort_of(repeats(10, 3))
    plain, model = set_up(adata), None
    tables = {"none": (plain.omnibus_test("group", latent_columns=0), plain.get_dispersions())}
    model = set_up(adata, donor_key="donor")
    model.is_trained_ = True
    tables["donors"] = (model.omnibus_test("group", latent_columns=0), model.get_dispersions())
    assert (tables["donors"][0]["p_value"] < 0.05).mean() < (tables["none"][0]["p_value"] < 0.05).mean() / 1.5
    # the dispersion is now that within donors
    assert tables["donors"][1]["dispersion"].median() < 0.7 * tables["none"][1]["dispersion"].median()
    table = model.differential_expression("group", "B", "A", latent_columns=0)
    model.save(str(tmp_path / "model"), save_anndata=False)
    again = bulkvi.BulkVI.load(str(tmp_path / "model"), adata=adata)
    pd.testing.assert_frame_equal(table, again.differential_expression("group", "B", "A", latent_columns=0))


def test_a_donor_missing_in_later_samples_is_said() -> None:
    model = set_up(cohort_of(pairs(5), 60), donor_key="donor")
    model.adata.obs["donor"] = [None, *model.adata.obs["donor"][1:]]
    with pytest.raises(
        ValueError, match=r"donor_key: adata.obs\['donor'\] is missing for 1 samples \(first: \['sample0'\]"
    ):
        donor_codes(model.adata.obs, "donor")
    with pytest.raises(ValueError, match=r"adata.obs\['donor'\] has other values since setup_anndata"):
        model.get_dispersions()
    del model.adata.obs["donor"]
    with pytest.raises(KeyError, match="donor_key='donor' is not a column"):
        donor_codes(model.adata.obs, "donor")
    with pytest.raises(ValueError, match=r"adata.obs\['donor'\] is gone since setup_anndata"):
        model.get_dispersions()


@pytest.mark.parametrize(
    ("samples", "change", "arguments", "error", "message"),
    [
        (pairs(5), {}, {"donor_key": "patient"}, KeyError, "donor_key='patient' is not a column of adata.obs; it has"),
        (pairs(5), {"donor": [None, *"abcdeabcd"]}, {}, ValueError, r"is missing for 1 samples \(first: \['sample0'\]"),
        (pairs(5), {}, {"design": "~ donor + group"}, ValueError, "donor_key='donor' is in the design as well"),
        (pairs(5), {}, {"batch_key": "donor"}, ValueError, "donor_key='donor' is in the design as well"),
        (pairs(5), {"donor": "d"}, {}, ValueError, "all samples are of one donor, 'd'"),
        (pairs(5), {"donor": list("abcdefghij")}, {}, ValueError, "every sample has a donor of its own"),
        (pairs(3), {}, {}, ValueError, "3 donors leave 2 differences between donors.*into the design instead"),
        (repeats(4, 3), {}, {}, ValueError, "4 donors leave 2 differences.*cannot tell groups from donors"),
    ],
)
def test_donors_that_cannot_be_used(
    samples: list[tuple[int, int]],
    change: dict[str, Any],
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    adata = cohort_of(samples, 60)
    for name, values in change.items():
        adata.obs[name] = values
    before = adata.obs.copy(), sorted(adata.uns), sorted(adata.obsm)
    given = {"size_factor_key": "size_factor", "design": "~ group", "donor_key": "donor"} | arguments
    with pytest.raises(error, match=message):
        bulkvi.BulkVI.setup_anndata(adata, **given)
    pd.testing.assert_frame_equal(adata.obs, before[0])
    assert (sorted(adata.uns), sorted(adata.obsm)) == before[1:]


def test_a_design_with_donors_nested_in_the_group_points_to_donor_key() -> None:
    adata = cohort_of(repeats(6, 2), 60)
    with pytest.raises(ValueError, match="not of full rank.*into donor_key of setup_anndata"):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ donor + group")


def exchange_of(samples: list[tuple[int, int]], within: Any = None, **columns: Any) -> Any:
    from bulkvi.regression.permutation import find_exchange
    from bulkvi.study.groups import find_groups

    adata = cohort_of(samples, 60)
    for name, values in columns.items():
        adata.obs[name] = values
    design = "~ group" if not columns else "~ " + " + ".join([*columns, "group"])
    model = set_up(adata, design, donor_key="donor")
    return adata, find_exchange(model.gene_fit().study, "group", find_groups(adata.obs, "group", "B", "A"), within)


def test_labels_of_pairs_are_exchanged_within_donors() -> None:
    adata, exchange = exchange_of(pairs(6))
    drawn = exchange.draw(100, np.random.default_rng(0))
    assert exchange.n_distinct() == len(drawn) == 2**5 - 1
    for labels in drawn:
        assert (pd.Series(labels).groupby(adata.obs["donor"].to_numpy()).sum() == 1).all()


def test_donors_in_one_group_exchange_their_labels_as_a_whole() -> None:
    adata, exchange = exchange_of(repeats(6, 3))
    drawn = exchange.draw(100, np.random.default_rng(0))
    assert exchange.n_distinct() == len(drawn) == 9  # 6 donors in 3 + 3, halved for the mirror, less the real one
    for labels in drawn:
        assert pd.Series(labels).groupby(adata.obs["donor"].to_numpy()).nunique().eq(1).all()
        assert labels.sum() == 9


def test_pairs_and_single_donors_are_each_exchanged_among_themselves() -> None:
    adata, exchange = exchange_of([*pairs(3), (3, 0), (4, 1), (5, 0), (6, 1)])
    drawn = exchange.draw(1000, np.random.default_rng(0))
    assert exchange.n_distinct() == len(drawn) == 2**3 * 6 // 2 - 1
    single = ~adata.obs["donor"].duplicated(keep=False).to_numpy()
    for labels in drawn:
        assert labels[single].sum() == 2
        assert (pd.Series(labels[~single]).groupby(adata.obs["donor"].to_numpy()[~single]).sum() == 1).all()


def test_whole_donors_are_exchanged_within_what_is_the_same_in_all_their_samples() -> None:
    """Sex divides the donors; time, which changes within each of them, does not."""
    samples = repeats(12, 2)
    sex = ["f" if d % 4 < 2 else "m" for d, _ in samples]
    adata, exchange = exchange_of(samples, sex=sex, time=["early", "late"] * 12)
    drawn = exchange.draw(200, np.random.default_rng(0))
    assert exchange.n_distinct() == 20 * 20 // 2 - 1
    for labels in drawn:
        assert pd.Series(labels).groupby(adata.obs["donor"].to_numpy()).nunique().eq(1).all()
        assert pd.Series(labels).groupby(adata.obs["sex"].to_numpy()).sum().eq(6).all()


def test_calibrate_respects_donors_and_says_so_when_they_are_too_few() -> None:
    model = set_up(cohort_of(repeats(8, 2), 200), donor_key="donor")
    report = model.calibrate("group", "B", "A", n_permutations=5, progress_bar=False)
    assert (report.n_relabellings, report.n_distinct) == (5, 34)
    model = set_up(cohort_of([*((d, 0) for d in range(4) for _ in (0, 1)), (4, 1), (4, 1)], 60), donor_key="donor")
    with pytest.raises(
        ValueError, match="4 distinct permutations of 2 and 8 samples .* when donors are respected .5 donors"
    ):
        model.calibrate("group", "B", "A")
