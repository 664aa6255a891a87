from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

from bulkvi import pl
from bulkvi.pl._histograms import COLOURS, DASHES

N = 100
TABLE = pd.DataFrame(
    {
        "log_fc": np.r_[np.linspace(-3, 3, N), np.full(10, 0.01), 5.0, np.nan],
        "log_fc_mle": 1.0,
        "class": ["neither"] * (N - 2) + ["na_here", "only_here"] + ["na_other"] * 10 + ["absent_other", "absent_here"],
        "reason": [""] * N + ["independent_filtering"] * 10 + ["low_counts"] * 2,
    }
)


def comparison(table: pd.DataFrame = TABLE, column: str = "log_fc") -> SimpleNamespace:
    return SimpleNamespace(
        labels=("bulkvi", "DESeq2"), level=0.05, column=column, table=table, concordance=pd.Series(dtype=float)
    )


def steps(ax: Axes) -> list[np.ndarray]:
    return [np.asarray(patch.get_data()[0]) for patch in ax.patches if isinstance(patch, StepPatch)]


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    assert found is not None
    return [text.get_text() for text in found.texts]


def test_each_group_has_its_own_shares_and_its_number():
    ax = pl.na_genes(comparison(), n_bins=10)
    tested, filtered, absent = steps(ax)
    for shares in (tested, filtered, absent):
        assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(tested, np.histogram(TABLE["log_fc"][:N], 10, (-5, 5))[0] / N)
    assert filtered.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert absent[-1] == 1
    assert legend(ax) == ["tested: 100", "independent_filtering: 10", "low_counts: 1"]
    assert ax.get_legend().get_title().get_text() == "In DESeq2"  # type: ignore[union-attr]
    assert ax.get_title(loc="left") == "111 genes; 1 without finite values"
    assert ax.get_xlabel() == "Log2 fold change, bulkvi"


def test_effects_beyond_the_limit_are_in_the_outermost_bars_and_counted():
    ax = pl.na_genes(comparison(), limit=2, n_bins=4)
    tested, _, absent = steps(ax)
    assert tested.sum() == pytest.approx(1)
    assert absent[-1] == 1
    n_beyond = int((TABLE["log_fc"].abs() > 2).sum())
    assert f"{n_beyond} beyond ±2" in ax.get_title(loc="left")


def test_the_effect_is_the_one_compared():
    (tested, *_) = steps(pl.na_genes(comparison(column="log_fc_mle"), n_bins=2))
    assert tested.tolist() == [0, 1]


def test_without_genes_left_out_there_are_those_tested():
    ax = pl.na_genes(comparison(TABLE[: N - 2]))
    assert len(steps(ax)) == 1
    assert legend(ax) == ["tested: 98"]


def test_arguments_of_na_genes_out_of_range_are_named():
    with pytest.raises(ValueError, match="n_bins is 0: give a whole number of at least 1"):
        pl.na_genes(comparison(), n_bins=0)
    with pytest.raises(ValueError, match=r"limit \(log2\) is -1: give a finite number above 0"):
        pl.na_genes(comparison(), limit=-1)
    with pytest.raises(ValueError, match="none of the 1 genes has finite values"):
        pl.na_genes(comparison(TABLE[-1:]))


def test_every_reason_has_a_look_of_its_own():
    looks = list(zip(COLOURS, DASHES, strict=True))
    assert len(set(looks)) == len(looks) >= 6


P_VALUES = pd.DataFrame({"p_value": [0.0, 0.01, 0.24, 0.3, 0.74, 0.8, np.nan]})


def test_bars_reach_from_zero_to_one_whatever_the_p_values():
    ax = pl.p_values(P_VALUES, n_bins=4)
    assert [bar.get_height() for bar in ax.patches] == [3, 1, 1, 1]  # type: ignore[attr-defined]
    assert [bar.get_x() for bar in ax.patches] == [0, 0.25, 0.5, 0.75]  # type: ignore[attr-defined]


@pytest.mark.parametrize("n_bins", [4, 20])
def test_the_line_is_the_mean_height_of_the_bars(n_bins: int):
    ax = pl.p_values(P_VALUES, n_bins=n_bins)
    (line,) = ax.lines
    heights = [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]
    assert len(heights) == n_bins
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), np.mean(heights))
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["expected if no gene changed"]


def test_genes_without_a_p_value_are_counted():
    assert pl.p_values(P_VALUES).get_title(loc="left") == "6 genes; 1 without finite values"


def test_wrong_p_values_are_named():
    with pytest.raises(KeyError, match=r"no columns \['p_value'\] in `de`; it has \['p'\]"):
        pl.p_values(P_VALUES.rename(columns={"p_value": "p"}))
    with pytest.raises(ValueError, match="7 of `de` do not"):
        pl.p_values(P_VALUES.fillna(1) + 2)
    with pytest.raises(ValueError, match="none of the 1 genes has finite values"):
        pl.p_values(P_VALUES[-1:])
    with pytest.raises(ValueError, match="n_bins is 0: give a whole number of at least 1"):
        pl.p_values(P_VALUES, n_bins=0)
