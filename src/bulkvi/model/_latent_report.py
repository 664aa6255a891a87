"""What the latent state holds: how much, whether it enters a comparison, and what it goes with."""

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.model._differential import DifferentialMixin
from bulkvi.model._hidden import count_latent
from bulkvi.model._latent_columns import latent_columns


class LatentReportMixin(DifferentialMixin):
    """``latent_report`` of :class:`~bulkvi.BulkVI`."""

    def latent_report(self) -> pd.DataFrame:
        """What does the latent state find beyond the design, and does a column of ``obs`` explain it?

        Returns
        -------
        A row for each latent column, strongest first. ``singular_value`` of the residuals of the design and
        ``singular_value_by_chance``, what independent genes would give (parallel analysis); ``information``, what a comparison is
        expected to tell with this column and those before it held fixed, relative to none of them (not known, NaN, where
        nothing stands out or no degrees of freedom are left); ``enters``, whether the column is let into comparisons, as
        far as their alignment can be told; ``variance_share``, its share of the residuals' variance;
        ``strongest_with``, the column of ``obs`` that goes with it best, and ``strength``, the share of the latent
        column's variance which that explains (adjusted for the number of levels). Columns of ``obs`` that are different
        in every sample and not numbers are left out.

        Raises
        ------
        ValueError
            If the model has no data attached, or no residual degrees of freedom are left.
        """
        regression = self._regress(self._features())
        number = count_latent(regression)
        columns = latent_columns(self, regression.features, self.module.n_latent, regression.precision)
        known = number.singular_values[: columns.shape[1]]
        names_of_best, strengths = zip(*(_strongest(columns[name], self.adata.obs) for name in columns), strict=True)
        rows = range(columns.shape[1])
        value = [known[k] if k < known.size else 0.0 for k in rows]
        threshold = [number.threshold[k] if k < known.size else np.inf for k in rows]
        information = [number.information[k + 1] if k + 1 < number.information.size else np.nan for k in rows]
        total = float((number.singular_values**2).sum()) or 1.0
        return pd.DataFrame(
            {
                names.SINGULAR_VALUE: value,
                names.SINGULAR_VALUE_BY_CHANCE: threshold,
                names.INFORMATION: information,
                names.ENTERS: [k < number.number for k in rows],
                names.VARIANCE_SHARE: np.square(value) / total,
                names.STRONGEST_WITH: names_of_best,
                names.STRENGTH: strengths,
            },
            index=columns.columns,
        )


def _strongest(latent: pd.Series, obs: pd.DataFrame) -> tuple[str, float]:
    """The column of obs that explains most of a latent column, and the share (adjusted R^2, at least 0)."""
    best, strength = "", 0.0
    n = len(latent)
    for name in obs.columns:
        column = obs[name]
        if str(name).startswith("_") or column.isna().any() or column.nunique() < 2:
            continue
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            predictors = column.to_numpy(float)[:, None]
        elif column.nunique() < n:
            predictors = pd.get_dummies(column.astype(str), dtype=float).to_numpy()[:, 1:]
        else:
            continue
        matrix = np.column_stack([np.ones(n), predictors])
        rank = int(np.linalg.matrix_rank(matrix))
        if rank >= n - 1:
            continue
        fitted = matrix @ np.linalg.lstsq(matrix, latent.to_numpy(), rcond=None)[0]
        unexplained = float(((latent - fitted) ** 2).sum() / ((latent - latent.mean()) ** 2).sum())
        adjusted = 1 - unexplained * (n - 1) / (n - rank)
        if adjusted > strength:
            best, strength = str(name), adjusted
    return best, strength
