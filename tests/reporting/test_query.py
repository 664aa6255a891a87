import json
from io import StringIO

import pandas as pd
import pytest

import bulkvi as bv
from bulkvi.reporting._query import Query, group_sizes, query_from_table
from tests.reporting.study import GROUPS, Study


def from_csv(de: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(StringIO(de.to_csv()), index_col=0)


def test_a_table_has_its_query(study: Study):
    query = query_from_table(study.model, study.de)
    assert query.groups == GROUPS
    assert query.groupby == "arm"
    assert query.interval == "95 % interval"
    assert query.attrs == study.de.attrs


@pytest.mark.parametrize("options", [{}, {"effect": "total", "latent_columns": 1}, {"delta": 1.0}, {"level": 0.9}])
def test_the_label_of_a_table_from_a_file_tells_its_groups_and_nothing_else(
    study: Study, options: dict, monkeypatch: pytest.MonkeyPatch
):
    """No analysis is repeated to find out what a table is, and nothing is said of it that may be wrong."""
    read = from_csv(study.model.differential_expression("arm", *GROUPS, **options))
    assert read.attrs == {}
    monkeypatch.setattr(bv.BulkVI, "gene_fit", None)
    query = query_from_table(study.model, read)
    assert (query.groupby, query.groups, query.attrs) == ("arm", GROUPS, {})
    assert not query.is_known
    assert query.describe_effect() == "Not kept with the table."
    assert query.interval == "Interval"
    assert GROUPS[0] in query.describe_sign()


def test_a_label_of_another_study_is_shown_as_it_is(study: Study):
    query = query_from_table(study.model, from_csv(study.de.assign(contrast="arm: a vs b")))
    assert query == Query("arm: a vs b", {}, {})


def test_attrs_survive_as_json(study: Study):
    kept = json.loads(json.dumps(study.de.attrs))
    assert kept == study.de.attrs
    assert kept["query"]["group1"] == GROUPS[0]


@pytest.mark.parametrize(
    ("effect", "n", "words"),
    [
        ("direct", 0, "Direct, by the design alone"),
        ("direct", 1, "Direct: 1 hidden direction of the data held fixed"),
        ("latent", 2, "Latent: the part of the difference that goes through 2 hidden directions of the data"),
        ("total", 2, "Total: the direct effect plus the effect through 2 hidden directions"),
    ],
)
def test_effects_are_told_in_words(effect: str, n: int, words: str):
    query = Query("a", {"effect": effect, "level": 0.95}, {"n_latent_columns": n})
    assert query.describe_effect().startswith(words)


def test_groups_are_listed_with_their_part_in_the_comparison(study: Study):
    rows = group_sizes(study.model.adata, query_from_table(study.model, study.de), "arm")
    assert [(row["group"], row["samples"], row["role"]) for row in rows] == [
        (GROUPS[0], 5, "compared"),
        (GROUPS[1], 5, "compared with"),
    ]
    assert group_sizes(study.model.adata, query_from_table(study.model, study.de), None) == []


def test_attrs_of_another_comparison_are_not_believed(study: Study):
    """The sign on the page came from a run.json that an older run, the other way round, had left."""
    read = from_csv(study.de)
    read.attrs = dict(study.model.differential_expression("arm", *reversed(GROUPS)).attrs)
    query = query_from_table(study.model, read)
    assert (query.groups, query.attrs, query.is_known) == (GROUPS, {}, False)


def test_a_slope_is_recognised_by_its_weights(slope: Study):
    """The weight of ``scale(age)`` is one over the standard deviation: the effect is per unit of age all the same."""
    query = query_from_table(slope.model, slope.de)
    assert query.slope == "age"
    assert query.label == "Change per unit of age"
    assert "Up means that expression rises with age" in query.describe_sign()
    assert (query.direction, query.unit) == (" with age", " per unit of age")


def test_another_multiple_is_no_slope(slope: Study):
    de = slope.model.differential_expression(contrast={"scale(age)": 1})
    query = query_from_table(slope.model, de)
    assert query.slope is None
    assert "weighted sum +1 * scale(age)" in query.describe_sign()
    assert (query.direction, query.unit) == ("", "")
