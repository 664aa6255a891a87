import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from bulkvi import pl

CURVE = pd.DataFrame(
    {
        "covariate": [60.0, 10.0, 10.0],
        "rate": [150.0, 50.0, 1.0],
        "rate_low": [100.0, 40.0, 0.5],
        "rate_high": [200.0, 60.0, 2.0],
    },
    index=["4", "4", "5"],
)


def test_counts_over_size_factors_are_drawn_over_the_covariate(cohort: AnnData):
    ax = pl.gene_trend(cohort, "4", "age")
    x, y = np.asarray(ax.collections[0].get_offsets()).T
    drawn = [0, 1, 2, 4, 5]  # s3 has no age
    assert x.tolist() == cohort.obs["age"].iloc[drawn].tolist()
    np.testing.assert_allclose(y, cohort.X[drawn, 4] / cohort.obs["size_factor"].to_numpy()[drawn])
    assert ax.get_title(loc="left") == "4; 1 samples without age"
    assert ax.get_xlabel() == "age"


def test_the_curve_of_the_gene_is_drawn_from_left_to_right(cohort: AnnData):
    ax = pl.gene_trend(cohort, "4", "age", curve=CURVE)
    (line,) = ax.lines
    assert np.asarray(line.get_xdata()).tolist() == [10.0, 60.0]
    assert np.asarray(line.get_ydata()).tolist() == [50.0, 150.0]
    heights = np.asarray(ax.collections[1].get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (40.0, 200.0)


def test_it_draws_on_the_axes_it_is_given_and_closes_nothing(cohort: AnnData):
    _, ax = plt.subplots()
    assert pl.gene_trend(cohort, "4", "age", ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_a_dollar_in_a_name_is_no_formula(cohort: AnnData):
    cohort.obs["a$^$b"] = np.arange(6.0)
    pl.gene_trend(cohort, "4", "a$^$b")
    plt.gcf().draw_without_rendering()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"covariate": "stage"}, "not numeric.*bulkvi.pl.gene"),
        ({"covariate": "treated"}, "not numeric"),
        ({"covariate": "aeg"}, "no column 'aeg'"),
        ({"gene": "nonsense"}, "nonsense"),
        ({"curve": CURVE.loc[["5"]]}, "no row of gene '4'"),
        ({"curve": CURVE.drop(columns="rate")}, "get_rate_curve"),
    ],
)
def test_wrong_input_is_explained(cohort: AnnData, changed: dict, said: str):
    with pytest.raises((KeyError, ValueError), match=said):
        pl.gene_trend(cohort, **{"gene": "4", "covariate": "age"} | changed)


def test_a_column_without_numbers_is_refused(cohort: AnnData):
    cohort.obs["age"] = np.nan
    with pytest.raises(ValueError, match="no sample has a finite value"):
        pl.gene_trend(cohort, "4", "age")
