from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bulkvi
from bulkvi.arguments import BulkVIWarning
from bulkvi.stats.counts.size_factors import size_factors_from_reference


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
    assert reference.symbols is not None
    by_symbol = reference.genes_for(list(reference.symbols))
    np.testing.assert_array_equal(by_symbol.level, reference.values.level)
    for query in (reference.genes_for, reference.log_geometric_means_for):
        with pytest.raises(ValueError, match="at least 50 are needed"):
            query(["X1", "X2"])


def test_a_warning_says_how_many_genes_are_shared_if_most_are_not(reference: bulkvi.Reference) -> None:
    with pytest.warns(BulkVIWarning, match=r"has 100 of the 300 genes of the study \(33%\)"):
        reference.genes_for([*reference.genes[100:200], *[f"other{k}" for k in range(200)]])


def test_samples_of_the_cohort_are_found_among_others(
    reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI, rng: np.random.Generator
) -> None:
    adata = cohort_model.adata
    other = bulkvi.datasets.simulate(n_per_group=3, n_genes=300, seed=5)
    counts = np.vstack([other.X, adata.X[[4, 11]]])
    names = [*(f"new{k}" for k in range(6)), "a", "b"]
    assert reference.shared_samples(counts, adata.var_names, names) == ["a", "b"]
    assert reference.shared_samples(sparse.csc_matrix(counts), adata.var_names, names) == ["a", "b"]
    order = rng.permutation(adata.n_vars)
    assert reference.shared_samples(counts[:, order], adata.var["symbol"].iloc[order]) == [6, 7]
    assert reference.shared_samples(counts, [f"x{k}" for k in range(adata.n_vars)]) == []
    assert reference.shared_samples(counts[:0], adata.var_names) == []


def test_size_factors_of_the_cohort_come_out_whatever_the_names(
    reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI
) -> None:
    adata = cohort_model.adata
    means = reference.log_geometric_means_for(list(adata.var["symbol"]))
    assert isinstance(means, pd.Series)
    np.testing.assert_allclose(
        size_factors_from_reference(adata.X, means.to_numpy()), adata.obs["size_factor"], rtol=1e-5
    )
    np.testing.assert_array_equal(reference.size_factor_reference, means)


def test_pp_measures_new_samples_on_the_scale_of_the_cohort(
    reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI
) -> None:
    adata = cohort_model.adata[:5].copy()
    adata.var_names = [f"{name}|x" for name in adata.var_names]
    adata.X = adata.X * 3
    bulkvi.pp.size_factors(adata, reference=reference)
    np.testing.assert_allclose(
        adata.obs["size_factor"], 3 * cohort_model.adata.obs["size_factor"][:5].to_numpy(), rtol=1e-5
    )
    # twice the length in every sample changes nothing, twice in one sample halves its counts per length
    adata.layers["length"] = np.full(adata.shape, 2_000.0)
    bulkvi.pp.size_factors(adata, reference=reference, offset_key="length", key_added="per_length")
    np.testing.assert_allclose(adata.obs["per_length"], adata.obs["size_factor"])
    adata.layers["length"][0] *= 2
    bulkvi.pp.size_factors(adata, reference=reference, offset_key="length", key_added="per_length")
    ratio = adata.obs["per_length"] / adata.obs["size_factor"]
    np.testing.assert_allclose(ratio, [2 ** (-4 / 5), *[2 ** (1 / 5)] * 4])
    with pytest.raises(
        ValueError, match=r"genes that the size factors of the reference 'simulated' are measured on, and at least 50%"
    ):
        bulkvi.pp.size_factors(adata[:, :140].copy(), reference=reference)


def test_a_common_factor_of_size_factors_is_returned_and_samples_that_disagree_are_refused(
    reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI
) -> None:
    adata = cohort_model.adata
    factors = adata.obs["size_factor"].to_numpy()
    assert reference.check_size_factors(adata.X, adata.var_names, factors) == pytest.approx(1, rel=1e-5)
    assert reference.check_size_factors(adata.X, adata.var_names, 1e6 * factors) == pytest.approx(1e6, rel=1e-5)
    library = adata.X.sum(1) / adata.X.sum(1).mean()
    assert reference.check_size_factors(adata.X, adata.var_names, library) == pytest.approx(1, abs=0.3)
    counts = adata.X[:4] * np.array([[1], [1], [1], [8]])
    with pytest.raises(ValueError, match=r"sample 3 \(from 0\) is 0\.\d+ times"):
        reference.check_size_factors(counts, adata.var_names, factors[:4])


def test_fingerprints_can_be_removed_before_sharing(
    reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI, tmp_path: Path
) -> None:
    replace(reference, fingerprints=reference.fingerprints[:0]).save(tmp_path / "public.ref")
    public = bulkvi.Reference.load(tmp_path / "public.ref")
    adata = cohort_model.adata
    assert public.shared_samples(adata.X, adata.var_names) == []
    assert len(reference.shared_samples(adata.X, adata.var_names)) == adata.n_obs
