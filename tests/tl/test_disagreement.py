"""Every class and reason on tables made for it."""

from typing import Any

import pandas as pd
import pytest

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
    "an outlying count here": (here(flag="outlier"), there(**NOT_CALLED_THERE), "only_here", "outlier"),
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
    "opposite signs of an outlying count": (here(flag="outlier"), there(**OPPOSITE), "opposite", "outlier"),
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
    "effects of an outlying count": (here(flag="outlier"), there(log2FoldChange=4.0), "effect_differs", "outlier"),
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


def test_the_given_effect_is_compared():
    de, other = here(log_fc_mle=3.0), there(log2FoldChange=3.2)
    assert bulkvi.tl.compare(de, other, column="log_fc_mle").table.loc["gene", "class"] == "both"
