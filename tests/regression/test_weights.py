from typing import Any

import numpy as np
import pandas as pd
import pytest

from bulkvi import BulkVI, datasets, pp

AGES = [31.0, 40, 28, 55, 61, 33, 47, 52, 39, 66]


def untrained(design: str, **columns: Any) -> BulkVI:
    adata = datasets.simulate(n_per_group=5, n_genes=100, seed=2)
    adata.obs = adata.obs[["group"]].assign(age=AGES, lane=[1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    for name, values in columns.items():
        adata.obs[name] = values
    pp.size_factors(adata)
    BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
    return BulkVI(adata, n_latent=2)


def nonzero(weights: pd.Series) -> dict[str, float]:
    return weights[weights != 0].to_dict()


@pytest.fixture(scope="module")
def trained() -> BulkVI:
    model = untrained("~ group + scale(age)")
    model.train(max_steps=20, progress_bar=False)
    return model


@pytest.mark.parametrize(
    ("design", "wanted"),
    [
        ("~ group + age", {"age": 1}),
        ("~ 0 + group + age", {"age": 1}),
        ("~ group + scale(age)", {"scale(age)": 1 / np.std(AGES, ddof=1)}),
        ("~ group + I(age / 10)", {"I(age / 10)": 0.1}),
        ("~ group * age", {"age": 1, "group[T.B]:age": 0.5}),  # half of the samples are in B
    ],
)
def test_a_slope_is_per_unit_of_the_column_itself(design: str, wanted: dict[str, float]):
    found = nonzero(untrained(design).get_slope_weights("age"))
    assert found == pytest.approx(wanted, rel=1e-8)


def test_the_slope_is_the_same_behind_a_linear_transform(trained: BulkVI):
    plain = untrained("~ group + age")
    plain.train(max_steps=20, progress_bar=False)
    there, without = (
        model.differential_expression(contrast=model.get_slope_weights("age"), latent_columns=0)["log_fc_mle"]
        for model in (trained, plain)
    )
    np.testing.assert_allclose(there, without, rtol=1e-3, atol=1e-4)


def test_a_column_with_a_name_of_pandas_has_a_slope():
    """``DataFrame.assign`` takes no column called self."""
    model = untrained("~ group + self", self=AGES)
    assert nonzero(model.get_slope_weights("self")) == {"self": 1.0}


@pytest.mark.parametrize(
    ("design", "column", "said"),
    [
        ("~ group + log(age)", "age", "along a curve.*log\\(age\\)"),
        ("~ group + bs(age, df=3)", "age", "along a curve"),
        ("~ group + age + I(age**2)", "age", "along a curve"),
        ("~ group + C(lane)", "lane", "as categories"),
        ("~ group", "group", "has categories"),
        ("~ group", "age", "not in the design"),
        ("~ group", "aeg", "not a column of adata.obs"),
    ],
)
def test_what_has_no_slope_is_refused(design: str, column: str, said: str):
    with pytest.raises((KeyError, ValueError), match=said):
        untrained(design).get_slope_weights(column)


def test_weights_of_groups_are_those_of_the_comparison():
    model = untrained("~ group * age")
    weights = model.get_contrast_weights("group", "B", "A")
    assert nonzero(weights) == pytest.approx({"group[T.B]": 1, "group[T.B]:age": np.mean(AGES)})
    with pytest.raises(ValueError, match="compares nothing"):
        model.get_contrast_weights(contrast={"Intercept": 1})


def test_tested_columns_are_those_that_the_test_names(trained: BulkVI):
    assert trained.get_tested_columns("age") == ["scale(age)"]
    assert set(trained.omnibus_test("age")["contrast"]) == {"scale(age)"}
    with pytest.raises(ValueError, match="not in the design"):
        trained.get_tested_columns("lane")


def test_the_curve_of_a_slope_is_a_line_of_that_slope(trained: BulkVI):
    genes = trained.adata.var_names[:3].tolist()
    curve = trained.get_rate_curve(genes, "age", n_points=3)
    slope = trained.differential_expression(contrast=trained.get_slope_weights("age"), latent_columns=0)["log_fc_mle"]
    for gene in genes:
        one = curve.loc[gene]
        np.testing.assert_allclose(np.diff(np.log2(one["rate"])) / np.diff(one["covariate"]), slope[gene], rtol=1e-5)
        assert (one["rate_low"] < one["rate"]).all() and (one["rate"] < one["rate_high"]).all()
        width = np.log(one["rate_high"] / one["rate_low"]).to_numpy()
        assert width[1] < width[[0, 2]].min()  # surest in the middle of the data
    assert curve["covariate"].min() == min(AGES)
    assert curve["covariate"].max() == max(AGES)


def test_the_curve_passes_through_the_rates_of_groups(trained: BulkVI):
    """With the mixture of groups of all samples it is the mean log rate of both groups at their mean age."""
    gene = trained.adata.var_names[:1].tolist()
    curve = trained.get_rate_curve(gene, "age", n_points=2)
    at_mean = np.interp(np.mean(AGES), curve["covariate"], np.log(curve["rate"]))
    rates = trained.get_group_rates(gene, "group")
    np.testing.assert_allclose(at_mean, np.log(rates["rate"]).mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"column": "group"}, "has categories"),
        ({"n_points": 1}, "at least 2"),
        ({"level": 1.0}, "between 0 and 1"),
        ({"genes": ["nonsense"]}, "nonsense"),
    ],
)
def test_a_wrong_curve_is_explained(trained: BulkVI, options: dict, said: str):
    given = {"genes": trained.adata.var_names[:1].tolist(), "column": "age"} | options
    with pytest.raises((KeyError, ValueError), match=said):
        trained.get_rate_curve(**given)


def test_a_column_of_categories_has_no_curve():
    model = untrained("~ group + C(lane)")
    with pytest.raises(ValueError, match="as categories"):
        model.get_rate_curve(model.adata.var_names[:1].tolist(), "lane")
