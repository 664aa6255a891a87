from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import chi2_contingency, f_oneway, pearsonr

import bulkvi
from bulkvi.tl._check_design import correlation_ratio, cramers_v, squared_correlation


def samples(**columns: list) -> AnnData:
    n = len(next(iter(columns.values())))
    obs = pd.DataFrame(columns, index=[f"s{i}" for i in range(n)])
    counts = np.random.default_rng(0).poisson(50 * np.linspace(1, 2, n)[:, None], size=(n, 60)).astype(np.float32)
    adata = AnnData(counts, obs=obs)
    adata.obs["size_factor"] = np.linspace(1, 2, n)
    return adata


def serious(adata: AnnData, design: str) -> list[str]:
    findings = bulkvi.tl.check_design(adata, design).findings
    return findings.loc[findings["severity"] == "serious", "finding"].tolist()


def summary(adata: AnnData, design: str) -> str:
    return str(bulkvi.tl.check_design(adata, design))


GROUP = ["a"] * 4 + ["b"] * 4


def test_a_balanced_design_has_nothing_against_it() -> None:
    check = bulkvi.tl.check_design(samples(group=GROUP, batch=["x", "x", "y", "y"] * 2), "~ batch + group")
    assert check.findings.empty
    assert check.residual_df == 5
    assert check.cells["n_samples"].tolist() == [2, 2, 2, 2]
    assert "5 residual degrees of freedom" in str(check)
    assert "Nothing found" in str(check)


def test_empty_cells_are_counted() -> None:
    adata = samples(group=GROUP, batch=["x"] * 5 + ["y"] * 3)
    check = bulkvi.tl.check_design(adata, "~ batch + group")
    cells = check.cells.set_index(["batch", "group"])["n_samples"]
    assert cells.to_dict() == {("x", "a"): 4, ("x", "b"): 1, ("y", "a"): 0, ("y", "b"): 3}
    assert "0 to 4, 1 of them empty" in str(check)


@pytest.mark.parametrize(
    "batch",
    [["x"] * 4 + ["y"] * 4, ["w", "w", "x", "x", "y", "y", "z", "z"], [1] * 4 + [2] * 4],
    ids=["one to one", "nested", "numbered"],
)
def test_a_group_confounded_with_a_batch_is_serious_and_warned_of_once(batch: list) -> None:
    adata = samples(group=GROUP, batch=batch)
    (finding,) = serious(adata, "~ group")
    assert finding.startswith("'group' is fully confounded with 'batch'")
    with pytest.warns(UserWarning, match="'group' is fully confounded with 'batch'.*check_design") as raised:
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    assert len(raised) == 1


def test_a_batch_that_follows_from_finer_groups_is_serious() -> None:
    adata = samples(stage=["a", "a", "b", "b", "c", "c", "d", "d"], run=["1st"] * 4 + ["2nd"] * 4)
    assert serious(adata, "~ stage") == [
        "'run' follows from 'stage': levels of 'stage' that differ in it are confounded with it."
    ]


def test_a_column_with_an_ordinary_name_is_a_note() -> None:
    adata = samples(group=GROUP, treatment=["p"] * 4 + ["q"] * 4)
    assert serious(adata, "~ group") == []
    assert "[note] 'group' is fully confounded with 'treatment'" in summary(adata, "~ group")


def test_a_donor_may_have_a_batch_to_itself() -> None:
    adata = samples(donor=["d1", "d1", "d2", "d2", "d3", "d3", "d4", "d4"], dex=["u", "t"] * 4)
    adata.obs["batch"] = ["x"] * 4 + ["y"] * 4
    assert serious(adata, "~ donor + dex") == []


def test_a_level_with_one_sample_is_serious() -> None:
    adata = samples(group=[*GROUP[:-1], "c"])
    assert serious(adata, "~ group") == ["'group' has levels with one sample: c."]
    with pytest.warns(UserWarning, match="levels with one sample: c"):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")


def test_no_residual_degree_of_freedom_is_serious() -> None:
    adata = samples(group=["a", "b"] * 2, x=[1.0, 2, 4, 9], y=[0.1, 0.5, 0.2, 0.7])
    assert "0 residual degrees of freedom" in serious(adata, "~ group + x + y")[0]


def test_repeated_donors_are_hinted_at() -> None:
    donors = ["d1", "d1", "d2", "d2", "d3", "d3", "d4", "d4"]
    adata = samples(group=GROUP, donor=donors)
    assert "pseudo-replication" in summary(adata, "~ group")
    assert serious(adata, "~ group") == []
    assert "paired" not in summary(adata, "~ group")


def test_pairs_are_hinted_at_and_no_more_once_in_the_design() -> None:
    adata = bulkvi.datasets.airway()
    assert "'cell' come back in several levels of 'dex'" in summary(adata, "~ dex")
    assert bulkvi.tl.check_design(adata, "~ cell + dex").findings.empty


def test_every_pair_has_the_measure_of_its_kinds() -> None:
    adata = samples(group=GROUP, site=["x", "y"] * 4, age=[1.5, 2, 3, 4, 5, 6, 7, 8], code=list("abcdefgh"))
    adata.obs["flowcell"] = "F1"
    check = bulkvi.tl.check_design(adata, "~ group")
    table = check.association.set_index(["column", "other_column"])
    assert table["measure"].to_dict() == {
        ("group", "site"): "Cramer's V",
        ("group", "age"): "eta squared",
        ("group", "size_factor"): "eta squared",
        ("site", "age"): "eta squared",
        ("site", "size_factor"): "eta squared",
        ("age", "size_factor"): "squared correlation",
    }
    assert table.loc[("group", "site"), "association"] == pytest.approx(0)
    assert table.loc[("age", "size_factor"), "association"] == pytest.approx(1, abs=0.01)
    assert check.left_out == {
        "code": "another value in every sample (an identifier)",
        "flowcell": "the same in every sample",
    }
    assert "code: another value" in str(check)


def test_missing_values_are_left_out_pair_by_pair() -> None:
    adata = samples(group=GROUP, batch=[None, "x", "x", "y", "y", "x", "y", None])
    table = bulkvi.tl.check_design(adata, "~ group").association.set_index(["column", "other_column"])
    known = adata.obs.dropna()
    assert table.loc[("group", "batch"), "association"] == cramers_v(
        *(pd.factorize(known[name])[0] for name in ("group", "batch"))
    )


def test_the_annotated_data_stay(rng: np.random.Generator) -> None:
    adata = bulkvi.datasets.airway()
    before = adata.copy()
    bulkvi.tl.check_design(adata, "~ cell + dex")
    pd.testing.assert_frame_equal(adata.obs, before.obs)


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no AnnData": (lambda: bulkvi.tl.check_design(pd.DataFrame(), "~ a"), TypeError, "must be an AnnData"),
    "unknown variable": (lambda: bulkvi.tl.check_design(samples(group=GROUP), "~ dose"), KeyError, "dose"),
    "missing level": (
        lambda: bulkvi.tl.check_design(samples(group=[None, *GROUP[1:]]), "~ group"),
        ValueError,
        "missing for 1 samples",
    ),
    "contrast not in design": (
        lambda: bulkvi.tl.check_design(samples(group=GROUP, site=["x", "y"] * 4), "~ group", contrast="site"),
        ValueError,
        "does not hold 'site'",
    ),
    "level of no sample": (
        lambda: bulkvi.tl.check_design(samples(group=GROUP), "~ group", contrast=("group", "c", "a")),
        ValueError,
        "two of its levels",
    ),
    "donor nested in group": (
        lambda: bulkvi.tl.check_design(samples(group=GROUP, donor=list("ddeeffgg")), "~ donor + group"),
        ValueError,
        "'group.* follows from .*donor",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_wrong_input_is_named(case: tuple) -> None:
    call, error, message = case
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("design", ["~ cell_type + stage", "~ label_in_original_study", "~ group"])
def test_the_lane_of_the_mammary_study_is_confounded_with_what_it_asks(mammary: AnnData, design: str) -> None:
    adata = mammary.copy()
    with pytest.warns(UserWarning, match="lane") as raised:
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
    assert len(raised) == 1


def test_the_label_of_the_study_is_the_cell_type(mammary: AnnData) -> None:
    report = summary(mammary, "~ label_in_original_study")
    assert "[serious] 'label_in_original_study' is fully confounded with 'lane'" in report
    assert "[note] 'label_in_original_study' is fully confounded with 'cell_type'" in report


def test_designs_without_a_fault_are_not_warned_of(data_dir: Path) -> None:
    obs = pd.read_csv(data_dir / "bottomly" / "samples.tsv", sep="\t", index_col=0)
    obs["batch"] = obs["batch"].astype(str)
    adata = AnnData(np.ones((len(obs), 1)), obs=obs)
    assert serious(adata, "~ strain + batch") == []
    assert serious(adata, "~ strain") == []
    assert serious(bulkvi.datasets.airway(), "~ cell + dex") == []


def test_levels_that_differ_only_in_capitals_or_spaces_are_named() -> None:
    obs = pd.DataFrame({"condition": ["Control", "control", "control ", "drug", "drug", "drug+"]}, index=list("abcdef"))
    found = bulkvi.tl.check_design(AnnData(np.ones((6, 2)), obs=obs), "~ condition").findings
    (alike,) = found.loc[found["finding"].str.contains("differ only"), "finding"]
    assert "'Control', 'control', 'control '" in alike
    assert "drug" not in alike


LIBRARIES = [f"L{k}" for k in range(8)] * 2


@pytest.mark.parametrize("name", ["library", "sample_id", "replicate", "run", "lane_of_run"])
def test_rows_of_one_library_are_called_repeats_and_not_confounded(name: str) -> None:
    """Each library on two lanes: once the finding was "No analysis can tell their effects apart", of library and condition."""
    adata = samples(group=(["a"] * 4 + ["b"] * 4) * 2, **{name: LIBRARIES})
    text = summary(adata, "~ group")
    assert "repeats of one sample" in text
    assert f"bulkvi.pp.sum_replicates(adata, {name!r})" in text
    assert "donor_key" in text
    assert "confounded" not in text


def test_replicates_that_are_numbered_anew_in_each_group_are_not_to_be_added_up() -> None:
    adata = samples(group=["a"] * 6 + ["b"] * 6, replicate=[1, 1, 2, 2, 3, 3] * 2)
    text = summary(adata, "~ group")
    assert "sum_replicates" not in text
    assert serious(adata, "~ group") == []


def test_batches_nested_in_groups_may_be_compared_as_donors() -> None:
    adata = samples(group=GROUP, batch=["w", "w", "x", "x", "y", "y", "z", "z"])
    assert "name 'batch' as donor_key" in summary(adata, "~ group")
    assert "No analysis" in summary(samples(group=GROUP, batch=["w"] * 4 + ["x"] * 4), "~ group")


def test_findings_beside_the_comparison_are_notes() -> None:
    adata = samples(group=["a"] * 4 + ["b"] * 4, clinic=["x", "y", "x", "y", "x", "y", "x", "z"])
    assert serious(adata, "~ clinic + group") == ["'clinic' has levels with one sample: z."]
    check = bulkvi.tl.check_design(adata, "~ clinic + group", contrast="group")
    assert set(check.findings["severity"]) == {"note"}
    assert "'clinic' has levels with one sample: z." in check.findings["finding"].tolist()


def test_confounding_of_the_two_groups_compared_is_serious_though_a_third_crosses() -> None:
    adata = samples(group=["a"] * 3 + ["b"] * 3 + ["c"] * 2, batch=["x"] * 3 + ["y"] * 3 + ["x", "y"])
    assert serious(adata, "~ group") == []
    found = bulkvi.tl.check_design(adata, "~ group", contrast=("group", "b", "a")).findings
    assert found.loc[found["severity"] == "serious", "finding"].str.contains("fully confounded with 'batch'").all()
    assert (found["severity"] == "serious").sum() == 1
    single = samples(group=["a"] * 4 + ["b"] * 3 + ["c"])
    assert serious(single, "~ group") != []
    table = bulkvi.tl.check_design(single, "~ group", contrast=("group", "b", "a")).findings
    assert "serious" not in set(table["severity"])


def test_a_column_that_would_use_up_the_design_is_offered_as_donor() -> None:
    adata = samples(
        group=["a", "b"] * 4,
        donor=["d1", "d1", "d2", "d2", "d3", "d3", "d4", "d4"],
        age=[30.0, 31, 40, 44, 51, 50, 63, 66],
    )
    adata.obs["dose"] = [0.1, 2.0, 0.4, 1.0, 3.0, 0.2, 5.0, 0.3]
    assert "'~ donor + group'" in summary(adata, "~ group")
    text = summary(adata, "~ group + age + dose")
    assert "'~ donor + group'" not in text
    assert "name 'donor' as donor_key in setup_anndata: in the design its 4 levels would leave 1 residual" in text


def test_identifiers_constants_and_free_text_are_one_line_each() -> None:
    adata = samples(group=GROUP, file=[f"run{k}.bam" for k in range(8)], srr=[f"SRR{k}" for k in range(8)])
    adata.obs["species"], adata.obs["note"] = "mouse", ["ok", "ok", *"abcdef"]
    adata.obs["taken"] = pd.date_range("2024-01-01", periods=8)
    check = bulkvi.tl.check_design(adata, "~ group")
    assert check.findings.empty
    assert "file, srr, taken: another value in every sample (an identifier)" in str(check)
    assert check.left_out["note"].startswith("another value in nearly every sample")
    assert check.left_out["species"] == "the same in every sample"


def test_dots_of_numbers_do_not_make_levels_alike() -> None:
    assert serious(samples(dose=["1.0", "10", "1.0", "10", "0.1", "0.1", "01", "01"]), "~ dose") == []


def test_cramers_v_is_chi_squared_over_its_largest_value(rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    table = np.zeros((3, 4))
    np.add.at(table, (a, b), 1)
    chi_squared = chi2_contingency(table, correction=False).statistic
    assert cramers_v(a, b) == pytest.approx(np.sqrt(chi_squared / (60 * 2)))
    assert cramers_v(a, b) == pytest.approx(cramers_v(b, a))


def test_a_column_that_determines_the_other_has_an_association_of_one(rng: np.random.Generator) -> None:
    fine = rng.permutation(np.repeat(np.arange(6), 4))
    assert cramers_v(fine, fine // 2) == pytest.approx(1)
    assert correlation_ratio(fine, np.array([3.0, -1, 4, 1, 5, 9])[fine]) == pytest.approx(1)


def test_eta_squared_follows_from_the_one_way_f_test(rng: np.random.Generator) -> None:
    groups, values = rng.integers(0, 3, 40), rng.normal(size=40)
    f = f_oneway(*(values[groups == k] for k in range(3))).statistic
    assert correlation_ratio(groups, values) == pytest.approx(2 * f / (2 * f + 37))


def test_squared_correlation_is_pearsons(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 30))
    assert squared_correlation(a, b) == pytest.approx(pearsonr(a, b).statistic ** 2)


def test_a_constant_column_has_no_association() -> None:
    same, other = np.zeros(4), np.array([0, 1, 0, 1])
    assert np.isnan(cramers_v(same, other))
    assert np.isnan(correlation_ratio(same, other.astype(float)))
    assert np.isnan(correlation_ratio(other, same))
    assert np.isnan(squared_correlation(same, other.astype(float)))


OBS = pd.DataFrame(
    {
        "text": list("ab") * 6,
        "yes": [True, False] * 6,
        "donor": [1.0, 2, 3, 4, 5, 6] * 2,
        "dose": [0, 1, 10] * 4,
        "gap": [1, 2, None] * 4,
        "age": np.linspace(20, 60, 12),
    },
    index=[f"s{k}" for k in range(12)],
)
READ = {
    "~ text + yes": {"text": ("groups", True), "yes": ("groups", True)},
    "~ donor * dose": {"donor": ("groups", False), "dose": ("slope", False)},
    "~ C(dose) + slope(donor)": {"donor": ("slope", True), "dose": ("groups", True)},
    "~ bs(age, df=4)": {"age": ("slope", True)},
    "~ gap": {"gap": ("slope", False)},
    "~ I(age > 40)": {"age": ("slope", True)},
}


@pytest.mark.parametrize("formula", READ)
def test_each_column_is_read_as_groups_or_a_slope(formula: str) -> None:
    found = bulkvi.tl.design_variables(AnnData(obs=OBS), formula)
    assert {name: tuple(variable) for name, variable in found.items()} == READ[formula]


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(KeyError, match="'nope'"):
        bulkvi.tl.design_variables(AnnData(obs=OBS), "~ nope")
    with pytest.raises(TypeError, match="AnnData"):
        bulkvi.tl.design_variables(OBS, "~ text")
    with pytest.raises(TypeError, match="formula"):
        bulkvi.tl.design_variables(AnnData(obs=OBS), 3)  # type: ignore[arg-type]
