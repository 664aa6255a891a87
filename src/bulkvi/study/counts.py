"""Counts, size factors, offsets and covariates of an AnnData, after the checks that every analysis needs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.names import SIZE_FACTOR
from bulkvi.stats.counts.blocks import RowMatrix, by_rows
from bulkvi.stats.counts.counts import Offset, check_counts, check_offset
from bulkvi.study.design import INTERCEPT, check_full_rank, make_design


class CheckedCounts(NamedTuple):
    """Counts that passed the checks."""

    matrix: RowMatrix
    """``adata.X`` or the layer; as CSR where it is stored by columns."""
    totals: np.ndarray
    """Total count of every sample, shape ``(n_samples,)``."""


def checked_counts(adata: AnnData, layer: str | None) -> CheckedCounts:
    """Return the raw counts of ``adata.X`` or of a layer, sliceable by rows.

    Raise TypeError, KeyError or ValueError if they are absent or not counts
    (`bulkvi.stats.counts.counts.check_counts`), or if names of samples or genes are not unique.
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
    check_unique(adata.obs_names, "sample names (adata.obs_names)", "adata.obs_names_make_unique()")
    check_unique(adata.var_names, "gene names (adata.var_names)", "adata.var_names_make_unique()")
    layers = _layers(adata)
    if layer is not None and layer not in layers:
        raise KeyError(f"no layer {layer!r} in adata.layers; it has {layers}.")
    x = adata.X if layer is None else adata.layers[layer]
    if x is None:
        raise ValueError(f"adata.X is empty; name the layer that holds the counts: {layers}.")
    matrix = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    counts = by_rows(x)
    totals = check_counts(
        counts, sample_names=adata.obs_names.tolist(), gene_names=adata.var_names.tolist(), matrix=matrix
    )
    return CheckedCounts(counts, totals)


def checked_offset(adata: AnnData, key: str) -> Offset:
    """Return the factors of a layer, relative to their geometric means over these samples.

    Raise TypeError, KeyError or ValueError if the layer is absent or has factors that are not finite and > 0
    (:func:`~bulkvi.stats.counts.counts.check_offset`).
    """
    if not isinstance(key, str):
        raise TypeError(
            f"`offset_key` must be the name of a layer, not {type(key).__name__}: put the factors (samples x genes) into "
            "adata.layers['offset'] and give offset_key='offset'."
        )
    layers = _layers(adata)
    if key not in layers:
        raise KeyError(
            f"offset_key={key!r} is not a layer of adata; it has {layers}. Put the factors (samples x genes) into "
            f"adata.layers[{key!r}]."
        )
    return check_offset(
        adata.layers[key],
        sample_names=adata.obs_names.tolist(),
        gene_names=adata.var_names.tolist(),
        matrix=f"adata.layers[{key!r}]",
    )


def _layers(adata: AnnData) -> list[str]:
    return [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None


def check_unique(names: pd.Index, what: str, remedy: str) -> None:
    """Raise ValueError with the first duplicated names."""
    if names.is_unique:
        return
    duplicated = list(dict.fromkeys(names[names.duplicated()]))
    raise ValueError(
        f"{what} must be unique; {len(duplicated)} occur more than once: {duplicated[:5]}. Rename or merge them, or "
        f"call {remedy}."
    )


MIN_SAMPLES = 4
MAX_DEPTH_RATIO = 1.5
MAX_SCALE = 100.0
MAX_SPREAD = 1e6


def check_sample_number(adata: AnnData) -> None:
    """Raise ValueError if there are too few samples to estimate a variance."""
    if adata.n_obs < MIN_SAMPLES:
        raise ValueError(
            f"adata has {adata.n_obs} samples; a model needs at least {MIN_SAMPLES}. With fewer no variance between "
            "samples can be separated from an effect."
        )


SIZE_FACTOR_ADVICE = f"Compute them with bulkvi.pp.size_factors(adata), which writes adata.obs[{SIZE_FACTOR!r}]."


def check_size_factor(adata: AnnData, key: str) -> None:
    """Raise KeyError or ValueError if ``adata.obs[key]`` does not hold finite numbers > 0."""
    advice = SIZE_FACTOR_ADVICE
    if key not in adata.obs.columns:
        raise KeyError(
            f"size_factor_key={key!r} is not a column of adata.obs; it has {list(adata.obs.columns)}. {advice}"
        )
    column = adata.obs[key]
    if not pd.api.types.is_numeric_dtype(column):
        raise ValueError(f"adata.obs[{key!r}] must hold numbers; its dtype is {column.dtype}. {advice}")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        first = {
            str(name): float(values[k]) for name, k in zip(adata.obs_names[wrong], np.flatnonzero(wrong), strict=True)
        }
        shown = dict(list(first.items())[:5])
        raise ValueError(
            f"adata.obs[{key!r}] must be finite and > 0; {int(wrong.sum())} samples are not, for example {shown}. {advice}"
        )


def check_size_factor_varies(adata: AnnData, key: str, depth: np.ndarray, offset: Offset | None = None) -> None:
    """Raise ValueError if all size factors are equal although the depths are not: a column filled by accident.

    ``depth`` is the total count of each sample; an ``offset`` may contain the depth instead.
    """
    values = adata.obs[key].to_numpy(float)
    if np.ptp(values) > 0:
        return
    if offset is not None:
        depth = depth / np.exp(offset.log_relative().mean(1))
    if depth.max() > MAX_DEPTH_RATIO * depth.min():
        raise ValueError(
            f"adata.obs[{key!r}] is {values[0]:g} in every sample although their total counts differ up to "
            f"{depth.max() / depth.min():.1f}-fold: depth would be taken for biology. {SIZE_FACTOR_ADVICE}"
        )


def check_size_factor_scale(adata: AnnData, key: str) -> None:
    """Raise ValueError if size factors are not relative (total counts, say) or too far apart: thresholds and priors are in counts."""
    values = adata.obs[key].to_numpy(float)
    if values.max() > MAX_SPREAD * values.min():
        raise ValueError(
            f"adata.obs[{key!r}] goes from {values.min():.3g} (sample {str(adata.obs_names[values.argmin()])!r}) to {values.max():.3g} "
            f"(sample {str(adata.obs_names[values.argmax()])!r}): samples whose depths differ more than a million-fold cannot be "
            "compared. Leave them out, or correct the column."
        )
    scale = float(np.exp(np.log(values).mean()))
    if not 1 / MAX_SCALE <= scale <= MAX_SCALE:
        raise ValueError(
            f"adata.obs[{key!r}] has a geometric mean of {scale:.3g}; size factors are relative, about 1 for the usual sample. "
            f"Divide them by it: adata.obs[{key!r}] /= {scale:.6g}. Or: {SIZE_FACTOR_ADVICE[0].lower()}{SIZE_FACTOR_ADVICE[1:]}"
        )


def check_columns(adata: AnnData, argument: str, keys: Sequence[str], *, continuous: bool) -> None:
    """Raise KeyError or ValueError if columns of obs are absent or incomplete, or if continuous ones are not numbers."""
    if isinstance(keys, str):
        raise TypeError(
            f"{argument} must be a list of columns of adata.obs; it is the text {keys!r}. Write [{keys!r}]."
        )
    for key in keys:
        if key not in adata.obs.columns:
            raise KeyError(f"{argument}: {key!r} is not a column of adata.obs; it has {list(adata.obs.columns)}.")
        column = adata.obs[key]
        if column.isna().any():
            samples = list(adata.obs_names[column.isna()][:5])
            raise ValueError(
                f"{argument}: adata.obs[{key!r}] is missing for {int(column.isna().sum())} samples (first: {samples}). "
                "Fill it in or leave these samples out."
            )
        if continuous and not (pd.api.types.is_numeric_dtype(column) and np.isfinite(column.to_numpy(float)).all()):
            raise ValueError(
                f"{argument}: adata.obs[{key!r}] must hold finite numbers; its dtype is {column.dtype}. Categories go into "
                "categorical_covariate_keys or the design."
            )


def check_column_names(adata: AnnData) -> None:
    """Raise ValueError if no file of the results could hold a column of obs, before any long computation."""
    names = [str(name) for name in adata.obs.columns]
    wrong = [name for name in names if not name.strip() or name in (".", "_index") or "/" in name or "\0" in name]
    if wrong:
        raise ValueError(
            f"adata.obs has a column {wrong[0]!r}: no .h5ad can hold a column without a name, '.', '_index' or one with a slash. "
            f"Rename it: adata.obs = adata.obs.rename(columns={{{wrong[0]!r}: 'another name'}})."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"adata.obs has more than one column {repeated[0]!r}. Rename or drop all but one.")


def check_no_empty_level(adata: AnnData, argument: str, keys: Sequence[str]) -> None:
    """Raise ValueError if a categorical column of obs has levels without samples: each would have an effect."""
    for key in keys:
        column = adata.obs[key]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            continue
        empty = column.cat.categories.difference(column.unique().dropna(), sort=False).tolist()
        if empty:
            raise ValueError(
                f"{argument}: adata.obs[{key!r}] has levels without samples: {empty}. Remove them with adata.obs[{key!r}] = "
                f"adata.obs[{key!r}].cat.remove_unused_categories()."
            )


def check_joint_rank(
    adata: AnnData,
    design: str | None,
    batch_key: str | None,
    categorical_keys: Sequence[str],
    continuous_keys: Sequence[str],
) -> None:
    """Raise ValueError if design, batches and covariates together are not of full rank, or have more columns than samples."""
    parts = [pd.DataFrame({INTERCEPT: np.ones(adata.n_obs)}, index=adata.obs_names)]
    if design is not None:
        _, matrix = make_design(design, adata.obs)
        parts = [matrix]
        if INTERCEPT not in matrix and (batch_key is not None or categorical_keys):
            raise ValueError(
                f"The design {design!r} has no intercept; with batch_key or categorical_covariate_keys the batches are "
                "measured from it. Write the design with an intercept, or put the batches into the formula."
            )
    for key in [batch_key, *categorical_keys]:
        if key is not None:
            levels = adata.obs[key].astype(str)
            parts.append(pd.get_dummies(levels, prefix=key, dtype=float).iloc[:, 1:])
    if continuous_keys:
        parts.append(adata.obs[list(continuous_keys)].astype(float))
    joint = pd.concat(parts, axis=1)
    if joint.shape[1] > joint.shape[0]:
        raise ValueError(
            f"Design, batches and covariates have {joint.shape[1]} columns for {joint.shape[0]} samples; there must be fewer "
            "columns than samples. Leave out covariates or merge levels."
        )
    check_full_rank(joint, "The design together with batches and covariates")
