"""Minibatches for training: all samples at once where they fit, scvi-tools' loader where they do not."""

from collections.abc import Iterator

import lightning.pytorch as pl
from scvi.data import AnnDataManager
from scvi.dataloaders import AnnDataLoader
from torch import Tensor


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
