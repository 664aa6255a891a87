import numpy as np
import pandas as pd
import pytest

from bulkvi import pl
from bulkvi.pl._gene_table import (
    called_genes,
    checked_p_values,
    count_genes,
    finite_genes,
    points_look,
    split_calls,
    table_values,
)

TABLE = pd.DataFrame({"a": [1, 2], "b": pd.array([0.5, None], dtype="Float64")}, index=["g1", "g2"])


def test_columns_keep_the_given_order_and_missing_numbers_are_nan():
    np.testing.assert_array_equal(table_values(TABLE, ["b", "a"]), [[0.5, np.nan], [1, 2]])


def test_all_missing_columns_are_named_with_what_there_is_and_what_gives_them():
    with pytest.raises(
        KeyError,
        match=r"no columns \['c', 'd'\] in `de`; it has \['a', 'b'\].*model.differential_expression\(\) returns",
    ):
        table_values(TABLE, ["a", "c", "d"])


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match=r"`x` must be a table, as model.f\(\) returns it, not Series"):
        table_values(TABLE["a"], ["a"], ("x", "model.f()"))


def test_a_gene_counts_as_finite_only_with_all_its_values():
    values = np.array([[1.0, np.nan, 2.0], [1.0, 1.0, np.inf]])
    assert finite_genes(values, ["a", "b"]).tolist() == [True, False, False]
    with pytest.raises(ValueError, match=r"none of the 2 genes has finite values in all of \['a', 'b'\]"):
        finite_genes(values[:, 1:], ["a", "b"])


def test_calls_are_below_the_level_and_genes_without_a_value_are_not_called():
    de = pd.DataFrame({"adj_p_value": [0.01, 0.05, np.nan, 0.049]})
    assert called_genes(de, 0.05).tolist() == [True, False, False, True]


@pytest.mark.parametrize("level", [0, 1, -0.1, np.nan])
def test_a_level_that_is_no_rate_is_refused(level: float):
    with pytest.raises(
        ValueError, match=r"level \(a false discovery rate\) is .*: give a finite number above 0 and below 1"
    ):
        called_genes(pd.DataFrame({"adj_p_value": [0.1]}), level)


def test_every_gene_with_an_effect_is_in_one_part():
    effect = np.array([-1.0, 1.0, -1.0, 1.0, 0.0, np.nan])
    called = np.array([True, True, False, False, True, True])
    rest, down, up = split_calls(effect, called)
    assert np.flatnonzero(rest).tolist() == [2, 3]
    assert np.flatnonzero(down).tolist() == [0]
    assert np.flatnonzero(up).tolist() == [1, 4]


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_a_p_value_that_is_no_probability_is_named(wrong: float):
    with pytest.raises(ValueError, match=rf"1 of `de` do not, such as {wrong} of gene 'g2'"):
        checked_p_values(pd.DataFrame({"p_value": [0.1, wrong, np.nan]}, index=["g1", "g2", "g3"]))


def test_only_many_points_are_small_see_through_and_rasterised():
    few, many = points_look(2_000), points_look(2_001)
    assert many["s"] < few["s"]
    assert many["alpha"] < few["alpha"]
    assert (few["rasterized"], many["rasterized"]) == (False, True)


def test_genes_that_are_not_drawn_are_counted():
    assert count_genes(3_000, 2_990, "1 at the edge") == ["2,990 genes", "10 without finite values", "1 at the edge"]
    assert count_genes(5, 5) == ["5 genes"]


def test_pictures_of_one_contrast_name_it() -> None:
    de = pd.DataFrame(
        {
            "base_mean": [90.0, 8.0, 7.0],
            "log_fc": [2.0, -1.0, 0.1],
            "log_fc_mle": [2.1, -1.2, 0.2],
            "p_value": [1e-9, 1e-4, 0.5],
            "adj_p_value": [3e-9, 1.5e-4, 0.5],
            "contrast": "price$: a vs b$",
        },
        index=["a", "b", "c"],
    )
    for draw in (pl.volcano, pl.ma, pl.shrinkage, pl.p_values):
        assert draw(de).get_title(loc="left").replace("\n", " ") == r"price\$: a vs b\$; 3 genes"
        several = de.assign(contrast=["x", "y", "y"])
        assert (
            draw(several).get_title(loc="left") == draw(de.drop(columns="contrast")).get_title(loc="left") == "3 genes"
        )
