"""New samples on a trained model."""

from typing import TYPE_CHECKING, Any

import torch
from anndata import AnnData
from scvi.model.base import ArchesMixin, BaseModelClass
from torch import nn

from bulkvi.model._axes import compute_axes
from bulkvi.model._fields import fill_offset, recorded
from bulkvi.model._networks import BATCH, CovariateEffects
from bulkvi.model._saving import check_saved
from bulkvi.study.fingerprint import GENES, check_genes

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI


class QueryMixin(ArchesMixin):
    """``load_query_data`` for a model whose batches have additive effects."""

    @classmethod
    def prepare_query_anndata(
        cls,
        adata: AnnData,
        reference_model: "str | BulkVI",
        *,
        return_reference_var_names: bool = False,
        inplace: bool = True,
    ) -> Any:
        """Give samples the genes of a reference model, in its order.

        Genes that the samples lack get counts of 0 and, where the model has an offset, the one that counts as 1; other genes
        are dropped.

        Parameters
        ----------
        adata
            New samples x genes.
        reference_model
            Trained model, or the folder it was saved in. A saved model is unpickled: load only what you trust.
        return_reference_var_names
            Whether to return the model's genes and do nothing else.
        inplace
            Whether to change ``adata``.

        Returns
        -------
        A new AnnData unless ``inplace``; or the genes.

        Raises
        ------
        ValueError
            If the samples have none of the model's genes, or the file of a saved model is truncated or damaged.
        """
        if isinstance(reference_model, str):
            check_saved(reference_model)
        known = adata.var_names
        prepared = super().prepare_query_anndata(
            adata, reference_model, return_reference_var_names=return_reference_var_names, inplace=inplace
        )
        if not return_reference_var_names:
            fill_offset(adata if inplace else prepared, cls._registry_of(reference_model), known)
        return prepared

    @classmethod
    def load_query_data(
        cls,
        adata: AnnData | None = None,
        reference_model: Any = None,
        registry: dict[str, Any] | None = None,
        *,
        inplace_subset_query_vars: bool = False,
        accelerator: str = "auto",
        device: int | str = "auto",
        unfrozen: bool = False,
        datamodule: Any = None,
    ) -> "BulkVI":
        """Build a model for new samples that keeps all parameters of a reference model.

        Batches and categories that are unknown to the reference get new effects, which ``train`` then fits; all else stays fixed
        unless ``unfrozen``. Without new ones the model needs no training. Latent representations are on the axes of the
        reference.

        Parameters
        ----------
        adata
            New samples with the reference's genes, and size factors on the reference's scale
            (``bulkvi.pp.size_factors(adata, reference=...)``). Missing genes: see :meth:`prepare_query_anndata`. An offset,
            if the reference has one, is needed in the same unit; it stays relative to the reference's geometric means.
        reference_model
            Trained model, or the folder it was saved in. A saved model is unpickled: load only what you trust.
        registry
            Registry of the new data, instead of ``adata``.
        inplace_subset_query_vars
            Whether to subset and sort the genes of ``adata`` to the reference's.
        accelerator, device
            Where to put the model.
        unfrozen
            Whether all parameters may be trained.
        datamodule
            Source of minibatches, with ``registry``.

        Returns
        -------
        A model of the new samples.

        Raises
        ------
        ValueError
            If the genes are not the reference's in its order; the new samples have unknown levels of the design, or size factors or
            offsets that are not finite and positive; or the file of a saved model is truncated or damaged.
        """
        if isinstance(reference_model, str):
            check_saved(reference_model)
        if isinstance(reference_model, BaseModelClass):
            reference_model._principal_axes()
        if adata is not None and not inplace_subset_query_vars:
            check_genes(adata, recorded(cls._registry_of(reference_model)).get(GENES, []))
        model = super().load_query_data(
            adata,
            reference_model,
            registry,
            inplace_subset_query_vars=inplace_subset_query_vars,
            accelerator=accelerator,
            device=device,
            unfrozen=unfrozen,
            datamodule=datamodule,
        )
        if model.axes_ is None:
            # a reference saved by an older version: the axes of the prior of its latent state
            model.axes_ = compute_axes(model, with_samples=False)._asdict()
        model.axes_ = model.axes_ | {"of_reference": True}
        known, model.covariate_widths_ = model.covariate_widths_, model.module.coding.widths
        if unfrozen:
            return model
        # all parameters are the reference's: so are its predictions
        model._layer_source = reference_model
        model.module.requires_grad_(False)  # noqa: FBT003
        for module in model.module.modules():
            if isinstance(module, CovariateEffects):
                for kind, weight in module.weight.items():
                    _train_new_rows(weight, known.get(kind, 0))
        if model.module.dispersion == "gene-batch":
            n_known = known.get(BATCH, 0) + 1
            with torch.no_grad():
                model.module.log_dispersion[n_known:] = model.module.log_dispersion[:n_known].mean(0)
        model.is_trained_ = model.covariate_widths_ == known
        return model

    @classmethod
    def _registry_of(cls, model: "str | BulkVI") -> dict[str, Any]:
        return cls.load_registry(model) if isinstance(model, str) else model.registry


def _train_new_rows(weight: nn.Parameter, n_known: int) -> None:
    if weight.shape[0] == n_known:
        return
    with torch.no_grad():
        weight[n_known:] = 0
    weight.requires_grad_()
    new = (torch.arange(weight.shape[0]) >= n_known)[:, None]
    weight.register_hook(lambda gradient: gradient * new.to(gradient.device))
