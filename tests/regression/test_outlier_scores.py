import numpy as np
import pandas as pd
import pytest

from bulkvi import outlier_names as on
from bulkvi.regression.outlier_scores import OutlierScores, as_scores
from bulkvi.regression.outliers import Scores


def make_scores(n: int = 4, genes: int = 30, **choices: str) -> OutlierScores:
    """Sample 0 has two outliers, gene 3 with more and gene 5 with fewer counts than expected."""
    rng = np.random.default_rng(0)
    p_value = rng.uniform(0.1, 1, (n, genes))
    p_value[0, 3], p_value[0, 5] = 1e-12, 1e-9
    expected = np.full((n, genes), 20.0)
    count = np.round(rng.normal(20, 2, (n, genes)))
    count[0, 3], count[0, 5] = 400, 0
    log_fc = np.log2((count + 0.5) / (expected + 0.5))
    scores = Scores(count, expected, log_fc, log_fc - 1, log_fc + 1, p_value)
    samples, names = (pd.Index([f"{kind}{k}" for k in range(number)]) for kind, number in (("s", n), ("g", genes)))
    return as_scores(scores, samples, names, choices.get("adjust", "by"), "the others")  # type: ignore[arg-type]


def test_calls_are_sorted_and_have_all_columns():
    calls = make_scores().calls()
    assert list(calls) == list(on.COLUMNS)
    assert calls[["sample", "gene"]].to_numpy().tolist() == [["s0", "g3"], ["s0", "g5"]]
    assert len(make_scores().calls(alpha=1)) == 120
    assert list(make_scores().calls(alpha=1e-300)) == list(on.COLUMNS)


def test_tables_have_the_names_of_samples_and_genes():
    scores = make_scores()
    for quantity in on.QUANTITIES:
        table = scores.table(quantity)
        assert table.shape == (4, 30)
        assert table.loc["s0", "g3"] == scores.calls().iloc[0][quantity]
    with pytest.raises(KeyError, match="no quantity 'z'.*p_value"):
        scores.table("z")


def test_numbers_of_samples_add_up():
    numbers = make_scores().per_sample()
    assert numbers.loc["s0"].tolist() == [2, 1, 1]
    assert numbers.iloc[1:].to_numpy().sum() == 0


def test_adata_has_a_layer_for_each_quantity():
    adata = make_scores().to_adata()
    assert set(on.QUANTITIES) - {"count"} == {name for name in adata.layers if name is not None}
    assert adata.obs["n_outliers"].tolist() == [2, 0, 0, 0]
    assert "2 outliers" in repr(make_scores())


def test_bh_is_less_strict_than_by():
    assert (make_scores(adjust="bh").adj_p_value <= make_scores().adj_p_value).all()
    with pytest.raises(ValueError, match="adjust='holm'.*'by'"):
        make_scores(adjust="holm")


@pytest.mark.parametrize("alpha", [0, 1.5, "a"])
def test_alpha_is_a_rate(alpha: object):
    with pytest.raises((TypeError, ValueError), match="alpha is"):
        make_scores().calls(alpha)  # type: ignore[arg-type]
