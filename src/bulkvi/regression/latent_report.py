"""Table of the latent columns: their strength, whether comparisons use them, and what they go with."""

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.regression.hidden import HiddenVariation


def latent_report(hidden: HiddenVariation) -> pd.DataFrame:
    """Tabulate the latent columns of a fit, strongest first (:meth:`bulkvi.BulkVI.latent_report`)."""
    number = hidden.number
    columns = hidden.columns(hidden.network.n_latent)
    known = number.singular_values[: columns.shape[1]]
    obs = hidden.study.obs
    names_of_best, strengths = zip(*(_strongest(columns[name], obs) for name in columns), strict=True)
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
