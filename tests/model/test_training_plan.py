from typing import Any

import numpy as np
import pytest
import torch
from anndata import AnnData

import bulkvi
from bulkvi.model._module import BulkVAE
from bulkvi.model._training_plan import BulkTrainingPlan, FullBatch, PlateauStop
from tests.cohorts import make_cohort, set_up


def test_every_parameter_has_a_gradient(cohort: AnnData) -> None:
    """Plain distributed training stops otherwise."""
    set_up(cohort, design="~ group", batch_key="batch", continuous_covariate_keys=["age"])
    choices: list[dict[str, Any]] = [
        {},
        {"decoder": "deep", "n_layers": 2},
        {"gene_likelihood": "zinb", "dispersion": "gene-batch"},
        {"gene_likelihood": "poisson"},
        {"dispersion": "fixed"},
    ]
    for chosen in choices:
        model = bulkvi.BulkVI(cohort, n_latent=2, **chosen)
        model._start_from_data(None, np.arange(cohort.n_obs))
        tensors = next(iter(model._make_data_loader(adata=cohort)))
        model.module(tensors)[2].loss.backward()
        without = [name for name, parameter in model.module.named_parameters() if parameter.grad is None]
        assert not without, (chosen, without)
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.module.parameters())


class FakeTrainer:
    def __init__(self) -> None:
        self.global_step = 0
        self.should_stop = False
        self.callback_metrics: dict[str, float] = {}


def test_plateau_rule() -> None:
    rule = PlateauStop(first_step=50, window=2, tolerance=1e-3)
    trainer = FakeTrainer()
    stopped_at = None
    for epoch, elbo in enumerate([100, 50, 25, 20, 18, 17, 16.9, 16.895, 16.89, 16.889]):
        trainer.global_step += 10
        trainer.callback_metrics["elbo_train"] = elbo
        rule.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
        if trainer.should_stop and stopped_at is None:
            stopped_at = epoch
    assert stopped_at == 9  # first epoch whose last two are less than 0.1 % below the two before


def test_training_that_diverges_says_so_and_what_to_do() -> None:
    model = set_up(make_cohort())
    with pytest.raises(ValueError, match=r"diverged at step \d+.*learning rate is 10000.*smaller one"):
        model.train(200, learning_rate=1e4, progress_bar=False)


def test_the_learning_rate_rises_over_a_twentieth_and_falls_along_a_cosine() -> None:
    plan = BulkTrainingPlan(BulkVAE(4), max_steps=200, learning_rate=0.02)
    share = [plan.learning_rate_share(step) for step in range(220)]
    np.testing.assert_allclose(share[:10], np.arange(1, 11) / 10)
    assert share[10] == 1
    np.testing.assert_allclose(share[105], 0.05 + 0.95 / 2)  # half way
    np.testing.assert_allclose(share[200:], 0.05)
    assert (np.diff(share[10:201]) < 0).all()
    (group,) = plan.configure_optimizers()["optimizer"].param_groups
    assert group["initial_lr"] == 0.02


def test_an_epoch_repeats_the_full_batch(cohort: AnnData) -> None:
    source = FullBatch(set_up(cohort).adata_manager, np.arange(cohort.n_obs)[::-1], 7)
    batches = list(source.train_dataloader())
    assert len(batches) == len(source.train_dataloader()) == 7
    assert all(batch is batches[0] for batch in batches)
    np.testing.assert_array_equal(batches[0]["X"], cohort.X[::-1])
    assert source.val_dataloader() == []
