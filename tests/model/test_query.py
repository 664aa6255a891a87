from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anndata import AnnData

import bulkvi
from tests.cohorts import fit, make_cohort


def new_samples(reference: AnnData, seed: int = 0) -> AnnData:
    """Other samples of the same genes, on the reference's scale."""
    adata = make_cohort(seed=seed, n_per_group=8)
    everything = bulkvi.datasets.simulate(
        n_per_group=8, n_genes=250, de_share=0.2, n_batches=2, trend="gse60450", depth_factor=0.2, seed=seed
    )
    everything.obs = adata.obs.drop(columns="size_factor")
    query = everything[:, reference.var_names].copy()
    bulkvi.pp.size_factors(query, reference=reference)
    return query


def state_of(model: bulkvi.BulkVI) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def test_known_batches_need_no_training(trained: bulkvi.BulkVI) -> None:
    query = new_samples(trained.adata)
    model = bulkvi.BulkVI.load_query_data(query, trained)
    assert model.is_trained_
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, trained.module.state_dict()[name]), name
    z = model.get_latent_representation()
    assert np.isfinite(z).all()


@pytest.mark.parametrize("from_disk", [False, True])
def test_a_new_batch_gets_effects_of_its_own_and_nothing_else_moves(
    trained: bulkvi.BulkVI, tmp_path: Path, from_disk: bool
) -> None:
    query = new_samples(trained.adata)
    shift = np.where(np.arange(query.n_vars) % 2, 4.0, 0.25)
    query.X = np.rint(query.X * shift)
    query.obs["batch"] = "elsewhere"
    reference: Any = trained
    if from_disk:
        trained.save(tmp_path / "model")
        reference = str(tmp_path / "model")
    model = bulkvi.BulkVI.load_query_data(query, reference)
    assert not model.is_trained_
    before = state_of(model)
    model.train(400, plateau_tolerance=None, progress_bar=False)
    changed = {name for name, value in model.module.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"z_encoder.covariates.weight.batch", "decoder.covariates.weight.batch"}
    old, new = model.module.decoder.covariates.weight["batch"].detach()
    torch.testing.assert_close(old, trained.module.decoder.covariates.weight["batch"][0].detach())
    expressed = np.asarray(trained.adata.X.mean(0) > 20)
    learned = (new.numpy() / np.log(2))[expressed]
    assert np.corrcoef(learned, np.log2(shift)[expressed])[0, 1] > 0.9


def test_a_reference_without_batches_takes_a_query_with_one() -> None:
    reference = make_cohort()
    reference.obs["plate"] = "p1"
    bulkvi.BulkVI.setup_anndata(reference, size_factor_key="size_factor", batch_key="plate")
    model = fit(reference)
    query = new_samples(reference)
    query.obs["plate"] = "p2"
    mapped = bulkvi.BulkVI.load_query_data(query, model)
    mapped.train(20, progress_bar=False)
    assert mapped.module.decoder.covariates.weight["batch"].abs().max() > 0


def test_unknown_levels_of_the_design_are_refused_and_the_query_is_unchanged() -> None:
    reference = make_cohort()
    bulkvi.BulkVI.setup_anndata(reference, size_factor_key="size_factor", design="~ group")
    model = fit(reference)
    query = new_samples(reference)
    query.obs["group"] = "C"
    columns, entries = list(query.obs), sorted(query.uns)
    with pytest.raises(ValueError, match=r"levels \['C'\]"):
        bulkvi.BulkVI.load_query_data(query, model)
    assert list(query.obs) == columns
    assert sorted(query.uns) == entries


def test_a_query_of_an_unfrozen_query_keeps_what_that_learned(trained: bulkvi.BulkVI) -> None:
    """The effects of the first query's batch were set to zero by the second."""
    first, second = new_samples(trained.adata), new_samples(trained.adata, seed=1)
    first.X = np.rint(first.X * np.where(np.arange(first.n_vars) % 2, 4.0, 0.25))
    first.obs["batch"], second.obs["batch"] = "elsewhere", "again"
    model = bulkvi.BulkVI.load_query_data(first, trained, unfrozen=True)
    model.train(60, progress_bar=False)
    learned = model.module.decoder.covariates.weight["batch"].detach().clone()
    assert learned[1].abs().mean() > 0.1
    weight = bulkvi.BulkVI.load_query_data(second, model).module.decoder.covariates.weight["batch"].detach()
    torch.testing.assert_close(weight[:2], learned)
    assert not weight[2].any()
