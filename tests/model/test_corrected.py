import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from tests.cohorts import fit


@pytest.fixture(scope="module")
def model() -> bulkvi.BulkVI:
    """Design and batch, and a hidden factor. Do not change it."""
    from tests.cohorts import make_cohort

    adata = make_cohort()
    hidden = np.where(np.arange(adata.n_obs) % 3 == 0, 1, 0)
    adata.X = np.rint(adata.X * 2.0 ** np.outer(hidden, np.where(np.arange(adata.n_vars) % 4 == 0, 2, 0))).astype(
        np.float32
    )
    adata.obs["hidden"] = hidden.astype(str)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ group")
    return fit(adata, max_steps=100)


def between(table: pd.DataFrame, column: pd.Series, genes: np.ndarray) -> float:
    """Median absolute difference of the means of two levels."""
    first, second = (table[(column == level).to_numpy()].mean() for level in sorted(column.unique()))
    return float((first - second).abs()[genes].median())


def test_the_batch_is_removed_by_default_and_only_what_is_named_otherwise(model: bulkvi.BulkVI) -> None:
    expressed = np.asarray(model.adata.X.mean(0) > 30)
    batch = model.adata.obs["batch"]
    default, nothing = model.get_corrected_expression(), model.get_corrected_expression([])
    pd.testing.assert_frame_equal(default, model.get_corrected_expression("batch"))
    assert between(default, batch, expressed) < 0.5 * between(nothing, batch, expressed)
    assert default.index.equals(model.adata.obs_names)
    assert default.columns.equals(model.adata.var_names)


def test_a_direction_is_held_fixed(model: bulkvi.BulkVI) -> None:
    y = model.get_latent_representation()
    hidden = model.adata.obs["hidden"]
    mark = hidden.astype(float).to_numpy()
    axis = 1 + int(np.abs((y - y.mean(0)).T @ (mark - mark.mean())).argmax())
    genes = np.asarray(model.adata.X.mean(0) > 30) & (np.arange(model.adata.n_vars) % 4 == 0)
    with_it = model.get_corrected_expression()
    without = model.get_corrected_expression(directions=[f"axis_{axis}"])
    assert between(with_it, hidden, genes) > 1
    assert between(without, hidden, genes) < 0.3


def test_a_reference_shifts_all_samples_alike(model: bulkvi.BulkVI) -> None:
    first, second = (model.get_corrected_expression(reference={"batch": level}) for level in ("b1", "b2"))
    expressed = np.asarray(model.adata.X.mean(0) > 100)
    shift = (second - first).loc[:, expressed]
    assert shift.abs().median().max() > 0.5
    assert (shift.std() < 0.05).all()


def test_genes_and_standard_deviations(model: bulkvi.BulkVI) -> None:
    genes = list(model.adata.var_names[[5, 2]])
    values, sd = model.get_corrected_expression(gene_list=genes, return_sd=True)
    pd.testing.assert_frame_equal(values, model.get_corrected_expression()[genes])
    assert (sd > 0).to_numpy().all()
    copy = model.adata.copy()
    copy.layers["corrected"] = model.get_corrected_expression()
    assert copy.layers["corrected"].shape == copy.shape


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"remove": "lane"}, KeyError, r"\['lane'\] are not columns of adata.obs"),
        (
            {"remove": "site"},
            ValueError,
            r"remove: \['site'\] are not in the model; it has \['group', 'batch'\].*setup_anndata",
        ),
        ({"keep": "batch"}, ValueError, r"\['batch'\] are both in `remove` and in `keep`"),
        ({"reference": {"group": "A"}}, ValueError, "reference: 'group' is not removed"),
        ({"reference": {"batch": "b9"}}, ValueError, r"no sample has batch='b9'; it has \['b1', 'b2'\]"),
        (
            {"directions": ["axis_9"]},
            KeyError,
            r"\['axis_9'\] are no axes of the latent representation; it has \['axis_1'",
        ),
        ({"gene_list": "x"}, TypeError, "gene_list must be a list"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(
    model: bulkvi.BulkVI, arguments: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        model.get_corrected_expression(**arguments)


def test_missing_values_of_what_is_kept_are_named(cohort: AnnData) -> None:
    cohort.obs["site"] = cohort.obs["site"].where(np.arange(cohort.n_obs) > 0)
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", batch_key="batch")
    with pytest.raises(ValueError, match=r"keep: \['site'\] have missing values"):
        bulkvi.BulkVI(cohort, n_latent=2).get_corrected_expression(keep="site")
