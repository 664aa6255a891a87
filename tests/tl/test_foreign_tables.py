"""Tables of other tools are read by their column names."""

import numpy as np
import pandas as pd
import pytest

from bulkvi.tl._foreign_tables import recognise

GENES = ["g1", "g2", "g3"]
DESEQ2 = pd.DataFrame(
    {
        "baseMean": [5.0, 80.0, 0.0],
        "log2FoldChange": [0.5, -1.0, np.nan],
        "lfcSE": [0.25, 0.2, np.nan],
        "stat": [2.0, -5.0, np.nan],
        "pvalue": [0.045, 5.7e-7, np.nan],
        "padj": [np.nan, 1e-6, np.nan],
    },
    GENES,
)
EDGER = pd.DataFrame({"logFC": [0.5, -1.0, 2.0], "logCPM": 3.0, "F": 4.0, "PValue": [0.1, 0.2, 0.3], "FDR": 0.3}, GENES)
LIMMA = pd.DataFrame(
    {
        "logFC": [0.5, -1.0, 2.0],
        "AveExpr": 3.0,
        "t": [2.0, -5, 1],
        "P.Value": [0.1, 0.2, 0.3],
        "adj.P.Val": 0.3,
        "B": 1.0,
    },
    GENES,
)
OURS = pd.DataFrame(
    {"log_fc": [0.5, -1.0, 2.0], "log_fc_mle": [0.6, -1.1, 2.2], "p_value": 0.1, "adj_p_value": 0.1, "flag": "outlier"},
    GENES,
)
PERTPY = OURS[["log_fc", "p_value", "adj_p_value"]].rename_axis("variable").reset_index().assign(contrast="B")


@pytest.mark.parametrize(
    ("table", "tool", "effect", "p_value", "adjusted"),
    [
        (DESEQ2, "DESeq2", "log2FoldChange", "pvalue", "padj"),
        (EDGER, "edgeR", "logFC", "PValue", "FDR"),
        (LIMMA, "limma", "logFC", "P.Value", "adj.P.Val"),
        (OURS, "bulkvi", "log_fc", "p_value", "adj_p_value"),
        (PERTPY, "pertpy", "log_fc", "p_value", "adj_p_value"),
        (EDGER.rename(columns={"FDR": "padj"}), "edgeR", "logFC", "PValue", "padj"),
    ],
)
def test_each_tool_is_recognised_by_its_columns(
    table: pd.DataFrame, tool: str, effect: str, p_value: str, adjusted: str
):
    before = table.copy()
    found = recognise(table, "other")
    assert found.tool == tool
    assert found.table.index.tolist() == GENES
    for ours, theirs in (("log_fc", effect), ("p_value", p_value), ("adj_p_value", adjusted)):
        np.testing.assert_array_equal(found.table[ours], table[theirs])
    pd.testing.assert_frame_equal(table, before)


def test_what_a_tool_does_not_have_is_missing_and_its_effects_count_as_not_shrunk():
    found = recognise(EDGER, "other").table
    assert found[["base_mean", "log_fc_se", "stat"]].isna().all(axis=None)  # F has no sign, logCPM another scale
    np.testing.assert_array_equal(found["log_fc_mle"], EDGER["logFC"])
    assert recognise(LIMMA, "other").table["stat"].tolist() == [2.0, -5, 1]
    assert recognise(OURS, "other").table["log_fc_mle"].tolist() == [0.6, -1.1, 2.2]


def test_a_column_of_unshrunken_effects_without_any_is_none():
    """scVI has none, and its table has the columns of ours: its effects are those that there are."""
    found = recognise(OURS.assign(log_fc_mle=np.nan), "other").table
    np.testing.assert_array_equal(found["log_fc_mle"], OURS["log_fc"])


def test_names_of_deseq2_beside_those_of_pertpy_are_read_too():
    table = PERTPY.assign(baseMean=[5.0, 6, 7], lfcSE=0.2, stat=1.0)
    found = recognise(table, "other")
    assert found.table["base_mean"].tolist() == [5.0, 6, 7]
    assert found.by_cooks_distance


def test_the_attrs_of_a_table_give_tool_latent_columns_and_shift():
    table = OURS.copy()
    table.attrs = {"method": "PyDESeq2", "n_latent_columns": 2, "composition_shift": -0.3}
    found = recognise(table, "de")
    assert (found.tool, found.n_latent_columns, found.composition_shift) == ("PyDESeq2", 2, -0.3)
    assert found.by_cooks_distance


@pytest.mark.parametrize(
    ("table", "shrunk"),
    [
        (DESEQ2, False),
        (DESEQ2.drop(columns="stat"), True),
        (DESEQ2.assign(log2FoldChange=DESEQ2["log2FoldChange"] / 2), True),
        (OURS, False),
        (EDGER, False),
    ],
    ids=["results", "apeglm", "normal", "ours has both", "edgeR"],
)
def test_effects_of_lfcshrink_differ_from_those_of_results(table: pd.DataFrame, shrunk: bool):
    assert recognise(table, "other").shrunk is shrunk


def test_gene_ids_that_are_numbers_or_in_a_column_become_text():
    assert recognise(EDGER.set_axis([11287, 11302, 5]), "other").table.index.tolist() == ["11287", "11302", "5"]
    from_file = OURS.rename_axis("gene_id").reset_index()
    assert recognise(from_file, "other").table.index.tolist() == GENES


def test_infinite_effects_are_missing():
    assert np.isnan(recognise(EDGER.assign(logFC=[np.inf, 1, 2]), "other").table["log_fc"].iloc[0])


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ([1, 2], TypeError, "`other` must be a table .* not list"),
        (
            EDGER.drop(columns="FDR"),
            KeyError,
            r"no column for 'adj_p_value'.*'padj' \(DESeq2\), 'FDR' \(edgeR\).*It has \['logFC'",
        ),
        (pd.DataFrame({"lfc_mean": [1.0]}, ["g"]), KeyError, "'log2FoldChange' .DESeq2.*'lfc_mean'"),
        (DESEQ2.assign(log_fc=1.0), ValueError, r"has 'log_fc' under 2 names, \['log_fc', 'log2FoldChange'\]: drop"),
        (DESEQ2.reset_index(drop=True), ValueError, r"row numbers as index.*table.set_index\('baseMean'\)"),
        (pd.concat([EDGER, EDGER[:1]]), ValueError, r"must be unique; repeated are \['g1'\]: merge or drop"),
        (pd.concat([PERTPY, PERTPY.assign(contrast="C")]), ValueError, r"holds the contrasts \['B', 'C'\]: choose one"),
        (EDGER.set_axis(["g1", None, "g3"]), ValueError, "1 rows of `other` have no gene id"),
        (EDGER.assign(PValue=[0.1, 7.0, 0.2]), ValueError, "`other` has 7 for 'p_value' of gene 'g2'"),
        (EDGER.assign(FDR=["a", "b", "c"]), ValueError, "column 'FDR' of `other` must hold numbers"),
    ],
)
def test_what_cannot_be_read_is_named(table: pd.DataFrame, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        recognise(table, "other")
