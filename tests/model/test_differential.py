import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from tests.model.cohorts import fit, make_cohort


@pytest.fixture(scope="module")
def with_design() -> bulkvi.BulkVI:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ group")
    return fit(adata)


def test_table_has_a_row_for_every_gene_in_order(with_design: bulkvi.BulkVI) -> None:
    table = with_design.differential_expression("group", "B", "A")
    assert list(table.columns) == ["base_mean", "log_fc_decoded", "contrast"]
    assert table.index.equals(with_design.adata.var_names)
    assert set(table["contrast"]) == {"group: B vs A"}
    adata = with_design.adata
    normalised = np.asarray(adata.X) / adata.obs["size_factor"].to_numpy()[:, None]
    np.testing.assert_allclose(table["base_mean"], normalised.mean(0), rtol=1e-6)


def test_true_effects_are_found_in_log2_and_with_their_sign(with_design: bulkvi.BulkVI) -> None:
    table = with_design.differential_expression("group", "B", "A")
    truth = with_design.adata.var["true_log_fc"]
    expressed = (table["base_mean"] > 20) & (truth != 0)
    slope, _ = np.polyfit(truth[expressed], table["log_fc_decoded"][expressed], 1)
    assert slope == pytest.approx(1, abs=0.15)
    assert np.corrcoef(truth[expressed], table["log_fc_decoded"][expressed])[0, 1] > 0.9


def test_groups_need_not_be_in_the_design(trained: bulkvi.BulkVI) -> None:
    table = trained.differential_expression("group", "B", "A")
    truth = trained.adata.var["true_log_fc"]
    expressed = (table["base_mean"] > 20) & (truth.abs() > 0.5)
    assert np.corrcoef(truth[expressed], table["log_fc_decoded"][expressed])[0, 1] > 0.7


def test_swapping_the_groups_changes_the_sign_only(with_design: bulkvi.BulkVI) -> None:
    forward = with_design.differential_expression("group", "B", "A")["log_fc_decoded"]
    backward = with_design.differential_expression("group", "A", "B")["log_fc_decoded"]
    np.testing.assert_allclose(backward, -forward, atol=1e-6)


def test_contrasts_add_up_along_three_groups(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", categorical_covariate_keys=["site"])
    model = fit(cohort)

    def effect(group1: str, group2: str) -> np.ndarray:
        return model.differential_expression("site", group1, group2)["log_fc_decoded"].to_numpy()

    np.testing.assert_allclose(effect("site0", "site1") + effect("site1", "site2"), effect("site0", "site2"), atol=1e-5)


def test_an_unbalanced_batch_is_not_an_effect() -> None:
    adata = bulkvi.datasets.simulate(
        n_per_group=10, n_genes=400, de_share=0.0, n_batches=2, batch_share=1.0, batch_sd=1.5, batch_correlation=0.6
    )
    adata = adata[:, adata.X.mean(0) >= 50].copy()
    bulkvi.pp.size_factors(adata)
    spread = {}
    for batch_key in (None, "batch"):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key=batch_key, design="~ group")
        table = fit(adata).differential_expression("group", "B", "A")
        spread[batch_key] = table["log_fc_decoded"].std()
    assert spread["batch"] < 0.5 * spread[None]


def test_the_model_decodes_what_is_in_a_gene_absent_from_one_group(cohort: AnnData) -> None:
    silent = cohort.X.mean(0).argmax()
    cohort.X[(cohort.obs["group"] == "A").to_numpy(), silent] = 0
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    effect = fit(cohort).differential_expression("group", "B", "A")["log_fc_decoded"].iloc[silent]
    assert 5 < effect < 40


def test_a_gene_without_any_count_is_no_obstacle(cohort: AnnData) -> None:
    cohort.X[:, 7] = 0
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    table = fit(cohort).differential_expression("group", "B", "A")
    assert np.isfinite(table[["base_mean", "log_fc_decoded"]]).all(axis=None)
    assert table["base_mean"].iloc[7] == 0
    assert abs(table["log_fc_decoded"].iloc[7]) < 0.5
