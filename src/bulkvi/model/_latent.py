"""The latent state in principal axes of the decoded rates, and the loadings of these axes."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import ndtr, ndtri
from scvi.model.base import VAEMixin
from torch import Tensor

from bulkvi.arguments import check_interval, check_whole
from bulkvi.latent_names import AXIS, LOADING, LOADING_HIGH, LOADING_LOW, LOADING_SD
from bulkvi.model._axes import PrincipalAxes, compute_axes, coordinates_of
from bulkvi.model._fields import recorded
from bulkvi.model._restore import seeded
from bulkvi.names import LFSR, SYMBOL
from bulkvi.study.fingerprint import GENES

Axes = Literal["principal", "whitened", "reference"]


class LatentMixin(VAEMixin):
    """The latent state as users see it."""

    # None in models saved by older versions, and until they are needed
    axes_: dict[str, Any] | None

    def get_latent_representation(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        axes: Axes = "principal",
        give_mean: bool = True,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        **data_loader_kwargs: Any,
    ) -> Any:
        r"""Return the latent state of each sample, in principal axes of the decoded log2 rates.

        The state :math:`z_n` of a sample is decoded at the mean covariates of the training samples, so that design and batch have
        no part in it. The decoded log2 rates, with loadings shrunk as in :meth:`get_loadings`, are expressed in their principal
        axes,

        .. math::

            \log_2 \rho_{ng} - \overline{\log_2 \rho_g} = \sum_k \frac{y_{nk}}{s_k} w_{kg}, \qquad
            s_k^2 = \overline{y_{nk}^2} = \frac{1}{G} \sum_g w_{kg}^2,

        with :math:`w_{kg}` the loading of gene g of G. The squared Euclidean distance of two samples is the mean over the genes of
        the squared log2 fold change between their rates: at a distance of 1 they differ twofold in the root mean square over
        the genes. The first axis has the largest variance over the training samples. Along each axis, the genes that respond most
        strongly rise (the sum of the cubed loadings is positive), in whatever order samples and genes come.

        Axes are those of the training samples, computed at the first use and saved with the model. New samples, and samples of a
        query (:meth:`load_query_data`), have coordinates on the same axes. A model saved by an older version takes the axes of the
        samples that it is loaded with.

        Parameters
        ----------
        adata
            Samples; the registered ones if ``None``.
        indices
            Positions of samples; all if ``None``.
        axes
            ``"principal"`` as above; ``"whitened"`` returns :math:`z_n` itself, whose prior is a standard normal: all its dimensions
            have about the same variance, however little they change expression, and no order. ``"reference"`` returns the positions
            of the registered samples along the directions of the model's reference, in the same unit as principal axes and about
            their mean: studies with one reference can be compared.
        give_mean
            Whether to return the posterior mean, which neither depends on the random state nor changes it; else one draw.
        batch_size
            Samples encoded at once.
        return_dist
            Whether to return the mean and the variance of the posterior. With ``axes="principal"`` only for a linear decoder:
            the coordinates of a deep one are not normal.
        dataloader
            Minibatches to encode instead of ``adata``.
        **data_loader_kwargs
            Arguments of scvi-tools' data loader.

        Returns
        -------
        Samples x axes: those with a share of at least 1e-4 of the variance, at least two and at most ``n_latent``; or with
        ``axes="whitened"`` samples x ``n_latent``. Two such arrays, if ``return_dist``.

        Raises
        ------
        ValueError
            If ``axes`` is unknown, or ``return_dist`` is set for principal axes of a deep decoder.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
        >>> model = bv.BulkVI(adata, n_latent=2)
        >>> model.train(max_steps=20, progress_bar=False)
        >>> adata.obsm["X_bulkvi"] = model.get_latent_representation()
        >>> adata.obsm["X_bulkvi"].shape
        (8, 2)
        """
        if axes not in get_args(Axes):
            raise ValueError(f"axes must be one of {', '.join(map(repr, get_args(Axes)))}; it is {axes!r}.")
        if axes == "reference":
            return self._reference_coordinates(adata, indices)
        principal = axes == "principal"
        if principal and return_dist and self.decoder_ != "linear":
            raise ValueError(
                "return_dist needs axes='whitened' for a deep decoder: its posterior is normal in the whitened state only."
            )
        if batch_size is not None:
            check_whole("batch_size", batch_size, least=1)
        # the network draws a latent state in passing, and so does torch's loader a seed
        with seeded(0 if give_mean or return_dist else None):
            state = super().get_latent_representation(
                adata,
                indices,
                give_mean=give_mean,
                batch_size=batch_size,
                return_dist=return_dist,
                dataloader=dataloader,
                **data_loader_kwargs,
            )
        if not principal:
            return state
        known = self._principal_axes()
        if not return_dist:
            return coordinates_of(self, known, state)
        mean, variance = state
        # a linear decoder: each coordinate is a sum of the dimensions of z
        slopes = coordinates_of(self, known, np.eye(mean.shape[1])) - coordinates_of(self, known, 0 * mean[:1])
        return coordinates_of(self, known, mean), variance @ slopes**2

    def _reference_coordinates(self, adata: AnnData | None, indices: Sequence[int] | None) -> np.ndarray:
        """Positions of the registered samples along the directions of the reference."""
        beside = self.gene_fit().reference_variation
        if beside is None:
            raise ValueError(
                "axes='reference': the model has no reference with directions. Give BulkVI(adata, reference=...)."
            )
        if adata is not None and adata is not self.adata:
            raise ValueError(
                "axes='reference' is for the registered samples: make a model of the others with the same reference."
            )
        chosen = slice(None) if indices is None else np.asarray(indices)
        return beside.coordinates[chosen].astype(np.float32)

    def get_loadings(self, *, return_sd: bool = False) -> Any:
        r"""Return how strongly each gene changes along each axis of :meth:`get_latent_representation`.

        A loading is the log2 fold change of a gene per standard deviation of the training samples along the axis: genes with a
        loading of 1 differ twofold between a usual sample and one in the middle. It is the posterior mean under a normal prior whose
        standard deviation, one per direction of the latent state, is learned from all genes: loadings of genes with few counts, and
        on directions that the counts do not support, shrink to zero. The likelihood of a gene's loadings is normal about those of
        the decoder, with the Fisher information :math:`\sum_n m_{ng} / (1 + \alpha_g m_{ng}) \, u_n u_n^\top` of its counts given
        the latent state, the coefficients of the design profiled out.

        Parameters
        ----------
        return_sd
            Whether to return the posterior standard deviations too.

        Returns
        -------
        Genes x axes (``axis_1``, ``axis_2``, ...), log2 per standard deviation of the training samples; or two such tables, posterior
        means and standard deviations, if ``return_sd``. Multiply by a sample's coordinate over the standard deviation of the axis for
        its log2 fold change from the middle.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
        >>> model = bv.BulkVI(adata, n_latent=2)
        >>> model.train(max_steps=20, progress_bar=False)
        >>> model.get_loadings().columns.tolist()
        ['axis_1', 'axis_2']
        """
        axes = self._principal_axes()
        names = [f"{AXIS}_{k + 1}" for k in range(axes.loadings.shape[1])]
        genes = self._gene_names()
        mean, sd = (pd.DataFrame(part.astype(float), genes, names) for part in (axes.loadings, axes.loadings_sd))
        return (mean, sd) if return_sd else mean

    def get_top_loadings(self, n_genes: int = 10, *, level: float = 0.95) -> pd.DataFrame:
        """List the genes with the largest loadings on each axis, with intervals, for :func:`bulkvi.pl.loadings`.

        Parameters
        ----------
        n_genes
            Number of genes for each axis.
        level
            Probability of the interval.

        Returns
        -------
        Indexed by gene, the largest absolute loading of each axis in use first: ``axis``; ``loading``, ``loading_sd``, ``loading_low`` and
        ``loading_high``, log2 per standard deviation of the training samples along the axis (:meth:`get_loadings`); ``lfsr``,
        the probability that the sign is wrong; ``symbol``, where ``adata.var`` has it.

        Raises
        ------
        TypeError, ValueError
            If ``n_genes`` is not a whole number of at least 1, or ``level`` is not between 0 and 1.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=300, n_hidden=1, hidden_share=0.8, hidden_sd=2.0)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
        >>> model = bv.BulkVI(adata, n_latent=2)
        >>> model.train(max_steps=20, progress_bar=False)
        >>> model.get_top_loadings(3)["axis"].head(3).tolist()
        ['axis_1', 'axis_1', 'axis_1']
        """
        check_whole("n_genes", n_genes, least=1)
        check_interval(level)
        loadings, sds = self.get_loadings(return_sd=True)
        reach = ndtri((1 + level) / 2)
        parts = [pd.DataFrame(columns=[AXIS, LOADING, LOADING_SD, LOADING_LOW, LOADING_HIGH, LFSR])]
        # an axis that is not in use has no genes
        for axis in loadings.columns[(loadings != 0).any()]:
            # ties in the order of the names: the genes may come in any order
            largest = loadings[axis].abs().sort_index().sort_values(ascending=False, kind="stable").index[:n_genes]
            mean, sd = loadings.loc[largest, axis], sds.loc[largest, axis]
            wrong = ndtr(-mean.abs() / sd.where(sd > 0, np.inf)).where(mean != 0, 0.5)
            parts.append(
                pd.DataFrame(
                    {
                        AXIS: axis,
                        LOADING: mean,
                        LOADING_SD: sd,
                        LOADING_LOW: mean - reach * sd,
                        LOADING_HIGH: mean + reach * sd,
                        LFSR: wrong,
                    }
                )
            )
        table = pd.concat(parts[1:] or parts)
        if self.adata is not None and SYMBOL in self.adata.var:
            table.insert(0, SYMBOL, self.adata.var[SYMBOL].reindex(table.index))
        return table

    def _gene_names(self) -> pd.Index:
        """Names of the model's genes, also without samples."""
        if self.adata is not None:
            return self.adata.var_names.copy()
        known = recorded(self.registry).get(GENES)
        return pd.Index(known) if known else pd.RangeIndex(self.module.decoder.intercept.numel()).astype(str)

    def _principal_axes(self) -> PrincipalAxes:
        """Return the axes of the training samples, computed once; without samples those of the prior of the latent state."""
        if self.axes_ is None:
            self.axes_ = compute_axes(self)._asdict()
        return PrincipalAxes(**self.axes_)

    def _axes_for_saving(self) -> None:
        """Compute the axes of the training samples, if these are still as they were registered."""
        # samples that have changed may still be saved without axes
        with suppress(ValueError):
            self._principal_axes()
