import numpy as np
import pandas as pd

from bulkvi.reporting._pathway_table import MAX_ROWS, pathway_table, score_in_words
from tests.reporting.study import scored_sets


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


def test_rows_that_are_left_out_are_counted():
    assert pathway_table(scored_sets(MAX_ROWS + 7)).left_out == 7


def test_another_table_keeps_all_its_columns():
    other = pd.DataFrame({"NES": [1.0], "padj": [0.1]}, index=pd.Index(["set"], name="pathway"))
    assert [head for head, _ in pathway_table(other).columns] == ["pathway", "NES", "padj"]
    assert score_in_words(other) is None


def test_the_score_is_explained_by_its_method():
    table = scored_sets(1)
    table.attrs = {"enrichment_method": "ora"}
    assert "odds ratio" in str(score_in_words(table))
    table.attrs = {}
    assert "the further from 0" in str(score_in_words(table))


def test_a_p_value_of_zero_is_a_bound_that_still_sorts_as_zero():
    table = pathway_table(scored_sets(3).assign(adj_p_value=[0.0, 1e-310, 0.01]))
    at = [head for head, _ in table.columns].index("adjusted p")
    assert [row[at].text for row in table.rows] == ["< 1e-300", "< 1e-300", "0.01"]
    assert [float(row[at].key) for row in table.rows] == [0.0, 1e-310, 0.01]
