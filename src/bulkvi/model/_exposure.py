"""What multiplies the rates of a minibatch."""

import torch
from scvi import REGISTRY_KEYS
from torch import Tensor, nn

from bulkvi.names import OFFSET


class Exposure(nn.Module):
    """Size factor, times the relative offset where the model has one.

    Parameters
    ----------
    n_genes
        Number of genes with an offset for each count; 0 for none.
    """

    offset_mean: Tensor

    def __init__(self, n_genes: int):
        super().__init__()
        self.has_offset = n_genes > 0
        if self.has_offset:
            # a buffer: saved with the model, so that new samples are measured by the first ones
            self.register_buffer("offset_mean", torch.ones(n_genes))

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Shape ``(n, 1)``, or with an offset ``(n, n_genes)``."""
        size_factor = tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY]
        if not self.has_offset:
            return size_factor
        if OFFSET not in tensors:
            raise KeyError(
                f"The model was set up with an offset, but a minibatch holds only {list(tensors)}: its source must give "
                f"the offsets of the samples as {OFFSET!r}, samples x genes."
            )
        offset = tensors[OFFSET]
        # minibatches come here before they are moved to the module's device
        return size_factor * (offset / self.offset_mean.to(offset.device)).to(size_factor.dtype)
