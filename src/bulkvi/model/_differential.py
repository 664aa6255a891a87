"""Differential expression, from the kept fit of all genes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.model.base import BaseModelClass

from bulkvi.model._decoded_rates import DecodedRates
from bulkvi.model._fields import recorded, study_of
from bulkvi.model._reference import genes_of_record
from bulkvi.regression.contrast import EffectKind
from bulkvi.regression.fit import GeneFit
from bulkvi.regression.last_layer import LastLayer
from bulkvi.study.fingerprint import check_unchanged


class DifferentialMixin(BaseModelClass):
    """The fit of all genes of :class:`~bulkvi.BulkVI`, and its most frequent table."""

    _recorded: AnnData | None = None
    _record: dict[str, Any]
    # scvi-tools saves attributes whose names end with an underscore: the fit is none of them
    _fit: GeneFit | None = None
    last_layer_: dict[str, Any] | None = None
    """Record of the last layer, saved with the model."""
    _layer: LastLayer | None = None
    trained_samples_: list[str] | None = None
    """Names of the samples of the last training; empty where they came from a data module."""
    # principal axes of the latent state (`bulkvi.model._axes`) as plain values, which are saved
    axes_: dict[str, Any] | None = None
    reference_: dict[str, Any] | None = None
    """What a reference cohort says of the genes, saved with the model."""

    def gene_fit(self) -> GeneFit:
        """Return the regressions of all genes: fitted once, the source of many tables.

        Returns
        -------
        The fit behind all tables of this model. It is kept until the model is trained again (regressions on the design alone remain
        valid then) or gets other samples, and never saved.

        Raises
        ------
        ValueError
            If the model has no data attached, or the samples changed since they were registered.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
        >>> fit = bv.BulkVI(adata).gene_fit()
        >>> fit.dispersions().columns.tolist()
        ['base_mean', 'dispersion_gene', 'dispersion_trend', 'dispersion', 'flag']
        """
        if self.adata is None:
            raise ValueError("The model has no samples attached; load it with BulkVI.load(folder, adata=adata).")
        self._check_unchanged()
        if self._fit is None or self._fit.study.adata is not self.adata:
            study = study_of(self.registry, self.adata, self._record)
            name = None if self.reference_ is None else self.reference_["name"]
            self._fit = GeneFit(study, DecodedRates(self), genes_of_record(self.reference_), name)
        return self._fit

    def _forget_network(self) -> None:
        """Drop the results that depend on the network, which has changed."""
        self._layer = self.last_layer_ = None
        self.trained_samples_ = [] if self.adata is None else self.adata.obs_names.astype(str).tolist()
        if self._fit is not None:
            self._fit = self._fit.with_network(DecodedRates(self))
        # a query stays on the axes of its reference
        if self.axes_ is not None and not self.axes_["of_reference"]:
            self.axes_ = None

    def _check_unchanged(self) -> None:
        """Raise ValueError if the samples of the model are not the registered ones any more.

        The record is kept from the first time on: scvi-tools registers samples again when another model was made of them.
        """
        if self.adata is None:
            return
        if self._recorded is not self.adata:
            self._recorded, self._record = self.adata, recorded(self.registry)
        check_unchanged(self._record, self.adata)

    def differential_expression(
        self,
        groupby: str | None = None,
        group1: Any = None,
        group2: Any = None,
        *,
        contrast: Mapping[str, float] | Sequence[float] | np.ndarray | None = None,
        effect: EffectKind | None = None,
        latent_columns: int | Literal["auto"] = "auto",
        composition_shift: bool | None = None,
        delta: float = 0.0,
        level: float = 0.95,
    ) -> pd.DataFrame:
        r"""Estimate and test the effect of a comparison on each gene. How much does expression differ, and how sure is that?

        Each gene is a negative binomial regression on the design, with the log size factor (and the offset of
        ``setup_anndata``) held fixed and its dispersion integrated out under a prior learned from all genes; the effects are
        shrunk by a prior learned from all effects (adaptive shrinkage, Stephens 2017). :doc:`/method/posterior` has the formulas
        and measurements of the calibration. ``log_fc_decoded`` is the estimate of the trained decoder,

        .. math::

            \log_2 \frac{1}{n_1} \sum_{n \in G_1} \rho_g(z_n, \bar c_1)
            - \log_2 \frac{1}{n_2} \sum_{n \in G_2} \rho_g(z_n, \bar c_2)

        with :math:`\rho` the decoded rate per unit size factor, :math:`z_n` the posterior mean of the latent state and
        :math:`\bar c` the covariates of the group. Covariates that the grouping determines have the group's value; all others are
        held at the mixture of both groups, so that an unbalanced batch has no effect.

        Parameters
        ----------
        groupby
            Column of ``obs``.
        group1, group2
            Levels of that column. The sign is group1 over group2: up in group1 is positive.
        contrast
            Instead of groups: weights of the columns of :meth:`get_design_matrix`, as a dict by name or one for each. The
            effect is their weighted sum: ``{"age": 1}`` is the effect per year, an interaction is its column, and the
            mean of two doses against control is ``{"dose[T.low]": 0.5, "dose[T.high]": 0.5}``.
        effect
            ``"direct"``: the effect given the latent state, without the contribution of a hidden batch.
            ``"latent"``: the part through the latent state. ``"total"``: their sum. The default is ``"direct"`` where
            the design distinguishes the groups, and ``"latent"``, the whole effect, where it does not. With a reference it is
            ``"total"`` where the groups stand further apart along its directions than their replicates do, as after a treatment that
            acts along one; ``attrs["query"]["effect"]`` says which it was.
        latent_columns
            How many latent columns are in the regressions. ``"auto"`` takes as many as parallel analysis finds, and none if too many
            genes change to separate hidden variation from the effect (:meth:`latent_report`); 0 is the design alone. There are
            no more than training found, whatever the number. The directions of a reference are not counted.
        composition_shift
            Whether the shift that most direct effects share is subtracted from all of them, ``log_fc_mle`` included. By
            default only for size factors that :func:`bulkvi.pp.size_factors` estimated from all genes: their zero is
            wrong if most genes change in one direction. Size factors from control genes, or of the user, define zero.
        delta
            Smallest absolute effect of interest, log2, >= 0. ``p_value`` then tests an effect no larger than that, and
            ``prob_effect`` is the probability of a larger one.
        level
            Probability of the interval from ``log_fc_low`` to ``log_fc_high``.

        Returns
        -------
        One row per gene in the order of ``var_names``; log2 throughout. Call genes on ``adj_p_value``, or on
        ``s_value`` if the sign is what matters.

        ``base_mean``
            Mean over all samples of count / size factor (/ relative offset, where the model has one).
        ``log_fc, log_fc_sd, log_fc_low, log_fc_high``
            Posterior mean, standard deviation and interval of the effect, shrunk.
        ``log_fc_mle, log_fc_se``
            The effect without shrinkage and its standard error (for spike-ins, or to combine studies).
        ``log_fc_decoded``
            The difference above: an estimate by the decoder, without uncertainty.
        ``stat, p_value, adj_p_value``
            Test of no effect; adjusted by Benjamini-Hochberg over the genes with counts.
        ``lfsr, s_value``
            Probability that the sign is wrong; expected share of wrong signs among this gene and all more significant ones.
        ``prob_effect``
            Posterior probability of an absolute effect above ``delta``.
        ``dispersion``
            Posterior of alpha in variance = mean + alpha mean^2.
        ``flag``
            ``low_information``, ``outlier``, ``not_converged``, ``separated``, ``constant``, joined by commas.
        ``contrast``
            Description of the comparison.

        ``attrs["composition_shift"]`` is the shift that was subtracted from all effects, 0 if none was;
        ``attrs["composition_shift_seen"]`` the mode of the direct effects before, 0 without strong evidence of a shift;
        ``attrs["size_factors"]`` the origin of the size factors; ``attrs["null_share"]`` the share of genes without effect
        in the prior; ``attrs["independent_genes"]`` how many independent genes all genes are worth as evidence of small effects:
        with few, noise that genes share would look the same, and ``s_value`` is cautious; ``attrs["n_latent_columns"]`` the number
        of latent columns in the regressions, ``attrs["design_alone"]`` the part of the regression without them in the results. In one
        analysis, ``log_fc_mle`` of direct and latent add up to that of total. ``attrs["reference"]`` says what a reference did: ``name``,
        ``n_genes`` (genes that it has), ``n_directions``, ``dispersion_trust`` (share of its genes' deviations from the trend of the
        dispersions that is found again; 0 for a wrong one), and ``carried_p_value``, that the groups stand no further apart along its
        directions than chance explains. ``attrs["query"]`` holds the arguments of the table. A file such
        as csv keeps no ``attrs``; ``json.dumps(table.attrs)`` does.

        Raises
        ------
        KeyError
            If a column does not exist, of ``obs`` or of the design.
        TypeError
            If ``composition_shift`` is neither True, False nor None, or an argument that must be a number is not one.
        ValueError
            If a group has no samples; a contrast is empty, of the wrong length or compares nothing; ``delta``, ``level``,
            ``effect`` or ``latent_columns`` is out of range; ``effect="latent"`` is given and no latent column is used; the
            samples lack what the comparison needs; no residual degrees of freedom are left; or the model has no data attached.
        """
        return self.gene_fit().contrast(
            groupby,
            group1,
            group2,
            contrast=contrast,
            effect=effect,
            latent_columns=latent_columns,
            composition_shift=composition_shift,
            delta=delta,
            level=level,
        )
