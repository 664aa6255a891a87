"""The Bayesian last layer of a trained model: made once, kept, saved, and handed to query models."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from anndata import AnnData
from scvi import REGISTRY_KEYS

from bulkvi.arguments import warn_user
from bulkvi.model._decoded_rates import DecodedRates
from bulkvi.model._expression import ExpressionMixin
from bulkvi.model._fields import study_of
from bulkvi.model._restore import seeded
from bulkvi.model._saving import MODEL_FILE
from bulkvi.model._scvi_private import MODULE_KEYS
from bulkvi.regression.last_layer import LastLayer, last_layer
from bulkvi.study.study import Study

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI


class LastLayerMixin(ExpressionMixin):
    """The last layer of :class:`~bulkvi.BulkVI`."""

    last_layer_: dict[str, Any] | None
    _layer: LastLayer | None
    _layer_source: Any = None
    """Reference model, or the folder it was saved in, of a query model."""

    def last_layer(self) -> LastLayer:
        """Return the posterior of each gene given the samples' state: fitted once, the source of all predictions.

        Returns
        -------
        The last layer (``state``, ``loadings()``, ``relevance``). Its directions are the principal axes of the decoded rates before
        the loadings are shrunk, scaled to mean square 1: ``state`` is in another rotation than
        :meth:`get_latent_representation`. It is kept until the model is trained again and saved with it. That of a model of :meth:`load_query_data` is its reference's.

        Raises
        ------
        ValueError
            If the model has not been trained, its likelihood is not ``"nb"``, it has no samples attached and none was saved with it,
            or no residual degrees of freedom are left.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=300, n_hidden=1, hidden_share=0.8, hidden_sd=2.0)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
        >>> model = bv.BulkVI(adata, n_latent=2)
        >>> model.train(max_steps=20, progress_bar=False)
        >>> model.last_layer().state.columns[0]
        'latent_0'
        """
        reason = self._without_layer()
        if reason is not None:
            raise ValueError(f"There is no last layer: {reason}.")
        if self._layer is None:
            if self.last_layer_ is None:
                study = self._study(self.adata)
                self._layer = last_layer(study, DecodedRates(self).rate_differences(study.design))
            else:
                self._layer = LastLayer.from_record(self.last_layer_)
        if self.last_layer_ is None:
            self.last_layer_ = self._layer.to_record()
        return self._layer

    def _without_layer(self) -> str | None:
        """Return why there is no last layer; None if there is one."""
        if not self.is_trained_ and self._layer_source is None:
            return "the model has not been trained; call train() first"
        if self.module.gene_likelihood != "nb":
            return f"gene_likelihood is {self.module.gene_likelihood!r}, and the regressions behind it are negative binomial"
        if self.last_layer_ is not None:
            return None
        if self._layer_source is not None:
            self._layer = self._layer or _layer_of(self._layer_source)
            if self._layer is None:
                return "the reference model has none; call last_layer() of the reference before it is saved"
            return None
        if self.adata is None:
            return "the model has no samples attached; load it with adata=adata, or call last_layer() before saving it"
        # scvi-tools attaches the first samples that a model without any is given
        if self.trained_samples_ not in (None, self.adata.obs_names.astype(str).tolist()):
            return "its samples are not those it was trained on; call last_layer() before saving it"
        n, p = self.gene_fit().design_matrix.shape
        if n <= p:
            return f"{n} samples and {p} design columns leave no residual degrees of freedom"
        return None

    def _study(self, adata: AnnData) -> Study:
        """Build the study of samples that are registered with this model, or that its registry describes."""
        if adata is self.adata:
            self._check_unchanged()
            return self.gene_fit().study
        return study_of(self.get_anndata_manager(adata, required=True).registry, adata, {})

    def _layer_for(self, adata: AnnData, *, needed: bool = False) -> LastLayer | None:
        """Return the last layer if it can predict these samples; None, or ValueError if it is needed, if not."""
        reason = self._without_layer()
        if reason is None:
            layer = self.last_layer()
            try:
                layer.design(self._study(adata))
                return layer
            except ValueError as error:
                reason = str(error)
        if needed:
            raise ValueError(
                f"This model predicts with its decoder alone, without intervals or given_genes: {reason.rstrip('.')}."
            )
        if self.is_trained_ and self.module.gene_likelihood == "nb" and self.last_layer_ is None:
            warn_user(f"Predictions are the decoder's own, not those of the last layer: {reason}.")
        return None

    def _designs(self, layer: LastLayer, study: Study, adata: AnnData, transform_batch: Any) -> list[np.ndarray]:
        """Return the design of the samples in each batch to predict in."""
        codes = self._batches(adata, transform_batch)
        manager = self.get_anndata_manager(adata, required=True)
        levels = list(manager.get_state_registry(REGISTRY_KEYS.BATCH_KEY).categorical_mapping)
        designs = []
        for code in codes:
            obs = study.obs
            if code is not None and study.design.batch is not None:
                obs = obs.assign(**{study.design.batch.name: [levels[int(code)]] * len(obs)})
            designs.append(layer.design(study, obs))
        return designs

    @torch.inference_mode()
    def _decoded_log_likelihood(self, adata: AnnData, rows: np.ndarray) -> Iterator[np.ndarray]:
        with seeded(0):
            for tensors in self._make_data_loader(adata=adata, indices=rows):
                inferred = self.module.inference(**self.module._get_inference_input(tensors))
                inferred = inferred | {MODULE_KEYS.Z_KEY: inferred[MODULE_KEYS.QZ_KEY].loc}
                outputs = self.module.generative(**self.module._get_generative_input(tensors, inferred))
                x = tensors[REGISTRY_KEYS.X_KEY].to(self.device)
                yield outputs[MODULE_KEYS.PX_KEY].log_prob(x).double().cpu().numpy()


def _layer_of(source: "str | Path | BulkVI") -> LastLayer | None:
    """Return the last layer of a reference model, or of the folder it was saved in; None if it has none."""
    if not isinstance(source, str | Path):
        return None if source._without_layer() is not None else source.last_layer()
    record = _saved_record(source)
    return None if record is None else LastLayer.from_record(record)


def _saved_record(folder: str | Path) -> dict[str, Any] | None:
    content = torch.load(Path(folder) / MODEL_FILE, map_location="cpu", weights_only=False)
    return content["attr_dict"].get("last_layer_")
