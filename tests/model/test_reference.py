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
    kept = model_of(drawn.adata, reference, reference_overlap=True).reference_
    assert kept is not None
    assert kept["samples_in_both"] == ["s0", "s3"]


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
    record = reference_record(drawn.reference, drawn.adata[:, ::-1].copy(), None, "size_factor", overlap=False)
    known = genes_of_record(record)
    assert known is not None
    np.testing.assert_array_equal(known.loadings, drawn.reference.known.loadings[:, ::-1])
    assert genes_of_record(None) is None


def test_positions_along_the_directions_are_those_of_the_samples_groups_included(rng):
    state = rng.normal(size=(6, 2))
    state[3:, 0] += 2
    drawn = draw_study(rng, 3, state=state, share=0.0)
    model = model_of(drawn.adata, drawn.reference)
    found = model.get_latent_representation(axes="reference")
    unit = np.sqrt((drawn.reference.known.loadings**2).mean(1)) / np.log(2)
    np.testing.assert_allclose(found, (state - state.mean(0)) * unit, atol=0.1)
    np.testing.assert_array_equal(model.get_latent_representation(axes="reference", indices=[2, 0]), found[[2, 0]])
    with pytest.raises(ValueError, match="no reference with directions"):
        model_of(drawn.adata).get_latent_representation(axes="reference")
    with pytest.raises(ValueError, match="registered samples"):
        model.get_latent_representation(drawn.adata.copy(), axes="reference")


def test_size_factors_that_are_not_those_of_the_counts_are_refused(rng):
    cohort = draw_study(rng, 6, 300, state=np.zeros((12, 2)))
    bulkvi.pp.size_factors(cohort.adata)
    built = model_of(cohort.adata)
    reference = bulkvi.Reference.from_model(built, name="cohort")
    study = draw_study(rng, 3, 300)
    study.adata.obs["size_factor"] *= 1.5  # a factor in common does no harm
    model_of(study.adata, reference)
    study.adata.obs["size_factor"] = np.geomspace(0.1, 10, 6)
    with pytest.raises(ValueError, match="size factor"):
        model_of(study.adata, reference)
