"""Differential expression and its kin: delegates to the kept fit of all genes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.model.base import BaseModelClass

from bulkvi.model._decoded import DecodedRates
from bulkvi.model._registered import recorded, study_of
from bulkvi.regression.calibrate import Method, calibrate
from bulkvi.regression.calibration_report import CalibrationReport
from bulkvi.regression.fit import GeneFit
from bulkvi.regression.hidden import EffectKind
from bulkvi.study.fingerprint import check_unchanged


class DifferentialMixin(BaseModelClass):
    """The fit of all genes of :class:`~bulkvi.BulkVI`, and what is queried most often."""

    _recorded: AnnData | None = None
    _record: dict[str, Any]
    # scvi-tools saves attributes whose names end with an underscore: the fit is none of them
    _fit: GeneFit | None = None

    def gene_fit(self) -> GeneFit:
        """Return the regressions of all genes: fitted once, queried often.

        Returns
        -------
        The fit that all tables of this model are read from. It is kept until the model is trained again (regressions on the
        design alone survive that) or gets other samples, and never saved.

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
        """Drop what the kept fit computed from the network, which has changed."""
        if self._fit is not None:
            self._fit = self._fit.with_network(DecodedRates(self))

    def _check_unchanged(self) -> None:
        """Raise ValueError if the samples of the model are not what was registered any more.

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
        r"""How much does each gene's expression differ, and how sure is that?

        Each gene is a negative binomial regression on the design, with the log size factor (and the offset of
        ``setup_anndata``) held fixed and its dispersion integrated out under a prior learned from all genes; the effects are
        shrunk by a prior learned from all effects (adaptive shrinkage, Stephens 2017). :doc:`/method/posterior` has the formulas and how well it is calibrated.
        Beside it stands what the trained decoder says,

        .. math::

            \log_2 \frac{1}{n_1} \sum_{n \in G_1} \rho_g(z_n, \bar c_1)
            - \log_2 \frac{1}{n_2} \sum_{n \in G_2} \rho_g(z_n, \bar c_2)

        with :math:`\rho` the decoded rate per unit size factor, :math:`z_n` the posterior mean of the latent state and
        :math:`\bar c` the covariates of the group. Covariates that differ between the groups only because the groups do go
        with the group; all others are held at the mixture of both, so that an unbalanced batch does not count.

        Parameters
        ----------
        groupby
            Column of ``obs``.
        group1, group2
            Levels of that column. The sign is group1 over group2: up in group1 is positive.
        contrast
            Instead of groups: weights of the columns of :meth:`get_design_matrix`, as a dict by name or one for each. The
            effect is their weighted sum: ``{"age": 1}`` is the effect per year, an interaction is its own column, and the
            mean of two doses against control is ``{"dose[T.low]": 0.5, "dose[T.high]": 0.5}``.
        effect
            ``"direct"``: the effect with the latent state held fixed, so that a hidden batch does not pass for it.
            ``"latent"``: the part that the latent state carries. ``"total"``: their sum. The default is ``"direct"`` where
            the design tells the groups apart; where it does not, ``"latent"`` is the whole answer.
        latent_columns
            How many directions of the latent state enter the regressions. ``"auto"`` takes as many as parallel analysis
            finds, and none where too few genes stay unchanged to tell hidden variation from the effect
            (:meth:`latent_report`); 0 is the design alone.
        composition_shift
            Whether the shift that most direct effects share is subtracted from all of them, ``log_fc_mle`` included. By
            default only for size factors that :func:`bulkvi.pp.size_factors` estimated from all genes: they put zero in the
            wrong place if most genes change one way. Size factors from control genes, or of your own, decide where zero is.
        delta
            Smallest absolute effect that matters, log2, >= 0. ``p_value`` then tests an effect no larger than that, and
            ``prob_effect`` is the probability of a larger one.
        level
            Probability of the interval from ``log_fc_low`` to ``log_fc_high``.

        Returns
        -------
        A row for each gene in the order of ``var_names``; log2 throughout. Call genes on ``adj_p_value``, or on
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
            Probability that the sign is wrong, and its mean over this gene and all surer ones.
        ``prob_effect``
            Posterior probability of an absolute effect above ``delta``.
        ``dispersion``
            Posterior of alpha in variance = mean + alpha mean^2.
        ``flag``
            ``low_information``, ``outlier``, ``not_converged``, ``separated``, ``constant``, joined by commas.
        ``contrast``
            What was compared, in words.

        ``attrs["composition_shift"]`` is the shift that was subtracted from all effects, 0 if none was;
        ``attrs["composition_shift_seen"]`` the place of most direct effects before, 0 without strong evidence of a shift;
        ``attrs["size_factors"]`` the origin of the size factors; ``attrs["null_share"]`` the share of genes without effect
        in the prior.

        ``attrs["n_latent_columns"]`` is the number of latent columns that entered. Of one analysis, ``log_fc_mle`` of
        direct and latent add up to that of total. ``attrs["query"]`` holds the arguments that gave the table. A file such
        as csv keeps no ``attrs``; ``json.dumps(table.attrs)`` does.

        Raises
        ------
        KeyError
            If a column does not exist, of ``obs`` or of the design.
        TypeError
            If ``composition_shift`` is neither True, False nor None, or a number is none.
        ValueError
            If a group has no samples; a contrast is empty, of the wrong length or compares nothing; ``delta``, ``level``,
            ``effect`` or ``latent_columns`` is out of range; the part of the latent state is asked for and none enters; the samples
            lack what the comparison needs; no residual degrees of freedom are left; or the model has no data attached.
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
        r"""Is the false discovery rate of these calls what it says, on these samples?

        The labels of the two groups are exchanged between samples, and all else is kept: counts, size factors and
        offsets (they are not made from labels), other covariates, samples of other groups. Each time all genes are
        regressed anew on the relabelled design, outliers, dispersions, shared noise and prior included. Latent columns do not
        take part: what is measured is ``differential_expression(..., latent_columns=0)``, and the network is not trained
        anew. As nothing then differs between the groups by design, what is still called is false.
        The empirical false discovery rate at a threshold is

        .. math:: \max(\pi_0 \overline{V}, \overline{W}) / R

        with R the calls on the data, :math:`\overline{V}` the mean number of relabelled p-values that reach the p-value of
        the last of them (Tusher, Tibshirani & Chu 2001), and :math:`\overline{W}` the mean number of calls of the whole
        method on relabelled samples. :math:`\pi_0` is 1 for ``adj_p_value``, which takes all genes for possibly unchanged, and
        for ``s_value``, which does not, the share of genes without effect. The rate is 1 where more than 5 % of the
        relabellings give at least as many calls: nothing then tells the data from chance.

        Relabellings are distinct; neither the real one nor those that swap the names of the groups are among them. Those
        that resemble the real one still carry part of every real effect (column ``overlap``) and count only if there are
        too few others.

        Limits: the effects of genes that really change are noise once labels are exchanged. That makes relabelled p-values
        of all genes a little larger, and the empirical rate of data with many effects too low: 0.03 to 0.04 for a true 0.05
        if a tenth of the genes change. Covariates that go along with the group, such as an age, stay with their samples.
        Samples that are not independent (several of one donor) must not be exchanged one by one: name the donor as
        ``donor_key`` of ``setup_anndata``. Labels are then exchanged within donors that are in both groups, and whole donors
        among those that are in one.

        Parameters
        ----------
        groupby
            Column of ``obs``.
        group1, group2
            Levels of that column, as in :meth:`differential_expression`.
        within
            Columns of ``obs``: labels are exchanged between samples that are the same in all of them. By default the other
            categorical covariates of the design; ``[]`` for none.
        n_permutations
            Most relabellings; all of them if there are fewer.
        seed
            Seed of their choice; the caller's random state is left alone.
        method
            Instead of the model: any function of raw counts (samples of the two groups x genes) and group (1 for group1, 0
            for group2) that returns a p-value for each gene, NaN where it has none. It sees the same relabellings, and no
            offset.
        composition_shift
            Whether the shift that most effects share is subtracted, as in :meth:`differential_expression`. Not used with
            ``method``.
        n_jobs
            Relabellings worked on at a time, in threads. ``method`` must allow for threads if it is above 1.
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
            If a group has no samples, labels are missing, the design cannot tell the groups apart, too few relabellings
            exist, a number is below 1, or ``method`` does not return p-values.

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
