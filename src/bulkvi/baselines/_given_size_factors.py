"""PyDESeq2 with size factors that are given; import it only where PyDESeq2 is installed."""

from typing import Any

import numpy as np
from pydeseq2.dds import DeseqDataSet


class GivenSizeFactors(DeseqDataSet):
    """As PyDESeq2's, with size factors of one's own instead of those that it would compute."""

    def __init__(self, *, given: np.ndarray, **arguments: Any):
        super().__init__(**arguments)
        self.given = given

    def fit_size_factors(self, fit_type: str | None = None, control_genes: Any = None) -> None:
        """Take the size factors as they are; what else PyDESeq2 computes at this step follows from them."""
        self.obs["size_factors"] = self.given
        self.layers["normed_counts"] = self.X / self.given[:, None]
        self.var["_normed_means"] = self.layers["normed_counts"].mean(axis=0)
