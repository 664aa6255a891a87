"""scVI with the settings that a search can walk along, kept after several numbers of epochs of one training."""

import contextlib
import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import lightning.pytorch as pl
import scvi
from anndata import AnnData
from torch import Tensor

Norm = Literal["batch", "layer", "none"]


class Checkpoints(pl.Callback):
    """Keep the parameters after some epochs."""

    def __init__(self, epochs: tuple[int, ...]):
        self.epochs = epochs
        self.states: dict[int, dict[str, Tensor]] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Called by Lightning."""
        if trainer.current_epoch + 1 in self.epochs:
            self.states[trainer.current_epoch + 1] = copy.deepcopy(pl_module.state_dict())


def trained_scvi(
    train: AnnData,
    epochs: tuple[int, ...],
    *,
    network: Mapping[str, Any],
    norm: Norm,
    learning_rate: float,
    seed: int,
    likelihood: Literal["nb", "zinb"] = "nb",
    size_factor_key: str | None = None,
    batch_key: str | None = None,
) -> Iterator[tuple[int, Any, float]]:
    """The same model after each number of epochs reached, and the CPU seconds until then.

    Parameters
    ----------
    train
        Samples to train on, all of them; registered in place.
    epochs
        When to stop and look.
    network
        ``n_latent``, ``n_layers``, ``n_hidden``, ``dropout_rate`` as in scVI.
    norm
        Normalisation in encoder and decoder.
    learning_rate, seed, likelihood
        As in scVI.
    size_factor_key, batch_key
        Columns of obs; without size factors scVI takes the total count of each sample.
    """
    start = time.process_time()
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(train, size_factor_key=size_factor_key, batch_key=batch_key)
    model = scvi.model.SCVI(
        train,
        gene_likelihood=likelihood,
        use_batch_norm="both" if norm == "batch" else "none",
        use_layer_norm="both" if norm == "layer" else "none",
        **network,
    )
    checkpoints = Checkpoints(epochs)
    with contextlib.suppress(ValueError):  # scVI may diverge to NaN; what it reached before is used
        model.train(
            max_epochs=max(epochs),
            train_size=1.0,
            accelerator="cpu",
            enable_progress_bar=False,
            logger=False,
            plan_kwargs={"lr": learning_rate},
            callbacks=[checkpoints],
        )
    seconds = time.process_time() - start
    for reached, state in checkpoints.states.items():
        model.module.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
        yield reached, model, seconds * reached / max(epochs)
