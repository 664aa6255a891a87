import numpy as np
import pandas as pd
import pytest

from bulkvi import pl

DE = pd.DataFrame({"p_value": [0.0, 0.01, 0.24, 0.3, 0.74, 0.8, np.nan]})


def test_bars_reach_from_zero_to_one_whatever_the_p_values():
    ax = pl.p_values(DE, n_bins=4)
    assert [bar.get_height() for bar in ax.patches] == [3, 1, 1, 1]  # type: ignore[attr-defined]
    assert [bar.get_x() for bar in ax.patches] == [0, 0.25, 0.5, 0.75]  # type: ignore[attr-defined]


@pytest.mark.parametrize("n_bins", [4, 20])
def test_the_line_is_the_mean_height_of_the_bars(n_bins: int):
    ax = pl.p_values(DE, n_bins=n_bins)
    (line,) = ax.lines
    heights = [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]
    assert len(heights) == n_bins
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), np.mean(heights))
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["expected if no gene changed"]


def test_genes_without_a_p_value_are_counted():
    assert pl.p_values(DE).get_title(loc="left") == "6 genes; 1 without finite values"


def test_wrong_input_is_named():
    with pytest.raises(KeyError, match=r"no columns \['p_value'\] in `de`; it has \['p'\]"):
        pl.p_values(DE.rename(columns={"p_value": "p"}))
    with pytest.raises(ValueError, match="7 of `de` do not"):
        pl.p_values(DE.fillna(1) + 2)
    with pytest.raises(ValueError, match="none of the 1 genes has finite values"):
        pl.p_values(DE[-1:])
    with pytest.raises(ValueError, match="`n_bins` must be at least 1; it is 0"):
        pl.p_values(DE, n_bins=0)
