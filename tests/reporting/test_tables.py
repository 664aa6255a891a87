from typing import Any

import numpy as np
import pandas as pd
import pytest

from bulkvi.reporting._query import Query
from bulkvi.reporting._tables import (
    MAX_PATHWAYS,
    describe_score,
    latent_table,
    number_text,
    pathway_table,
    plain_table,
)
from bulkvi.tl import DesignCheck
from tests.reporting.study import scored_sets

QUERY = Query("arm: a vs b", {"latent_columns": "auto"}, {"n_latent_columns": 0})


# any table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (-10.0, "−10"),
        (12_345.6, "12,346"),
        (0.012345, "0.0123"),
        (-1e-9, "−1e-09"),
        (np.nan, "–"),
        (np.inf, "–"),
    ],
)
def test_numbers_of_any_table_are_rounded_for_reading(value: float, text: str):
    assert number_text(value) == text


def test_rows_that_are_left_out_are_counted():
    shown = plain_table(
        pd.DataFrame({"gene_set": ["a", "b", "c"], "hit": [True, False, True]}), "id", "Sets", max_rows=2
    )
    assert shown.columns == [("gene set", False), ("hit", False)]
    assert [[cell.text for cell in row] for row in shown.rows] == [["a", "yes"], ["b", "no"]]
    assert shown.left_out == 1


def test_long_lists_are_cut_between_genes_and_nothing_is_lost():
    genes = [f"GENE{i}" for i in range(500)]
    cell = plain_table(pd.DataFrame({"genes": [";".join(genes)]}), "id", "Sets").rows[0][0]
    assert cell.text.startswith("GENE0, GENE1, ")
    assert cell.text.endswith(",")
    assert len(cell.text) < 60
    assert f"{cell.text} {cell.rest}".split(", ") == genes


def test_short_texts_are_whole():
    cell = plain_table(pd.DataFrame({"genes": ["A;B"]}), "id", "Sets").rows[0][0]
    assert (cell.text, cell.rest) == ("A, B", "")


# gene sets


def test_scored_sets_have_the_columns_that_there_is_room_for():
    table = pathway_table(scored_sets(3))
    heads = [head for head, _ in table.columns]
    assert len(heads) == 9
    assert {"adjusted p", "called", "95 % interval", "genes"} <= set(heads)
    assert table.rows[0][heads.index("95 % interval")].text == "0.5\u00a0to\u00a07"
    assert table.rows[0][heads.index("adjusted p")].key == "0.01"


def test_a_set_without_draws_has_no_interval():
    table = pathway_table(scored_sets(1).assign(score_low=np.nan, score_high=np.nan, prob_sign=np.nan))
    assert [cell.text for cell in table.rows[0]].count("–") == 2


def test_gene_sets_that_are_left_out_are_counted():
    assert pathway_table(scored_sets(MAX_PATHWAYS + 7)).left_out == 7


def test_another_table_keeps_all_its_columns():
    other = pd.DataFrame({"NES": [1.0], "padj": [0.1]}, index=pd.Index(["set"], name="pathway"))
    assert [head for head, _ in pathway_table(other).columns] == ["pathway", "NES", "padj"]
    assert describe_score(other) is None


def test_the_score_is_explained_by_its_method():
    table = scored_sets(1)
    table.attrs = {"enrichment_method": "ora"}
    assert "odds ratio" in str(describe_score(table))
    table.attrs = {}
    assert "the further from 0" in str(describe_score(table))


def test_a_p_value_of_zero_is_a_bound_that_still_sorts_as_zero():
    table = pathway_table(scored_sets(3).assign(adj_p_value=[0.0, 1e-310, 0.01]))
    at = [head for head, _ in table.columns].index("adjusted p")
    assert [row[at].text for row in table.rows] == ["< 1e-300", "< 1e-300", "0.01"]
    assert [float(row[at].key) for row in table.rows] == [0.0, 1e-310, 0.01]


# latent state


def described(monkeypatch_table: dict[str, Any], query: Query = QUERY) -> str:
    table = pd.DataFrame(
        {
            "singular_value": [70.2, 50.0],
            "singular_value_by_chance": [58.4, 49.0],
            "information": np.nan,
            "enters": False,
            "variance_share": [0.5, 0.3],
            "strongest_with": ["", "age"],
            "strength": [0.0, 0.4],
        }
        | monkeypatch_table
    )

    class Model:
        def latent_report(self) -> pd.DataFrame:
            return table

    empty = pd.DataFrame()
    design = DesignCheck("~ arm", empty, empty, empty, {}, 7, 3)
    return latent_table(Model(), query, design)[1]  # type: ignore[arg-type]  # all that the function needs


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        pytest.param({"singular_value": [50.0, 40.0]}, "no stronger than unrelated genes", id="chance"),
        pytest.param({}, "7 samples less 3 columns of the design leave 4", id="few samples"),
        pytest.param({"information": [0.8, 0.7]}, "would lose more", id="not worth it"),
        pytest.param({"information": [1.2, 1.1], "enters": [True, False]}, "1 of 2 enters comparisons", id="one"),
    ],
)
def test_the_reason_why_directions_enter_or_not_is_given(table: dict[str, Any], reason: str):
    assert reason in described(table)


def test_that_none_entered_this_comparison_is_explained():
    enters = {"information": [1.2, 1.1], "enters": [True, False]}
    assert "too many genes change" in described(enters)
    assert "query excluded them" in described(enters, QUERY._replace(arguments={"latent_columns": 0}))
    assert "None entered" not in described(enters, QUERY._replace(attrs={"n_latent_columns": 1}))
