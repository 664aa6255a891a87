import numpy as np
import pandas as pd
import pytest

from bulkvi.study.groups import counterfactual_obs, find_groups, sample_positions

OBS = pd.DataFrame(
    {
        "group": pd.Categorical(list("aaabbbcc")),
        "lane": ["l1"] * 3 + ["l2"] * 5,  # tied to the group within a and b
        "batch": list("xxyyyxxy"),
    },
    index=[f"s{i}" for i in range(8)],
)


def test_groups_are_found() -> None:
    groups = find_groups(OBS, "group", "b", "a")
    np.testing.assert_array_equal(groups.first, [3, 4, 5])
    np.testing.assert_array_equal(groups.second, [0, 1, 2])


def test_what_a_grouping_decides_goes_along_and_the_rest_stays() -> None:
    """Of a grouping that the model does not read: the lane follows from it in all samples."""
    groups = find_groups(OBS, "group", "b", "a")
    table = counterfactual_obs(OBS, groups, "group", ["lane", "batch"], groups.second)
    assert set(table["lane"]) == {"l1"}
    assert list(table["batch"]) == ["y", "y", "x", "x", "x", "y"]


def test_of_a_grouping_in_the_design_nothing_else_goes_along() -> None:
    groups = find_groups(OBS, "group", "b", "a")
    table = counterfactual_obs(OBS, groups, "group", ["group", "lane", "batch"], groups.second)
    assert set(table["group"]) == {"a"}
    assert list(table["group"].cat.categories) == ["a", "b", "c"]
    assert list(table["lane"]) == ["l2"] * 3 + ["l1"] * 3


def test_a_column_that_another_group_crosses_does_not_go_along() -> None:
    run = OBS.assign(run=list("pppqqqpq"))  # constant within a and within b, not within c
    groups = find_groups(run, "group", "b", "a")
    table = counterfactual_obs(run, groups, "group", ["run"], groups.second)
    assert list(table["run"]) == ["q"] * 3 + ["p"] * 3


@pytest.mark.parametrize(
    ("column", "group1", "group2", "error", "message"),
    [
        ("dose", "a", "b", KeyError, "dose.*lane"),
        ("group", "z", "a", ValueError, r"group1='z'.*\['a', 'b', 'c'\]"),
        ("group", "a", "z", ValueError, "group2='z'"),
        ("group", "a", "a", ValueError, "both 'a'"),
    ],
)
def test_wrong_groups_are_refused_with_the_choices(
    column: str, group1: str, group2: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        find_groups(OBS, column, group1, group2)


def test_samples_are_given_by_number_from_either_end_or_as_a_mask() -> None:
    assert sample_positions([3, -1, 0], 5).tolist() == [3, 4, 0]
    assert sample_positions([False, True, False, False, True], 5).tolist() == [1, 4]


@pytest.mark.parametrize("indices", [[], [5], [-6], [0.5], [True, False], "a"])
def test_samples_that_are_not_there_are_refused_with_the_range(indices) -> None:
    with pytest.raises(ValueError, match="from 0 to 4"):
        sample_positions(indices, 5)
