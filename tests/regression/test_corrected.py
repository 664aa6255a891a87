from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.regression.corrected import Corrected, corrected_expression, reference_rows
from bulkvi.regression.regression import regress_genes
from bulkvi.study.study import Study

BATCH_LOG2 = 2.0


def make_batches(seed: int = 0, n_genes: int = 300) -> AnnData:
    """16 samples, group and batch unbalanced; the batch shifts odd genes, the group the first tenth; true log2 rates in a layer."""
    rng = np.random.default_rng(seed)
    group, batch = np.repeat([0, 1], 8), np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0])
    level = rng.normal(6, 2.5, n_genes)
    effect = np.where(np.arange(n_genes) < n_genes // 10, 2.0, 0.0)
    own = level + np.outer(group, effect) + rng.normal(0, 0.4, (16, n_genes))
    shift = np.outer(batch - 0.5, np.where(np.arange(n_genes) % 2, BATCH_LOG2, 0))
    depth = 2 ** rng.uniform(-1, 1, (16, 1))
    adata = AnnData(rng.poisson(depth * 2 ** (own + shift)).astype(np.float32), layers={"true": own})
    adata.obs["group"], adata.obs["batch"] = (
        pd.Categorical.from_codes(group, ["A", "B"]),
        pd.Categorical.from_codes(batch, ["x", "y"]),
    )
    adata.obs["size_factor"] = depth[:, 0]
    return adata


def study_of(adata: AnnData, **setup: Any) -> Study:
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", **setup)
    return bulkvi.BulkVI(adata, n_latent=2).gene_fit().study


def corrected(
    adata: AnnData, remove: tuple[str, ...] = ("batch",), keep: tuple[str, ...] = (), **setup: str
) -> Corrected:
    study = study_of(adata, **setup)
    plain = regress_genes(study, study.design.matrix)
    return corrected_expression(study, plain, remove, {}, keep, pd.DataFrame(index=adata.obs_names))


def test_the_batch_goes_and_the_group_stays():
    adata = make_batches()
    group, batch = (adata.obs[name].cat.codes.to_numpy() for name in ("group", "batch"))
    values = corrected(adata, batch_key="batch", design="~ group").mean
    expressed = np.asarray(adata.X.min(0) > 10)
    truth = adata.layers["true"]
    difference = values[group == 1].mean(0) - values[group == 0].mean(0)
    true = truth[group == 1].mean(0) - truth[group == 0].mean(0)
    np.testing.assert_allclose(difference[expressed][:20], true[expressed][:20], atol=0.6)
    np.testing.assert_allclose(difference[expressed].mean(), true[expressed].mean(), atol=0.1)
    within = values - np.array([values[group == g].mean(0) for g in (0, 1)])[group]
    left = np.abs(within[batch == 1].mean(0) - within[batch == 0].mean(0))[expressed]
    assert np.median(left) < 0.15
    before = corrected(adata, (), batch_key="batch", design="~ group").mean
    assert np.median(np.abs(before[batch == 1].mean(0) - before[batch == 0].mean(0))[1::2]) > 0.8 * BATCH_LOG2


def test_standard_deviations_hold_the_true_rates():
    """Log2 rates about the gene's level, of which no method can know the batch's own level."""
    adata = make_batches()
    values, sd = corrected(adata, batch_key="batch", design="~ group")
    away = (values - adata.layers["true"])[:, ::2] / sd[:, ::2]  # genes without batch effect: no level is in doubt
    inside = float((np.abs(away) < 1.96).mean())
    assert 0.91 < inside < 0.985  # the dispersion is taken as known


def test_genes_without_a_count_to_speak_of_are_finite_and_quiet():
    adata = make_batches()
    adata.X[:, 0] = 0
    adata.X[3, 0] = 1
    adata.X[:, 1] = 0
    adata.X[0, 1] = 1e6
    values, sd = corrected(adata, batch_key="batch", design="~ group")
    assert np.isfinite(values).all()
    assert np.isfinite(sd).all()
    assert np.ptp(values[:, 0]) < 2
    spread = np.ptp(values[:, 2:], axis=0)
    assert np.ptp(values[:, 1]) > spread.max()


def test_variance_does_not_depend_on_the_mean():
    """Biological variance is the same in all genes here; log2(1 + count / size factor) is three times as noisy in the lowest ones."""
    adata = make_batches(n_genes=600)
    values = corrected(adata, (), batch_key="batch", design="~ group").mean[:, 60::2]
    logs = np.log2(1 + adata.X / adata.obs["size_factor"].to_numpy()[:, None])[:, 60::2]
    mean = adata.layers["true"].mean(0)[60::2]
    low, high = (mean > 1) & (mean < 4), mean > 8
    ratio, usual = (np.median(part.std(0)[low]) / np.median(part.std(0)[high]) for part in (values, logs))
    assert 0.6 < ratio < 1.2
    assert usual > 1.4


def test_order_of_samples_and_genes_does_not_matter(rng: np.random.Generator):
    adata = make_batches()
    samples, genes = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    values, sd = corrected(adata, batch_key="batch", design="~ group")
    other, other_sd = corrected(adata[samples, genes].copy(), batch_key="batch", design="~ group")
    np.testing.assert_allclose(other, values[samples][:, genes], atol=1e-4)
    np.testing.assert_allclose(other_sd, sd[samples][:, genes], rtol=1e-3)


def test_a_kept_column_outside_the_design_is_protected():
    adata = make_batches()
    group = adata.obs["group"].cat.codes.to_numpy()
    by_design = corrected(adata, batch_key="batch", design="~ group").mean
    by_keep = corrected(adata, keep=("group",), batch_key="batch").mean
    np.testing.assert_allclose(by_keep, by_design, atol=0.02)
    unprotected = corrected(adata, batch_key="batch").mean
    first = np.asarray(adata.X.min(0) > 10) & (np.arange(adata.n_vars) < 30)
    kept, lost = (part[group == 1].mean(0) - part[group == 0].mean(0) for part in (by_keep, unprotected))
    assert np.median(lost[first]) < np.median(kept[first]) - 0.05


@pytest.mark.parametrize(("remove", "keep"), [("batch", "lane"), ("batch", "plate")])
def test_what_is_confounded_is_named(remove: str, keep: str):
    adata = make_batches()
    adata.obs["lane"] = "lane " + adata.obs["batch"].astype(str)
    adata.obs["plate"] = adata.obs["batch"].astype(str) + adata.obs["group"].astype(str)
    with pytest.raises(ValueError, match=rf"remove='{remove}' and keep='{keep}' are confounded"):
        corrected(adata, keep=(keep,), batch_key="batch")


def test_a_direction_that_is_what_is_kept_is_refused():
    adata = make_batches()
    study = study_of(adata, design="~ group")
    plain = regress_genes(study, study.design.matrix)
    group = adata.obs["group"].cat.codes.to_numpy(dtype=float)
    noise = np.random.default_rng(0).normal(0, 0.02, 16)
    directions = pd.DataFrame({"axis_1": 2 * group - 1 + noise}, index=adata.obs_names)
    with pytest.raises(ValueError, match=r"directions='axis_1' and what is kept, \['group'\], are confounded: 100%"):
        corrected_expression(study, plain, (), {}, (), directions)


def test_reference_rows_average_over_the_removed_values_only():
    adata = make_batches()
    adata.obs["age"] = np.arange(16.0)
    study = study_of(adata, batch_key="batch", design="~ group + age")
    rows = reference_rows(study.design, ["batch", "age"], {})
    assert (rows["group[T.B]"] == study.design.matrix["group[T.B]"]).all()
    np.testing.assert_allclose(rows["batch[T.y]"], (adata.obs["batch"] == "y").mean())
    np.testing.assert_allclose(rows["age"], 7.5)
    np.testing.assert_allclose(reference_rows(study.design, ["batch"], {"batch": "y"})["batch[T.y]"], 1)


def test_an_interaction_goes_with_the_batch():
    study = study_of(make_batches(), design="~ group * batch")
    rows = reference_rows(study.design, ["batch"], {"batch": "x"})
    assert not rows.loc[:, [name for name in rows if "batch" in name]].to_numpy().any()
