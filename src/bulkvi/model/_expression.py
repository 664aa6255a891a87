"""Expression of samples from a trained model, and its decoded rates as arrays for the regressions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

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
from bulkvi.regression.contrast import Contrast
from bulkvi.stats.counts.counts import LARGEST
from bulkvi.study.groups import counterfactual_obs, gene_positions
from bulkvi.study.study_design import StudyDesign

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI


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


BLOCK = 256


class DecodedRates:
    """Decoded log rates of a trained model's samples: :class:`bulkvi.regression.hidden.Network`."""

    def __init__(self, model: "BulkVI"):
        self._model = model

    @property
    def n_latent(self) -> int:
        """Dimension of the latent state."""
        return self._model.module.n_latent

    def _latent_state(self, members: np.ndarray | None = None) -> Tensor:
        # single precision depends on which samples are encoded together: always the same ones for one result
        z = self._model.get_latent_representation(
            indices=None if members is None else members.tolist(), axes="whitened"
        )
        return torch.as_tensor(z, device=self._model.device)

    def rate_differences(self, design: StudyDesign) -> np.ndarray:
        """Return the log rate at a sample's latent state minus that at the mean latent state, samples x genes, natural log."""
        decoder, z = self._model.module.decoder, self._latent_state()
        covariates = {kind: values.to(self._model.device) for kind, values in _to_tensors(design.sample_blocks).items()}
        blocks = []
        with torch.inference_mode():
            for begin in range(0, len(z), BLOCK):
                part = slice(begin, begin + BLOCK)
                rows = {kind: values[part] for kind, values in covariates.items()}
                centre = z.mean(0, keepdim=True).expand(len(z[part]), -1)
                blocks.append((decoder(z[part], rows) - decoder(centre, rows)).double().cpu().numpy())
        return np.concatenate(blocks)

    @torch.inference_mode()
    def decoded_log_fc(self, design: StudyDesign, compared: Contrast) -> np.ndarray:
        """Return the difference of decoded log2 rates, one value per gene.

        For two groups: the difference of their mean rates. For weights of columns: the mean over all samples of the difference
        between half the contrast up and half of it down from the mean of the covariates.
        """
        if compared.groups is None or compared.groupby is None:
            up, down = (self._log_rates(None, _shifted(design, half * compared.weights)) for half in (0.5, -0.5))
            difference = (up - down).mean(0)
        else:
            parts = []
            for members in compared.groups:
                obs = counterfactual_obs(design.obs, compared.groups, compared.groupby, design.variables, members)
                means = {kind: values.mean(0) for kind, values in _to_tensors(design.blocks(obs)).items()}
                log_rates = self._log_rates(members, means)
                parts.append(torch.logsumexp(log_rates, 0) - np.log(len(members)))
            difference = parts[0] - parts[1]
        return difference.cpu().numpy() / np.log(2)

    def _log_rates(self, members: np.ndarray | None, covariates: dict[str, Tensor]) -> Tensor:
        """Natural log of the decoded rates of samples at one row of covariates, samples x genes."""
        z = self._latent_state(members)
        one_row = {kind: values[None].to(self._model.device) for kind, values in covariates.items()}
        return torch.cat([self._model.module.decoder(block, one_row).double() for block in z.split(BLOCK)])


def _to_tensors(blocks: dict[str, pd.DataFrame]) -> dict[str, Tensor]:
    """Covariates in the precision of the network."""
    return {kind: torch.as_tensor(np.ascontiguousarray(block.to_numpy(np.float32))) for kind, block in blocks.items()}


def _shifted(design: StudyDesign, by: pd.Series) -> dict[str, Tensor]:
    """Mean covariates of all samples, shifted by weights of columns."""
    blocks = design.sample_blocks
    shift = {kind: by.reindex(block.columns, fill_value=0.0).to_numpy(np.float32) for kind, block in blocks.items()}
    return {kind: values.mean(0) + torch.as_tensor(shift[kind]) for kind, values in _to_tensors(blocks).items()}
