"""Corrected expression: what was observed, with batches and hidden directions taken out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bulkvi.model._latent import LatentMixin
from bulkvi.regression.corrected import corrected_expression
from bulkvi.study.columns import column_of
from bulkvi.study.groups import gene_positions
from bulkvi.study.study_design import StudyDesign


class CorrectedMixin(LatentMixin):
    """Corrected expression of :class:`~bulkvi.BulkVI`."""

    def get_corrected_expression(
        self,
        remove: str | Sequence[str] | None = None,
        *,
        reference: Mapping[str, Any] | None = None,
        keep: str | Sequence[str] = (),
        directions: str | Sequence[str] = (),
        gene_list: Sequence[str] | None = None,
        return_sd: bool = False,
    ) -> Any:
        r"""Return the observed log2 expression of the samples without batch effects, for heat maps, clustering and networks.

        It does for raw counts what a variance-stabilising transformation and ``removeBatchEffect`` of limma do one after the other.
        Each gene is regressed on the design (and ``keep`` and ``directions``), as in :meth:`differential_expression`. With
        :math:`r_{ng}` the part of its log mean that is removed, the value of a sample is

        .. math::

            y_{ng} = \frac{b_g + E[u_{ng} \mid x_{ng}]}{\log 2}, \qquad
            x_{ng} \sim \mathrm{Poisson}(s_n e^{b_g + r_{ng} + u_{ng}}), \qquad u_{ng} \sim N(-\sigma_g^2 / 2, \sigma_g^2),

        with :math:`b_g` the level of the gene and :math:`\sigma_g^2 = \log(1 + \alpha_g)` its variance between samples once
        r is removed, kept effects included: labels that are kept have no other part in a value than that they protect the estimate of
        r. So a count far above its noise is :math:`\log_2` of what was observed, a low one is shrunk to the level of its gene, and zero
        is finite: the noise of counting does not dominate distances (compare the regularised logarithm of Love et al. 2014).

        Do not test groups on the result, here or elsewhere: the removed effects count as known then. Use
        :meth:`differential_expression` with the batch in the design.

        Parameters
        ----------
        remove
            Columns of ``obs`` in the model (batch, covariates, variables of the design) whose effects are removed. By default
            ``batch_key``, if the model has one; ``[]`` removes none.
        reference
            Value of removed columns at which all samples are given, for example ``{"batch": "b1"}``. By default the mean over the
            samples.
        keep
            Further columns of ``obs`` whose differences must not be removed, such as groups that are not in the design. What
            is in the design and not removed is always kept.
        directions
            Axes of :meth:`get_latent_representation` to remove as well, such as ``["axis_2"]``: what they explain beside the
            design and ``keep`` is set to their mean.
        gene_list
            Genes to return; all if ``None``.
        return_sd
            Whether to return standard deviations too: that of u given its count, and the uncertainty of what is removed.

        Returns
        -------
        Samples x genes, log2 of expected counts per unit size factor (and relative offset); or two such tables, values and
        standard deviations, if ``return_sd``.

        Raises
        ------
        KeyError
            If a column, gene or axis does not exist.
        TypeError
            If ``gene_list`` is one name and not a list.
        ValueError
            If a column to remove is not in the model, or what is removed is confounded with what is kept; a reference is of no column
            that is removed, or no level of it; or no residual degrees of freedom are left.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=200, n_batches=2)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ group")
        >>> model = bv.BulkVI(adata, n_latent=2)
        >>> model.train(max_steps=20, progress_bar=False)
        >>> adata.layers["corrected"] = model.get_corrected_expression()
        >>> bool(np.isfinite(adata.layers["corrected"]).all())
        True
        """
        fit = self.gene_fit()
        study = fit.study
        study.check_unchanged()
        design = study.design
        if remove is None:
            remove = () if design.batch is None else (design.batch.name,)
        removed, kept, axes = _names(remove), _names(keep), _names(directions)
        _check_columns(design, removed, kept, reference or {})
        genes = slice(None) if gene_list is None else gene_positions("gene_list", gene_list, study.genes)
        chosen = self._directions(axes, study.obs.index)
        corrected = corrected_expression(study, fit.regression, removed, reference or {}, kept, chosen)
        samples, names = study.adata.obs_names, study.genes[genes]
        mean, sd = (pd.DataFrame(part[:, genes], samples, names) for part in corrected)
        return (mean, sd) if return_sd else mean

    def _directions(self, axes: list[str], samples: pd.Index) -> pd.DataFrame:
        """Coordinates of the samples on some axes, with mean square 1."""
        if not axes:
            return pd.DataFrame(index=samples)
        known = self.get_loadings().columns
        if absent := [axis for axis in axes if axis not in known]:
            raise KeyError(f"directions: {absent} are no axes of the latent representation; it has {list(known)}.")
        state = self.get_latent_representation()[:, known.get_indexer(axes)].astype(float)
        scale = np.sqrt(np.square(state).mean(0))
        used = scale > 0
        return pd.DataFrame(
            state[:, used] / scale[used], samples, [axis for axis, one in zip(axes, used, strict=True) if one]
        )


def _names(given: str | Sequence[str]) -> list[str]:
    return list(dict.fromkeys([given] if isinstance(given, str) else given))


def _check_columns(design: StudyDesign, remove: list[str], keep: list[str], reference: Mapping[str, Any]) -> None:
    """Raise KeyError or ValueError unless the columns exist and the references are values of removed ones."""
    obs = design.obs
    if absent := [name for name in (*remove, *keep) if name not in obs]:
        raise KeyError(f"{absent} are not columns of adata.obs; it has {list(obs.columns)}.")
    if unknown := [name for name in remove if name not in design.variables]:
        raise ValueError(
            f"remove: {unknown} are not in the model; it has {design.variables}. Give them to setup_anndata, as batch_key, a covariate "
            "or in the design."
        )
    if both := [name for name in keep if name in remove]:
        raise ValueError(f"{both} are both in `remove` and in `keep`.")
    if missing := [name for name in keep if column_of(obs, name).isna().any()]:
        raise ValueError(f"keep: {missing} have missing values. Fill them in, or leave these columns out.")
    for name, value in reference.items():
        if name not in remove:
            raise ValueError(f"reference: {name!r} is not removed; removed are {remove}.")
        if name in design.categorical and not (obs[name] == value).any():
            raise ValueError(
                f"reference: no sample has {name}={value!r}; it has {sorted(obs[name].unique(), key=str)}."
            )
