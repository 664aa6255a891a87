import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.collections import PathCollection

from bulkvi import pl


def test_rates_within_a_column_are_drawn_in_their_stratum_and_joined(cohort: AnnData):
    cohort.obs["arm"] = ["a", "b"] * 3
    cohort.obs["sex"] = ["m", "m", "f", "f", "f", "m"]
    rates = pd.DataFrame(
        {
            "group": ["a", "a", "b", "b"],
            "stratum": ["f", "m", "f", "m"],
            "rate": [3_000.0, 1.0, 6_000.0, 2.0],
            "rate_low": [2_000.0, 0.5, 5_000.0, 1.0],
            "rate_high": [4_000.0, 2.0, 7_000.0, 3.0],
        },
        index=["4"] * 4,
    )
    ax = pl.gene(cohort, "4", "arm", rates=rates, within="sex")
    joined = [line for line in ax.lines if line.get_linestyle() == "-" and len(np.asarray(line.get_xdata())) == 2]
    assert [np.asarray(line.get_ydata()).tolist() for line in joined] == [[3_000, 6_000], [1, 2]]
    females, males = [np.asarray(drawn.get_offsets()) for drawn in ax.collections if isinstance(drawn, PathCollection)]
    assert len(females) == len(males) == 3
    for samples, line in ((females, joined[0]), (males, joined[1])):
        for x in samples[:, 0]:
            assert np.abs(np.asarray(line.get_xdata()) - x).min() < 0.25
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "Within sex"
    assert [text.get_text() for text in legend.texts] == ["f", "m", "model's rate"]
    rates.attrs["within"] = ["sex"]
    same = pl.gene(cohort, "4", "arm", rates=rates)
    assert [text.get_text() for text in same.get_legend().texts] == ["f", "m", "model's rate"]  # type: ignore[union-attr]


def test_strata_that_the_samples_do_not_have_are_refused(cohort: AnnData):
    values = {"rate": 100.0, "rate_low": 80.0, "rate_high": 120.0}
    rates = pd.DataFrame({"group": ["virgin", "lactation", "pregnancy"], **values, "stratum": "x"}, index=["4"] * 3)
    cohort.obs["sex"] = ["m", "f"] * 3
    with pytest.raises(ValueError, match=r"strata that are levels of \['sex'\], \['f', 'm'\].*\['x'\]"):
        pl.gene(cohort, "4", "stage", rates=rates, within="sex")
    with pytest.raises(KeyError, match=r"no columns \['stratum'\] in `rates`"):
        pl.gene(cohort, "4", "stage", rates=rates.drop(columns="stratum"), within="sex")
