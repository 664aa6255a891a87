"""Contexts that restore the caller's state: random numbers, signals, samples and model."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

import torch
from anndata import AnnData

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI

# torch's generators belong to the process: two seeded threads would draw from each other's numbers
_SEED_LOCK = RLock()


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Run a block with torch's generators at ``seed`` and restore the caller's state afterwards.

    Blocks with a seed wait for those of other threads, so that each has the numbers of its seed. ``None`` uses the caller's
    generators, for example those of ``scvi.settings.seed``.
    """
    if seed is None:
        yield
        return
    with _SEED_LOCK:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            yield


@contextmanager
def unchanged_on_error(adata: AnnData) -> Iterator[None]:
    """Remove the entries that were added to ``adata`` if the block raises."""
    parts = (adata.obs, adata.obsm, adata.uns)
    before = [set(part.keys()) for part in parts]
    try:
        yield
    except BaseException:
        for part, keys in zip(parts, before, strict=True):
            for added in set(part.keys()) - keys:
                del part[added]
        raise


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
def unchanged_unless_finished(model: "BulkVI") -> Iterator[None]:
    """Restore parameters and attributes of a model if the block ends with an error or an interruption."""
    attributes = dict(vars(model))
    history = model.history_
    copied = dict(history) if isinstance(history, dict) else history
    state = {name: value.clone() for name, value in model.module.state_dict().items()}
    training = model.module.training
    try:
        yield
    except BaseException:
        # untrained until all is restored: a second signal may arrive here
        model.is_trained_ = False
        model.module.load_state_dict(state)
        model.module.zero_grad()
        model.module.train(training)
        for name in set(vars(model)) - set(attributes):
            delattr(model, name)
        model.__dict__.update(attributes | {"history_": copied, "is_trained_": False})
        model.is_trained_ = attributes["is_trained_"]
        raise
