"""What ``train`` takes, and what it reads."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from anndata import AnnData

import bulkvi
from tests.model.test_query import new_samples


def set_up(adata: AnnData, **arguments: Any) -> bulkvi.BulkVI:
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", **arguments)
    return bulkvi.BulkVI(adata, n_latent=2)


def decoded(model: bulkvi.BulkVI) -> np.ndarray:
    model.train(60, progress_bar=False)
    return model.differential_expression("group", "B", "A", latent_columns=0)["log_fc_decoded"].to_numpy()


@pytest.mark.parametrize("other", ["~ site", "~ site + batch"])
def test_a_model_learns_its_own_design_whatever_was_set_up_since(cohort: AnnData, other: str) -> None:
    """Two models of one AnnData: the first was trained on the design of the second."""
    alone = decoded(set_up(cohort.copy(), design="~ group"))
    first = set_up(cohort, design="~ group")
    second = set_up(cohort, design=other)
    np.testing.assert_allclose(decoded(first), alone, rtol=1e-4, atol=1e-5)
    second.train(10, progress_bar=False)
    assert list(cohort.obsm["_bulkvi_design"].columns) == list(second.get_design_matrix().columns[1:])


def test_samples_that_have_other_levels_by_now_are_refused(cohort: AnnData) -> None:
    model = set_up(cohort, design="~ group")
    set_up(cohort, design="~ site")
    cohort.obs["group"] = np.where(np.arange(cohort.n_obs) < 4, "C", cohort.obs["group"].astype(str))
    with pytest.raises(
        ValueError, match=r"adata.obs\['group'\] has other values since setup_anndata.*train a new model"
    ):
        model.train(10, progress_bar=False)


def test_a_model_without_samples_says_what_to_give(trained: bulkvi.BulkVI) -> None:
    model = bulkvi.BulkVI(registry=trained.registry, n_latent=2)
    with pytest.raises(ValueError, match="no samples attached: give a datamodule"):
        model.train(10)


def test_a_query_that_has_nothing_to_learn_says_so(trained: bulkvi.BulkVI) -> None:
    model = bulkvi.BulkVI.load_query_data(new_samples(trained.adata), trained)
    with pytest.raises(ValueError, match="Nothing is left to learn.*unfrozen=True"):
        model.train(10, progress_bar=False)


class Counter(pl.Callback):
    def __init__(self) -> None:
        self.n_epochs = 0

    def on_train_epoch_end(self, *args: Any) -> None:
        self.n_epochs += 1


@pytest.mark.parametrize("several", [True, False])
def test_callbacks_come_on_top_and_defaults_give_way(cohort: AnnData, several: bool) -> None:
    model, counter = set_up(cohort), Counter()
    given = {"callbacks": [counter] if several else counter, "log_every_n_steps": 1, "enable_progress_bar": False}
    model.train(1000, trainer_kwargs=given)
    assert 5 <= counter.n_epochs < 100  # the stop at the plateau is still there
    assert model.trainer.log_every_n_steps == 1
    assert given["callbacks"] in ([counter], counter)


def test_what_train_has_an_argument_for_is_not_given_twice(cohort: AnnData) -> None:
    with pytest.raises(ValueError, match=r"holds \['max_epochs'\].*arguments of these names"):
        set_up(cohort).train(10, trainer_kwargs={"max_epochs": 3})


def test_without_a_seed_all_of_training_follows_torch(cohort: AnnData) -> None:
    """The split came from a generator of its own, which nobody could set."""
    split = []
    for state in (1, 1, 2):
        model = set_up(cohort)
        torch.manual_seed(state)
        model.train(10, train_size=0.5, seed=None, progress_bar=False)
        split.append(sorted(model.train_indices))
    assert split[0] == split[1]
    assert split[0] != split[2]


@pytest.mark.parametrize("devices", [2, -1, [0, 1], "2", "0,1", "-1"], ids=repr)
def test_several_devices_need_a_strategy(cohort: AnnData, devices: Any) -> None:
    """Each process would train on all samples and stop by itself: a wrong ELBO, and an early end."""
    model = set_up(cohort, design="~ group")
    with pytest.raises(ValueError, match=r"devices=.* without a strategy.*strategy='ddp'.*devices=1"):
        model.train(10, devices=devices, accelerator="cpu", progress_bar=False)


@pytest.mark.parametrize("devices", [1, "1", "auto"], ids=repr)
def test_one_device_needs_none(cohort: AnnData, devices: Any) -> None:
    set_up(cohort, design="~ group").train(2, devices=devices, accelerator="cpu", progress_bar=False)


def test_two_threads_train_as_one_after_the_other(cohort: AnnData) -> None:
    def trained(seed: int) -> np.ndarray:
        model = set_up(cohort.copy(), design="~ group")
        model.train(40, seed=seed, progress_bar=False)
        return model.get_latent_representation()

    alone = [trained(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(trained, (1, 2)))
    np.testing.assert_array_equal(together, alone)
