"""Expression of samples from a trained model, and its decoded rates as arrays for the regressions."""

from typing import Any, NoReturn

import numpy as np
import torch
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.model.base import RNASeqMixin, VAEMixin
from torch import Tensor

from bulkvi.model._restore import seeded
from bulkvi.model._scvi_private import MODULE_KEYS, batch_codes


class ExpressionMixin(RNASeqMixin, VAEMixin):
    """Decoded rates, and methods of scvi-tools with another meaning here."""

    @torch.inference_mode()
    def _decoded_expression(
        self,
        adata: AnnData,
        rows: np.ndarray,
        genes: np.ndarray,
        *,
        transform_batch: Any = None,
        n_samples: int = 0,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Rates of the decoder at the posterior mean of the latent state, samples x genes, or at draws of it, draws first."""
        batches = self._batches(adata, transform_batch)
        blocks = []
        with seeded(0 if n_samples == 0 else None):
            for tensors in self._make_data_loader(adata=adata, indices=rows, batch_size=batch_size):
                rates = torch.stack([self._rates(tensors, batch, n_samples) for batch in batches]).mean(0)
                blocks.append(rates[..., genes].cpu().numpy())
        return np.concatenate(blocks, axis=-2)

    def _batches(self, adata: AnnData, transform_batch: Any) -> list[int | None]:
        """Return the codes of the batches to decode in; None for the batch of each sample."""
        manager = self.get_anndata_manager(adata, required=True)
        known = list(manager.get_state_registry(REGISTRY_KEYS.BATCH_KEY).categorical_mapping)
        several = not isinstance(transform_batch, str) and np.ndim(transform_batch) == 1
        batches = list(transform_batch) if several else [transform_batch]
        unknown = [batch for batch in batches if batch is not None and batch not in known]
        if unknown or not batches:
            key = manager.registry["setup_args"]["batch_key"]
            has = (
                f"column {key!r} has {known}"
                if key is not None
                else "it has none: setup_anndata was given no batch_key"
            )
            raise ValueError(f"transform_batch: {unknown or batches} is no batch of the model; {has}.")
        return batch_codes(manager, batches)

    def _rates(self, tensors: dict[str, Tensor], batch: int | None, n_samples: int) -> Tensor:
        inputs = self.module._get_inference_input(tensors)
        inferred = self.module.inference(**inputs, n_samples=max(n_samples, 1))
        if n_samples == 0:
            inferred = inferred | {MODULE_KEYS.Z_KEY: inferred[MODULE_KEYS.QZ_KEY].loc}
        generated = self.module._get_generative_input(tensors, inferred)
        outputs = self.module.generative(**generated, transform_batch=batch)
        return outputs[MODULE_KEYS.PX_KEY].get_normalized("scale")

    def get_latent_library_size(self, adata: AnnData | None = None, **kwargs: Any) -> np.ndarray:
        """Return the size factors of the samples; they are given, not learned.

        Parameters
        ----------
        adata
            Samples; the registered ones if ``None``.
        **kwargs
            Ignored; scvi-tools' callers pass them.

        Returns
        -------
        Shape ``(n_samples, 1)``.
        """
        adata = self._validate_anndata(adata)
        manager = self.get_anndata_manager(adata, required=True)
        return np.asarray(manager.get_from_registry(REGISTRY_KEYS.SIZE_FACTOR_KEY)).reshape(-1, 1)

    def get_importance_weights(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an error: at bulk depth a single draw has all the weight.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "Importance weights are not offered: at bulk depth one draw of the latent state takes all the weight. Use "
            "get_normalized_expression, whose default decodes the posterior mean."
        )
