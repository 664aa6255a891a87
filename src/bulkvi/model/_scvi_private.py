"""The private names of scvi-tools and Lightning that bulkvi uses, all of them; ``tests/model/test_scvi_private.py`` guards them."""

from typing import Any

from scvi.model._utils import _get_batch_code_from_category as batch_codes
from scvi.model._utils import use_distributed_sampler
from scvi.module._constants import MODULE_KEYS
from scvi.train import Trainer, TrainRunner

__all__ = ["MODULE_KEYS", "Runner", "batch_codes", "use_distributed_sampler"]


class _NoSignals:
    """In place of Lightning's handlers of signals.

    Lightning turns SIGTERM into an exit with code 0, and ignores it in a job of SLURM.
    """

    received_sigterm = False

    def register_signal_handlers(self) -> None:
        """Leave the handlers of the caller."""

    def teardown(self) -> None:
        """Do nothing: no handler was replaced."""


class _Trainer(Trainer):
    """Trainer that leaves signals to the caller; with several processes Lightning has to pass them on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.world_size == 1:
            self._signal_connector = _NoSignals()


class Runner(TrainRunner):
    """``TrainRunner`` with this trainer."""

    _trainer_cls = _Trainer
