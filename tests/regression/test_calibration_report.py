import numpy as np
from anndata import AnnData

from tests.cohorts import row_of, set_up


def test_the_verdict_says_it_in_words(report) -> None:
    report = report[0]
    words = str(report)
    assert words == report.verdict
    assert words.startswith("group: B vs A, BulkVI, against 16 of 125 distinct permutations.")
    assert f"adj_p_value < 0.05: {row_of(report)['calls']:,} genes called; empirical FDR" in words
    assert "s_value < 0.05" in words
    assert "permutations. Rare events go unseen" in words
    assert repr(report).endswith(words)


def test_no_call_is_said_to_be_none(cohort: AnnData) -> None:
    def silent(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
        return np.full(counts.shape[1], np.nan)

    report = set_up(cohort).calibrate("group", "B", "A", n_permutations=6, method=silent, progress_bar=False)
    assert "no gene is called" in report.verdict
    assert report.fdr["empirical_fdr"].isna().all()
    assert report.genes["perm_q_value"].isna().all()
