"""The fitted regressions of all genes: fitted once, queried often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.arguments import check_interval, check_number, warn_user
from bulkvi.reference_names import (
    CARRIED_P_VALUE,
    DECIDED,
    DISPERSION_TRUST,
    N_DIRECTIONS,
    N_GENES,
    REFERENCE,
    REFERENCE_NAME,
)
from bulkvi.regression import tables, weights
from bulkvi.regression.composition_shift import resolve_shift, shift_warning
from bulkvi.regression.contrast import Contrast, EffectKind, check_latent, resolve_contrast, unit_of_contrast
from bulkvi.regression.effect_table import effect_table
from bulkvi.regression.hidden import (
    HiddenVariation,
    Network,
    effect_given_latent,
    effect_through_latent,
)
from bulkvi.regression.omnibus import omnibus_table, tested_columns
from bulkvi.regression.reference import ReferenceVariation, deviation_alone
from bulkvi.regression.reference_contrast import effect_beside_reference
from bulkvi.regression.regression import GeneRegression, regress_genes
from bulkvi.stats.reference.genes import ReferenceGenes
from bulkvi.study.groups import gene_positions
from bulkvi.study.size_factors import as_state
from bulkvi.study.study import Study


@dataclass(frozen=True, eq=False)
class GeneFit:
    """Negative binomial regressions of every gene on the design, and on the design with latent columns.

    Made by :meth:`bulkvi.BulkVI.gene_fit`. Each regression is fitted at the first query that needs it and kept; queries
    then cost their own arithmetic only. Every query checks that the samples are those that were registered. Threads may share
    a fit: at worst a regression is fitted twice.

    Parameters
    ----------
    study
        The samples.
    network
        Results of the trained network.
    reference
        What a reference cohort says of the genes.
    reference_name
        What the cohort is called.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    >>> model = bv.BulkVI(adata, n_latent=2)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> fit = model.gene_fit()
    >>> fit.contrast("group", "B", "A").columns[:3].tolist()
    ['base_mean', 'log_fc', 'log_fc_sd']
    >>> fit.outliers().columns.tolist()
    ['sample', 'count', 'expected_count']
    """

    study: Study
    network: Network
    reference: ReferenceGenes | None = None
    reference_name: str | None = None

    @cached_property
    def regression(self) -> GeneRegression:
        """All genes regressed on the design.

        Raises
        ------
        ValueError
            If no residual degrees of freedom are left.
        """
        known = None if self.reference is None else deviation_alone(self.reference)
        return regress_genes(self.study, self.study.design.matrix, reference=known)

    @cached_property
    def _hidden(self) -> HiddenVariation:
        return HiddenVariation(self.study, self.regression, self.network)

    @cached_property
    def reference_variation(self) -> ReferenceVariation | None:
        """Regressions given the states along the directions of the reference; None without one, or where it has no directions."""
        if self.reference is None or not len(self.reference.loadings):
            return None
        return ReferenceVariation(self.study, self.regression, self.reference, self.network)

    @property
    def hidden_variation(self) -> HiddenVariation:
        """Latent columns beside the regression on the design."""
        return self._hidden

    def with_network(self, network: Network) -> "GeneFit":
        """Return the fit with another network: the regressions on the design are kept, those on latent columns are not."""
        fit = replace(self, network=network)
        if "regression" in self.__dict__:
            fit.__dict__["regression"] = self.regression
        return fit

    @property
    def design_matrix(self) -> pd.DataFrame:
        """Samples x columns of the design, intercept first."""
        return self.study.design.matrix.copy()

    def contrast(
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
        """Estimate and test one contrast of every gene.

        Parameters
        ----------
        groupby, group1, group2, contrast, effect, latent_columns, composition_shift, delta, level
            As in :meth:`bulkvi.BulkVI.differential_expression`.

        Returns
        -------
        The table of :meth:`bulkvi.BulkVI.differential_expression`.

        Raises
        ------
        KeyError, TypeError, ValueError
            As there; ValueError if the samples changed since they were registered.
        """
        check_number("delta", delta)
        if delta < 0:
            raise ValueError(f"delta is {delta}: give a smallest absolute effect, 0 or more (log2).")
        check_interval(level)
        check_latent(effect, latent_columns, self.network.n_latent)
        self.study.check_unchanged()
        design, source = self.study.design, self.study.source
        subtract = resolve_shift(source, given=composition_shift)
        compared = resolve_contrast(design, groupby, group1, group2, contrast)
        decoded = self.network.decoded_log_fc(design, compared)
        estimable = bool(compared.weights.any())
        if estimable and self.reference_variation is not None:
            weighted = effect_beside_reference(
                self.reference_variation, compared.weights, effect, latent_columns, common=not subtract
            )
        elif estimable:
            weighted = effect_given_latent(
                self._hidden, compared.weights, effect or "direct", latent_columns, common=not subtract
            )
        elif effect in (None, "latent") and compared.groups is not None:
            weighted = effect_through_latent(self._hidden, *compared.groups)
        else:
            raise ValueError(
                f"The design does not tell {compared.label} apart, so there is no {effect} effect: put {groupby!r} into the "
                "design of setup_anndata, or ask for effect='latent'."
            )
        kind = weighted.kind or effect or ("direct" if estimable else "latent")
        recentre = kind == "direct" or (kind == "total" and effect != "total")
        table = effect_table(
            weighted,
            compared,
            decoded,
            unit=unit_of_contrast(design.matrix, compared),
            subtract=subtract if recentre else None,
            delta=delta,
            level=level,
        ).set_index(self.study.genes.copy())
        if self.reference is not None:
            table.attrs[REFERENCE] = {
                REFERENCE_NAME: self.reference_name,
                N_GENES: int(self.reference.known.sum()),
                N_DIRECTIONS: len(self.reference.loadings),
                DISPERSION_TRUST: float(weighted.regression.fit.prior.trust),
                CARRIED_P_VALUE: weighted.carried,
                DECIDED: effect is None,
            }
        table.attrs[names.SIZE_FACTORS] = as_state(source)
        table.attrs[names.QUERY] = {
            "groupby": groupby,
            "group1": _plain(group1),
            "group2": _plain(group2),
            "contrast": None if contrast is None else {k: float(v) for k, v in compared.weights.items() if v},
            "effect": kind,
            "latent_columns": _plain(latent_columns),
            "composition_shift": None if composition_shift is None else subtract,
            "delta": float(delta),
            "level": float(level),
        }
        if (warning := shift_warning(table.attrs, source)) is not None:
            warn_user(warning)
        return table

    def omnibus(self, what: str | Sequence[str], *, latent_columns: int | Literal["auto"] = "auto") -> pd.DataFrame:
        """Test several columns of the design together (:meth:`bulkvi.BulkVI.omnibus_test`)."""
        check_latent(None, latent_columns, self.network.n_latent)
        self.study.check_unchanged()
        columns = tested_columns(self.study.design, what)
        return omnibus_table(self.study, self._hidden, columns, latent_columns, self.reference_variation)

    def hidden(self) -> pd.DataFrame:
        """Tabulate the latent columns and what they go with (:meth:`bulkvi.BulkVI.latent_report`)."""
        self.study.check_unchanged()
        return tables.latent_report(self._hidden, self.reference_variation)

    def dispersions(self) -> pd.DataFrame:
        """Tabulate the dispersion of every gene (:meth:`bulkvi.BulkVI.get_dispersions`)."""
        self.study.check_unchanged()
        return tables.dispersion_table(self.study, self.regression)

    def outliers(self) -> pd.DataFrame:
        """Tabulate outlying counts (:meth:`bulkvi.BulkVI.get_outliers`)."""
        self.study.check_unchanged()
        return tables.outlier_table(self.study, self.regression)

    def group_rates(
        self,
        genes: Sequence[str],
        groupby: str,
        *,
        within: str | Sequence[str] | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Estimate the rate of each group (:meth:`bulkvi.BulkVI.get_group_rates`)."""
        check_interval(level)
        self.study.check_unchanged()
        position = gene_positions("genes", genes, self.study.genes)
        columns = tables.rate_strata(self.study, groupby, within)
        return tables.group_rates(self.study, self.regression, position, groupby, columns, level)

    def rate_curve(self, genes: Sequence[str], column: str, *, n_points: int = 50, level: float = 0.95) -> pd.DataFrame:
        """Estimate rates along a numeric column (:meth:`bulkvi.BulkVI.get_rate_curve`)."""
        check_interval(level)
        if n_points < 2:
            raise ValueError(f"n_points is {n_points}: give at least 2.")
        self.study.check_unchanged()
        position = gene_positions("genes", genes, self.study.genes)
        values = weights.numbers_of(self.study.design, column)
        return tables.rate_curve(self.study, self.regression, position, values, n_points, level)

    def contrast_weights(self, *arguments: Any, **named: Any) -> pd.Series:
        """Return the weights of the columns in a contrast (:meth:`bulkvi.BulkVI.get_contrast_weights`)."""
        return self._resolve(*arguments, **named).weights

    def slope_weights(self, column: str) -> pd.Series:
        """Return the contrast of the change per unit of a column (:meth:`bulkvi.BulkVI.get_slope_weights`)."""
        self.study.check_unchanged()
        return weights.slope_weights(self.study.design, column)

    def tested_columns(self, what: str | Sequence[str]) -> list[str]:
        """Return the columns that :meth:`omnibus` tests (:meth:`bulkvi.BulkVI.get_tested_columns`)."""
        self.study.check_unchanged()
        return tested_columns(self.study.design, what)

    def _resolve(
        self, groupby: str | None = None, group1: Any = None, group2: Any = None, contrast: Any = None
    ) -> Contrast:
        self.study.check_unchanged()
        return resolve_contrast(self.study.design, groupby, group1, group2, contrast)


def _plain(level: Any) -> Any:
    """Convert a NumPy scalar to Python's, so that ``attrs`` can be written as JSON."""
    return level.item() if isinstance(level, np.generic) else level
