"""Steps and stop of training."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from scvi.data import AnnDataManager
from scvi.dataloaders import AnnDataLoader
from scvi.train import TrainingPlan
from torch import Tensor

from bulkvi.model._module import BulkVAE
from bulkvi.model._posterior_mode import has_mode


def fitted_at_start(module: BulkVAE) -> bool:
    """Whether the start fits all of the decoder: a linear one without extra zeros, with a dispersion per gene or none to learn."""
    return has_mode(module) and module.dispersion != "gene-batch"


@contextmanager
def fixed_decoder(module: BulkVAE) -> Iterator[None]:
    """Hold the decoder and the dispersions fixed."""
    parameters = [p for name, p in module.named_parameters() if not name.startswith("z_encoder")]
    free = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in free:
        parameter.requires_grad_(False)  # noqa: FBT003
    try:
        yield
    finally:
        for parameter in free:
            parameter.requires_grad_(True)  # noqa: FBT003


WARM_UP_SHARE = 0.05
LAST_LEARNING_RATE_SHARE = 0.05
KL_WARM_UP_SHARE = 0.05


class BulkTrainingPlan(TrainingPlan):
    """Adam with a short rise and a cosine fall of the learning rate, both in steps.

    The start is close to the optimum (:func:`initialise`). The first steps of Adam, each as long as the learning rate in every
    parameter, would move away from it; hence the rise. The weight of the KL term reaches 1 after a twentieth of ``max_steps``.
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
        """Return the learning rate of a step as a share of the largest."""
        warm_up = max(1, int(WARM_UP_SHARE * self.max_steps))
        if step < warm_up:
            return (step + 1) / warm_up
        progress = min(1.0, (step - warm_up) / max(1, self.max_steps - warm_up))
        return LAST_LEARNING_RATE_SHARE + (1 - LAST_LEARNING_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Take one step; raise ValueError if training has diverged."""
        try:
            return super().training_step(batch, batch_idx)
        except ValueError as error:
            # torch's message for invalid parameters of a distribution
            if "satisfy the constraint" not in str(error):
                raise
            raise ValueError(
                f"Training diverged at step {self.global_step}: the parameters are not those of a distribution any more. The learning rate "
                f"is {self.lr}; give train() a smaller one (the default is 0.01), and make a new model before you train again."
            ) from error

    def configure_optimizers(self) -> dict[str, Any]:
        """Return optimizer and schedule."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=self.lr, eps=self.eps, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class PlateauStop(pl.Callback):
    """Stop when the training ELBO stops falling, not before ``first_step``.

    That is when the mean of the last ``window`` epochs is not below that of the window before by the share ``tolerance`` of it.
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
    """All samples as one minibatch in the given order, loaded once; an epoch repeats it ``steps_per_epoch`` times.

    The overhead of an epoch is that of several steps at this size.
    """

    def __init__(self, adata_manager: AnnDataManager, order: np.ndarray, steps_per_epoch: int):
        super().__init__()
        self.adata_manager = adata_manager
        self.order = order
        self.steps_per_epoch = steps_per_epoch
        self.n_train = adata_manager.adata.n_obs
        self.n_val = 0

    def train_dataloader(self) -> _Repeated:
        """Return one epoch."""
        loader = AnnDataLoader(self.adata_manager, shuffle=False, batch_size=self.n_train)
        # put in order here: a loader of counts on disk gives its samples in the order of the file
        tensors = {name: values[torch.as_tensor(self.order.copy())] for name, values in next(iter(loader)).items()}
        return _Repeated(tensors, self.steps_per_epoch)

    def val_dataloader(self) -> list[dict[str, Tensor]]:
        """Return no validation data; without a loader Lightning would warn every user."""
        return []
