"""Tables from the regressions: dispersions, outliers, rates of groups and along a covariate, latent columns."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from bulkvi import names
from bulkvi.reference_names import MOVE, MOVED_BY, REFERENCE, SCALE
from bulkvi.regression.contrast import gene_flags, join_flags
from bulkvi.regression.hidden import HiddenVariation
from bulkvi.regression.reference import ReferenceVariation
from bulkvi.regression.regression import GeneRegression
from bulkvi.regression.weights import replace_column
from bulkvi.study.study import Study
from bulkvi.study.study_design import strata_columns


def dispersion_table(study: Study, regression: GeneRegression) -> pd.DataFrame:
    """Tabulate the dispersion of every gene (:meth:`bulkvi.BulkVI.get_dispersions`)."""
    prior = regression.fit.prior
    return pd.DataFrame(
        {
            names.BASE_MEAN: regression.base_mean,
            names.DISPERSION_GENE: regression.fit.gene_dispersion,
            names.DISPERSION_TREND: np.exp(prior.log_trend),
            names.DISPERSION: np.exp(prior.mean),
            names.FLAG: join_flags(gene_flags(regression)),
        },
        index=study.genes.copy(),
    )


def outlier_table(study: Study, regression: GeneRegression) -> pd.DataFrame:
    """Tabulate outlying counts (:meth:`bulkvi.BulkVI.get_outliers`)."""
    sample, gene = np.nonzero(regression.outliers.called)
    middle = regression.fit.nodes.coef.shape[0] // 2
    log_rate = np.einsum("sp,ps->s", regression.features.to_numpy()[sample], regression.fit.nodes.coef[middle][:, gene])
    offset = regression.offset[sample] if regression.offset.ndim == 1 else regression.offset[sample, gene]
    obs_names = study.adata.obs_names
    table = pd.DataFrame(
        {
            names.SAMPLE: obs_names[sample],
            names.COUNT: regression.counts[sample, gene],
            names.EXPECTED_COUNT: np.exp(offset + log_rate),
        },
        index=study.genes[gene],
    )
    table.attrs = {
        names.STRUCTURED_SAMPLES: list(obs_names[regression.outliers.structured]),
        names.UNJUDGED_SAMPLES: list(obs_names[~regression.outliers.judged]),
    }
    return table


def rate_strata(study: Study, groupby: str, within: str | Sequence[str] | None) -> list[str]:
    """Return the columns that strata are formed by; raise KeyError if a column does not exist."""
    if groupby not in study.obs:
        raise KeyError(f"groupby={groupby!r} is not a column of adata.obs; it has {list(study.obs.columns)}.")
    return strata_columns(study.design, groupby, within)


def group_rates(
    study: Study, regression: GeneRegression, position: np.ndarray, groupby: str, columns: list[str], level: float
) -> pd.DataFrame:
    """Estimate the rate of each group within the levels of ``columns`` (:meth:`bulkvi.BulkVI.get_group_rates`).

    ``position`` are the positions of the genes.
    """
    parts = []
    by = [study.obs[name] for name in (groupby, *columns)]
    for values, rows in regression.features.groupby(by, observed=True):
        named = {names.GROUP: values[0]}
        if columns:
            named[names.STRATUM] = ", ".join(map(str, values[1:]))
        parts.append(_rates(study, regression, rows.mean(), position, level, named))
    rates = pd.concat(parts)
    if columns:
        rates.attrs[names.WITHIN] = columns
    return rates


def rate_curve(
    study: Study,
    regression: GeneRegression,
    position: np.ndarray,
    values: pd.Series,
    n_points: int,
    level: float,
) -> pd.DataFrame:
    """Estimate rates of genes at ``position`` along the ``values`` of a column (:meth:`bulkvi.BulkVI.get_rate_curve`)."""
    design, column = study.design, values.name
    mean = design.matrix.mean() - regression.features.mean()  # the regressions centre measurements
    parts = []
    for value in np.linspace(values.min(), values.max(), n_points):
        try:
            at = design.code(replace_column(study.obs, str(column), value)).mean()
        except ValueError as error:
            raise ValueError(f"The design holds {column!r} as categories, so there is no curve along it.") from error
        parts.append(_rates(study, regression, at - mean, position, level, {names.COVARIATE: value}))
    return pd.concat(parts)


def _rates(
    study: Study,
    regression: GeneRegression,
    weights: pd.Series,
    position: np.ndarray,
    level: float,
    named: dict[str, object],
) -> pd.DataFrame:
    """Rates of some genes at one row of the design, with their interval; ``named`` are columns put before them."""
    effect = regression.effect(weights)
    centre, spread = effect.mean()[position], effect.sd()[position]
    half_width = norm.ppf(0.5 + level / 2) * spread
    return pd.DataFrame(
        {
            **named,
            names.RATE: np.exp(centre),
            names.RATE_LOW: np.exp(centre - half_width),
            names.RATE_HIGH: np.exp(centre + half_width),
        },
        index=study.genes[position],
    )


def latent_report(hidden: HiddenVariation, beside: ReferenceVariation | None = None) -> pd.DataFrame:
    """Tabulate directions of a reference and the latent columns of a fit (:meth:`bulkvi.BulkVI.latent_report`)."""
    if beside is None:
        return _own_columns(hidden)
    known = beside.states.mean
    index = [f"{REFERENCE}_{k}" for k in range(known.shape[1])]
    obs = hidden.study.obs
    best = [_strongest(pd.Series(column, obs.index), obs) for column in known.T]
    n_values = beside.states.residual_df * int(beside.used.sum())
    directions = pd.DataFrame(
        {
            names.SINGULAR_VALUE: np.sqrt(beside.share * n_values),
            names.SINGULAR_VALUE_BY_CHANCE: np.sqrt(beside.share_by_chance * n_values),
            # what a direction is worth to a contrast is the cohort's to say, and it enters in any case
            names.INFORMATION: np.ones(len(index)),
            names.ENTERS: np.ones(len(index), bool),
            names.VARIANCE_SHARE: beside.share,
            names.STRONGEST_WITH: [name for name, _ in best],
            names.STRENGTH: np.array([strength for _, strength in best], float),
            SCALE: np.sqrt((known**2).sum(0) / beside.states.residual_df),
        },
        index=index,
    )
    moves = beside.moves.set_axis(index)
    largest = moves.abs().idxmax(axis=1) if moves.shape[1] else pd.Series("", index)
    directions[MOVED_BY] = largest
    directions[MOVE] = [moves.loc[name, column] if column else 0.0 for name, column in largest.items()]
    own = _own_columns(beside.hidden)
    return pd.concat([directions, own.assign(**{SCALE: np.ones(len(own)), MOVED_BY: "", MOVE: np.zeros(len(own))})])


def _own_columns(hidden: HiddenVariation) -> pd.DataFrame:
    """Tabulate the latent columns of the study's own, strongest first."""
    number = hidden.number
    columns = hidden.columns(hidden.network.n_latent)
    known = number.singular_values[: columns.shape[1]]
    obs = hidden.study.obs
    best = [_strongest(columns[name], obs) for name in columns]
    rows = range(columns.shape[1])
    value = [known[k] if k < known.size else 0.0 for k in rows]
    threshold = [number.threshold[k] if k < known.size else np.inf for k in rows]
    information = [number.information[k + 1] if k + 1 < number.information.size else np.nan for k in rows]
    total = float((number.singular_values**2).sum()) or 1.0
    return pd.DataFrame(
        {
            # types that do not depend on whether there is a row
            names.SINGULAR_VALUE: np.array(value, float),
            names.SINGULAR_VALUE_BY_CHANCE: np.array(threshold, float),
            names.INFORMATION: np.array(information, float),
            names.ENTERS: np.array([k < number.number for k in rows], bool),
            names.VARIANCE_SHARE: np.square(value) / total,
            names.STRONGEST_WITH: [name for name, _ in best],
            names.STRENGTH: np.array([strength for _, strength in best], float),
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
