"""Every class and reason on tables made for it, and the concordance against other calculations."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

import bulkvi
from bulkvi.comparison_names import CLASSES

NAN = float("nan")


def here(**columns: Any) -> pd.DataFrame:
    """A table of ours of one gene and a second one that both call."""
    row: dict[str, Any] = {
        "base_mean": 500.0,
        "log_fc": 1.0,
        "log_fc_mle": 1.0,
        "log_fc_se": 0.3,
        "stat": 3.3,
        "p_value": 1e-3,
    }
    row |= {"adj_p_value": 2e-3, "flag": ""} | columns
    called = {
        **row,
        "log_fc": 2.0,
        "log_fc_mle": 2.0,
        "p_value": 1e-2,
        "adj_p_value": 0.03,
        "flag": "",
        "base_mean": 500.0,
    }
    return pd.DataFrame([row, called], index=["gene", "called"])


def there(**columns: Any) -> pd.DataFrame:
    """The same of DESeq2."""
    row: dict[str, Any] = {
        "baseMean": 500.0,
        "log2FoldChange": 1.0,
        "lfcSE": 0.25,
        "stat": 4.0,
        "pvalue": 1e-3,
        "padj": 2e-3,
    }
    row |= columns
    if "stat" not in columns:
        row["stat"] = row["log2FoldChange"] / row["lfcSE"]
    called = {**row, "log2FoldChange": 2.0, "lfcSE": 0.5, "stat": 4.0, "pvalue": 1e-2, "padj": 0.03, "baseMean": 500.0}
    return pd.DataFrame([row, called], index=["gene", "called"])


def with_attrs(table: pd.DataFrame, **attrs: Any) -> pd.DataFrame:
    table.attrs = attrs
    return table


NOT_CALLED = {"p_value": 0.3, "adj_p_value": 0.5}
NOT_CALLED_THERE = {"pvalue": 0.3, "padj": 0.5}
OPPOSITE = {"log2FoldChange": -1.0}
CASES: dict[str, tuple[pd.DataFrame, pd.DataFrame, str, str]] = {
    "called in both": (here(), there(), "both", ""),
    "called in none": (here(**NOT_CALLED), there(**NOT_CALLED_THERE), "neither", ""),
    "filtered by its mean": (here(), there(padj=NAN), "na_other", "independent_filtering"),
    "an outlier by Cook's distance": (here(), there(pvalue=NAN, padj=NAN), "na_other", "outlier"),
    "no counts at all": (
        here(base_mean=0.0, log_fc=0.0, **NOT_CALLED),
        there(baseMean=0.0, log2FoldChange=NAN, pvalue=NAN, padj=NAN),
        "na_other",
        "no_counts",
    ),
    "no answer here": (here(p_value=NAN, adj_p_value=NAN), there(), "na_here", "not_tested"),
    "no answer in both": (here(adj_p_value=NAN), there(padj=NAN), "na_both", "independent_filtering"),
    "no p-values at all": (here(), there().assign(pvalue=NAN, padj=NAN), "na_other", "not_tested"),
    "no effect": (here(), there(log2FoldChange=NAN), "na_other", "not_tested"),
    "no row there": (here(), there().drop(index="gene"), "absent_other", "not_in_table"),
    "no row there, few counts": (here(base_mean=3.0), there().drop(index="gene"), "absent_other", "low_counts"),
    "no row here": (here().drop(index="gene"), there(), "absent_here", "not_in_table"),
    "no row here, few counts": (here().drop(index="gene"), there(baseMean=3.0), "absent_here", "low_counts"),
    "a wild count here": (here(flag="outlier"), there(**NOT_CALLED_THERE), "only_here", "outlier"),
    "few counts": (here(base_mean=9.0), there(**NOT_CALLED_THERE), "only_here", "low_counts"),
    "low information": (here(flag="separated,low_information"), there(**NOT_CALLED_THERE), "only_here", "low_counts"),
    "just beyond the level": (here(adj_p_value=0.04), there(pvalue=0.02, padj=0.06), "only_here", "borderline"),
    "one of them near the level": (
        here(adj_p_value=0.04),
        there(**NOT_CALLED_THERE),
        "only_here",
        "different_evidence",
    ),
    "adjusted differently, fewer genes called there": (
        here(adj_p_value=0.01),
        there().assign(pvalue=[5e-3, 1e-4], padj=[0.2, 0.01]),
        "only_here",
        "adjustment",
    ),
    "adjusted differently, fewer genes called here": (
        here(adj_p_value=0.01).assign(p_value=[1e-4, 1e-3]),
        there(pvalue=5e-3, padj=0.2),
        "only_here",
        "different_evidence",
    ),
    "adjusted differently": (here(adj_p_value=0.01), there(pvalue=5e-3, padj=0.2), "only_here", "adjustment"),
    "evidence": (here(), there(lfcSE=0.9, **NOT_CALLED_THERE), "only_here", "different_evidence"),
    "another effect": (here(log_fc_mle=2.5), there(**NOT_CALLED_THERE), "only_here", "different_effect"),
    "called there": (here(**NOT_CALLED), there(), "only_other", "different_evidence"),
    "called there, few counts": (here(base_mean=2.0, **NOT_CALLED), there(), "only_other", "low_counts"),
    "called there, adjusted differently": (
        here(p_value=5e-3, adj_p_value=0.3),
        there(),
        "only_other",
        "adjustment",
    ),
    "a hidden factor held fixed": (
        with_attrs(here(), n_latent_columns=2),
        there(**NOT_CALLED_THERE),
        "only_here",
        "hidden_factor",
    ),
    "a shift taken off": (
        with_attrs(here(log_fc_mle=1.0), composition_shift=0.5),
        there(log2FoldChange=1.4, **NOT_CALLED_THERE),
        "only_here",
        "composition",
    ),
    "a shift taken off that does not explain it": (
        with_attrs(here(log_fc_mle=1.0), composition_shift=-0.5),
        there(log2FoldChange=1.4, **NOT_CALLED_THERE),
        "only_here",
        "different_evidence",
    ),
    "opposite signs": (here(), there(**OPPOSITE), "opposite", "different_effect"),
    "opposite signs of a wild count": (here(flag="outlier"), there(**OPPOSITE), "opposite", "outlier"),
    "opposite signs of few counts": (here(base_mean=2.0), there(**OPPOSITE), "opposite", "low_counts"),
    "opposite signs beside a hidden factor": (
        with_attrs(here(), n_latent_columns=1),
        there(**OPPOSITE),
        "opposite",
        "hidden_factor",
    ),
    "shrunk here": (here(log_fc_mle=3.0), there(log2FoldChange=3.2), "effect_differs", "shrunk"),
    "shrunk there": (
        here(log_fc=3.0, log_fc_mle=3.2),
        there(log2FoldChange=1.0).drop(columns="stat"),
        "effect_differs",
        "shrunk",
    ),
    "effects of a gene without counts on one side": (
        here(log_fc=4.0, log_fc_mle=5.0, flag="separated"),
        there(log2FoldChange=22.0),
        "effect_differs",
        "separated",
    ),
    "effects of a wild count": (here(flag="outlier"), there(log2FoldChange=4.0), "effect_differs", "outlier"),
    "effects of few counts": (here(base_mean=2.0), there(log2FoldChange=4.0), "effect_differs", "low_counts"),
    "effects and nothing else": (here(), there(log2FoldChange=4.0), "effect_differs", "different_effect"),
    "effects of genes not called": (
        here(log_fc=0.1, log_fc_mle=2.0, **NOT_CALLED),
        there(log2FoldChange=2.0, **NOT_CALLED_THERE),
        "effect_differs",
        "shrunk",
    ),
}


@pytest.mark.parametrize(("de", "other", "expected", "reason"), CASES.values(), ids=CASES)
def test_each_class_has_its_reason(de: pd.DataFrame, other: pd.DataFrame, expected: str, reason: str):
    found = bulkvi.tl.compare(de, other).table.loc["gene", ["class", "reason"]]
    assert found.tolist() == [expected, reason]


@pytest.mark.parametrize(("de", "other", "expected", "reason"), CASES.values(), ids=CASES)
def test_the_other_way_round_the_class_is_turned_round(
    de: pd.DataFrame, other: pd.DataFrame, expected: str, reason: str
):
    sides = {"here": "other", "other": "here"}
    turned = "_".join(sides.get(word, word) for word in expected.split("_"))
    assert bulkvi.tl.compare(other, de).table.loc["gene", "class"] == turned


def test_every_class_is_made_here():
    assert {case[2] for case in CASES.values()} == set(CLASSES)


def test_level_low_counts_and_tolerance_are_the_users():
    table = here(base_mean=20.0), there(pvalue=5e-3, padj=0.2)
    assert bulkvi.tl.compare(*table).table.loc["gene", "reason"] == "adjustment"
    assert bulkvi.tl.compare(*table, low_counts=30).table.loc["gene", "reason"] == "low_counts"
    assert bulkvi.tl.compare(*table, level=0.3).table.loc["gene", "class"] == "both"
    apart = here(), there(log2FoldChange=1.8)
    assert bulkvi.tl.compare(*apart).table.loc["gene", "class"] == "both"
    assert bulkvi.tl.compare(*apart, tolerance=0.5).table.loc["gene", "class"] == "effect_differs"


def test_the_effect_compared_is_the_one_asked_for():
    de, other = here(log_fc_mle=3.0), there(log2FoldChange=3.2)
    assert bulkvi.tl.compare(de, other, column="log_fc_mle").table.loc["gene", "class"] == "both"


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


def test_print_says_what_differs_and_how_often(tables: tuple[pd.DataFrame, pd.DataFrame]):
    said = str(bulkvi.tl.compare(*tables))
    assert "bulkvi and edgeR, 360 genes in both, 40 only in bulkvi, 20 only in edgeR" in said
    assert "no answer in edgeR, 7: independent_filtering 7" in said
    assert "no row in edgeR, 40: not_in_table 40" in said
    assert "opposite directions" not in said
    de, other = tables
    assert "is one of them group2 over group1?" in str(bulkvi.tl.compare(de, other.assign(logFC=-other["logFC"])))
    assert "ours and theirs, 360" in str(bulkvi.tl.compare(*tables, labels=("ours", "theirs")))


def test_a_comparison_of_few_genes_leaves_out_what_cannot_be_told():
    found = bulkvi.tl.compare(here(**NOT_CALLED).iloc[:1], there(**NOT_CALLED_THERE).iloc[:1]).concordance
    assert found[["pearson", "spearman", "slope", "sign_agreement", "jaccard"]].isna().all()
    assert found["called_both"] == 0


def test_tables_without_a_gene_in_common_are_refused():
    with pytest.raises(
        ValueError, match=r"no gene is in both tables: `de` has \['gene', 'called'\].*ids with a version"
    ):
        bulkvi.tl.compare(here(), there().rename(lambda gene: gene + ".1"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, "`level` is a false discovery rate between 0 and 1; it is 1.0"),
        ({"column": "log_fc_decoded"}, r"`column` must be one of \['log_fc', 'log_fc_mle'\]; it is 'log_fc_decoded'"),
        ({"tolerance": 0.0}, "`tolerance` is a difference of log2 fold changes, > 0"),
        ({"low_counts": -1.0}, "`low_counts` is a mean count, 0 or more; it is -1"),
        ({"labels": ("a", "a")}, "`labels` are two different names"),
        ({"labels": "ab"}, "`labels` are two different names"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        bulkvi.tl.compare(here(), there(), **arguments)
