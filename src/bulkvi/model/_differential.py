"""Differential expression: any contrast of the design, as a calibrated posterior and through the decoder."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.arguments import check_interval, check_number
from bulkvi.model._composition_shift import current_source, resolve_shift, shift_warning
from bulkvi.model._contrast import Contrast, group_contrast, numeric_contrast
from bulkvi.model._decoded import decoded_difference
from bulkvi.model._features import Features
from bulkvi.model._flags import TREND_UNSETTLED, effect_flags, gene_flags, join_flags, unit_of_contrast
from bulkvi.model._hidden import EffectKind, Weighted, beside_latent, check_latent, latent_alone
from bulkvi.model._record import RecordedMixin
from bulkvi.model._regression import GeneRegression, regress_genes
from bulkvi.model._size_factor_source import as_state
from bulkvi.stats.composition import CompositionShift
from bulkvi.stats.effect_summary import summarise_effect

LN2 = np.log(2)


class DifferentialMixin(RecordedMixin):
    """``differential_expression`` of :class:`~bulkvi.BulkVI`."""

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
        direct and latent add up to that of total. ``attrs["asked"]`` holds the arguments that gave the table. A file such
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
        check_number("delta", delta)
        if delta < 0:
            raise ValueError(f"delta is {delta}: give a smallest absolute effect, 0 or more (log2).")
        check_interval(level)
        check_latent(effect, latent_columns, self.module.n_latent)
        features = self._features()
        source = current_source(self.adata_manager)
        subtract = resolve_shift(source, given=composition_shift)
        compared = resolve_contrast(features, groupby, group1, group2, contrast)
        decoded = decoded_difference(self, features, compared)
        if compared.weights.any():
            plain = self._regress(features)
            weighted = beside_latent(
                self, plain, compared.weights, effect or "direct", latent_columns, common=not subtract
            )
        elif effect in (None, "latent") and compared.groups is not None:
            weighted = latent_alone(self, features.matrix(), *compared.groups)
        else:
            raise ValueError(
                f"The design does not tell {compared.label} apart, so there is no {effect} effect: put {groupby!r} into the "
                "design of setup_anndata, or ask for effect='latent'."
            )
        recentre = (effect or "direct") == "direct" and compared.weights.any()
        table = _effect_table(
            weighted,
            compared,
            decoded,
            unit=unit_of_contrast(features.matrix(), compared),
            subtract=subtract if recentre else None,
            delta=delta,
            level=level,
        )
        table.attrs[names.SIZE_FACTORS] = as_state(source)
        table = table.set_index(self.adata.var_names.copy())
        table.attrs[names.ASKED] = {
            "groupby": groupby,
            "group1": _plain(group1),
            "group2": _plain(group2),
            "contrast": None if contrast is None else {k: float(v) for k, v in compared.weights.items() if v},
            "effect": effect or ("direct" if compared.weights.any() else "latent"),
            "latent_columns": _plain(latent_columns),
            "composition_shift": None if composition_shift is None else subtract,
            "delta": float(delta),
            "level": float(level),
        }
        if (warning := shift_warning(table.attrs, source)) is not None:
            warnings.warn(warning, UserWarning, stacklevel=2)
        return table

    def get_design_matrix(self) -> pd.DataFrame:
        """Which columns can a contrast weigh, and what are their values?

        Returns
        -------
        Samples x columns: the intercept, the terms of the design formula, batches and covariates.

        Raises
        ------
        ValueError
            If the model has no data attached.
        """
        return self._features().matrix()

    def _features(self) -> Features:
        if self.adata is None:
            raise ValueError("The model has no samples attached; load it with BulkVI.load(folder, adata=adata).")
        self._check_unchanged()
        return Features(self.registry, self.module.coding, self.adata.obs)

    def _regress(self, features: Features) -> GeneRegression:
        return regress_genes(self.adata_manager, features.matrix())


def _plain(level: Any) -> Any:
    """A level of a column without NumPy around it, so that ``attrs`` can be written as JSON."""
    return level.item() if isinstance(level, np.generic) else level


def resolve_contrast(features: Features, groupby: str | None, group1: Any, group2: Any, contrast: Any) -> Contrast:
    """Return the comparison that arguments of ``differential_expression`` describe, or raise."""
    given = [value is not None for value in (groupby, group1, group2)]
    if (contrast is None) == (not any(given)) or (contrast is None and not all(given)):
        raise ValueError(
            "Give either groupby, group1 and group2, or contrast; given are "
            f"groupby={groupby!r}, group1={group1!r}, group2={group2!r}, contrast={contrast!r}."
        )
    if contrast is not None:
        return numeric_contrast(features.matrix(), contrast)
    return group_contrast(features, str(groupby), group1, group2)


def _effect_table(
    weighted: Weighted,
    compared: Contrast,
    decoded: np.ndarray,
    *,
    unit: float,
    subtract: bool | None,
    delta: float,
    level: float,
) -> pd.DataFrame:
    """Return the table of one effect; ``subtract`` is None where no shift is looked for."""
    regression = weighted.regression
    query = weighted.weights, weighted.covariance, weighted.sides
    if subtract is None:
        contrasted, seen = regression.contrast(*query), CompositionShift()
    else:
        contrasted, seen = regression.recentred(*query, subtract=subtract)
    summary = summarise_effect(
        contrasted.effect,
        log_p=contrasted.log_p,
        tested=regression.counts.max(0) > 0,
        informative=regression.informative,
        inflation=regression.inflation,
        shift=seen if subtract else CompositionShift(),
        null_centre=0.0 if subtract else seen.shift,
        expected=weighted.expected,
        level=level,
        delta=delta * LN2,
    )
    if not summary.converged:
        warnings.warn(
            "The prior of the effects was still moving after its last round: take shrunken effects, lfsr and s_value of this "
            "table as approximate. log_fc_mle, log_fc_se and the p-values do not depend on it.",
            UserWarning,
            stacklevel=3,
        )
    se = summary.se / LN2
    if not regression.fit.prior.converged:
        warnings.warn(TREND_UNSETTLED, UserWarning, stacklevel=3)
    flags = gene_flags(regression) | effect_flags(contrasted.separated, se, unit)
    table = pd.DataFrame(
        {
            names.BASE_MEAN: regression.base_mean,
            names.LOG_FC: summary.mean / LN2,
            names.LOG_FC_SD: summary.sd / LN2,
            names.LOG_FC_LOW: summary.low / LN2,
            names.LOG_FC_HIGH: summary.high / LN2,
            names.LOG_FC_MLE: summary.mle / LN2,
            names.LOG_FC_SE: se,
            names.LOG_FC_DECODED: decoded - summary.shift.shift / LN2,
            names.STAT: summary.stat,
            names.P_VALUE: summary.p_value,
            names.ADJ_P_VALUE: summary.adj_p_value,
            names.LFSR: summary.lfsr,
            names.S_VALUE: summary.s_value,
            names.PROB_EFFECT: summary.prob_effect,
            names.DISPERSION: np.exp(regression.fit.prior.mean),
            names.FLAG: join_flags(flags),
            names.CONTRAST: compared.label,
        }
    )
    table.attrs = {
        names.COMPOSITION_SHIFT: float(summary.shift.shift / LN2),
        names.COMPOSITION_SHIFT_SEEN: float(seen.shift / LN2),
        names.NULL_SHARE: float(summary.null_share),
        names.N_LATENT_COLUMNS: weighted.n_latent,
        names.NULL_VARIANCE: float(summary.null_variance),
    }
    return table
