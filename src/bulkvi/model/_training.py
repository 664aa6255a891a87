"""Training of :class:`~bulkvi.BulkVI`."""

import math
from contextlib import ExitStack, nullcontext
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.dataloaders import DataSplitter
from scvi.model.base import UnsupervisedTrainingMixin
from threadpoolctl import threadpool_limits

from bulkvi.arguments import check_number, check_whole
from bulkvi.model._differential import DifferentialMixin
from bulkvi.model._restore import seeded, signals_of_the_caller, unchanged_unless_finished
from bulkvi.model._scvi_private import Runner, use_distributed_sampler
from bulkvi.model._start import MAX_SAMPLES, initialise
from bulkvi.model._training_plan import (
    KL_WARM_UP_SHARE,
    BulkTrainingPlan,
    FullBatch,
    PlateauStop,
    fitted_at_start,
    fixed_decoder,
)
from bulkvi.stats.samples.sample_order import Key, sample_keys

# Up to here all samples make one minibatch.
MAX_FULL_BATCH = 256
# Minibatches of up to so many counts are computed by one thread. Two make a step of 8 x 22,000 a third shorter on free
# cores, and 15 times longer on busy ones: threads wait for each other actively.
MAX_ONE_THREAD = 1_000_000
BATCH_SIZE = 256
STEPS_PER_EPOCH = 10
MAX_STEPS = {"linear": 1_000, "deep": 2_000}
ENCODER_STEPS = 400
MIN_EPOCHS = 5
# Steps of a plateau.
PLATEAU_STEPS = 30
# Any model may have two directions, as for a plot.
LEAST_LATENT = 2
# Arguments of ``train`` that the schedule depends on.
SCHEDULE_ARGUMENTS = ("max_steps", "max_epochs", "accelerator", "devices", "strategy")


class TrainingMixin(DifferentialMixin, UnsupervisedTrainingMixin):
    """``train``, with a budget in steps and a start from the data."""

    decoder_: str
    started_from_data_: bool
    train_params_: list[dict[str, Any]]
    """Arguments of each call of ``train`` that the result depends on; saved with the model."""

    def train(
        self,
        max_steps: int | None = None,
        *,
        max_epochs: int | None = None,
        learning_rate: float = 0.01,
        batch_size: int | None = None,
        plateau_tolerance: float | None = 1e-4,
        train_size: float = 1.0,
        seed: int | None = 0,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        strategy: str = "auto",
        progress_bar: bool = True,
        datamodule: Any = None,
        trainer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Fit the model; the first call starts from the data, a further one from the fitted parameters.

        On the CPU, minibatches of up to a million counts (50 samples x 20,000 genes) are computed by one thread, larger ones by
        PyTorch's number of threads.

        After an error or an interruption (Ctrl-C raises KeyboardInterrupt; handlers of other signals are the caller's) the
        model is as before: untrained, or in the state of the last finished call.

        Parameters
        ----------
        max_steps
            Largest number of gradient steps. By default 1,000 with a linear (400 where the start fits it) and 2,000 with a deep
            decoder, and at least 5 passes through a cohort.
        max_epochs
            Largest number of passes through the samples, instead of ``max_steps``.
        learning_rate
            Largest learning rate of Adam; it rises over the first 5 % of ``max_steps`` and falls to a twentieth.
        batch_size
            Samples in a minibatch. By default all of them up to 256 samples, and 256 above.
        plateau_tolerance
            Stop early when the training ELBO improves by less than this share over 30 steps, once the KL term has full
            weight; ``None`` uses up ``max_steps``.
        train_size
            Share of the samples to train on; the rest becomes the validation set whose ELBO is in ``history``.
        seed
            Seed of the training noise and of the order of samples; the caller's random state does not change. ``None`` uses
            the state of torch's generators (set by ``scvi.settings.seed``).
        accelerator, devices, strategy
            As in Lightning. Several devices need a strategy, such as ``"ddp"``.
        progress_bar
            Whether to show progress.
        datamodule
            Source of minibatches instead of the registered AnnData.
        trainer_kwargs
            Further arguments of ``scvi.train.Trainer``; callbacks are added to the stop at a plateau.

        Raises
        ------
        TypeError
            If an argument that must be a number is not one.
        ValueError
            If a number is out of its range; several devices are given without a strategy; both budgets are given;
            ``trainer_kwargs`` contains an argument of ``train``; there is nothing to learn, as for a query without new batches;
            ``n_latent`` is larger than the samples allow; columns or levels of the samples changed since ``setup_anndata``; or there are no samples.
        """
        arguments = {
            "max_steps": max_steps,
            "max_epochs": max_epochs,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "plateau_tolerance": plateau_tolerance,
            "train_size": train_size,
            "seed": seed,
        }
        extra = dict(trainer_kwargs or {})
        if twice := [name for name in SCHEDULE_ARGUMENTS if name in extra]:
            raise ValueError(f"trainer_kwargs holds {twice}: train() has arguments of these names, give them there.")
        if datamodule is None:
            self._reclaim_samples()
        n_samples = self.summary_stats.n_cells if datamodule is None else datamodule.n_obs
        if not self.started_from_data_:
            _check_directions(self.module.n_latent, n_samples, 1 + sum(self.module.coding.widths.values()))
        if batch_size is None:
            batch_size = n_samples if n_samples <= MAX_FULL_BATCH else BATCH_SIZE
        _check_positive(max_steps=max_steps, max_epochs=max_epochs, learning_rate=learning_rate, batch_size=batch_size)
        if max_steps is not None and max_epochs is not None:
            raise ValueError(f"Give max_steps or max_epochs, not both (given {max_steps} and {max_epochs}).")
        check_number("train_size", train_size)
        if seed is not None:
            check_whole("seed", seed, least=0)
        if plateau_tolerance is not None:
            check_number("plateau_tolerance", plateau_tolerance, least=0)
        _check_devices(devices, strategy)
        if not 0 < train_size <= 1:
            raise ValueError(f"train_size must lie in (0, 1]; it is {train_size}.")
        # the whole of a linear model is fitted at its start; steps of Adam would only add their noise to it
        at_once = (
            not self.started_from_data_
            and datamodule is None
            and train_size * n_samples <= MAX_SAMPLES
            and fitted_at_start(self.module)
        )
        full_batch = datamodule is None and train_size == 1 and batch_size >= n_samples and strategy == "auto"
        steps_per_pass = 1 if full_batch else math.ceil(train_size * n_samples / batch_size)
        steps_per_epoch = STEPS_PER_EPOCH if full_batch else steps_per_pass
        if max_epochs is not None:
            max_steps = max_epochs * steps_per_pass
        elif max_steps is None:
            max_steps = max(ENCODER_STEPS if at_once else MAX_STEPS[self.decoder_], MIN_EPOCHS * steps_per_pass)

        if not any(parameter.requires_grad for parameter in self.module.parameters()):
            raise ValueError(
                "Nothing is left to learn: this query has no batch or category that is new to its reference, and all else "
                "is fixed. Use the model without training, or let all be learned: load_query_data(..., unfrozen=True)."
            )

        # split here: scvi-tools draws it from its global seed
        rng = np.random.default_rng(int(torch.randint(2**31, ())) if seed is None else seed)
        order = self._sample_order() if datamodule is None else np.arange(n_samples)
        shuffled = order[rng.permutation(n_samples)] if train_size < 1 else order
        n_train = max(1, int(train_size * n_samples))
        if datamodule is not None:
            source: pl.LightningDataModule = datamodule
        elif full_batch:
            source = FullBatch(self.adata_manager, order, min(steps_per_epoch, max_steps))
        else:
            source = DataSplitter(
                self.adata_manager,
                external_indexing=[shuffled[:n_train], shuffled[n_train:]],
                batch_size=batch_size,
                distributed_sampler=use_distributed_sampler(strategy),
            )
        callbacks: list[pl.Callback] = []
        if plateau_tolerance is not None:
            callbacks.append(
                PlateauStop(
                    first_step=int(KL_WARM_UP_SHARE * max_steps),
                    window=max(1, math.ceil(PLATEAU_STEPS / steps_per_epoch)),
                    tolerance=plateau_tolerance,
                )
            )
        defaults = {
            "enable_progress_bar": progress_bar,
            "log_every_n_steps": min(10, steps_per_epoch, max_steps),
            "check_val_every_n_epoch": 1 if train_size < 1 else None,
        }
        is_small = min(batch_size, n_samples) * self.summary_stats.n_vars <= MAX_ONE_THREAD
        with (
            signals_of_the_caller(),
            unchanged_unless_finished(self),
            seeded(seed),
            threadpool_limits(1 if is_small else None),
            ExitStack() as stack,
        ):
            self._start_from_data(datamodule, shuffled[:n_train])
            self.module.train()
            stack.enter_context(fixed_decoder(self.module) if at_once else nullcontext())
            plan = BulkTrainingPlan(self.module, max_steps=max_steps, learning_rate=learning_rate)
            Runner(
                self,
                training_plan=plan,
                data_splitter=source,
                max_epochs=math.ceil(max_steps / steps_per_epoch),
                accelerator=accelerator,
                devices=devices,
                strategy=strategy,
                max_steps=max_steps,
                **(defaults | extra | {"callbacks": [*callbacks, *_as_list(extra.get("callbacks"))]}),
            )()
            self.train_params_ = [*self.train_params_, arguments]
        self._forget_network()

    def _reclaim_samples(self) -> None:
        """Register the model's fields again if the AnnData was set up for another model since; raise ValueError without samples."""
        if self.adata is None:
            raise ValueError("The model has no samples attached: give a datamodule, or load it with adata=adata.")
        self._validate_anndata()

    def _sample_order(self) -> np.ndarray:
        """Positions of the samples in an order that depends on their counts and covariates alone."""
        keys: list[Key] = []
        # torch's loader draws a seed
        with seeded(0):
            for tensors in self._make_data_loader(adata=self.adata, batch_size=MAX_SAMPLES):
                covariates = self.module.coding.code(tensors).values()
                keys += sample_keys(tensors[REGISTRY_KEYS.X_KEY].numpy(), *(columns.numpy() for columns in covariates))
        return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)

    def _start_from_data(self, datamodule: Any, samples: np.ndarray) -> None:
        """Initialise an untrained module from training samples, once."""
        if self.started_from_data_:
            return
        if datamodule is not None:
            datamodule.setup("fit")
            batches = datamodule.train_dataloader()
        else:
            if len(samples) > MAX_SAMPLES:
                samples = samples[np.linspace(0, len(samples) - 1, MAX_SAMPLES).astype(int)]
            loader = self._make_data_loader(adata=self.adata, indices=np.sort(samples), batch_size=MAX_SAMPLES)
            batches = [{name: rows[samples.argsort().argsort()] for name, rows in next(iter(loader)).items()}]
        initialise(self.module, batches)
        self.started_from_data_ = True


def _as_list(callbacks: pl.Callback | list[pl.Callback] | None) -> list[pl.Callback]:
    """Return callbacks as a list: Lightning accepts none, one or several."""
    if callbacks is None:
        return []
    return [callbacks] if isinstance(callbacks, pl.Callback) else list(callbacks)


def _check_directions(n_latent: int, n_samples: int, n_features: int) -> None:
    """Raise ValueError if the latent state has more directions than the residuals of the known differences."""
    most = max(LEAST_LATENT, n_samples - n_features)
    if n_latent > most:
        raise ValueError(
            f"n_latent is {n_latent}, but {n_samples} samples less {n_features} columns of known differences (the intercept is "
            f"one) have room for at most {most} directions: give BulkVI(n_latent={most}) or less, or leave n_latent out."
        )


def _check_devices(devices: int | list[int] | str, strategy: str) -> None:
    """Raise ValueError for several devices without a strategy: each would train on all samples and stop alone."""
    several = (
        (isinstance(devices, int) and not isinstance(devices, bool) and (devices > 1 or devices == -1))
        or (isinstance(devices, list | tuple) and len(devices) > 1)
        or (
            isinstance(devices, str)
            and (devices in ("-1",) or "," in devices or devices.isdigit() and int(devices) > 1)
        )
    )
    if several and strategy == "auto":
        raise ValueError(
            f"devices={devices!r} without a strategy: several devices share the samples only under distributed training. Give "
            "strategy='ddp' as well (in a script, not in a notebook), or devices=1, which is enough for most cohorts."
        )


def _check_positive(**values: float | None) -> None:
    for name, value in values.items():
        if value is None:
            continue
        if name == "learning_rate":
            check_number(name, value)
        else:
            check_whole(name, value)
        if not value > 0:
            raise ValueError(f"{name} must be > 0; it is {value}.")
