from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from anndata import AnnData
from threadpoolctl import threadpool_limits

import bulkvi
from bulkvi.model._training_plan import BulkTrainingPlan
from tests.cohorts import make_cohort
from tests.model.test_query import new_samples


def set_up(adata: AnnData, **arguments: Any) -> bulkvi.BulkVI:
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", **arguments)
    return bulkvi.BulkVI(adata, n_latent=2)


def test_training_stops_at_the_plateau_and_not_before_the_kl_term_is_in(cohort: AnnData) -> None:
    model = set_up(cohort)
    model.train(1000, progress_bar=False)
    n_steps = 10 * len(model.history["elbo_train"])
    assert 50 <= n_steps < 1000


def test_same_seed_same_result_and_the_callers_generators_are_left_alone(cohort: AnnData) -> None:
    set_up(cohort, batch_key="batch")
    latent = []
    torch.manual_seed(3)
    expected = torch.rand(1)
    for _ in range(2):
        torch.manual_seed(3)
        model = bulkvi.BulkVI(cohort, n_latent=2, seed=1)
        model.train(30, seed=1, progress_bar=False)
        assert torch.equal(torch.rand(1), expected)
        latent.append(model.get_latent_representation())
    np.testing.assert_allclose(latent[0], latent[1], atol=1e-6)
    other = bulkvi.BulkVI(cohort, n_latent=2, seed=1)
    other.train(30, seed=2, progress_bar=False)
    assert np.abs(other.get_latent_representation() - latent[0]).max() > 1e-6


@pytest.mark.parametrize("decoder", ["linear", "deep"])
def test_order_of_samples_and_genes_does_not_matter(cohort: AnnData, rng: np.random.Generator, decoder: Any) -> None:
    tables = []
    samples, genes = rng.permutation(cohort.n_obs), rng.permutation(cohort.n_vars)
    for adata in (cohort, cohort[samples].copy(), cohort[:, genes].copy()):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
        model = bulkvi.BulkVI(adata, n_latent=2, decoder=decoder)
        model.train(60, progress_bar=False)
        tables.append(model.differential_expression("group", "B", "A")["log_fc_decoded"].reindex(cohort.var_names))
    assert (tables[1] - tables[0]).abs().max() < 1e-6
    # the genes of a deep decoder start from other random numbers
    assert (tables[2] - tables[0]).abs().quantile(0.95) < (1e-6 if decoder == "linear" else 0.02)


def test_minibatches_reach_what_the_full_batch_reaches(cohort: AnnData) -> None:
    set_up(cohort)
    elbo = []
    for batch_size in (cohort.n_obs, 7):
        model = bulkvi.BulkVI(cohort, n_latent=2)
        model.train(400, batch_size=batch_size, plateau_tolerance=None, progress_bar=False)
        elbo.append(float(model.get_elbo()))
    assert elbo[1] == pytest.approx(elbo[0], rel=0.01)


def test_validation_split_is_ours_and_scored(cohort: AnnData) -> None:
    model = set_up(cohort)
    model.train(40, train_size=0.75, progress_bar=False)
    assert len(model.train_indices) == 18
    assert sorted([*model.train_indices, *model.validation_indices]) == list(range(24))
    assert model.history["elbo_validation"].notna().all().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_steps": 0}, "max_steps must be > 0; it is 0"),
        ({"max_steps": 5, "max_epochs": 5}, "not both"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"train_size": 1.5}, "train_size"),
        ({"batch_size": -3}, "batch_size"),
    ],
)
def test_impossible_budgets_are_refused(cohort: AnnData, arguments: dict[str, Any], message: str) -> None:
    model = set_up(cohort)
    with pytest.raises(ValueError, match=message):
        model.train(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize("offset_key", [None, "length"])
def test_two_processes_train_the_model(cohort: AnnData, tmp_path: Any, offset_key: str | None) -> None:
    import subprocess
    import sys

    script = tmp_path / "ddp.py"
    cohort.layers["length"] = np.random.default_rng(0).uniform(500, 2000, cohort.shape)
    cohort.write_h5ad(tmp_path / "cohort.h5ad")
    script.write_text(
        "import anndata, bulkvi\n"
        "if __name__ == '__main__':\n"
        f"    adata = anndata.read_h5ad({str(tmp_path / 'cohort.h5ad')!r})\n"
        f"    given = dict(size_factor_key='size_factor', batch_key='batch', offset_key={offset_key!r})\n"
        "    bulkvi.BulkVI.setup_anndata(adata, **given)\n"
        "    model = bulkvi.BulkVI(adata, n_latent=2)\n"
        "    model.train(max_epochs=5, batch_size=6, accelerator='cpu', devices=2, strategy='ddp', progress_bar=False)\n"
        "    print('elbo', float(model.get_elbo()))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "elbo" in done.stdout


class Minibatches(pl.LightningDataModule):
    """Somebody else's source of minibatches."""

    def __init__(self, model: bulkvi.BulkVI):
        super().__init__()
        self.n_obs = model.adata.n_obs
        self.loader = model._make_data_loader(adata=model.adata, batch_size=8, shuffle=False)

    def train_dataloader(self) -> Any:
        return self.loader

    def val_dataloader(self) -> list[Any]:
        return []


def test_a_model_without_samples_of_its_own_learns_from_a_data_module(trained: bulkvi.BulkVI) -> None:
    source = Minibatches(trained)
    model = bulkvi.BulkVI(registry=trained.registry, n_latent=2)
    model.train(60, datamodule=source, progress_bar=False)
    latent = model.get_latent_representation(dataloader=source.loader)
    # the axes of a latent space are arbitrary: the spaces agree, not the columns
    own = trained.get_latent_representation()
    span = np.column_stack([latent, np.ones(len(latent))])
    left_over = own - span @ np.linalg.lstsq(span, own, rcond=None)[0]
    assert left_over.std() < 0.2 * own.std()
    with pytest.raises(ValueError, match="no samples attached"):
        model.differential_expression("group", "B", "A")


def test_a_saved_model_remembers_how_it_was_trained(tmp_path: Path) -> None:
    adata = make_cohort()
    model = set_up(adata)
    assert model.train_params_ == []
    with pytest.raises(ValueError, match="train_size"):
        model.train(20, train_size=2)
    model.train(20, seed=4, progress_bar=False)
    model.train(max_epochs=20, learning_rate=0.001, progress_bar=False)
    model.save(str(tmp_path / "model"))
    first, second = bulkvi.BulkVI.load(str(tmp_path / "model"), adata=adata).train_params_
    assert (first["max_steps"], first["seed"], first["train_size"]) == (20, 4, 1.0)
    assert (second["max_epochs"], second["learning_rate"], second["seed"]) == (20, 0.001, 0)


@pytest.mark.parametrize("unit", [365.25, 1e-9])
@pytest.mark.parametrize("decoder", ["linear", "deep"])
def test_the_unit_of_a_numeric_covariate_does_not_matter(unit: float, decoder: Literal["linear", "deep"]) -> None:
    in_years, in_unit = make_cohort(), make_cohort()
    in_unit.obs["age"] *= unit
    found = []
    for adata in (in_years, in_unit):
        set_up(adata, design="~ age * group", batch_key="batch")
        model = bulkvi.BulkVI(adata, n_latent=2, decoder=decoder)
        model.train(60, progress_bar=False)
        found.append((model.get_latent_representation(), model.get_normalized_expression().to_numpy()))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=2e-3)
    # rounding of the units grows in the steps of Adam, of which a linear decoder takes none
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=2e-3 if decoder == "linear" else 1e-2)


@pytest.mark.parametrize(("limit", "expected"), [(10**6, 1), (1_000, 2)])
def test_small_minibatches_take_one_thread_and_give_the_others_back(
    limit: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    step = BulkTrainingPlan.training_step

    def watched(self: BulkTrainingPlan, batch: Any, batch_idx: int) -> torch.Tensor:
        seen.add(torch.get_num_threads())
        return step(self, batch, batch_idx)

    monkeypatch.setattr(BulkTrainingPlan, "training_step", watched)
    monkeypatch.setattr("bulkvi.model._training.MAX_ONE_THREAD", limit)
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    with threadpool_limits(2):
        bulkvi.BulkVI(adata, n_latent=2).train(10, progress_bar=False)
        assert torch.get_num_threads() == 2
    assert seen == {expected}


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


def test_more_directions_than_the_samples_carry_are_refused(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    model = bulkvi.BulkVI(cohort, n_latent=23)
    with pytest.raises(ValueError, match="n_latent is 23, but 24 samples less 2 columns .* at most 22 directions"):
        model.train(progress_bar=False)
    assert not model.started_from_data_


def test_a_model_says_how_many_directions_are_in_use(trained: bulkvi.BulkVI) -> None:
    assert "in use" in trained._model_summary_string
