"""The joined table, and the concordance against other calculations."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

import bulkvi

GENES = ["called", "not called"]
OURS = pd.DataFrame({"log_fc": [2.0, 1.0], "p_value": [1e-3, 0.3], "adj_p_value": [2e-3, 0.3]}, GENES)
THEIRS = pd.DataFrame({"log2FoldChange": [2.0, 1.0], "pvalue": [1e-3, 0.3], "padj": [2e-3, 0.3]}, GENES)


@pytest.fixture
def tables(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """400 genes here, 380 there of which 360 in both, in another order; effects on another scale, some without answer."""
    genes = [f"g{i}" for i in range(420)]
    effect = rng.normal(size=400)
    p_value = 10 ** -rng.exponential(2, 400)
    de = pd.DataFrame(
        {"log_fc": effect, "p_value": p_value, "adj_p_value": np.minimum(2 * p_value, 1)}, index=genes[:400]
    )
    theirs = np.r_[0.5 * effect[40:] + rng.normal(0, 0.1, 360), rng.normal(size=20)]
    p_value = np.r_[p_value[40:] * 10 ** rng.normal(0, 0.2, 360), rng.random(20)].clip(0, 1)
    other = pd.DataFrame({"logFC": theirs, "PValue": p_value, "FDR": np.minimum(3 * p_value, 1)}, index=genes[40:])
    other.iloc[:7, 2] = np.nan
    return de, other.sample(frac=1, random_state=1)


def test_concordance_is_that_of_other_calculations(tables: tuple[pd.DataFrame, pd.DataFrame]):
    de, other = tables
    found = bulkvi.tl.compare(de, other).concordance
    both = de.join(other, how="inner")
    called = both["adj_p_value"] < 0.05, both["FDR"] < 0.05
    either = both[called[0] | called[1]]
    assert found["n_shared"] == 360
    assert found["pearson"] == pytest.approx(pearsonr(both["log_fc"], both["logFC"]).statistic)
    assert found["spearman"] == pytest.approx(spearmanr(both["log_fc"], both["logFC"]).statistic)
    assert found["slope"] == pytest.approx(2, abs=0.15)
    assert found["sign_agreement"] == (np.sign(either["log_fc"]) == np.sign(either["logFC"])).mean()
    assert found[["called_here", "called_other", "called_both"]].tolist() == [
        *map(sum, called),
        sum(called[0] & called[1]),
    ]
    assert found["jaccard"] == sum(called[0] & called[1]) / len(either)
    assert 0.5 < found["rank_rank_overlap"] < 1


def test_a_table_agrees_with_itself_in_full(tables: tuple[pd.DataFrame, pd.DataFrame]):
    for table in tables:
        found = bulkvi.tl.compare(table, table.sample(frac=1, random_state=2)).concordance
        agreement = found[["pearson", "spearman", "slope", "sign_agreement", "jaccard", "rank_rank_overlap"]]
        np.testing.assert_allclose(agreement.astype(float), 1)


def test_swapping_the_tables_turns_the_slope_and_keeps_the_rest(tables: tuple[pd.DataFrame, pd.DataFrame]):
    one, another = (bulkvi.tl.compare(*pair).concordance for pair in (tables, tables[::-1]))
    assert one["slope"] == pytest.approx(1 / another["slope"])
    kept = ["n_shared", "pearson", "spearman", "sign_agreement", "called_both", "jaccard", "rank_rank_overlap"]
    np.testing.assert_allclose(one[kept].astype(float), another[kept].astype(float))


def test_rows_are_those_of_ours_and_then_the_rest(tables: tuple[pd.DataFrame, pd.DataFrame]):
    de, other = tables
    table = bulkvi.tl.compare(de, other).table
    assert table.index[:400].tolist() == de.index.tolist()
    assert table.index[400:].tolist() == [gene for gene in other.index if gene not in de.index]
    np.testing.assert_array_equal(table["log_fc_other"].reindex(other.index), other["logFC"])
    assert (table["class"] == "absent_other").sum() == 40
    assert (table["class"] == "absent_here").sum() == 20
    assert bulkvi.tl.compare(de, other).classes["n_genes"].sum() == 420


def test_p_values_of_zero_are_ranked_by_their_statistic():
    """Below 1e-308 all p-values are 0; the rank-rank overlap must not take these genes for tied."""
    n = 40
    stat = np.r_[np.linspace(60, 40, 20), np.linspace(1, -1, 20)]
    table = pd.DataFrame(
        {"log_fc": stat / 10, "stat": stat, "p_value": 0.5, "adj_p_value": 0.5}, [f"g{i}" for i in range(n)]
    )
    table.loc[table["stat"] >= 40, ["p_value", "adj_p_value"]] = 0.0
    turned = table.copy()
    turned.loc[turned["p_value"] == 0, "stat"] = turned.loc[turned["p_value"] == 0, "stat"].to_numpy()[::-1]
    assert bulkvi.tl.compare(table, table).concordance["rank_rank_overlap"] == 1
    assert bulkvi.tl.compare(table, turned).concordance["rank_rank_overlap"] < 0.6


def test_symbols_are_kept(tables: tuple[pd.DataFrame, pd.DataFrame]):
    de, other = tables
    table = bulkvi.tl.compare(de.assign(symbol=[f"S{gene}" for gene in de.index]), other).table
    assert table["symbol"].iloc[:2].tolist() == ["Sg0", "Sg1"]
    assert table["symbol"].isna().sum() == 20


def test_the_tables_stay(tables: tuple[pd.DataFrame, pd.DataFrame]):
    before = [table.copy() for table in tables]
    bulkvi.tl.compare(*tables)
    for table, copy in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(table, copy)


def test_print_gives_the_differences_and_their_numbers(tables: tuple[pd.DataFrame, pd.DataFrame]):
    text = str(bulkvi.tl.compare(*tables))
    assert "bulkvi and edgeR, 360 genes in both, 40 only in bulkvi, 20 only in edgeR" in text
    assert "no answer in edgeR, 7: independent_filtering 7" in text
    assert "no row in edgeR, 40: not_in_table 40" in text
    assert "opposite directions" not in text
    de, other = tables
    assert "is one of them group2 over group1?" in str(bulkvi.tl.compare(de, other.assign(logFC=-other["logFC"])))
    assert "ours and theirs, 360" in str(bulkvi.tl.compare(*tables, labels=("ours", "theirs")))


def test_a_comparison_of_few_genes_has_no_concordance():
    found = bulkvi.tl.compare(OURS.iloc[1:], THEIRS.iloc[1:]).concordance
    assert found[["pearson", "spearman", "slope", "sign_agreement", "jaccard"]].isna().all()
    assert found["called_both"] == 0


def test_tables_without_a_gene_in_common_are_refused():
    with pytest.raises(
        ValueError, match=r"no gene is in both tables: `de` has \['called', 'not called'\].*ids with a version"
    ):
        bulkvi.tl.compare(OURS, THEIRS.rename(lambda gene: gene + ".1"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, r"level \(a false discovery rate\) is 1.0: give a finite number above 0 and below 1"),
        ({"column": "log_fc_decoded"}, r"`column` must be one of \['log_fc', 'log_fc_mle'\]; it is 'log_fc_decoded'"),
        ({"tolerance": 0.0}, r"tolerance \(log2\) is 0.0: give a finite number above 0"),
        ({"low_counts": -1.0}, "low_counts is -1.0: give a finite number of at least 0"),
        ({"labels": ("a", "a")}, "`labels` are two different names"),
        ({"labels": "ab"}, "`labels` are two different names"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        bulkvi.tl.compare(OURS, THEIRS, **arguments)
