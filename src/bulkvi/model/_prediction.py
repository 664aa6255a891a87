"""Predictions from the Bayesian last layer: rates with intervals, replicates of counts, held-out log likelihood."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.special import ndtri

from bulkvi.arguments import check_interval, check_number, check_whole
from bulkvi.model._last_layer import LastLayerMixin
from bulkvi.stats.counts.counts import LARGEST
from bulkvi.stats.predictive.state import SampleStates
from bulkvi.study.groups import gene_positions, sample_positions

LARGEST_LIBRARY = 1e3 * LARGEST
LARGEST_LOG = 80.0
"""Beyond which the exponential of a log rate overflows single precision."""


class ExpressionInterval(NamedTuple):
    """Rates of samples with their credible interval: three tables, samples x genes."""

    rate: Any
    """Posterior median."""
    low: Any
    high: Any


class PredictionMixin(LastLayerMixin):
    """Rates, replicates and likelihoods of :class:`~bulkvi.BulkVI`."""

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
        interval: float | None = None,
    ) -> Any:
        r"""Return rates :math:`\rho_{ng}`: expected counts per unit size factor, depth and offset removed.

        They are the posterior medians of the last layer (:meth:`last_layer`): each gene's regression on the design and the
        samples' state. The state of new samples is inferred from their counts. Models with another likelihood than ``"nb"``, and
        models without last layer, return the decoder's own rates.

        Parameters
        ----------
        adata
            Samples; the registered ones if ``None``.
        indices
            Positions of samples; all if ``None``.
        transform_batch
            Batch, or batches to average over, in which every sample is predicted; the batch of each sample if ``None``.
        gene_list
            Genes to return; all if ``None``.
        library_size
            Size factor to scale the rates to.
        n_samples
            Number of draws from the posterior of state and coefficients; 0 returns the median, which does not depend on a seed.
        batch_size
            Samples decoded at once, where the decoder's rates are returned.
        return_mean
            Whether to average over the draws.
        return_numpy
            Whether to return arrays instead of tables.
        interval
            Probability of a credible interval of the rate, e.g. 0.95; that of counts is wider (:meth:`posterior_predictive_sample`).

        Returns
        -------
        Samples x genes on the scale of counts (not logged); draws x samples x genes, as an array, if ``return_mean`` is
        ``False`` and ``n_samples > 1``. With ``interval`` a named tuple of three of them, ``rate``, ``low`` and ``high``.

        Raises
        ------
        KeyError, TypeError
            If a gene is not in the model, ``gene_list`` is one name and not a list, or a number is not one.
        ValueError
            If ``library_size`` is not above 0 and at most 1e15, ``n_samples`` is below 0, a batch is not one of the model's, an
            index of a sample is out of range, or ``interval`` is not between 0 and 1, is given together with draws or several batches, or
            for a model without last layer.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
        >>> model = bv.BulkVI(adata, n_latent=2)
        >>> model.train(max_steps=20, progress_bar=False)
        >>> rate, low, high = model.get_normalized_expression(interval=0.95)
        >>> bool(((low < rate) & (rate < high)).all(axis=None))
        True
        """
        self._check_if_trained(warn=False)
        adata = self._validate_anndata(adata)
        if interval is not None:
            check_interval(interval)
        check_number("library_size", library_size, above=0, most=LARGEST_LIBRARY)
        check_whole("n_samples", n_samples, least=0)
        if batch_size is not None:
            check_whole("batch_size", batch_size, least=1)
        rows, genes = self._chosen(adata, indices, gene_list)
        layer = self._layer_for(adata, needed=interval is not None)
        moments: list[tuple[np.ndarray, np.ndarray]] = []

        def rates(log_rate: np.ndarray) -> np.ndarray:
            return (library_size * np.exp(np.clip(log_rate, -LARGEST_LOG, LARGEST_LOG))).astype(np.float32)

        if layer is None:
            expression = library_size * self._decoded_expression(
                adata, rows, genes, transform_batch=transform_batch, n_samples=n_samples, batch_size=batch_size
            )
        else:
            study = self._study(adata)
            designs = [design[rows] for design in self._designs(layer, study, adata, transform_batch)]
            if interval is not None and (n_samples > 0 or len(designs) > 1):
                raise ValueError(
                    "interval: give one of an interval, draws (n_samples) and several batches (transform_batch)."
                )
            states = _rows_of(layer.states_of(study), rows)
            if n_samples == 0:
                moments = [layer.log_rates(states, design, genes) for design in designs]
                expression = np.mean([rates(mean) for mean, _ in moments], axis=0)
            else:
                seed = _seed()
                drawn = [layer.draw_rates(states, design, genes, n_samples, _generator(seed)) for design in designs]
                expression = np.mean([np.stack([rates(each) for each in draws]) for draws in drawn], axis=0)
        if expression.ndim == 3:
            if not return_mean and n_samples > 1:
                return expression
            expression = expression.mean(0)

        def table(values: np.ndarray) -> Any:
            return values if return_numpy else pd.DataFrame(values, adata.obs_names[rows], adata.var_names[genes])

        if interval is None:
            return table(expression)
        mean, variance = moments[0]
        reach = ndtri(0.5 + interval / 2) * np.sqrt(variance)
        return ExpressionInterval(table(expression), table(rates(mean - reach)), table(rates(mean + reach)))

    def posterior_predictive_sample(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        transform_batch: Any = None,
        n_samples: int = 1,
        gene_list: Sequence[str] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Draw replicates of the counts of samples: state, coefficients, dispersions and then counts.

        Samples of one draw share their genes' coefficients. Models without last layer draw from the decoder.

        Parameters
        ----------
        adata, indices, gene_list, batch_size
            As in :meth:`get_normalized_expression`.
        transform_batch
            Batch in which every sample is drawn; the batch of each sample if ``None``.
        n_samples
            Number of draws.
        **kwargs
            Further arguments of scvi-tools' method (``dataloader``, ``silent``); with a ``dataloader`` the decoder draws.

        Returns
        -------
        Sparse array, samples x genes, or samples x genes x draws if ``n_samples`` is above 1.

        Raises
        ------
        KeyError, ValueError
            If a gene, batch or index is not in the model, or a number is out of range.
        """
        from sparse import GCXS

        self._check_if_trained(warn=False)
        layer = None
        if kwargs.get("dataloader") is None:
            adata = self._validate_anndata(adata)
            layer = self._layer_for(adata)
        if layer is None:
            return super().posterior_predictive_sample(
                adata, indices, transform_batch, n_samples, gene_list, batch_size, **kwargs
            )
        check_whole("n_samples", n_samples, least=1)
        rows, genes = self._chosen(adata, indices, gene_list)
        study = self._study(adata)
        designs = self._designs(layer, study, adata, transform_batch)
        if len(designs) > 1:
            raise ValueError("transform_batch: give one batch; an average of counts of several batches is no count.")
        states = _rows_of(layer.states_of(study), rows)
        draws = layer.draw_counts(study, states, designs[0][rows], genes, rows, n_samples, _generator(_seed()))
        counts = np.stack([draw.astype(np.float32) for draw in draws], axis=-1)
        return GCXS.from_numpy(counts[..., 0] if n_samples == 1 else counts)

    def get_predictive_log_likelihood(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        gene_list: Sequence[str] | None = None,
        given_genes: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        r"""Return the log predictive probability of each count. How well does the model describe these samples?

        .. math:: \log \int p(x_{ng} \mid u_n, \theta_g, \alpha_g) \, p(u_n, \theta_g, \alpha_g \mid \text{data}) \, d(u, \theta, \alpha)

        with state, coefficients and dispersion integrated out. To score a sample honestly, infer its state from one part of the genes and
        score the others: ``given_genes`` and ``gene_list``.

        Parameters
        ----------
        adata
            Samples; the registered ones if ``None``. The registered ones are scored by the model that was trained on them.
        indices
            Positions of samples; all if ``None``.
        gene_list
            Genes to return; all if ``None``.
        given_genes
            Genes that the state and the noise of each sample are inferred from; all if ``None``.

        Returns
        -------
        Samples x genes, natural log. Models without last layer return that of the decoder at the posterior mean of the latent state.

        Raises
        ------
        KeyError, TypeError
            If a gene is not in the model, or an argument is one name and not a list.
        ValueError
            If an index is out of range, or ``given_genes`` is given for a model without last layer.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
        >>> model = bv.BulkVI(adata, n_latent=2)
        >>> model.train(max_steps=20, progress_bar=False)
        >>> half, other = list(adata.var_names[::2]), list(adata.var_names[1::2])
        >>> model.get_predictive_log_likelihood(given_genes=half, gene_list=other).shape
        (8, 100)
        """
        self._check_if_trained(warn=False)
        adata = self._validate_anndata(adata)
        rows, genes = self._chosen(adata, indices, gene_list)
        given = None if given_genes is None else gene_positions("given_genes", given_genes, adata.var_names)
        layer = self._layer_for(adata, needed=given is not None)
        if layer is None:
            values = np.concatenate(list(self._decoded_log_likelihood(adata, rows)))[:, genes]
        else:
            study = self._study(adata)
            predicted = layer.counts(study, layer.states_of(study, given), genes, rows)
            values = predicted.log_probability(study.counts[rows][:, genes])
        return pd.DataFrame(values, index=adata.obs_names[rows], columns=adata.var_names[genes])

    def _chosen(
        self, adata: AnnData, indices: Sequence[int] | None, gene_list: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of samples and genes."""
        rows = np.arange(adata.n_obs) if indices is None else sample_positions(indices, adata.n_obs)
        if gene_list is None:
            return rows, np.arange(adata.n_vars)
        return rows, gene_positions("gene_list", gene_list, adata.var_names)


def _rows_of(states: SampleStates, rows: np.ndarray) -> SampleStates:
    return SampleStates(*(each[rows] for each in states))


def _seed() -> int:
    """Draw a seed from torch's generator, which is the caller's."""
    return int(torch.randint(2**62, (1,)))


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
