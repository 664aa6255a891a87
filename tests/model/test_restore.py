"""Random numbers, signals, samples and the model are restored."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from anndata import AnnData

import bulkvi
from bulkvi.model._restore import seeded, signals_of_the_caller, unchanged_on_error
from bulkvi.model._training_plan import BulkTrainingPlan


class Stop(BaseException):
    pass


@pytest.fixture
def model(cohort: AnnData) -> bulkvi.BulkVI:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor")
    return bulkvi.BulkVI(cohort, n_latent=2)


@pytest.fixture
def after_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen in the seventh step of the next trainings."""

    def arrange(action: Callable[[], Any]) -> None:
        step = BulkTrainingPlan.training_step

        def watched(self: BulkTrainingPlan, batch: Any, batch_idx: int) -> torch.Tensor:
            if self.global_step == 7:
                action()
            return step(self, batch, batch_idx)

        monkeypatch.setattr(BulkTrainingPlan, "training_step", watched)

    return arrange


def state(model: bulkvi.BulkVI) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in model.module.state_dict().items()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def raise_stop() -> None:
    raise Stop


ENDS: dict[str, tuple[Callable[[], Any], type[BaseException]]] = {
    "ctrl-c": (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
    "exception": (raise_stop, Stop),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_interrupted_first_training_leaves_an_untrained_model(
    end: str, model: bulkvi.BulkVI, after_steps: Callable[[Callable[[], Any]], None]
) -> None:
    """Ctrl-C once raised SystemExit and left a model that had begun, whose next training did not start from the data."""
    action, error = ENDS[end]
    before, attributes = state(model), set(vars(model))
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    after_steps(action)
    with pytest.raises(error):
        model.train(60, progress_bar=False)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert (model.is_trained_, model.started_from_data_, model.train_params_, model.history_) == (
        False,
        False,
        [],
        None,
    )
    assert set(vars(model)) == attributes
    assert_same(state(model), before)
    with pytest.raises(Exception, match="train"):
        model.differential_expression("group", "B", "A")


@pytest.mark.parametrize("end", ENDS)
def test_an_interrupted_further_training_leaves_the_trained_model(
    end: str, model: bulkvi.BulkVI, after_steps: Callable[[Callable[[], Any]], None]
) -> None:
    model.train(30, progress_bar=False)
    before, latent = state(model), model.get_latent_representation()
    history = {name: len(values) for name, values in model.history.items()}
    action, error = ENDS[end]
    after_steps(action)
    with pytest.raises(error):
        model.train(30, progress_bar=False)
    assert model.is_trained_
    assert len(model.train_params_) == 1
    assert {name: len(values) for name, values in model.history.items()} == history
    assert_same(state(model), before)
    np.testing.assert_array_equal(model.get_latent_representation(), latent)


def test_a_handler_of_the_caller_is_called_and_training_goes_on(
    model: bulkvi.BulkVI, after_steps: Callable[[Callable[[], Any]], None]
) -> None:
    """Lightning ended the program after a SIGTERM that the caller had dealt with."""
    received: list[int] = []

    def handle(number: int, _: object) -> None:
        received.append(number)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        after_steps(lambda: signal.raise_signal(signal.SIGTERM))
        model.train(20, progress_bar=False)
        assert signal.getsignal(signal.SIGTERM) is handle
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert model.is_trained_


def test_sigterm_keeps_its_default_action_in_training(
    model: bulkvi.BulkVI, after_steps: Callable[[Callable[[], Any]], None]
) -> None:
    """With it the process ends by the signal; Lightning made exit code 0 of it."""
    seen: list[Any] = []
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        after_steps(lambda: seen.append(signal.getsignal(signal.SIGTERM)))
        model.train(20, progress_bar=False)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIG_DFL]


def test_a_training_that_diverged_can_be_repeated(model: bulkvi.BulkVI) -> None:
    with pytest.raises(ValueError, match="diverged"):
        model.train(200, learning_rate=1e4, progress_bar=False)
    assert not model.is_trained_
    model.train(30, progress_bar=False)
    again = bulkvi.BulkVI(model.adata, n_latent=2)
    again.train(30, progress_bar=False)
    assert_same(state(model), state(again))


def test_a_block_is_repeatable_and_the_caller_goes_on_undisturbed() -> None:
    torch.manual_seed(11)
    undisturbed = torch.rand(3)
    torch.manual_seed(11)
    draws = []
    for _ in range(2):
        with seeded(5):
            draws.append(torch.rand(2))
    assert torch.equal(*draws)
    assert torch.equal(torch.rand(3), undisturbed)


def test_no_seed_runs_on_the_callers_generator() -> None:
    torch.manual_seed(11)
    expected = torch.rand(2)
    torch.manual_seed(11)
    with seeded(None):
        assert torch.equal(torch.rand(2), expected)


def test_blocks_of_two_threads_have_the_numbers_of_their_own_seeds() -> None:
    def draw(seed: int) -> list[float]:
        with seeded(seed):
            values = []
            for _ in range(20):
                values.append(float(torch.rand(1)))
                time.sleep(1e-3)  # the other thread gets its turn
            return values

    alone = [draw(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, (1, 2))) == alone


def test_a_block_within_a_block_does_not_wait_for_itself() -> None:
    with seeded(1), seeded(2):
        inner = torch.rand(1)
    with seeded(2):
        assert torch.equal(torch.rand(1), inner)


def test_entries_that_a_failed_block_added_are_removed(cohort: AnnData) -> None:
    columns, entries = list(cohort.obs), set(cohort.uns)
    with pytest.raises(Stop), unchanged_on_error(cohort):
        cohort.obs["new"], cohort.uns["new"], cohort.obsm["new"] = 1, 1, np.ones((cohort.n_obs, 1))
        raise Stop
    assert list(cohort.obs) == columns and set(cohort.uns) == entries and not len(cohort.obsm)
    with unchanged_on_error(cohort):
        cohort.obs["new"] = 1
    assert list(cohort.obs) == [*columns, "new"]


def test_an_exit_that_was_no_interruption_stays_an_exit() -> None:
    with pytest.raises(SystemExit), signals_of_the_caller():
        raise SystemExit(3)
