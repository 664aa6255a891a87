import numpy as np
import pytest

import bulkvi
from bulkvi.arguments import BulkVIWarning


def test_genes_of_a_study_are_those_of_the_reference_in_the_order_of_the_study(
    reference: bulkvi.Reference, rng: np.random.Generator
) -> None:
    order = rng.permutation(len(reference.genes))
    genes = reference.genes_for([*reference.genes[order], "another"])
    for field, ours, theirs in zip(genes._fields, genes, reference.values, strict=True):
        np.testing.assert_array_equal(ours[..., :-1], theirs[..., order], err_msg=field)
    assert not genes.known[-1]
    assert genes.n_directions == len(reference.directions)


def test_symbols_match_and_names_of_nothing_are_refused(reference: bulkvi.Reference) -> None:
    by_symbol = reference.genes_for(list(reference.symbols))
    np.testing.assert_array_equal(by_symbol.level, reference.values.level)
    with pytest.raises(ValueError, match="at least 50 are needed"):
        reference.genes_for(["X1", "X2"])


def test_a_warning_says_how_many_genes_are_shared_if_most_are_not(reference: bulkvi.Reference) -> None:
    with pytest.warns(BulkVIWarning, match=r"has 100 of the 300 genes of the study \(33%\)"):
        reference.genes_for([*reference.genes[100:200], *[f"other{k}" for k in range(200)]])


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
