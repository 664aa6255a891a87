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
def airway() -> AnnData:
    adata = bulkvi.datasets.airway()
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    return adata


@pytest.fixture(scope="module")
def mammary(data_dir: Path) -> AnnData:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BULKVI_DATA_DIR", str(data_dir))
        adata = bulkvi.datasets.gse60450()
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    return adata


@pytest.fixture(scope="module")
def bottomly(data_dir: Path) -> AnnData:
    counts = pd.read_csv(data_dir / "bottomly" / "counts.tsv.gz", sep="\t", index_col=0)
    obs = pd.read_csv(data_dir / "bottomly" / "samples.tsv", sep="\t", index_col=0)
    obs["batch"] = obs["batch"].astype(str)
    adata = AnnData(counts[obs.index].T.astype(np.float32), obs=obs)
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    return adata


def swapped(adata: AnnData, column: str, first: str, second: str) -> AnnData:
    obs = adata.obs.copy()
    obs.loc[[first, second], column] = obs.loc[[second, first], column].to_numpy()
    return AnnData(adata.X, obs=obs, var=adata.var)


def named(table: pd.DataFrame, flag: str) -> list[str]:
    return table.index[table["flag"].str.split(",").map(lambda codes: flag in codes)].tolist()


def pairs(adata: AnnData, column: str) -> list[tuple[str, str]]:
    first, second = (adata.obs_names[adata.obs[column] == level] for level in adata.obs[column].unique())
    return list(product(first, second))


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
    assert named(table, "swapped") == wrong
    assert table.loc[wrong, "swapped_with"].tolist() == wrong[::-1]
    assert table.loc[wrong, "likely_label"].tolist() == ["untrt", "trt"]


def test_the_swapped_pair_of_the_mammary_workshop_is_found(mammary: AnnData) -> None:
    """A workshop on these data has the labels of DG and LA exchanged."""
    wrong = swapped(mammary, "cell_type", "MCL1-DG", "MCL1-LA")
    for design in (None, "~ cell_type + stage"):
        table = bulkvi.tl.check_samples(wrong, "cell_type", design=design)
        assert named(table, "swapped") == ["MCL1-DG", "MCL1-LA"]
        assert named(table, "doubtful") == []
        right = bulkvi.tl.check_samples(mammary, "cell_type", design=design)
        assert (right["flag"] == "").all()


def test_groups_of_two_leave_open_which_pair_was_swapped(mammary: AnnData) -> None:
    some = swapped(mammary, "group", "MCL1-DG", "MCL1-LA")[:, ::4].copy()
    table = bulkvi.tl.check_samples(some, "group")
    assert (
        named(table, "doubtful") == ["MCL1-DG", "MCL1-DH", "MCL1-LA", "MCL1-LB"]
        or table.loc[["MCL1-DG", "MCL1-DH", "MCL1-LA", "MCL1-LB"], "prob_label"].max() < 0.51
    )
    assert "MCL1-LA" in table.loc["MCL1-DG", "swapped_with"]


def test_a_spoilt_sample_is_outlying_and_not_swapped(airway: AnnData, rng: np.random.Generator) -> None:
    spoilt = AnnData(airway.X.copy(), obs=airway.obs.copy(), var=airway.var)
    spoilt.X[5] = rng.poisson(spoilt.X[5] * rng.lognormal(0, 1.5, spoilt.n_vars))
    table = bulkvi.tl.check_samples(spoilt, "dex")
    assert named(table, "outlying") == ["SRR1039517"]
    assert named(table, "swapped") == []


def test_the_only_sample_of_a_label_is_said_not_to_be_checked(airway: AnnData) -> None:
    some = airway[[0, 1, 2, 4, 6]].copy()
    table = bulkvi.tl.check_samples(some, "dex")
    assert named(table, "not_checked") == ["SRR1039509"]
    assert np.isnan(table.loc["SRR1039509", "prob_label"])


def with_sexes(airway: AnnData) -> AnnData:
    adata = AnnData(airway.X.copy(), obs=airway.obs.copy(), var=airway.var)
    female = np.array([True, True, False, False, True, True, False, False])
    adata.X[:, 0] = np.where(female, 500, 3)
    adata.X[:, 1] = np.where(female, 4, 300)
    adata.obs["sex"] = np.where(female, "F", "male")
    return adata


def test_the_sex_is_told_from_the_genes_that_are_named(airway: AnnData) -> None:
    adata = with_sexes(airway)
    adata.obs.loc["SRR1039512", "sex"] = "F"
    adata.obs.loc["SRR1039508", "sex"] = None
    adata.X[7, :2] = 400
    adata.X[6, :2] = 0
    genes = {"female_genes": adata.var_names[:1], "male_genes": adata.var_names[1:2]}
    table = bulkvi.tl.check_samples(adata, "dex", sex_key="sex", **genes)
    assert table["sex"].tolist() == ["female", "female", "male", "male", "female", "female", "unclear", "both"]
    assert named(table, "sex_mismatch") == ["SRR1039512", "SRR1039521"]
    without = bulkvi.tl.check_samples(adata, "dex", **genes)
    assert named(without, "sex_mismatch") == ["SRR1039521"]
    assert "sex" not in bulkvi.tl.check_samples(adata, "dex")


def test_storage_does_not_matter_and_the_data_stay(airway: AnnData) -> None:
    expected = bulkvi.tl.check_samples(airway, "dex")
    packed = AnnData(sparse.csr_matrix(airway.X), obs=airway.obs.copy(), var=airway.var)
    packed.layers["counts"] = packed.X.copy()
    packed.X = packed.X * 0
    before = packed.copy()
    pd.testing.assert_frame_equal(bulkvi.tl.check_samples(packed, "dex", layer="counts"), expected)
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
        (None, {"sex_key": "dex"}, ValueError, "needs `female_genes`"),
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
        flagged = set(named(bulkvi.tl.check_samples(swapped(adata, column, *pair), column, design=design), "swapped"))
        hits += len(flagged & set(pair))
        false += len(flagged - set(pair))
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
def test_labels_without_meaning_raise_few_alarms(bottomly: AnnData, rng: np.random.Generator) -> None:
    strain = bottomly[bottomly.obs["strain"] == "DBA/2J"].copy()
    false, n = 0, 0
    for _ in range(10):
        strain.obs["label"] = rng.permutation(np.arange(strain.n_obs) % 2).astype(str)
        false += len(named(bulkvi.tl.check_samples(strain, "label"), "swapped"))
        n += strain.n_obs
    assert false / n <= 0.05


@pytest.mark.slow
def test_replicates_that_the_authors_call_bad_stand_out(data_dir: Path) -> None:
    counts = pd.read_csv(data_dir / "schurch_yeast_odd" / "counts.tsv.gz", sep="\t", index_col=0)
    obs = pd.read_csv(data_dir / "schurch_yeast_odd" / "samples.tsv", sep="\t", index_col=0)
    adata = AnnData(counts[obs.index].T.astype(np.float32), obs=obs)
    bulkvi.pp.filter_genes(adata)
    bulkvi.pp.size_factors(adata)
    table = bulkvi.tl.check_samples(adata, "condition")
    outlying = named(table, "outlying")
    assert len(outlying) >= 3
    assert obs.loc[outlying, "bad_replicate"].all()
    assert named(table, "swapped") == []
