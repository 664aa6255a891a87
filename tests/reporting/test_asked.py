import json
from io import StringIO

import pandas as pd
import pytest

from bulkvi.reporting._asked import Asked, asked_of, group_sizes
from tests.reporting.study import GROUPS, Study


def from_csv(de: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(StringIO(de.to_csv()), index_col=0)


def test_a_table_says_what_was_asked(study: Study):
    asked = asked_of(study.model, study.de)
    assert asked.groups == GROUPS
    assert asked.groupby == "arm"
    assert asked.interval == "95 % interval"
    assert asked.attrs == study.de.attrs


def test_a_table_from_a_file_is_recognised_by_making_it_again(study: Study):
    read = from_csv(study.de)
    assert read.attrs == {}
    assert asked_of(study.model, read) == asked_of(study.model, study.de)


@pytest.mark.parametrize("options", [{"effect": "total", "latent_columns": 1}, {"delta": 1.0}, {"level": 0.9}])
def test_what_a_file_does_not_tell_is_left_open(study: Study, options: dict):
    """A table that was asked for otherwise has other numbers than the default one: nothing is said of it that may be wrong."""
    de = study.model.differential_expression("arm", *GROUPS, **options)
    asked = asked_of(study.model, from_csv(de))
    assert asked.arguments == {}
    assert asked.effect_in_words() == "Not kept with the table."
    assert asked.groups is None


def test_attrs_survive_as_json(study: Study):
    kept = json.loads(json.dumps(study.de.attrs))
    assert kept == study.de.attrs
    assert kept["query"]["group1"] == GROUPS[0]


@pytest.mark.parametrize(
    ("effect", "n", "words"),
    [
        ("direct", 0, "Direct, by the design alone"),
        ("direct", 1, "Direct: 1 hidden direction of the data held fixed"),
        ("latent", 2, "Latent: the part of the difference that 2 hidden directions of the data carries"),
        ("total", 2, "Total: the direct effect and what 2 hidden directions"),
    ],
)
def test_effects_are_told_in_words(effect: str, n: int, words: str):
    asked = Asked("a", {"effect": effect, "level": 0.95}, {"n_latent_columns": n})
    assert asked.effect_in_words().startswith(words)


def test_groups_are_listed_with_their_part_in_the_comparison(study: Study):
    rows = group_sizes(study.model.adata, asked_of(study.model, study.de), "arm")
    assert [(row["group"], row["samples"], row["role"]) for row in rows] == [
        (GROUPS[0], 5, "compared"),
        (GROUPS[1], 5, "compared with"),
    ]
    assert group_sizes(study.model.adata, asked_of(study.model, study.de), None) == []


def test_attrs_of_another_comparison_are_not_believed(study: Study):
    """The sign on the page came from a run.json that an older run, the other way round, had left."""
    read = from_csv(study.de)
    read.attrs = dict(study.model.differential_expression("arm", *reversed(GROUPS)).attrs)
    assert asked_of(study.model, read) == asked_of(study.model, study.de)


def test_a_slope_is_recognised_by_its_weights(slope: Study):
    """The weight of ``scale(age)`` is one over the standard deviation: the effect is per unit of age all the same."""
    asked = asked_of(slope.model, slope.de)
    assert asked.slope == "age"
    assert asked.label == "Change per unit of age"
    assert "Up means that expression rises with age" in asked.sign_in_words()
    assert (asked.up(), asked.of_what()) == (" with age", " per unit of age")


def test_another_multiple_is_no_slope(slope: Study):
    de = slope.model.differential_expression(contrast={"scale(age)": 1})
    asked = asked_of(slope.model, de)
    assert asked.slope is None
    assert "weighted sum +1 * scale(age)" in asked.sign_in_words()
    assert (asked.up(), asked.of_what()) == ("", "")
