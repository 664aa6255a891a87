"""Comparisons with DESeq2, edgeR and limma as R gave them on GSE60450, luminal cells, lactation over virgin."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bulkvi
from bulkvi.tl import Comparison


@pytest.fixture(scope="module")
def reference(data_dir: Path) -> Path:
    folder = Path(os.environ.get("BULKVI_REFERENCE_DIR", data_dir.parent / "reference")) / "gse60450"
    if not folder.is_dir():
        pytest.skip(f"no reference results: {folder} is not a folder; set BULKVI_REFERENCE_DIR")
    return folder


def read(reference: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(reference / f"{name}.csv.gz", index_col=0)


def counts(comparison: Comparison) -> dict[tuple[str, str], int]:
    return comparison.classes.set_index(["class", "reason"])["n_genes"].to_dict()


@pytest.mark.parametrize(
    ("name", "tool", "n_genes", "n_called"),
    [
        ("deseq2_luminal_lactate_vs_virgin", "DESeq2", 18_418, 9_116),
        ("edger_ql_luminal_lactate_vs_virgin", "edgeR", 15_969, 9_609),
        ("voom_luminal_lactate_vs_virgin", "limma", 15_969, 9_383),
    ],
)
def test_tables_as_r_writes_them_are_read_and_agree_with_ours(
    reference: Path, lactation: pd.DataFrame, name: str, tool: str, n_genes: int, n_called: int
) -> None:
    comparison = bulkvi.tl.compare(lactation, read(reference, name), column="log_fc_mle")
    assert comparison.labels == ("bulkvi", tool)
    assert comparison.contrast == "group: luminal_lactation vs luminal_virgin"
    found = comparison.concordance
    assert found["n_shared"] == n_genes
    assert found["called_other"] == n_called
    assert found["pearson"] > 0.98
    assert found["slope"] == pytest.approx(1, abs=0.1)
    assert found["sign_agreement"] > 0.999
    assert found["jaccard"] > 0.85
    assert "opposite" not in set(comparison.classes["class"])


def test_genes_that_deseq2_filters_have_an_answer_of_ours(reference: Path, lactation: pd.DataFrame) -> None:
    comparison = bulkvi.tl.compare(lactation, read(reference, "deseq2_luminal_lactate_vs_virgin"))
    assert counts(comparison)["na_other", "independent_filtering"] == 715
    filtered = comparison.table[comparison.table["class"] == "na_other"]
    assert np.isfinite(filtered[["log_fc", "p_value", "adj_p_value"]]).all(axis=None)


def test_genes_without_a_p_value_of_deseq2_have_outliers(reference: Path, lactation: pd.DataFrame) -> None:
    comparison = bulkvi.tl.compare(lactation, read(reference, "deseq2_original_study_labels"))
    assert counts(comparison)["na_other", "outlier"] == 5


def test_genes_that_edger_does_not_test_have_low_counts(reference: Path, lactation: pd.DataFrame) -> None:
    found = counts(bulkvi.tl.compare(lactation, read(reference, "edger_ql_luminal_lactate_vs_virgin")))
    absent = {reason: n for (one, reason), n in found.items() if one == "absent_other"}
    assert sum(absent.values()) == 18_418 - 15_969
    assert absent["low_counts"] > 0.99 * sum(absent.values())


def test_two_tables_of_r_are_compared_without_ours(reference: Path) -> None:
    edger, voom = (read(reference, f"{name}_luminal_lactate_vs_virgin") for name in ("edger_ql", "voom"))
    comparison = bulkvi.tl.compare(edger, voom)
    assert comparison.labels == ("edgeR", "limma")
    both = edger.add_suffix("_edger").join(voom)
    assert comparison.concordance["pearson"] == pytest.approx(np.corrcoef(both["logFC_edger"], both["logFC"])[0, 1])
    assert comparison.concordance["called_both"] == ((both["padj_edger"] < 0.05) & (both["adj.P.Val"] < 0.05)).sum()


def test_effects_under_the_wrong_labels_of_the_study_are_others(reference: Path, lactation: pd.DataFrame) -> None:
    """Its lactation against virgin is luminal against basal: 0.09 with the true contrast of the stages."""
    found = bulkvi.tl.compare(
        lactation, read(reference, "deseq2_original_study_labels"), column="log_fc_mle"
    ).concordance
    assert found["pearson"] < 0.3
    assert found["rank_rank_overlap"] < 0.3
