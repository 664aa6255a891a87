"""The public model class, BulkVI."""

from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scvi.model.base import BaseModelClass

from bulkvi.arguments import check_number, check_whole
from bulkvi.model._corrected import CorrectedMixin
from bulkvi.model._fields import levels_of_categories, log_offset_means, size_factor_key
from bulkvi.model._module import BulkVAE, DecoderKind, Dispersion, GeneLikelihood
from bulkvi.model._prediction import PredictionMixin
from bulkvi.model._query import QueryMixin
from bulkvi.model._reference import CohortReference, reference_record
from bulkvi.model._restore import seeded
from bulkvi.model._saving import SavingMixin
from bulkvi.model._setup import SetupMixin
from bulkvi.model._simulate import SimulateMixin
from bulkvi.model._training import TrainingMixin

MAX_AXES = 128
# Largest number of directions by default.
MAX_LATENT = 30
MIN_DISPERSION, MAX_DISPERSION = 1e-8, 1e4
CHOICES = {
    "decoder": ("linear", "deep"),
    "gene_likelihood": ("nb", "zinb", "poisson"),
    "dispersion": ("gene", "gene-batch", "fixed"),
}


class BulkVI(
    SavingMixin,
    SetupMixin,
    TrainingMixin,
    SimulateMixin,
    CorrectedMixin,
    PredictionMixin,
    QueryMixin,
    BaseModelClass,
):
    r"""Deep generative model of bulk RNA-seq counts.

    A negative-binomial variational autoencoder with DESeq2-style size factors as a fixed offset, a design for the known
    differences between samples, and a latent state for the unknown ones:

    .. math::

        x_{ng} \sim \mathrm{NB}(s_n \rho_{ng}, \alpha_g), \quad
        \log \rho_{ng} = b_g + c_n^\top B_{\cdot g} + f_g(z_n, c_n), \quad z_n \sim N(0, I)

    With an offset (``offset_key`` of :meth:`setup_anndata`) the mean is :math:`s_n \tilde o_{ng} \rho_{ng}`.

    Parameters
    ----------
    adata
        AnnData registered with :meth:`setup_anndata`; samples x genes, raw counts.
    registry
        Registry of another model's data, to start without data.
    n_latent
        Largest number of directions of the latent state; those that the samples do not support get no part in training. By default
        half of the samples less one, between 2 and 30.
    decoder
        ``"linear"`` (interpretable loadings) or ``"deep"`` (a network in addition).
    gene_likelihood
        ``"nb"`` (negative binomial), ``"zinb"`` (with extra zeros) or ``"poisson"``.
    dispersion
        ``"gene"``, ``"gene-batch"`` (one for each gene and batch) or ``"fixed"``.
    fixed_dispersion
        Dispersion of all genes with ``dispersion="fixed"`` (variance = mean + dispersion x mean^2).
    n_hidden, n_layers
        Width and number of hidden layers of the encoder and of a deep decoder.
    n_axes
        Number of principal axes of the training samples in the input of the encoder. By default all, at most 128.
    seed
        Seed of the networks' random start; the caller's random state does not change.
    reference
        What a cohort of similar samples says of the genes (:class:`bulkvi.Reference`): how much replicates vary in each of them, and the
        directions in which samples differ. The model then needs fewer samples of its own (:doc:`/guide/references`).
    reference_overlap
        Whether samples of ``adata`` may be in the reference too.

    Raises
    ------
    ValueError
        If samples are in the reference too, or it has none of the genes; or a choice is unknown or a number out of its range.

    Examples
    --------
    >>> import bulkvi
    >>> adata = bulkvi.datasets.simulate(n_per_group=6, n_genes=500, n_batches=2)
    >>> bulkvi.pp.filter_genes(adata, min_counts=10)
    >>> bulkvi.pp.size_factors(adata)
    >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ batch + group")
    >>> model = bulkvi.BulkVI(adata, n_latent=2)
    >>> model.train(progress_bar=False)
    >>> adata.obsm["X_bulkvi"] = model.get_latent_representation()
    >>> table = model.differential_expression("group", "B", "A")
    >>> table["contrast"].iloc[0]
    'group: B vs A'
    """

    _module_cls = BulkVAE

    def __init__(
        self,
        adata: AnnData | None = None,
        registry: dict[str, Any] | None = None,
        *,
        n_latent: int | None = None,
        decoder: DecoderKind = "linear",
        gene_likelihood: GeneLikelihood = "nb",
        dispersion: Dispersion = "gene",
        fixed_dispersion: float = 0.1,
        n_hidden: int = 64,
        n_layers: int = 1,
        n_axes: int | None = None,
        seed: int = 0,
        reference: CohortReference | None = None,
        reference_overlap: bool = False,
    ):
        super().__init__(adata, registry)
        self._check_unchanged()
        n_samples = self.summary_stats.n_cells
        # resolved here and stored resolved: a query with other samples must build the same network
        n_latent = min(MAX_LATENT, max(2, n_samples // 2 - 1)) if n_latent is None else n_latent
        n_axes = min(MAX_AXES, n_samples - 1) if n_axes is None else n_axes
        _check_choices(decoder=decoder, gene_likelihood=gene_likelihood, dispersion=dispersion)
        _check_positive(n_latent=n_latent, n_axes=n_axes, n_hidden=n_hidden, n_layers=n_layers)
        check_whole("seed", seed, least=0)
        check_number("fixed_dispersion", fixed_dispersion)
        if not MIN_DISPERSION <= fixed_dispersion <= MAX_DISPERSION:
            raise ValueError(
                f"fixed_dispersion must be > 0, from {MIN_DISPERSION:g} to {MAX_DISPERSION:g}; it is {fixed_dispersion}."
            )

        offset_means = log_offset_means(self.registry)
        with seeded(seed):
            self.module = self._module_cls(
                n_input=self.summary_stats.n_vars,
                n_batch=self.summary_stats.n_batch,
                n_design=self.summary_stats.get("n_design", 0),
                n_continuous_cov=self.summary_stats.get("n_extra_continuous_covs", 0),
                n_cats_per_cov=levels_of_categories(self.registry),
                n_latent=n_latent,
                n_axes=n_axes,
                n_hidden=n_hidden,
                n_layers=n_layers,
                decoder=decoder,
                gene_likelihood=gene_likelihood,
                dispersion=dispersion,
                fixed_dispersion=fixed_dispersion,
                has_offset=offset_means is not None,
            )
        if offset_means is not None:
            self.module.exposure.offset_mean.copy_(torch.as_tensor(np.exp(offset_means)))
        self.decoder_ = decoder
        self.started_from_data_ = False
        self.train_params_: list[dict[str, Any]] = []
        self.covariate_widths_ = self.module.coding.widths
        if reference is not None:
            if adata is None:
                raise ValueError("A reference needs the samples of the study: give adata as well.")
            layer = self.registry["setup_args"]["layer"]
            key = size_factor_key(self.registry)
            self.reference_ = reference_record(reference, self.adata, layer, key, overlap=reference_overlap)
            # what it says of these genes is saved, and not the object
            reference = None
        self.init_params_ = self._get_init_params(locals())

    @property
    def _model_summary_string(self) -> str:
        """What scvi-tools prints of a model."""
        module = self.module
        n_latent = f"{module.n_latent}"
        if self.started_from_data_:
            n_latent += f" ({int((module.decoder.relevance > 0).sum())} in use)"
        return (
            f"BulkVI: n_latent {n_latent}, decoder {self.decoder_}, gene_likelihood {module.gene_likelihood}, dispersion "
            f"{module.dispersion}"
        )

    @_model_summary_string.setter
    def _model_summary_string(self, text: str) -> None:
        """Ignore the empty text that scvi-tools starts with."""


def _check_choices(**given: str) -> None:
    for name, value in given.items():
        if value not in CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, CHOICES[name]))}; it is {value!r}.")


def _check_positive(**given: int) -> None:
    for name, value in given.items():
        check_whole(name, value)
        if value < 1:
            raise ValueError(f"{name} must be at least 1; it is {value}.")
