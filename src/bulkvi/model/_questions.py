"""What a comparison weighs before it is made: contrasts, slopes, columns of an omnibus test; and the rate along a covariate."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from scipy.stats import norm

from bulkvi import names
from bulkvi.model._differential import resolve_contrast
from bulkvi.model._features import Features
from bulkvi.model._gene_positions import gene_positions
from bulkvi.model._gene_tables import GeneTablesMixin, tested_columns
from bulkvi.model._registered import categorical_columns, covariate_columns

STEPS: Final = (0.25, 0.5, 1.0)
"""Shares of a column's range by which its values are moved to find out whether its effect is a straight line."""
STRAIGHT: Final = 1e-6
"""Share of the largest slope below which two slopes are equal."""
DIGITS: Final = 9
"""Digits of a weight that differences of floating-point numbers leave."""


class QuestionsMixin(GeneTablesMixin):
    """Weights and columns that the tests of :class:`~bulkvi.BulkVI` use; none needs a trained model."""

    def get_contrast_weights(
        self,
        groupby: str | None = None,
        group1: Any = None,
        group2: Any = None,
        *,
        contrast: Mapping[str, float] | Sequence[float] | np.ndarray | None = None,
    ) -> pd.Series:
        """Return the weights of the design's columns in a comparison. Can these samples answer it?

        Parameters
        ----------
        groupby, group1, group2, contrast
            As in :meth:`differential_expression`.

        Returns
        -------
        Weight of each column of :meth:`get_design_matrix`; all zero if the design does not distinguish the groups.

        Raises
        ------
        KeyError
            If a column does not exist, of ``obs`` or of the design.
        ValueError
            If a group has no samples; a contrast is empty, of the wrong length or compares nothing; or the samples lack what
            the comparison needs.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.airway()
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ cell + dex")
        >>> weights = bulkvi.BulkVI(adata).get_contrast_weights("dex", "trt", "untrt")
        >>> weights[weights != 0].to_dict()
        {'dex[T.trt]': 1.0}
        """
        return resolve_contrast(self._features(), groupby, group1, group2, contrast).weights

    def get_slope_weights(self, column: str) -> pd.Series:
        """Return the contrast whose effect is the change of log2 expression per unit of a numeric column.

        Where the column is in an interaction, or behind a linear transform such as ``scale(age)``, the slope is the mean of
        those of all samples, per unit of the column itself.

        Parameters
        ----------
        column
            Column of ``obs`` that is in the design as a number.

        Returns
        -------
        Weight of each column of :meth:`get_design_matrix`, for ``contrast`` of :meth:`differential_expression`.

        Raises
        ------
        KeyError
            If the column does not exist.
        ValueError
            If the design does not hold it, or holds it as categories or along a curve; or the samples do not determine the
            slope.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=300)
        >>> adata.obs["age"] = [31, 40, 28, 55, 61, 33, 47, 52]
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group + age")
        >>> bulkvi.BulkVI(adata).get_slope_weights("age").to_dict()
        {'Intercept': 0.0, 'group[T.B]': 0.0, 'age': 1.0}
        """
        features = self._features()
        values = _numbers_of(features, column)
        everything = features.all_columns(features.obs)
        reach = float(values.max() - values.min())
        slopes = []
        for step in (share * reach for share in STEPS):
            try:
                moved = features.all_columns(_with(features.obs, column, values + step))
            except (ValueError, FormulaicError) as error:  # a level, or a value, that the design does not have
                raise ValueError(_not_straight(column, features)) from error
            slopes.append((moved - everything).to_numpy() / step)
        largest = np.abs(slopes).max()
        if not largest or np.abs(np.array(slopes) - slopes[0]).max() > STRAIGHT * largest:
            raise ValueError(_not_straight(column, features))
        weights = pd.Series(slopes[-1].mean(0), index=everything.columns)
        weights = weights.where(weights.abs() > STRAIGHT * largest, 0.0).map(
            lambda weight: float(f"{weight:.{DIGITS}g}")
        )
        if not features.told_apart(weights):
            raise ValueError(
                f"These samples do not determine the slope of {column!r}. Columns of the design that they determine: "
                f"{list(features.matrix().columns)}."
            )
        return weights[features.matrix().columns]

    def get_tested_columns(self, what: str | Sequence[str]) -> list[str]:
        """Return the columns of the design that :meth:`omnibus_test` tests together. Can these samples answer it?

        Parameters
        ----------
        what
            As in :meth:`omnibus_test`.

        Returns
        -------
        Names of columns of :meth:`get_design_matrix`.

        Raises
        ------
        KeyError
            If a column is neither in ``obs`` nor in the design.
        ValueError
            If the design does not hold the factor, the intercept goes with what is tested, or the samples do not
            distinguish it from the rest of the design.
        """
        return tested_columns(self._features(), what)

    def get_rate_curve(
        self, genes: Sequence[str], column: str, *, n_points: int = 50, level: float = 0.95
    ) -> pd.DataFrame:
        """Return the fitted rate of genes along a numeric column, with its uncertainty. For :func:`bulkvi.pl.gene_trend`.

        All other columns of the design are at their mean over the samples: exp of the mean log rate.

        Parameters
        ----------
        genes
            Names of genes.
        column
            Column of ``obs`` that is in the design as a number.
        n_points
            Number of values of the column, at equal distances over its range; at least 2.
        level
            Probability of the interval.

        Returns
        -------
        Indexed by gene: ``covariate``, the value of the column; ``rate``, ``rate_low``, ``rate_high``; expected counts per unit size factor.

        Raises
        ------
        KeyError
            If a gene or the column does not exist.
        TypeError
            If ``genes`` is one name and not a list.
        ValueError
            If the design does not hold the column as a number, or ``level`` or ``n_points`` is out of range.
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}: give the probability of an interval, between 0 and 1.")
        if n_points < 2:
            raise ValueError(f"n_points is {n_points}: give at least 2.")
        features = self._features()
        position = gene_positions("genes", genes, self.adata.var_names)
        values = _numbers_of(features, column)
        regression = self._regress(features)
        mean = features.matrix().mean() - regression.features.mean()  # the regressions centre measurements
        reach = norm.ppf(0.5 + level / 2)
        parts = []
        for value in np.linspace(values.min(), values.max(), n_points):
            try:
                at = features.of(_with(features.obs, column, value)).mean()
            except ValueError as error:
                raise ValueError(
                    f"The design holds {column!r} as categories, so there is no curve along it."
                ) from error
            effect = regression.effect(at - mean)
            centre, spread = effect.mean()[position], effect.sd()[position]
            parts.append(
                pd.DataFrame(
                    {
                        names.COVARIATE: value,
                        names.RATE: np.exp(centre),
                        names.RATE_LOW: np.exp(centre - reach * spread),
                        names.RATE_HIGH: np.exp(centre + reach * spread),
                    },
                    index=self.adata.var_names[position],
                )
            )
        return pd.concat(parts)


def _numbers_of(features: Features, column: str) -> pd.Series:
    """A column that is in the design as a number, float64."""
    obs, registry = features.obs, features.registry
    if column not in obs:
        raise KeyError(f"{column!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    in_design = covariate_columns(registry)
    if column not in in_design:
        raise ValueError(f"{column!r} is not in the design; it has {in_design}. Add it in setup_anndata.")
    numeric = pd.api.types.is_numeric_dtype(obs[column]) and not pd.api.types.is_bool_dtype(obs[column])
    if not numeric or column in categorical_columns(registry):
        raise ValueError(
            f"{column!r} has categories, {obs[column].unique().tolist()[:5]}, and no slope: compare two of them, or test all "
            "together (omnibus_test)."
        )
    return obs[column].astype(float)


def _with(obs: pd.DataFrame, column: str, values: pd.Series | float) -> pd.DataFrame:
    """The samples with other values of a column."""
    obs = obs.copy()
    obs[column] = values
    return obs


def _not_straight(column: str, features: Features) -> str:
    return (
        f"The design holds {column!r} as categories or along a curve, so there is no single slope. Weigh columns of the design "
        f"in its place: {list(features.matrix().columns)}; or test whether {column!r} matters at all (omnibus_test)."
    )
