"""Reproducible random numbers that leave the caller's generators alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

# torch's generators belong to the process: two threads with seeds of their own would draw from each other's numbers
_ONE_AT_A_TIME = RLock()


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Run a block with torch's generators at ``seed`` and put the caller's state back afterwards.

    Blocks with a seed wait for those of other threads, so that each has the numbers of its own seed.

    Parameters
    ----------
    seed
        Seed; ``None`` runs on the caller's generators, for example those of ``scvi.settings.seed``.
    """
    if seed is None:
        yield
        return
    with _ONE_AT_A_TIME:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            yield
