from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bulkvi.study.design_check import Finding, design_findings, findings_table, first_warning, sort_columns

GROUP = list("aaaabbbb")
FOUR = ["v", "v", "w", "w", "x", "x", "y", "y"]


def findings(columns: dict[str, Any], formula: str = "~ group", **options: Any) -> list[Finding]:
    return design_findings(pd.DataFrame({"group": GROUP} | columns), formula, **options)


NOTHING: dict[str, tuple[dict[str, Any], str]] = {
    "balanced batch": ({"batch": list("xyxyxyxy")}, "~ group"),
    "identifier": ({"sample": list("abcdefgh")}, "~ group"),
    "batch of its own for each donor": ({"donor": FOUR, "group": list("abababab")}, "~ donor + group"),
    "two lanes, one per group": ({"lane": list("xxxxyyyy")}, "~ group + lane - lane"),
    "crossed pairs in the design": ({"pair": [1, 2, 3, 4] * 2}, "~ pair + group"),
}
SERIOUS: dict[str, tuple[dict[str, Any], str]] = {
    "batch one to one": (
        {"batch": list("xxxxyyyy")},
        "'group' is fully confounded with 'batch': each level of one has",
    ),
    "batch nested": ({"batch": FOUR}, "confounded with 'batch': each level of 'batch' has one level of 'group'"),
    "levels alike": (
        {"group": [*"aaa", "A", *"bbbb"]},
        "differ only in capitals, spaces, dots or underscores: 'A', 'a'",
    ),
    "one sample": ({"group": [*"aaaabbb", "c"]}, "'group' has levels with one sample: c"),
    "libraries": ({"library": FOUR}, "repeats of one sample"),
}
NOTES: dict[str, tuple[dict[str, Any], str]] = {
    "ordinary name": ({"treatment": list("ppppqqqq")}, "fully confounded with 'treatment'"),
    "donors": ({"donor": FOUR}, "'donor' have several samples within a level of 'group'.*repeated measures"),
    "pairs": ({"pair": [1, 2, 3, 4] * 2}, "'pair' come back in several levels of 'group'"),
    "replicates": ({"clone": FOUR}, "they may be repeated measures of one thing"),
}


def text(found: Sequence[Finding]) -> str:
    return " | ".join(f"{finding.severity}: {finding.finding} {finding.remedy}" for finding in found)


@pytest.mark.parametrize("case", SERIOUS)
def test_a_serious_weakness_is_first(case: str) -> None:
    columns, expected = SERIOUS[case]
    found = findings(columns)
    assert found[0].severity == "serious"
    assert pd.Series(text(found)).str.contains(expected, regex=False).all(), text(found)
    obs = pd.DataFrame({"group": GROUP} | columns)
    warning = first_warning(obs, "~ group", ())
    assert warning is not None and found[0].finding in warning and "bulkvi.tl.check_design" in warning


@pytest.mark.parametrize("case", NOTES)
def test_a_possible_weakness_is_a_note(case: str) -> None:
    columns, expected = NOTES[case]
    found = findings(columns)
    assert {finding.severity for finding in found} == {"note"}
    assert pd.Series(text(found)).str.contains(expected).all(), text(found)
    assert first_warning(pd.DataFrame({"group": GROUP} | columns), "~ group", ()) is None


@pytest.mark.parametrize("case", NOTHING)
def test_a_sound_design_has_no_finding(case: str) -> None:
    columns, formula = NOTHING[case]
    assert not [found for found in findings(columns, formula) if found.severity == "serious"], case


@pytest.mark.parametrize(("n", "severity"), [(3, "serious"), (4, "note"), (5, "note"), (6, None)])
def test_residual_degrees_of_freedom(n: int, severity: str | None) -> None:
    obs = pd.DataFrame({"x": np.arange(float(n)), "y": np.arange(float(n)) ** 2})
    found = [finding for finding in design_findings(obs, "~ x + y") if "residual degrees of freedom" in finding.finding]
    assert [finding.severity for finding in found] == ([] if severity is None else [severity])
    if severity is not None:
        assert f"leave {n - 3} residual" in found[0].finding


def test_only_the_weaknesses_of_the_comparison_are_serious() -> None:
    columns = {"dose": list("pqpqpqpq"), "batch": list("xxxxyyyy")}
    about_dose = findings(columns, "~ group + dose", contrast="dose")
    assert {finding.severity for finding in about_dose} == {"note"}
    assert findings(columns, "~ group + dose", contrast="group")[0].severity == "serious"
    assert findings(columns, "~ group + dose", contrast=["group", "b", "a"])[0].severity == "serious"


def test_columns_that_the_model_adjusts_for_are_no_finding() -> None:
    assert findings({"treatment": list("ppppqqqq")}, also=("treatment",)) == []


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        ("dose", "does not hold 'dose'"),
        (["group", "a"], "two of its levels"),
        (["group", "a", "z"], "two of its levels"),
    ],
)
def test_a_contrast_that_is_not_in_the_design_is_refused(contrast: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        findings({"dose": list("pqpqpqpq")}, contrast=contrast)


def test_donors_that_would_use_up_the_design_belong_into_donor_key() -> None:
    obs = pd.DataFrame({"group": list("abab"), "pair": [1, 1, 2, 2], "site": list("xxyy")})
    more = pd.concat([obs, obs.assign(pair=obs["pair"] + 2)], ignore_index=True)
    (found,) = [f for f in design_findings(more, "~ group") if "come back" in f.finding and "'pair'" in f.finding]
    assert "With 'pair' in the design" in found.remedy  # 8 samples, 5 columns
    (found,) = [f for f in design_findings(obs, "~ group") if "come back" in f.finding and "'pair'" in f.finding]
    assert "its 2 levels would leave 1 residual" in found.remedy


def test_findings_are_a_table() -> None:
    table = findings_table(findings({"batch": FOUR}))
    assert table.columns.tolist() == ["severity", "finding", "remedy"] and len(table) >= 1


def test_columns_are_sorted_by_what_they_hold() -> None:
    obs = pd.DataFrame(
        {
            "group": GROUP,
            "age": np.linspace(20, 60, 8),
            "batch_no": [1, 2, 3, 4, 5, 6, 7, 7],
            "repeats": [3, 3, 5, 5, 9, 9, 9, 9],
            "name": list("abcdefgh"),
            "note": list("abcdefgg"),
            "same": 1,
            "things": [[1]] * 8,
            "_scvi_batch": 0,
            "gap": [np.nan, *"xxxyyyy"],
        }
    )
    columns = sort_columns(pd.concat([obs, obs[["age"]].rename(columns={"age": "twice"})], axis=1))
    assert list(columns.categories) == ["group", "repeats", "gap"]
    assert list(columns.numbers) == ["age", "twice"]
    assert columns.categories["gap"][0] == -1
    assert set(columns.left_out) == {"batch_no", "name", "note", "same", "things"}
    assert "identifier" in columns.left_out["name"] and "free text" in columns.left_out["note"]
    doubled = pd.concat([obs[["age"]], obs[["age"]]], axis=1)
    assert sort_columns(doubled).left_out == {"age": "several columns of one name"}
    assert list(sort_columns(obs, ["name", "repeats"], ["name"]).categories)[:3] == ["group", "name", "gap"]
