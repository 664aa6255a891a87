from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi as bv
from tests.cohorts import fit


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, AnnData, pd.DataFrame]:
    adata = bv.datasets.simulate(n_per_group=6, n_genes=100, seed=0)
    bv.pp.size_factors(adata, method="poscounts")
    original = adata.copy()
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata)
    folder = str(tmp_path_factory.mktemp("model") / "model")
    model.save(folder)
    return folder, original, model.differential_expression("group", "B", "A")


def test_genes_in_another_order_are_put_in_order(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    """log_fc_decoded was that of other genes."""
    folder, adata, table = saved
    shuffled = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    with pytest.warns(UserWarning, match="genes of adata are in another order.*model.adata"):
        model = bv.BulkVI.load(folder, adata=shuffled)
    assert shuffled.var_names.tolist() != adata.var_names.tolist()  # the user's stay
    pd.testing.assert_frame_equal(model.differential_expression("group", "B", "A"), table)


def test_genes_of_no_concern_are_left_out(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, table = saved
    more = AnnData(
        np.hstack([np.ones((adata.n_obs, 3)), adata.X]),
        adata.obs,
        pd.DataFrame(index=["x", "y", "z", *adata.var_names]),
    )
    with pytest.warns(UserWarning, match="3 more than those of the model"):
        model = bv.BulkVI.load(folder, adata=more)
    pd.testing.assert_frame_equal(model.differential_expression("group", "B", "A"), table)


@pytest.mark.parametrize("change", ["missing", "renamed"])
def test_genes_that_are_not_there_are_named(change: str, saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, _ = saved
    other = adata[:, 1:].copy() if change == "missing" else adata.copy()
    if change == "renamed":
        other.var_names = ["other", *adata.var_names[1:]]
    with pytest.raises(ValueError, match=rf"lacks 1 of the 100 genes of the model \(first: \['{adata.var_names[0]}'\]"):
        bv.BulkVI.load(folder, adata=other)


def test_samples_in_another_order_have_the_same_answers(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, table = saved
    model = bv.BulkVI.load(folder, adata=adata[::-1].copy())
    again = model.differential_expression("group", "B", "A")
    numbers = table.select_dtypes("number").columns
    np.testing.assert_allclose(again[numbers], table[numbers], rtol=1e-5, atol=1e-7)


def test_new_samples_with_genes_in_another_order_are_refused(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, _ = saved
    model = bv.BulkVI.load(folder, adata=adata.copy())
    new = adata[:4, ::-1].copy()
    with pytest.raises(ValueError, match="not the 100 genes of the model in its order.*prepare_query_anndata"):
        model.get_latent_representation(new)
    with pytest.raises(ValueError, match="not the 100 genes of the model in its order"):
        bv.BulkVI.load_query_data(new, model)
    bv.BulkVI.prepare_query_anndata(new, model)
    np.testing.assert_allclose(
        model.get_latent_representation(new), model.get_latent_representation()[:4], rtol=1e-5, atol=1e-6
    )


def test_samples_with_other_labels_are_refused_by_level(
    saved: tuple[str, AnnData, pd.DataFrame], tmp_path: Path
) -> None:
    folder, adata, _ = saved
    other = adata.copy()
    other.obs["group"] = "C"
    with pytest.raises(ValueError, match=r"levels \['C'\]"):
        bv.BulkVI.load(folder, adata=other)
