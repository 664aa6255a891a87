"""Reproducible runs of methods that draw from global generators, without a trace of it afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bulkvi.model._restore import seeded


@contextmanager
def seeded_everywhere(seed: int) -> Iterator[None]:
    """Run a block with the generators of torch and NumPy at ``seed``, and put the caller's state back afterwards.

    scvi-tools draws the samples that it compares from NumPy's global generator. Other threads that draw from it meanwhile
    disturb the block, and are disturbed by it.
    """
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        with seeded(seed):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
