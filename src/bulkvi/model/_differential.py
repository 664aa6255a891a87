"""Differential expression and related tables, from the kept fit of all genes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.model.base import BaseModelClass

from bulkvi.model._decoded_rates import DecodedRates
from bulkvi.model._fields import recorded, study_of
from bulkvi.regression.calibrate import Method, calibrate
from bulkvi.regression.calibration_report import CalibrationReport
from bulkvi.regression.fit import GeneFit
from bulkvi.regression.hidden import EffectKind
from bulkvi.regression.last_layer import LastLayer
from bulkvi.study.fingerprint import check_unchanged


class DifferentialMixin(BaseModelClass):
    """The fit of all genes of :class:`~bulkvi.BulkVI`, and its most frequent tables."""

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
            self._fit = GeneFit(study_of(self.registry, self.adata, self._record), DecodedRates(self))
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
            the design distinguishes the groups, and ``"latent"``, the whole effect, where it does not.
        latent_columns
            How many latent columns are in the regressions. ``"auto"`` takes as many as parallel analysis finds, and none if too many
            genes change to separate hidden variation from the effect (:meth:`latent_report`); 0 is the design alone.
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
        analysis, ``log_fc_mle`` of direct and latent add up to that of total. ``attrs["query"]`` holds the arguments of the table. A file such
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

    def calibrate(
        self,
        groupby: str,
        group1: Any,
        group2: Any,
        *,
        within: str | Sequence[str] | None = None,
        n_permutations: int = 100,
        seed: int = 0,
        method: Method | None = None,
        composition_shift: bool | None = None,
        n_jobs: int = 1,
        progress_bar: bool = True,
    ) -> CalibrationReport:
        r"""Estimate the false discovery rate of the calls of a comparison by permutation of the labels of these samples.

        The labels of the two groups are exchanged between samples; counts, size factors, offsets (they do not depend on labels),
        other covariates and the samples of other groups stay. For each permutation all genes are fitted again, including outliers,
        dispersions, shared noise and prior, but without latent columns: the rate is that of
        ``differential_expression(..., latent_columns=0)``, and the network is not trained again. Permuted groups do not differ by
        design, so every call is false. The empirical false discovery rate at a threshold is

        .. math:: \max(\pi_0 \overline{V}, \overline{W}) / R

        with R the calls on the data, :math:`\overline{V}` the mean number of permuted p-values that reach the p-value of
        the last of them (Tusher, Tibshirani & Chu 2001), and :math:`\overline{W}` the mean number of calls of the whole
        method on permuted samples. :math:`\pi_0` is 1 for ``adj_p_value``, which allows that no gene changes, and
        for ``s_value``, which does not, the share of genes without effect. The rate is 1 where more than 5 % of the
        permutations give at least as many calls: the data then do not differ from chance.

        Permutations are distinct, and neither the identity nor an exchange of the names of the groups is among them. Those
        that resemble the real labels still contain part of every real effect (column ``overlap``) and count only if there are
        too few others.

        Limits: the effects of genes that really change are noise once labels are permuted. Permuted p-values of all genes are
        therefore a little larger, and the empirical rate of data with many effects is too low: 0.03 to 0.04 for a true 0.05
        if a tenth of the genes change. Covariates that are associated with the group, such as an age, stay with their samples.
        Dependent samples (several of one donor) must not be exchanged one by one: name the donor as ``donor_key`` of
        ``setup_anndata``. Labels are then exchanged within donors that are in both groups, and whole donors
        among those that are in one.

        Parameters
        ----------
        groupby
            Column of ``obs``.
        group1, group2
            Levels of that column, as in :meth:`differential_expression`.
        within
            Columns of ``obs``: labels are exchanged between samples that are equal in all of them. By default the other
            categorical covariates of the design; ``[]`` for none.
        n_permutations
            Largest number of permutations; all of them if there are fewer.
        seed
            Seed of their choice; the caller's random state does not change.
        method
            Instead of the model: any function of raw counts (samples of the two groups x genes) and group (1 for group1, 0
            for group2) that returns one p-value per gene, NaN where it has none. It gets the same permutations, and no
            offset.
        composition_shift
            Whether the shift that most effects share is subtracted, as in :meth:`differential_expression`. Not used with
            ``method``.
        n_jobs
            Number of threads. ``method`` must be thread-safe if it is above 1.
        progress_bar
            Whether to show progress.

        Returns
        -------
        Tables and a verdict: ``print(report)``.

        Raises
        ------
        KeyError
            If a column does not exist.
        ValueError
            If a group has no samples, labels are missing, the design does not distinguish the groups, there are too few
            permutations, a number is below 1, or ``method`` does not return p-values.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=300)
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
        >>> report = bulkvi.BulkVI(adata).calibrate("group", "B", "A", n_permutations=10, progress_bar=False)
        >>> report.n_relabellings, report.n_distinct
        (10, 34)
        """
        return calibrate(
            self.gene_fit(),
            groupby,
            group1,
            group2,
            within=within,
            n_permutations=n_permutations,
            seed=seed,
            method=method,
            composition_shift=composition_shift,
            n_jobs=n_jobs,
            progress_bar=progress_bar,
        )
