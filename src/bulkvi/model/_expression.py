"""Expression of samples from a trained model, and its decoded rates as arrays for the regressions."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.model.base import RNASeqMixin, VAEMixin
from torch import Tensor

from bulkvi.arguments import check_number, check_whole
from bulkvi.model._restore import seeded
from bulkvi.model._scvi_private import MODULE_KEYS, batch_codes
from bulkvi.stats.counts.counts import LARGEST
from bulkvi.study.groups import gene_positions

LARGEST_LIBRARY = 1e3 * LARGEST


def _positions(indices: Sequence[int], adata: AnnData) -> np.ndarray:
    """Return the positions of samples that are given by number or as a mask."""
    given = np.asarray(indices)
    if given.ndim == 1 and given.dtype == bool and given.size == adata.n_obs:
        return np.flatnonzero(given)
    whole = given.ndim == 1 and given.size > 0 and np.issubdtype(given.dtype, np.integer)
    if not whole or (given < -adata.n_obs).any() or (given >= adata.n_obs).any():
        raise ValueError(
            f"indices must be positions of samples, whole numbers from 0 to {adata.n_obs - 1}, at least one, or a boolean for each "
            f"sample; given is {indices!r}."
        )
    return np.arange(adata.n_obs)[given]


class ExpressionMixin(RNASeqMixin, VAEMixin):
    """Decoded rates, and methods of scvi-tools with another meaning here."""

    @torch.inference_mode()
    def get_normalized_expression(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        transform_batch: str | int | Sequence[str | int] | None = None,
        gene_list: Sequence[str] | None = None,
        library_size: float = 1.0,
        n_samples: int = 0,
        batch_size: int | None = None,
        *,
        return_mean: bool = True,
        return_numpy: bool = False,
    ) -> Any:
        r"""Return decoded rates :math:`\rho_{ng}`: expected counts per unit size factor, depth and offset removed.

        Parameters
        ----------
        adata
            Samples to decode; the registered ones if ``None``.
        indices
            Positions of samples; all if ``None``.
        transform_batch
            Batch, or batches to average over, in which every sample is decoded; the batch of each sample if ``None``.
        gene_list
            Genes to return; all if ``None``.
        library_size
            Size factor to scale the rates to.
        n_samples
            Number of draws of the latent state; 0 decodes its posterior mean, which does not depend on a seed.
        batch_size
            Samples decoded at once.
        return_mean
            Whether to average over the draws.
        return_numpy
            Whether to return an array instead of a table.

        Returns
        -------
        Samples x genes on the scale of counts (not logged); draws x samples x genes, as an array, if ``return_mean`` is
        ``False`` and ``n_samples > 1``.

        Raises
        ------
        KeyError
            If a gene is not in the model.
        TypeError
            If ``gene_list`` is one name and not a list, or an argument that must be a number is not one.
        ValueError
            If ``library_size`` is not above 0 and at most 1e15, ``n_samples`` is below 0, a batch is not one of the model's, or an
            index of a sample is out of range.
        """
        self._check_if_trained(warn=False)
        check_number("library_size", library_size, above=0, most=LARGEST_LIBRARY)
        check_whole("n_samples", n_samples, least=0)
        if batch_size is not None:
            check_whole("batch_size", batch_size, least=1)
        adata = self._validate_anndata(adata)
        positions = np.arange(adata.n_obs) if indices is None else _positions(indices, adata)
        genes = (
            np.arange(adata.n_vars) if gene_list is None else gene_positions("gene_list", gene_list, adata.var_names)
        )
        batches = self._batches(adata, transform_batch)
        blocks = []
        with seeded(0 if n_samples == 0 else None):
            for tensors in self._make_data_loader(adata=adata, indices=positions, batch_size=batch_size):
                rates = torch.stack([self._rates(tensors, batch, n_samples) for batch in batches]).mean(0)
                blocks.append(library_size * rates[..., genes].cpu().numpy())
        expression = np.concatenate(blocks, axis=-2)
        if expression.ndim == 3:
            if not return_mean:
                return expression
            expression = expression.mean(0)
        if return_numpy:
            return expression
        return pd.DataFrame(expression, index=adata.obs_names[positions], columns=adata.var_names[genes])

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
