"""Reproducible random numbers that leave the caller's generators alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Run a block with torch's generators at ``seed`` and put the caller's state back afterwards.

    Parameters
    ----------
    seed
        Seed; ``None`` runs on the caller's generators, for example those of ``scvi.settings.seed``.
    """
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
