"""A study without and with a reference: computed once, judged alike."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from benchmarks import cache, reference, reference_data, reference_page
from benchmarks.page import write
from benchmarks.reference import Case


@pytest.fixture(scope="module")
def case() -> Case:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_data, "HIDDEN_GENES", 300)
        cohort, data, batch = reference_data.hidden_batch(2, 0)
    return Case("batch", "r = .33", 0, cohort, data, pd.DataFrame({"batch": batch}))


class Recorder:
    """In place of the model: what it was given, and a table that finds nothing."""

    made: list[dict] = []

    def __init__(self, adata: AnnData, **options) -> None:
        self.adata = adata
        self.made.append({"design": adata.uns["design"], **options})

    @staticmethod
    def setup_anndata(adata: AnnData, *, size_factor_key: str, design: str) -> None:
        assert (adata.obs[size_factor_key] > 0).all()
        adata.uns["design"] = design

    def train(self, **_) -> None:
        """Nothing to do."""

    def differential_expression(self, *_, **__) -> pd.DataFrame:
        nothing = {
            "log_fc": 0.1,
            "log_fc_low": -1.0,
            "log_fc_high": 1.0,
            "p_value": 0.5,
            "adj_p_value": 0.9,
            "flag": "",
        }
        return pd.DataFrame(nothing, index=self.adata.var_names)


@pytest.fixture
def recorder(tmp_path, monkeypatch) -> list[dict]:
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    monkeypatch.setattr(reference, "CACHE", tmp_path)
    monkeypatch.setattr(reference, "run_peers", lambda *_: {})
    monkeypatch.setattr(reference.bv, "BulkVI", Recorder)
    monkeypatch.setattr(reference, "reference_of", lambda *_: "a reference")
    monkeypatch.setattr(Recorder, "made", [])
    return Recorder.made


def test_an_answer_is_computed_once_and_only_if_wanted(case, recorder):
    assert reference.answers(case, compute=False) == {}
    first = reference.answers(case)
    assert set(first) == {"bulkvi", "oracle", "reference"}
    assert len(recorder) == 3
    assert reference.answers(case, compute=False) == reference.answers(case) == first
    assert len(recorder) == 3
    unchanged = replace(case.data, truth=case.data.truth.assign(log_fc=0.0, status=0))
    for other in (case._replace(data=unchanged), case._replace(data=reference_data.genes_permuted(case.data, 0))):
        assert reference.answers(other, compute=False) == {}


def test_only_the_oracle_is_told_the_batch_and_only_one_has_the_reference(case, recorder):
    reference.answers(case)
    told = {"design": "~ batch + group"}
    assert recorder == [{"design": "~ group"}, told, {"design": "~ group", "reference": "a reference"}]


def test_an_error_is_not_taken_for_an_empty_cache(case, recorder, monkeypatch):
    def fails(*_) -> None:
        raise KeyError("group")

    monkeypatch.setattr(reference, "fitted", fails)
    with pytest.raises(KeyError, match="group"):
        reference.answers(case)


def test_reading_the_cache_trains_no_reference(recorder, data_dir, monkeypatch):
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    monkeypatch.setattr(reference, "reference_of", None)  # would fail if it were called
    assert reference.rows("along", 1, compute=False).empty


def test_a_reference_depends_on_all_that_it_is_made_of(case):
    cohort = case.cohort
    others = [
        replace(cohort, counts=cohort.counts + 1),
        replace(cohort, counts=cohort.counts.set_axis(cohort.counts.columns[::-1], axis=1)),
        replace(cohort, obs=cohort.obs.assign(sex="female")),
        replace(cohort, design="~ 1"),
    ]
    keys = [reference.reference_key(other, 0) for other in [cohort, *others]]
    assert len({*keys, reference.reference_key(cohort, 1)}) == 6
    assert reference.reference_key(replace(cohort, name="other"), 0) == keys[0]


def test_the_truth_as_an_answer_has_no_error(case):
    truth = case.data.truth
    table = pd.DataFrame({"log_fc": truth["log_fc"], "log_fc_low": truth["log_fc"], "log_fc_high": truth["log_fc"]})
    table["p_value"] = table["adj_p_value"] = np.where(truth["status"] == 1, 1e-6, 0.9)
    table["flag"] = ""
    found = reference.scores(case.data, table)
    assert found["FDR"] == found["RMSE"] == 0
    assert found["TPR"] == found["coverage, called"] == found["any"] == 1
    assert np.isclose(found["correlation"], 1)
    wrong = reference.scores(case.data, table.assign(log_fc_low=9.0, log_fc_high=9.5))
    assert wrong["coverage, called"] == 0


def test_a_direction_is_named_by_the_group_that_moves_it():
    report = pd.DataFrame({"moved_by": ["group[T.B]", "group[T.B]", ""], "move": [-2.0, 0.3, 0.0]})
    report.index = pd.Index(["reference_0", "reference_1", "latent_0"])
    assert reference._is_named(report)
    assert not reference._is_named(report.assign(move=[0.3, -0.9, 1.0]))
    assert not reference._is_named(report.assign(moved_by="age"))


def test_every_part_has_cases_sets_and_a_table():
    assert set(reference.PARTS) == set(reference.SETS) == set(reference_page.TABLES)
    assert set(reference.WITH_PEER) <= set(reference.PARTS)


def test_a_page_from_rows(tmp_path, monkeypatch):
    def rows(part: str, _: int, *, compute: bool) -> pd.DataFrame:
        assert compute == (part == "within")
        if part not in ("within", "equal"):
            return pd.DataFrame()
        about = {"scenario": "one sex", "source": part, "n": 3}
        made = [
            about
            | {"seed": seed, "method": method, "FDR": fdr + 0.02 * seed, "TPR at 5 % FDP": 0.4, "any": seed, "RMSE": 1}
            for seed in range(2)
            for method, fdr in (("bulkvi", 0.0), ("reference", 0.04))
        ]
        return pd.DataFrame(made).assign(**{"trust dispersion_trust": [np.nan, 0.7, np.nan, 0.9]})

    monkeypatch.setattr(reference, "rows", rows)
    page = reference_page.page(2, {"bulkvi": "1"}, ["within"])
    write("reference", page, tmp_path)
    text = (tmp_path / "reference.md").read_text()
    assert "| one sex | 3 | bulkvi | 2 | 0.010 (0.010) |" in text
    assert "| one sex | 3 | bulkvi, reference | 2 | 0.050 (0.010) |" in text
    assert "| one sex | 3 | bulkvi, reference | 2 | 0.500 (0.500) |" in text
    assert reference_page.TRUST in text
    assert "0.800" in text
    assert "python -m benchmarks reference --sets 2" in text
    assert reference_page.TABLES["across"][0] not in text
