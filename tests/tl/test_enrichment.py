from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import hypergeom, linregress, norm

from bulkvi.stats.effects.effect import benjamini_hochberg
from bulkvi.tl import enrichment
from bulkvi.tl._scored_sets import CutSets, decoupler_method, ulm
from bulkvi.tl._tested_genes import RankedGenes

N = 400


@pytest.fixture
def de() -> pd.DataFrame:
    """400 genes; g0 to g39 up, g40 to g79 down, the rest near zero."""
    rng = np.random.default_rng(0)
    effect = np.concatenate([rng.normal(2, 0.3, 40), rng.normal(-2, 0.3, 40), rng.normal(0, 0.1, N - 80)])
    p_value = np.where(np.abs(effect) > 1, 1e-5, 0.4)
    return pd.DataFrame(
        {
            "base_mean": 100.0,
            "log_fc": effect,
            "log_fc_sd": 0.4,
            "lfsr": np.where(np.abs(effect) > 1, 1e-6, 0.45),
            "p_value": p_value,
            "adj_p_value": benjamini_hochberg(p_value),
        },
        index=[f"g{i}" for i in range(N)],
    )


def genes(*positions: int) -> list[str]:
    return [f"g{i}" for i in positions]


SETS_THAT_RISE = {"first": genes(*range(15)), "second": genes(*range(15, 30))}


@pytest.fixture
def sets() -> dict[str, list[str]]:
    return {
        "rises": genes(*range(20)),
        "falls": genes(*range(40, 60)),
        "mixed": genes(*range(10), *range(70, 80)),
        "stays": genes(*range(100, 130)),
        "half": genes(*range(30, 40), *range(200, 210)),
    }


def test_ora_is_the_hypergeometric_test_of_each_direction(de: pd.DataFrame, sets: dict[str, list[str]]):
    table = enrichment(de, sets).set_index(["term", "direction"])
    for (term, direction), row in table.iterrows():
        called = set(genes(*(range(40) if direction == "up" else range(40, 80))))
        overlap = len(called & set(sets[term]))
        assert row["n_called"] == overlap
        np.testing.assert_allclose(row["p_value"], hypergeom.sf(overlap - 1, N, len(sets[term]), 40))
    np.testing.assert_allclose(table["adj_p_value"], benjamini_hochberg(table["p_value"].to_numpy()))


def test_ora_scores_are_the_odds_ratios_of_gseapy(de: pd.DataFrame, sets: dict[str, list[str]]):
    gseapy = pytest.importorskip("gseapy")
    theirs = gseapy.enrich(genes(*range(40)), sets, background=list(de.index), outdir=None, no_plot=True).results
    ours = enrichment(de, sets).query("direction == 'up'").set_index("term")["score"]
    np.testing.assert_allclose(2 ** ours[theirs["Term"]].to_numpy(), theirs["Odds Ratio"].astype(float))


def test_ulm_is_the_t_value_of_a_line_through_the_scores(de: pd.DataFrame, sets: dict[str, list[str]]):
    table = enrichment(de, sets, "ulm").set_index("term")
    for term, members in sets.items():
        line = linregress(de.index.isin(members).astype(float), de["log_fc"] / de["log_fc_sd"])
        np.testing.assert_allclose(table.loc[term, "score"], line.slope / line.stderr, rtol=1e-6)
        np.testing.assert_allclose(table.loc[term, "p_value"], line.pvalue, rtol=1e-6)


def test_a_regulator_that_represses_what_falls_is_active(de: pd.DataFrame):
    network = pd.DataFrame(
        {"source": "TF", "target": genes(*range(15), *range(40, 55)), "weight": [1.0] * 15 + [-1] * 15}
    )
    row = enrichment(de, network, "ulm").iloc[0]
    assert row["score"] > 10
    assert row["prob_sign"] == 1
    assert set(row["genes"].split(";")) == set(network["target"])
    assert enrichment(de, network.assign(weight=-network["weight"]), "ulm").iloc[0]["score"] == pytest.approx(
        -row["score"]
    )


def test_gsea_finds_both_ends_and_not_the_middle(de: pd.DataFrame, sets: dict[str, list[str]]):
    table = enrichment(de, sets, "gsea", n_draws=20).set_index("term")
    assert table["direction"][["rises", "falls"]].tolist() == ["up", "down"]
    assert table["adj_p_value"][["rises", "falls"]].max() < 0.001
    assert table.loc["stays", "p_value"] > 0.01
    assert table.loc["rises", "prob_sign"] == 1
    assert set(table.loc["rises", "genes"].split(";")) <= set(sets["rises"])
    assert (table["score_low"] <= table["score_high"]).all()


@pytest.mark.parametrize("method", ["ora", "ulm"])
def test_uncertain_genes_give_an_uncertain_score(de: pd.DataFrame, sets: dict[str, list[str]], method: str):
    sure = enrichment(de, sets, method).set_index(["term", "direction"])  # type: ignore[arg-type]
    hazy = de.assign(log_fc_sd=2.0, lfsr=0.3)
    unsure = enrichment(hazy, sets, method).set_index(["term", "direction"])  # type: ignore[arg-type]
    rises = [one.loc[("rises", "up")] for one in (sure, unsure)]
    width = [row["score_high"] - row["score_low"] for row in rises]
    assert width[1] > 2 * width[0]
    assert sure.loc[("rises", "up"), "prob_sign"] == 1


@pytest.mark.parametrize("method", ["ora", "gsea", "ulm"])
@pytest.mark.parametrize("seed", range(4))
def test_a_score_lies_in_its_interval_whatever_the_data(seed: int, method: str):
    """With few changes and unsure genes 95 % of the draws left out the score: -14.3 (-10.4 to -7.3)."""
    rng = np.random.default_rng(seed)
    n = 300
    sd = rng.uniform(0.1, 2.0, n)
    effect = rng.normal(0, rng.choice([0.02, 0.3, 2.0]), n) * (rng.random(n) < rng.uniform(0.05, 1))
    p_value = 2 * norm.sf(np.abs(effect) / sd)
    lfsr = np.clip(norm.sf(np.abs(effect) / sd) * rng.uniform(1, 3, n), 0, 1)
    columns = {"log_fc": effect, "log_fc_sd": sd, "lfsr": lfsr, "p_value": p_value, "adj_p_value": p_value}
    de = pd.DataFrame(columns, index=[f"g{i}" for i in range(n)])
    sets = {f"set {i}": rng.choice(de.index, rng.integers(5, 60), replace=False).tolist() for i in range(25)}
    table = enrichment(de, sets, method, min_size=5, n_draws=int(rng.choice([1, 5, 40])))  # type: ignore[arg-type]
    assert table["score"].notna().all()
    assert (table["score_low"] <= table["score"]).all()
    assert (table["score"] <= table["score_high"]).all()
    excluded = (table["score_low"] > 0) | (table["score_high"] < 0)
    assert (table["prob_sign"][excluded] >= 0.9).all()


def test_draws_of_ulm_are_slopes_in_standard_errors_of_the_point():
    rng = np.random.default_rng(2)
    score, draws, member = rng.normal(0, 0.5, 80), rng.normal(0, 1.2, (3, 80)), rng.random((80, 2)) < 0.3
    none = np.zeros(80, dtype=bool)
    ranked = RankedGenes(np.array([f"g{i}" for i in range(80)], object), score, none, none, np.arange(80), None, {})
    found = ulm(ranked, CutSets(csr_array(member.astype(float))), draws)
    for j in range(2):
        error = linregress(member[:, j].astype(float), score).stderr
        slopes = [linregress(member[:, j].astype(float), draw).slope for draw in draws]
        np.testing.assert_allclose(found.draws[:, j], np.array(slopes) / error, rtol=1e-6)


def test_the_interval_of_ulm_is_centred_on_the_score(de: pd.DataFrame, sets: dict[str, list[str]]):
    hazy = de.assign(log_fc_sd=1.5, lfsr=0.3)
    table = enrichment(hazy, sets, "ulm", n_draws=2_000)
    width = table["score_high"] - table["score_low"]
    assert (((table["score_low"] + table["score_high"]) / 2 - table["score"]).abs() < 0.1 * width).all()


@pytest.mark.parametrize("method", ["ora", "gsea", "ulm"])
def test_genes_of_a_set_are_listed_most_significant_first(de: pd.DataFrame, sets: dict[str, list[str]], method: str):
    p_value = de["p_value"] * np.random.default_rng(1).uniform(0.1, 1, N)
    table = enrichment(de.assign(p_value=p_value), sets, method, n_draws=0).set_index("term")  # type: ignore[arg-type]
    listed = table[table["genes"].str.count(";") > 5]["genes"]
    assert len(listed) >= 3
    for row in listed:
        assert p_value[row.split(";")].is_monotonic_increasing


def test_the_same_seed_gives_the_same_table_and_leaves_input_alone(de: pd.DataFrame, sets: dict[str, list[str]]):
    before = de.copy()
    pd.testing.assert_frame_equal(enrichment(de, sets, seed=3), enrichment(de, sets, seed=3))
    pd.testing.assert_frame_equal(de, before)


def test_background_is_the_genes_that_could_be_called(de: pd.DataFrame, sets: dict[str, list[str]]):
    untested = de.copy()
    untested.loc[genes(*range(300, 350)), "adj_p_value"] = np.nan
    untested.loc[genes(*range(350, 360)), "base_mean"] = 0.0
    table = enrichment(untested, sets | {"small": genes(1, 2), "lost": genes(*range(300, 320))})
    attrs = table.attrs
    assert (attrs["n_background"], attrs["n_not_tested"], attrs["n_sets"], attrs["n_sets_too_small"]) == (340, 60, 5, 2)
    rises = table.set_index(["term", "direction"]).loc[("rises", "up")]
    np.testing.assert_allclose(rises["p_value"], hypergeom.sf(19, 340, 20, 40))


def test_background_of_annotated_genes_leaves_out_the_rest(de: pd.DataFrame, sets: dict[str, list[str]]):
    table = enrichment(de, sets, background="annotated")
    assert table.attrs["n_background"] == 100
    assert table.attrs["n_in_no_set"] == N - 100


def test_a_file_of_few_genes_is_compared_with_all_tested_genes(de: pd.DataFrame, tmp_path: Path):
    """Two sets that both rise, in a file of their own: beside each other one of them would go down."""
    path = tmp_path / "own.gmt"
    path.write_text("".join("\t".join((name, "", *members)) + "\n" for name, members in SETS_THAT_RISE.items()))
    table = enrichment(de, path, "ulm")
    assert (table.attrs["background"], table.attrs["n_background"]) == ("tested", N)
    assert (table["score"] > 5).all()
    path.write_text(path.read_text() + "\t".join(("rest", "", *genes(*range(80, 180)))) + "\n")
    table = enrichment(de, path, "ulm")
    assert (table.attrs["background"], table.attrs["n_background"]) == ("annotated", 130)


def test_a_set_that_is_the_whole_background_is_not_scored(de: pd.DataFrame):
    with pytest.raises(ValueError, match=r"has 10 to 29 of the 30 genes in the background \(0 have fewer, 1 more\)"):
        enrichment(de, {"all": genes(*range(30))}, "ulm", background="annotated")


def test_names_come_from_the_column_or_index_that_fits(de: pd.DataFrame, sets: dict[str, list[str]]):
    ids = de.set_index(pd.Index([f"ENSG{i}" for i in range(N)]))
    symbols = ids.assign(symbol=de.index)
    plain = enrichment(de, sets)
    for table in (enrichment(symbols, sets), enrichment(ids, sets, gene_names=symbols["symbol"])):
        pd.testing.assert_frame_equal(table, plain)
    assert enrichment(symbols, sets).attrs["gene_names"] == "symbol"
    assert enrichment(de.assign(symbol="x"), sets).attrs["gene_names"] == "index"


def test_of_rows_with_one_name_the_one_with_most_counts_is_kept(de: pd.DataFrame, sets: dict[str, list[str]]):
    copies = de.head(40).assign(base_mean=1.0, log_fc=-2.0)
    both = pd.concat([de, copies]).assign(symbol=[*de.index, *copies.index])
    both.index = [f"ENSG{i}" for i in range(len(both))]
    table = enrichment(both, sets)
    pd.testing.assert_frame_equal(table, enrichment(de, sets))
    assert table.attrs["n_repeated"] == 40


def test_other_tools_tables_are_ranked_by_p_value_and_have_no_interval(de: pd.DataFrame, sets: dict[str, list[str]]):
    theirs = pd.DataFrame(
        {"log2FoldChange": de["log_fc"], "pvalue": de["p_value"] * np.linspace(0.5, 1, N), "padj": de["adj_p_value"]}
    )
    theirs.loc[genes(0, 1), "pvalue"] = 0.0
    table = enrichment(theirs, sets, "ulm")
    assert table.attrs["method"] == "DESeq2"
    assert table["score_low"].isna().all()
    assert np.isfinite(table["score"]).all()
    assert set(table.head(2)["term"]) == {"rises", "falls"}


def test_empty_columns_of_a_posterior_are_none(de: pd.DataFrame, sets: dict[str, list[str]]):
    """Tables of ``bulkvi.baselines`` have our columns, NaN where a method has no value; once no gene was left of them."""
    named = de.assign(log_fc_sd=np.nan, lfsr=np.nan)
    table = enrichment(named, sets, "ulm", min_size=5)
    without = enrichment(de.drop(columns=["log_fc_sd", "lfsr"]), sets, "ulm", min_size=5)
    pd.testing.assert_frame_equal(table, without)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gsva"}, "`method` must be one of 'ora'"),
        ({"background": "all"}, "`background` must be 'annotated' or 'tested'"),
        ({"level": 5}, r"level \(a false discovery rate\) is 5"),
        ({"min_size": 30, "max_size": 20}, r"max_size \(min_size or more\) is 20: give a whole number of at least 30"),
        ({"n_draws": -1}, "n_draws is -1: give a whole number of at least 0"),
        ({"min_size": 200, "max_size": None}, "none of the 5 sets has 200 to 399 of the 400 genes"),
        ({"gene_sets": "my_sets"}, "neither a file nor one of"),
        ({"gene_sets": {}}, "is empty"),
    ],
)
def test_arguments_out_of_range_are_refused(
    de: pd.DataFrame, sets: dict[str, list[str]], options: dict[str, object], message: str
):
    with pytest.raises(ValueError, match=message):
        enrichment(de, **{"gene_sets": sets, **options})  # type: ignore[arg-type]


def test_names_that_do_not_fit_get_advice(de: pd.DataFrame, sets: dict[str, list[str]]):
    mouse = {term: [gene.upper() for gene in members] for term, members in sets.items()}
    with pytest.raises(ValueError, match="In capitals they do: are the sets of another organism"):
        enrichment(de, mouse)
    with pytest.raises(ValueError, match="of 400 genes 0 are in them.*Give the kind of names"):
        enrichment(de.rename(index="ENSG_{}".format), sets)
    with pytest.raises(KeyError, match="no column 'name' in `de`"):
        enrichment(de, sets, gene_names="name")


def test_networks_are_checked(de: pd.DataFrame):
    network = pd.DataFrame({"source": "TF", "target": genes(*range(20)), "weight": 2.0})
    with pytest.raises(ValueError, match="take method='ulm'"):
        enrichment(de, network, "gsea")
    with pytest.raises(KeyError, match="no columns \\['target'\\]"):
        enrichment(de, network.drop(columns="target"), "ulm")
    with pytest.raises(ValueError, match="are repeated in the network"):
        enrichment(de, pd.concat([network, network]), "ulm")
    with pytest.raises(ValueError, match="numbers other than 0"):
        enrichment(de, network.assign(weight=0), "ulm")


def test_a_missing_library_is_named(de: pd.DataFrame, sets: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bulkvi.tl._enrichment.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs gseapy and decoupler.*bulkvi\[enrichment\]"):
        enrichment(de, sets, "gsea")


def test_matplotlib_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch):
    """decoupler imports legendkit 0.5, which sets the legends of all later figures."""

    def change(name: str) -> SimpleNamespace:
        matplotlib.rcParams["legend.frameon"] = not before
        return SimpleNamespace(mt=SimpleNamespace(ulm="the method"))

    before = matplotlib.rcParams["legend.frameon"]
    monkeypatch.setattr("bulkvi.tl._scored_sets.import_module", change)
    assert decoupler_method("ulm") == "the method"
    assert matplotlib.rcParams["legend.frameon"] == before
