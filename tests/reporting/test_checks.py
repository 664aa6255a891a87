import numpy as np
import pandas as pd
import pytest

import bulkvi as bv
from bulkvi.reporting import _checks
from bulkvi.reporting._checks import design_check, fit_facts, sample_check, warnings_for_reader
from bulkvi.reporting._query import Query
from tests.reporting.study import Study, make_study, simulated

FLAGS = pd.DataFrame({"flag": ["", "outlier,separated", "separated", "not_converged"]})


def test_swapped_samples_are_told_by_name():
    adata = simulated(hidden=False)
    arms = adata.obs["arm"].astype(str).to_numpy()
    arms[[0, 9]] = arms[[9, 0]]
    adata.obs["arm"] = pd.Categorical(arms)
    found = sample_check(make_study(adata).model, "arm")
    assert [text.split(" (")[0] for text in found.warnings] == ["Sample s<0>", "Sample s<9>"]
    assert "another label fits far better" in found.warnings[0]
    assert found.summary == "2 of 10 samples stand out."


def test_samples_come_with_depth_and_size_factor(study: Study):
    adata = study.model.adata
    found = sample_check(study.model, None)
    assert not found.checked
    assert "not one of two groups" in found.summary
    assert [row["total"] for row in found.rows] == np.asarray(adata.X.sum(1)).ravel().tolist()
    assert [row["size_factor"] for row in found.rows] == adata.obs["size_factor"].tolist()


def test_the_reason_why_samples_were_not_checked_is_given(study: Study, monkeypatch: pytest.MonkeyPatch):
    assert "Labels could not be checked: " in sample_check(study.model, "age").summary
    monkeypatch.setattr(_checks, "MANY_SAMPLES", 9)
    assert "more than 9 samples" in sample_check(study.model, "arm").summary


def test_a_model_without_design_has_none_to_check():
    adata = simulated()
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    assert design_check(bv.BulkVI(adata)) is None


def test_each_warning_is_given_once():
    query = Query("a", {}, {"composition_shift": -0.5, "n_latent_columns": 2})
    said = warnings_for_reader(FLAGS, query, None, ["Sample x."], ["Around: Sample x. And more.", "New."])
    assert said[0] == "Sample x."
    assert said[1].startswith("Most genes change, more of them up: unchanged genes had a log2 fold change of -0.50")
    assert said[2].startswith("2 hidden directions of the data entered")
    assert said[3] == "The fit of 25 % of the genes did not converge; their rows are flagged not_converged."
    assert said[4:] == ["New."]
    assert warnings_for_reader(FLAGS.head(1), Query("a", {}, {}), None, [], []) == []


def test_flags_are_counted_and_what_is_not_known_is_said():
    facts = {fact.what: fact.value for fact in fit_facts(FLAGS, Query("a", {}, {}))}
    assert facts["Genes flagged separated"] == "2"
    assert facts["Genes flagged outlier"] == "1"
    assert "Genes flagged constant" not in facts
    assert facts["Shift of all genes (log2)"] == "not kept with the table"
