"""The private names of scvi-tools that bulkvi uses, all of them; ``tests/model/test_scvi_private.py`` guards them."""

from scvi.model._utils import _get_batch_code_from_category as batch_codes
from scvi.model._utils import use_distributed_sampler
from scvi.module._constants import MODULE_KEYS

__all__ = ["MODULE_KEYS", "batch_codes", "use_distributed_sampler"]
