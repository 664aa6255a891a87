import numpy as np
import pandas as pd
import pytest

from bulkvi.tl import compare_enrichment


def enriched(scores: dict[str, float], p_values: dict[str, float], method: str = "ulm") -> pd.DataFrame:
    table = pd.DataFrame({"term": list(scores), "term_id": "", "score": list(scores.values())})
    table["direction"] = np.where(table["score"] > 0, "up", "down")
    table["p_value"] = [p_values.get(term, 0.5) for term in table["term"]]
    table["adj_p_value"] = table["p_value"]
    table["size"] = 20
    table.attrs = {"enrichment_method": method, "method": "bulkvi"}
    return table


def test_each_class_follows_from_both_tables():
    here = enriched({"a": 5, "b": 4, "c": 1, "d": -4, "e": 0.1, "gone": 3}, {"a": 0.001, "b": 0.001, "d": 0.002})
    other = enriched(
        {"a": 4, "b": 1, "c": 3, "d": 4, "e": 0.2, "new": 9}, {"a": 0.01, "c": 0.01, "d": 0.01, "new": 0.0}
    )
    both = compare_enrichment(here, other).set_index("term")
    assert both["class"].to_dict() == {
        "new": "absent_here",
        "a": "both",
        "b": "only_here",
        "d": "opposite",
        "c": "only_other",
        "e": "neither",
        "gone": "absent_other",
    }
    assert both.index[0] == "new"  # of the smallest p-value
    values = both.attrs["concordance"]
    assert (values["n_shared"], values["called_here"], values["called_other"], values["called_both"]) == (5, 3, 3, 2)
    assert values["jaccard"] == 0.5
    assert both.attrs["labels"] == ("bulkvi", "bulkvi (other)")


def test_ora_compares_up_with_up_and_down_with_down():
    table = enriched({"a": 2.0, "b": 1.0}, {"a": 0.001}, "ora")
    twice = pd.concat([table.assign(direction="up"), table.assign(direction="down", p_value=0.9, adj_p_value=0.9)])
    twice.attrs = table.attrs
    both = compare_enrichment(twice, twice, labels=("one", "other"))
    assert len(both) == 4
    assert both.set_index(["term", "direction"])["class"].to_dict()["a", "down"] == "neither"
    assert both.set_index(["term", "direction"])["class"].to_dict()["a", "up"] == "both"


def test_what_cannot_be_compared_is_refused():
    table = enriched({"a": 2.0, "b": 1.0}, {})
    with pytest.raises(ValueError, match="different methods, 'ulm' and 'gsea'"):
        compare_enrichment(table, enriched({"a": 1.0}, {}, "gsea"))
    with pytest.raises(ValueError, match="no term is in both"):
        compare_enrichment(table, enriched({"x": 1.0}, {}))
    with pytest.raises(ValueError, match="terms are repeated in `first`, such as 'a'"):
        doubled = pd.concat([table, table.head(1)])
        doubled.attrs = table.attrs
        compare_enrichment(doubled, table)
    with pytest.raises(KeyError, match=r"no columns \['score'\] in `second`"):
        compare_enrichment(table, table.drop(columns="score"))
    with pytest.raises(TypeError, match="`first` must be a table"):
        compare_enrichment([1], table)
    with pytest.raises(ValueError, match="two different names"):
        compare_enrichment(table, table, labels=("one", "one"))
    with pytest.raises(ValueError, match="false discovery rate"):
        compare_enrichment(table, table, level=2)
