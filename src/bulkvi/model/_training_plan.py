"""How training steps are taken, and when they stop."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from scvi.data import AnnDataManager
from scvi.dataloaders import AnnDataLoader
from scvi.train import TrainingPlan
from torch import Tensor

from bulkvi.model._module import BulkVAE

WARM_UP_SHARE = 0.05
LAST_LEARNING_RATE_SHARE = 0.05
KL_WARM_UP_SHARE = 0.05


class BulkTrainingPlan(TrainingPlan):
    """Adam with a short rise and a cosine fall of the learning rate, both in steps.

    The start is close to the optimum (see :mod:`bulkvi.model._initialise`), where Adam's first steps, each as long as the
    learning rate in every parameter, would lead away from it; hence the rise.

    Parameters
    ----------
    module
        Module to train.
    max_steps
        Number of steps the schedule is laid out for. The weight of the KL term reaches 1 after a twentieth of them.
    learning_rate
        Largest learning rate.
    """

    def __init__(self, module: BulkVAE, *, max_steps: int, learning_rate: float):
        super().__init__(
            module,
            lr=learning_rate,
            eps=1e-8,
            weight_decay=0.0,
            n_epochs_kl_warmup=None,
            n_steps_kl_warmup=max(1, int(KL_WARM_UP_SHARE * max_steps)),
        )
        self.max_steps = max_steps

    def learning_rate_share(self, step: int) -> float:
        """Learning rate of a step as a share of the largest."""
        warm_up = max(1, int(WARM_UP_SHARE * self.max_steps))
        if step < warm_up:
            return (step + 1) / warm_up
        done = min(1.0, (step - warm_up) / max(1, self.max_steps - warm_up))
        return LAST_LEARNING_RATE_SHARE + (1 - LAST_LEARNING_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * done))

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """One step.

        Raises
        ------
        ValueError
            If training has diverged.
        """
        try:
            return super().training_step(batch, batch_idx)
        except ValueError as error:
            # torch's words where a distribution is asked for with parameters that are none
            if "satisfy the constraint" not in str(error):
                raise
            raise ValueError(
                f"Training diverged at step {self.global_step}: the parameters make no distribution any more. The learning rate "
                f"is {self.lr}; give train() a smaller one (the default is 0.01), and make a new model before you train again."
            ) from error

    def configure_optimizers(self) -> dict[str, Any]:
        """Optimizer and schedule."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=self.lr, eps=self.eps, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class PlateauStop(pl.Callback):
    """Stop when the training ELBO has stopped falling.

    Parameters
    ----------
    first_step
        No stop before this step.
    window
        Number of epochs that are compared with the window before them.
    tolerance
        Stop when the mean of a window is not below that of the window before by this share of it.
    """

    def __init__(self, *, first_step: int, window: int, tolerance: float):
        self.first_step = first_step
        self.window = window
        self.tolerance = tolerance
        self.elbo: list[float] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the last two windows."""
        self.elbo.append(float(trainer.callback_metrics["elbo_train"]))
        if trainer.global_step < self.first_step or len(self.elbo) < 2 * self.window:
            return
        before = sum(self.elbo[-2 * self.window : -self.window]) / self.window
        now = sum(self.elbo[-self.window :]) / self.window
        # every rank sees the same, synchronised metric
        trainer.should_stop = trainer.should_stop or before - now < self.tolerance * abs(before)


class _Repeated:
    """One minibatch, several times."""

    def __init__(self, tensors: dict[str, Tensor], times: int):
        self.tensors = tensors
        self.times = times

    def __len__(self) -> int:
        return self.times

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter([self.tensors] * self.times)


class FullBatch(pl.LightningDataModule):
    """All samples as one minibatch, read once; an epoch repeats it.

    Parameters
    ----------
    adata_manager
        Registered data.
    steps_per_epoch
        How often an epoch repeats the minibatch. The overhead of an epoch is that of several steps at this size.
    """

    def __init__(self, adata_manager: AnnDataManager, steps_per_epoch: int):
        super().__init__()
        self.adata_manager = adata_manager
        self.steps_per_epoch = steps_per_epoch
        self.n_train = adata_manager.adata.n_obs
        self.n_val = 0

    def train_dataloader(self) -> _Repeated:
        """One epoch."""
        loader = AnnDataLoader(self.adata_manager, shuffle=False, batch_size=self.n_train)
        return _Repeated(next(iter(loader)), self.steps_per_epoch)

    def val_dataloader(self) -> list[dict[str, Tensor]]:
        """No validation; an absent loader would make Lightning warn every user."""
        return []


@contextmanager
def signals_of_the_caller() -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning would end the program, and keep the caller's handler of SIGINT.

    Lightning turns Ctrl-C into ``sys.exit(1)`` and ignores any further one.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        raise
    finally:
        if in_main_thread and before is not None and signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)


@contextmanager
def unchanged_unless_finished(model: Any) -> Iterator[None]:
    """Put parameters and attributes of a model back if the block ends with an error or an interruption."""
    attributes = dict(vars(model))
    history = model.history_
    copied = dict(history) if isinstance(history, dict) else history
    state = {name: value.clone() for name, value in model.module.state_dict().items()}
    training = model.module.training
    try:
        yield
    except BaseException:
        # until all is back it does not count as trained: a second signal may arrive here
        model.is_trained_ = False
        model.module.load_state_dict(state)
        model.module.zero_grad()
        model.module.train(training)
        for name in set(vars(model)) - set(attributes):
            delattr(model, name)
        vars(model).update(attributes | {"history_": copied, "is_trained_": False})
        model.is_trained_ = attributes["is_trained_"]
        raise
