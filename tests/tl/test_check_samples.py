from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import bulkvi


@pytest.fixture(scope="module")
def bottomly(data_dir: Path) -> AnnData:
    counts = pd.read_csv(data_dir / "bottomly" / "counts.tsv.gz", sep="\t", index_col=0)
    obs = pd.read_csv(data_dir / "bottomly" / "samples.tsv", sep="\t", index_col=0)
    obs["batch"] = obs["batch"].astype(str)
    adata = AnnData(counts[obs.index].T.astype(np.float32), obs=obs)
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    return adata


@pytest.fixture(scope="module")
def geuvadis(data_dir: Path) -> AnnData:
    counts = pd.read_csv(data_dir / "geuvadis_sex" / "counts.tsv.gz", sep="\t", index_col=0)
    obs = pd.read_csv(data_dir / "geuvadis_sex" / "samples.tsv", sep="\t", index_col=0)
    adata = AnnData(counts[obs.index].T.astype(np.float32), obs=obs)
    bulkvi.pp.size_factors(adata)
    return adata


def swapped(adata: AnnData, column: str, first: str, second: str) -> AnnData:
    obs = adata.obs.copy()
    obs.loc[[first, second], column] = obs.loc[[second, first], column].to_numpy()
    return AnnData(adata.X, obs=obs, var=adata.var)


def flagged(table: pd.DataFrame, flag: str) -> list[str]:
    return table.index[table["flag"].str.split(",").map(lambda codes: flag in codes)].tolist()


def pairs(adata: AnnData, column: str) -> list[tuple[str, str]]:
    first, second = (adata.obs_names[adata.obs[column] == level] for level in adata.obs[column].unique())
    return list(product(first, second))


@pytest.fixture(scope="module")
def checked(airway: AnnData) -> pd.DataFrame:
    """Check of the right labels of airway."""
    return bulkvi.tl.check_samples(airway, "dex")


@pytest.mark.parametrize("design", [None, "~ cell + dex"])
def test_right_labels_of_airway_raise_no_alarm(airway: AnnData, design: str | None) -> None:
    table = bulkvi.tl.check_samples(airway, "dex", design=design)
    assert (table["flag"] == "").all()
    assert table["prob_label"].min() > 0.95
    assert table.index.equals(airway.obs_names)
    np.testing.assert_allclose(table[["prob_label_untrt", "prob_label_trt"]].sum(axis=1), 1)
    own = np.where(table["label"] == "trt", table["fit_trt"], table["fit_untrt"])
    np.testing.assert_array_equal(table["fit"], own)


def test_a_swap_is_found_with_its_partner(airway: AnnData) -> None:
    wrong = ["SRR1039508", "SRR1039513"]
    table = bulkvi.tl.check_samples(swapped(airway, "dex", *wrong), "dex")
    assert flagged(table, "swapped") == wrong
    assert table.loc[wrong, "swapped_with"].tolist() == wrong[::-1]
    assert table.loc[wrong, "likely_label"].tolist() == ["untrt", "trt"]


def test_the_swapped_pair_of_the_mammary_workshop_is_found(mammary: AnnData) -> None:
    """A workshop on these data has the labels of DG and LA exchanged."""
    right = mammary[:, ::3].copy()
    wrong = swapped(right, "cell_type", "MCL1-DG", "MCL1-LA")
    for design in (None, "~ cell_type + stage"):
        table = bulkvi.tl.check_samples(wrong, "cell_type", design=design)
        assert flagged(table, "swapped") == ["MCL1-DG", "MCL1-LA"]
        assert flagged(table, "doubtful") == []
        assert (bulkvi.tl.check_samples(right, "cell_type", design=design)["flag"] == "").all()


def test_groups_of_two_leave_open_which_pair_was_swapped(mammary: AnnData) -> None:
    some = swapped(mammary, "group", "MCL1-DG", "MCL1-LA")[:, ::8].copy()
    table = bulkvi.tl.check_samples(some, "group")
    assert (
        flagged(table, "doubtful") == ["MCL1-DG", "MCL1-DH", "MCL1-LA", "MCL1-LB"]
        or table.loc[["MCL1-DG", "MCL1-DH", "MCL1-LA", "MCL1-LB"], "prob_label"].max() < 0.51
    )
    assert "MCL1-LA" in table.loc["MCL1-DG", "swapped_with"]


def test_a_spoilt_sample_is_outlying_and_not_swapped(airway: AnnData, rng: np.random.Generator) -> None:
    spoilt = AnnData(airway.X.copy(), obs=airway.obs.copy(), var=airway.var)
    spoilt.X[5] = rng.poisson(spoilt.X[5] * rng.lognormal(0, 1.5, spoilt.n_vars))
    table = bulkvi.tl.check_samples(spoilt, "dex")
    assert flagged(table, "outlying") == ["SRR1039517"]
    assert flagged(table, "swapped") == []


def test_the_only_sample_of_a_label_is_not_checked(airway: AnnData) -> None:
    some = airway[[0, 1, 2, 4, 6]].copy()
    table = bulkvi.tl.check_samples(some, "dex")
    assert flagged(table, "not_checked") == ["SRR1039509"]
    assert np.isnan(table.loc["SRR1039509", "prob_label"])


def with_sexes(airway: AnnData) -> AnnData:
    adata = AnnData(airway.X.copy(), obs=airway.obs.copy(), var=airway.var)
    female = np.array([True, True, False, False, True, True, False, False])
    adata.X[:, 0] = np.where(female, 500, 3)
    adata.X[:, 1] = np.where(female, 4, 300)
    adata.obs["sex"] = np.where(female, "F", "male")
    return adata


def test_the_sex_is_called_by_the_given_genes(airway: AnnData, checked: pd.DataFrame) -> None:
    adata = with_sexes(airway)
    adata.obs.loc["SRR1039512", "sex"] = "F"
    adata.obs.loc["SRR1039508", "sex"] = None
    adata.X[7, :2] = 400
    adata.X[6, :2] = 0
    genes = {"female_genes": adata.var_names[:1], "male_genes": adata.var_names[1:2]}
    table = bulkvi.tl.check_samples(adata, "dex", sex_key="sex", **genes)
    assert table["sex"].tolist() == ["female", "female", "male", "male", "female", "female", "unclear", "both"]
    assert flagged(table, "sex_mismatch") == ["SRR1039512", "SRR1039521"]
    without = bulkvi.tl.check_samples(adata, "dex", **genes)
    assert flagged(without, "sex_mismatch") == ["SRR1039521"]
    assert "sex" not in checked  # no column looks like a sex


MARKERS = {
    "Ensembl ids": ("ENSG00000229807", "ENSG00000129824"),
    "with versions": ("ENSG00000229807.13", "ENSG00000067048.18"),
    "symbols": ("XIST", "KDM5D"),
    "mouse": ("Xist", "Eif2s3y"),
    "mouse ids": ("ENSMUSG00000086503.5", "ENSMUSG00000069045.12"),
    "id and symbol": ("ENSG00000229807|XIST", "ENSG00000183878_UTY"),
}


def with_markers(xist: Any, y: Any, names: tuple[str, str], sex: Any = None, n_genes: int = 80) -> AnnData:
    """Eight samples of a million reads, and two markers with the given counts."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(12_000, size=(8, n_genes)).astype(np.float32)
    counts[:, 0], counts[:, 1] = xist, y
    adata = AnnData(counts, obs=pd.DataFrame({"arm": ["a", "b"] * 4}, index=[f"s{k}" for k in range(8)]))
    adata.var_names = [*names, *(f"gene{k}" for k in range(2, n_genes))]
    if sex is not None:
        adata.obs["sex"] = sex
    bulkvi.pp.size_factors(adata)
    return adata


@pytest.mark.parametrize("genes", MARKERS.values(), ids=MARKERS)
def test_a_column_of_sexes_is_compared_with_the_marker_genes(genes: tuple[str, str]) -> None:
    adata = with_markers([200, 200, 200, 200, 0, 1, 0, 2], [1, 0, 2, 0, 500, 400, 450, 600], genes)
    adata.obs["Gender"] = ["F", "F", "F", "M", "M", "M", "M", "F"]
    table = bulkvi.tl.check_samples(adata, "arm")
    assert table["sex"].tolist() == ["female"] * 4 + ["male"] * 4
    assert flagged(table, "sex_mismatch") == ["s3", "s7"]
    assert table.attrs["sex_key"] == "Gender"
    assert table.attrs["sex_genes"] == list(genes)


def test_symbols_beside_the_ids_are_used(airway: AnnData) -> None:
    """Three of the donors of airway are men; that is nowhere in its table of samples."""
    adata = AnnData(airway.X, obs=airway.obs.assign(sex=["male"] * 6 + ["female"] * 2), var=airway.var.copy())
    adata.var_names = [f"g{k}" for k in range(adata.n_vars)]
    table = bulkvi.tl.check_samples(adata, "dex")
    assert table["sex"].tolist() == adata.obs["sex"].tolist()
    assert (table["flag"] == "").all()


SEXES: dict[str, tuple[Any, Any, list[str], str]] = {
    "Klinefelter": ([200] * 4 + [0, 0, 0, 180], [0] * 4 + [500] * 4, ["female"] * 4 + ["male"] * 3 + ["both"], ""),
    "XIST lost": ([200, 200, 200, 0] + [0] * 4, [0] * 4 + [500] * 4, ["female"] * 3 + ["unclear"] + ["male"] * 4, ""),
    "some Y reads": ([200] * 4 + [0] * 4, [60] + [0] * 3 + [500] * 4, ["unclear"] + ["female"] * 3 + ["male"] * 4, ""),
    "no Y counted": ([200] * 6 + [0, 0], 0, ["female"] * 6 + ["unclear"] * 2, "no sample has counts of genes of the Y"),
    "misplaced reads only": (
        [200] * 8,
        [3, 14, 2, 0, 12, 1, 0, 5],
        ["female"] * 8,
        "no sample has counts of genes of the Y",
    ),
    "XIST not counted": (0, [0] * 4 + [500] * 4, ["female"] * 4 + ["male"] * 4, ""),
    "neither counted": (0, 0, ["unclear"] * 8, "neither"),
}


@pytest.mark.parametrize("case", SEXES.values(), ids=SEXES)
def test_an_unclear_sex_is_not_guessed(case: tuple) -> None:
    xist, y, expected, remark = case
    table = bulkvi.tl.check_samples(with_markers(xist, y, ("XIST", "DDX3Y"), ["F"] * 4 + ["M"] * 4), "arm")
    assert table["sex"].tolist() == expected
    assert remark in table.attrs["sex_remark"]
    assert bool(table.attrs["sex_remark"]) == bool(remark)
    called = ["F" if sex == "female" else "M" for sex in table["sex"]]
    wrong = [
        f"s{k}"
        for k, (sex, word) in enumerate(zip(expected, ["F"] * 4 + ["M"] * 4, strict=True))
        if sex == "both" or (sex != "unclear" and called[k] != word)
    ]
    assert flagged(table, "sex_mismatch") == wrong


def test_labels_that_are_sexes_are_decided_by_their_genes(rng: np.random.Generator) -> None:
    """XIST of cell lines comes and goes, and took 30 women of a cohort for men; their Y genes are off."""
    sex = np.repeat(["female", "male"], 15)
    xist = np.where(sex == "female", rng.choice([2, 4000], 30), 2)
    counts = rng.poisson(rng.gamma(20, 600 / 20, size=(30, 120)))
    counts[:, 0], counts[:, 1] = rng.poisson(xist), rng.poisson(np.where(sex == "male", 900, 1))
    adata = AnnData(counts.astype(np.float32), obs=pd.DataFrame({"sex": sex}, index=[f"s{k}" for k in range(30)]))
    adata.var_names = ["XIST", "RPS4Y1", *(f"gene{k}" for k in range(118))]
    bulkvi.pp.size_factors(adata)
    assert (bulkvi.tl.check_samples(adata, "sex")["flag"] == "").all()
    adata.obs.loc["s20", "sex"] = "female"
    table = bulkvi.tl.check_samples(adata, "sex")
    assert flagged(table, "sex_mismatch") == ["s20"]
    assert table.loc["s20", "likely_label"] == "male"
    assert (table["flag"].drop("s20") == "").all()


def test_numbers_that_hardly_repeat_are_no_labels(airway: AnnData) -> None:
    obs = pd.concat([airway.obs, airway.obs]).assign(dex=[*np.arange(14.0), 0, 1])
    obs.index = [f"s{k}" for k in range(16)]
    doubled = AnnData(np.concatenate([airway.X, airway.X]), obs=obs, var=airway.var)
    with pytest.raises(ValueError, match="14 different numbers.*pandas.cut"):
        bulkvi.tl.check_samples(doubled, "dex")


@pytest.mark.parametrize("levels", [["1", "2"], ["yes", "no"], [0, 1]], ids=str)
def test_a_column_of_other_words_is_not_taken_for_the_sex(levels: list) -> None:
    adata = with_markers([200] * 4 + [0] * 4, [0] * 4 + [500] * 4, ("XIST", "DDX3Y"), [levels[0]] * 4 + [levels[1]] * 4)
    assert "sex" not in bulkvi.tl.check_samples(adata, "arm")
    with pytest.raises(ValueError, match="no words for a sex"):
        bulkvi.tl.check_samples(adata, "arm", sex_key="sex")


def with_platforms(rng: np.random.Generator) -> AnnData:
    adata = bulkvi.datasets.simulate(n_per_group=10, n_genes=600, seed=4)
    noisy = np.arange(20) % 4 == 0
    adata.X[noisy] = rng.poisson(adata.X[noisy] * rng.lognormal(0, 1.2, (5, 600)))
    adata.obs["platform"] = np.where(noisy, "GA", "HiSeq")
    adata.obs["group"] = adata.obs["group"].astype(str)
    bulkvi.pp.filter_genes(adata)
    bulkvi.pp.size_factors(adata)
    return adata


def test_the_libraries_of_a_noisy_platform_in_the_design_are_not_outlying(rng: np.random.Generator) -> None:
    adata = with_platforms(rng)
    assert len(flagged(bulkvi.tl.check_samples(adata, "group"), "outlying")) == 5
    assert (bulkvi.tl.check_samples(adata, "group", design="~ platform + group")["flag"] == "").all()


@pytest.mark.parametrize("days", [20240100.0, 1.7e9, 0.0], ids=["date", "unix time", "days"])
def test_a_date_in_the_design_leaves_the_labels_as_they_are(airway: AnnData, days: float) -> None:
    obs = airway.obs.assign(date=days + np.array([5, 5, 9, 9, 30, 30, 61, 61]))
    table = bulkvi.tl.check_samples(AnnData(airway.X, obs=obs, var=airway.var), "dex", design="~ date + dex")
    assert table["prob_label"].min() > 0.95
    assert (table["flag"] == "").all()


def test_three_against_three_are_too_few_to_call_a_label_wrong(rng: np.random.Generator) -> None:
    """Each of the ten divisions of six samples is one exchange from any other: a hidden factor looks like a swap."""
    truth = np.repeat([0.0, 1.0], 4)
    effect = rng.normal(0, 2, 200)
    counts = rng.poisson(rng.gamma(30, 300 / 30, size=(8, 200)) * np.exp(np.outer(truth, effect)))
    adata = AnnData(counts.astype(np.float32), obs=pd.DataFrame({"label": [*"baaaabbb"]}, index=[*"12345678"]))
    bulkvi.pp.size_factors(adata)
    assert flagged(bulkvi.tl.check_samples(adata, "label"), "swapped") == ["1", "5"]
    six = adata[[0, 1, 2, 4, 5, 6]].copy()
    table = bulkvi.tl.check_samples(six, "label")
    assert (table["flag"] == "").all()
    assert table.loc["1", "likely_label"] == "a"


STRANGE = ["a b", "__import__('os')", "dex`", "1", "a:b", "~", "été"]


@pytest.mark.parametrize("name", STRANGE)
def test_the_name_of_the_column_is_no_formula(airway: AnnData, checked: pd.DataFrame, name: str) -> None:
    adata = AnnData(airway.X, obs=airway.obs.rename(columns={"dex": name}), var=airway.var)
    pd.testing.assert_frame_equal(bulkvi.tl.check_samples(adata, name), checked, check_names=False)


def test_labels_may_be_numbers_or_truth_values(airway: AnnData, checked: pd.DataFrame) -> None:
    for one, other in ((0, 1), (False, True), (0.5, 10.0)):
        obs = airway.obs.assign(dex=np.where(airway.obs["dex"] == "trt", other, one))
        table = bulkvi.tl.check_samples(AnnData(airway.X, obs=obs, var=airway.var), "dex")
        np.testing.assert_array_equal(table["prob_label"], checked["prob_label"])
        assert table["likely_label"].tolist() == obs["dex"].tolist()


def test_storage_does_not_matter_and_the_data_stay(airway: AnnData, checked: pd.DataFrame) -> None:
    packed = AnnData(sparse.csr_matrix(airway.X), obs=airway.obs.copy(), var=airway.var)
    packed.layers["counts"] = packed.X.copy()
    packed.X = packed.X * 0
    before = packed.copy()
    pd.testing.assert_frame_equal(bulkvi.tl.check_samples(packed, "dex", layer="counts"), checked)
    pd.testing.assert_frame_equal(packed.obs, before.obs)


def test_transcripts_of_another_length_are_not_taken_for_another_label(rng: np.random.Generator) -> None:
    """Sample 2 is of group A by its rates and has the transcripts of group B; its only female gene is a long one."""
    in_b = np.repeat([0.0, 1.0], 6)
    long_in = in_b.copy()
    long_in[2] = 1
    length = 1000 * 2 ** np.outer(long_in, np.where(np.arange(300) < 100, rng.normal(0, 2, 300), 0))
    length[2, 298] *= 100
    rate = np.full((12, 300), 200.0) * 2 ** np.outer(in_b, np.where(np.arange(300) >= 250, rng.normal(0, 1, 300), 0))
    rate[:, 298:] = [4, 200]
    mean = rate * length / np.exp(np.log(length).mean(0))
    adata = AnnData(rng.poisson(rng.gamma(20, 0.05, mean.shape) * mean).astype(np.float32), layers={"length": length})
    adata.obs["group"] = np.where(in_b, "B", "A")
    bulkvi.pp.size_factors(adata, offset_key="length")
    genes: dict[str, Any] = {"female_genes": ["298"], "male_genes": ["299"]}
    aware = bulkvi.tl.check_samples(adata, "group", offset_key="length", **genes)
    assert (aware["flag"] == "").all() and (aware["sex"] == "male").all()
    bulkvi.pp.size_factors(adata)
    blind = bulkvi.tl.check_samples(adata, "group", **genes)
    assert blind.loc["2", "flag"] != "" and blind.loc["2", "sex"] != "male"
    adata.layers["length"] = np.full(adata.shape, 7.0)
    pd.testing.assert_frame_equal(bulkvi.tl.check_samples(adata, "group", offset_key="length", **genes), blind)
    adata.layers["length"][4, 9] = 0
    with pytest.raises(
        ValueError, match=r"adata.layers\['length'\] must hold finite numbers > 0 .*'4' has 0.0 at gene '9'"
    ):
        bulkvi.tl.check_samples(adata, "group", offset_key="length")


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        (None, {"groupby": "sex"}, KeyError, "groupby='sex' is not a column.*dex"),
        (lambda obs: obs.assign(dex=[None, *obs["dex"][1:]]), {}, ValueError, "missing for 1 samples.*SRR1039508"),
        (None, {"groupby": "geo"}, ValueError, "two labels, one of them with two samples"),
        (lambda obs: obs.assign(dex="trt"), {}, ValueError, "at least two labels"),
        (None, {"design": "~ cell"}, ValueError, r"does not hold groupby='dex': write for example '~ cell \+ dex'"),
        (None, {"design": "~ cell + dex + size_factor + I(size_factor**2)"}, ValueError, "leaving a sample out"),
        (None, {"size_factor_key": "sf"}, KeyError, "sf.*pp.size_factors"),
        (None, {"female_genes": ["XIST"]}, ValueError, "Give both"),
        (None, {"female_genes": "XIST", "male_genes": ["DDX3Y"]}, TypeError, r"Write \['XIST'\]"),
        (None, {"female_genes": ["XIST"], "male_genes": ["DDX3Y"]}, KeyError, r"\['XIST'\] are not in adata.var_names"),
        (None, {"sex_key": "dex"}, ValueError, r"\['trt', 'untrt'\] are no words for a sex"),
        (None, {"sex_key": "gender"}, KeyError, "sex_key='gender' is not a column"),
    ],
    ids=lambda value: (
        "" if isinstance(value, type) else str(value)[-30:].replace(" ", "_") if isinstance(value, str) else ""
    ),
)
def test_wrong_input_is_named(
    airway: AnnData, change: Callable | None, arguments: dict, error: type[Exception], message: str
) -> None:
    obs = airway.obs if change is None else change(airway.obs)
    adata = AnnData(airway.X, obs=obs, var=airway.var)
    with pytest.raises(error, match=message):
        bulkvi.tl.check_samples(adata, **({"groupby": "dex"} | arguments))


def test_words_for_the_sexes_are_needed(airway: AnnData) -> None:
    adata = with_sexes(airway)
    with pytest.raises(ValueError, match=r"\['trt', 'untrt'\] are no words for a sex"):
        bulkvi.tl.check_samples(
            adata, "dex", female_genes=adata.var_names[:1], male_genes=adata.var_names[1:2], sex_key="dex"
        )


def rates(adata: AnnData, column: str, design: str, tried: list[tuple[str, str]]) -> tuple[float, int]:
    """Share of swapped samples that are flagged, and samples that are flagged and were not swapped."""
    hits, false = 0, 0
    for pair in tried:
        found = set(flagged(bulkvi.tl.check_samples(swapped(adata, column, *pair), column, design=design), "swapped"))
        hits += len(found & set(pair))
        false += len(found - set(pair))
    return hits / (2 * len(tried)), false


@pytest.mark.slow
def test_every_swap_in_airway_is_found_without_donors_and_most_with_them(airway: AnnData) -> None:
    found, false = rates(airway, "dex", "~ dex", pairs(airway, "dex"))
    assert (found, false) == (1.0, 0)
    found, false = rates(airway, "dex", "~ cell + dex", pairs(airway, "dex"))
    assert found >= 0.7  # two residual degrees of freedom
    assert false == 0


@pytest.mark.slow
def test_most_swaps_in_bottomly_are_found(bottomly: AnnData, rng: np.random.Generator) -> None:
    tried = pairs(bottomly, "strain")
    chosen = [tried[k] for k in rng.permutation(len(tried))[:20]]
    found, false = rates(bottomly, "strain", "~ strain + batch", chosen)
    assert found >= 0.75
    assert false <= 1


@pytest.mark.slow
def test_every_swap_of_cell_types_in_the_mammary_study_is_found(mammary: AnnData) -> None:
    assert rates(mammary, "cell_type", "~ cell_type + stage", pairs(mammary, "cell_type")) == (1.0, 0)


@pytest.mark.slow
def test_clean_simulated_data_raise_at_most_one_alarm_in_200_samples(rng: np.random.Generator) -> None:
    """True labels beside batches and hidden factors, random labels within the groups, a noisy platform."""
    alarms = total = 0
    for seed in range(24):
        adata = bulkvi.datasets.simulate(
            n_per_group=(5, 8, 12)[seed % 3],
            n_genes=500,
            n_batches=2,
            n_hidden=seed % 3,
            hidden_kind=("binary", "continuous")[seed % 2],
            seed=seed,
        )
        adata.obs = adata.obs.assign(group=adata.obs["group"].astype(str), batch=adata.obs["batch"].astype(str))
        adata.obs["random"] = rng.permutation(np.arange(adata.n_obs) % 2).astype(str)
        bulkvi.pp.filter_genes(adata)
        bulkvi.pp.size_factors(adata)
        for label, design in (("group", "~ batch + group"), ("random", "~ batch + group + random"), ("batch", None)):
            flag = bulkvi.tl.check_samples(adata, label, design=design)["flag"]
            alarms += int((~flag.isin(["", "not_checked"])).sum())
            total += len(flag)
    assert total > 1000
    assert alarms / total <= 1 / 200


@pytest.mark.slow
def test_clean_real_data_raise_at_most_one_alarm_in_200_samples(
    bottomly: AnnData, mammary: AnnData, geuvadis: AnnData, rng: np.random.Generator
) -> None:
    alarms = total = 0

    def count(adata: AnnData, label: str, design: str | None) -> None:
        nonlocal alarms, total
        flag = bulkvi.tl.check_samples(adata, label, design=design)["flag"]
        alarms += int((~flag.isin(["", "not_checked"])).sum())
        total += len(flag)

    count(bottomly, "strain", "~ strain + batch")
    count(mammary, "cell_type", "~ cell_type + stage")
    count(geuvadis, "sex", None)
    for whole, known, design in (
        (bottomly[:, ::12], "strain", "~ strain + batch + random"),
        (mammary[:, ::12], "group", "~ group + random"),
        (geuvadis[::3, ::10], "sex", "~ sex + random"),
    ):
        some = whole.copy()
        for _ in range(10):
            for members in some.obs.groupby(known, observed=True).indices.values():
                halves = rng.permutation(np.arange(len(members)) % 2)
                some.obs.loc[some.obs_names[members], "random"] = np.array(["a", "b"])[halves]
            count(some, "random", design)
    assert total > 700
    assert alarms / total <= 1 / 200


@pytest.mark.slow
def test_labels_without_meaning_raise_few_alarms(bottomly: AnnData, rng: np.random.Generator) -> None:
    strain = bottomly[bottomly.obs["strain"] == "DBA/2J"].copy()
    false, n = 0, 0
    for _ in range(10):
        strain.obs["label"] = rng.permutation(np.arange(strain.n_obs) % 2).astype(str)
        false += len(flagged(bulkvi.tl.check_samples(strain, "label"), "swapped"))
        n += strain.n_obs
    assert false / n <= 0.05


@pytest.mark.slow
def test_bad_replicates_by_the_authors_are_outlying(data_dir: Path) -> None:
    counts = pd.read_csv(data_dir / "schurch_yeast_odd" / "counts.tsv.gz", sep="\t", index_col=0)
    obs = pd.read_csv(data_dir / "schurch_yeast_odd" / "samples.tsv", sep="\t", index_col=0)
    adata = AnnData(counts[obs.index].T.astype(np.float32), obs=obs)
    bulkvi.pp.filter_genes(adata)
    bulkvi.pp.size_factors(adata)
    table = bulkvi.tl.check_samples(adata, "condition")
    outlying = flagged(table, "outlying")
    assert len(outlying) >= 3
    assert obs.loc[outlying, "bad_replicate"].all()
    assert flagged(table, "swapped") == []
