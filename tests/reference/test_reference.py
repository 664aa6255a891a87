from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bulkvi


def test_a_loaded_reference_is_the_one_that_was_saved(reference: bulkvi.Reference, tmp_path: Path) -> None:
    reference.save(tmp_path / "cohort.ref")
    loaded = bulkvi.Reference.load(str(tmp_path / "cohort.ref"))
    for field in fields(bulkvi.Reference):
        saved, found = getattr(reference, field.name), getattr(loaded, field.name)
        if field.name == "values":
            for name, one, other in zip(saved._fields, saved, found, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=name)
        elif isinstance(saved, np.ndarray | pd.Index):
            np.testing.assert_array_equal(saved, found, err_msg=field.name)
        else:
            assert saved == found
    names = list(reference.genes[::-1])
    np.testing.assert_array_equal(loaded.genes_for(names).loadings, reference.genes_for(names).loadings)


def test_provenance_is_recorded(reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI) -> None:
    found = reference.provenance
    assert (found.name, found.licence, found.design, found.n_samples) == ("simulated", "CC0", "~ group", 24)
    assert found.bulkvi_version == bulkvi.__version__
    assert reference.n_samples == cohort_model.adata.n_obs


def test_names_and_columns_are_checked(cohort_model: bulkvi.BulkVI) -> None:
    with pytest.raises(ValueError, match="name is empty"):
        bulkvi.Reference.from_model(cohort_model, name=" ")
    with pytest.raises(KeyError, match="'gene_name' is not a column"):
        bulkvi.Reference.from_model(cohort_model, name="x", symbols="gene_name")


def test_half_precision_costs_less_than_a_fiftieth_of_a_standard_deviation(
    reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI
) -> None:
    mean, sd = (table.to_numpy().T for table in cohort_model.last_layer().loadings())
    known = reference.values.known
    assert np.abs((reference.values.loadings - mean) / sd)[:, known].max() < 0.02
    assert np.abs(reference.values.loadings_sd / sd - 1)[:, known].max() < 0.001
    assert (reference.values.loadings_sd[:, known] > 0).all()
    # no counts of people: neither the counts nor the names of the samples are in the reference
    content = repr([getattr(reference, field.name) for field in fields(bulkvi.Reference)])
    assert not any(name in content for name in cohort_model.adata.obs_names)
