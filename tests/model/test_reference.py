import numpy as np
import pandas as pd
import pytest

import bulkvi
from bulkvi.model._reference import genes_of_record, reference_record
from tests.reference_cohorts import draw_study, model_of


def test_samples_that_are_in_the_reference_too_are_refused_unless_allowed(rng):
    drawn = draw_study(rng, 2, 200)
    reference = drawn.reference._replace(shared=("s0", "s3"))
    with pytest.raises(ValueError, match=r"2 samples are in the reference 'truth' too.*reference_overlap=True"):
        model_of(drawn.adata, reference)
    assert model_of(drawn.adata, reference, reference_overlap=True).reference_["samples_in_both"] == ["s0", "s3"]


def test_a_saved_model_keeps_what_the_reference_said_and_not_the_object(rng, tmp_path):
    drawn = draw_study(rng, 3, 300)
    model = model_of(drawn.adata, drawn.reference)
    model.train(max_steps=10, progress_bar=False)
    before = model.differential_expression("group", "B", "A")
    model.save(tmp_path / "model")
    assert model.init_params_["non_kwargs"]["reference"] is None
    again = bulkvi.BulkVI.load(tmp_path / "model", adata=drawn.adata).differential_expression("group", "B", "A")
    pd.testing.assert_frame_equal(before, again)
    assert again.attrs["reference"] == before.attrs["reference"]


def test_a_model_without_samples_takes_no_reference(rng):
    drawn = draw_study(rng, 2, 200)
    registry = model_of(drawn.adata).registry
    with pytest.raises(ValueError, match="needs the samples"):
        bulkvi.BulkVI(registry=registry, reference=drawn.reference)


def test_record_is_plain_arrays_of_the_genes_of_the_study(rng):
    drawn = draw_study(rng, 2, 200)
    record = reference_record(drawn.reference, drawn.adata[:, ::-1].copy(), None, overlap=False)
    known = genes_of_record(record)
    np.testing.assert_array_equal(known.loadings, drawn.reference.known.loadings[:, ::-1])
    assert genes_of_record(None) is None
