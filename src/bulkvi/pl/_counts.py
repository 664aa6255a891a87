"""Counts of genes per unit size factor, and the axis that they are drawn on."""

from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullLocator
from scipy import sparse

from bulkvi.names import SYMBOL
from bulkvi.pl._figure import MAX_VECTOR_POINTS, set_round_ticks
from bulkvi.pl._samples import check_anndata
from bulkvi.pl._text import plain
from bulkvi.study.counts import check_size_factor, checked_offset

BLOCK_ELEMENTS: Final = 10_000_000  # counts that are read at once


def find_gene(adata: AnnData, gene: str) -> int:
    """Position of a gene in ``var``, by its name or by a symbol that occurs once."""
    found = np.flatnonzero(adata.var_names == gene)
    where = "adata.var_names"
    if not found.size and SYMBOL in adata.var:
        found = np.flatnonzero((adata.var[SYMBOL] == gene).to_numpy(dtype=bool, na_value=False))
        where = f"adata.var[{SYMBOL!r}]"
    if not found.size:
        symbols = f" and no such symbol in adata.var[{SYMBOL!r}]" if SYMBOL in adata.var else ""
        raise KeyError(f"no gene {gene!r} in adata.var_names, which holds {list(adata.var_names[:3])} ...{symbols}.")
    if found.size > 1:
        several = list(adata.var_names[found[:5]])
        raise ValueError(f"{gene!r} occurs {found.size} times in {where}: choose one of {several} by a unique name.")
    return int(found[0])


def symbol_of(adata: AnnData, position: int) -> str:
    """Symbol of a gene, or its name if it has none."""
    name = str(adata.var_names[position])
    symbol = adata.var[SYMBOL].iloc[position] if SYMBOL in adata.var else name
    return name if pd.isna(symbol) or symbol == "" else str(symbol)


def gene_title(adata: AnnData, position: int) -> str:
    """Symbol and name of a gene, or its name alone."""
    name = plain(adata.var_names[position])
    symbol = plain(symbol_of(adata, position))
    return name if symbol == name else f"{symbol} ({name})"


def checked_size_factors(adata: AnnData, size_factor_key: str) -> np.ndarray:
    """Return the size factors of the samples, checked."""
    check_anndata(adata)
    check_size_factor(adata, size_factor_key)
    return adata.obs[size_factor_key].to_numpy(dtype=float)


def normalised(
    adata: AnnData, genes: np.ndarray, *, size_factor_key: str, layer: str | None, offset_key: str | None
) -> np.ndarray:
    """Count / size factor (/ relative offset) of every sample and of the genes at these positions of ``var``."""
    factors = checked_size_factors(adata, size_factor_key)
    ascending, back = np.unique(genes, return_inverse=True)  # a file can only be read in this order
    counts = _read(adata, ascending, layer)
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if wrong.any():
        sample, gene = np.argwhere(wrong)[0]
        raise ValueError(
            f"counts must be finite and >= 0; sample {adata.obs_names[sample]!r} has {counts[sample, gene]:g} of gene "
            f"{adata.var_names[ascending[gene]]!r}. Give raw counts, in X or in a layer."
        )
    values = counts / factors[:, None]
    if offset_key is not None:
        values /= np.exp(checked_offset(adata[:, ascending], offset_key).log_relative())
    return values[:, back]


def _read(adata: AnnData, genes: np.ndarray, layer: str | None) -> np.ndarray:
    """Read columns of ``X`` or of a layer: only these genes, as a file may hold a large cohort."""
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if layer is not None and layer not in layers:
        raise KeyError(f"no layer {layer!r} in adata.layers; it has {layers}.")
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        raise ValueError("adata.X is empty; name the layer that holds the counts.")
    columns = matrix[:, genes.tolist()]
    columns = columns.compute() if hasattr(columns, "compute") else columns
    return np.asarray(columns.toarray() if sparse.issparse(columns) else columns, dtype=float)


def set_count_scale(ax: Axes) -> None:
    """Scale the vertical axis as log(1 + x), mirrored below zero, where its margin may be."""

    def log1p(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * np.log1p(np.abs(x))

    def expm1(y: np.ndarray) -> np.ndarray:
        return np.sign(y) * np.expm1(np.abs(y))

    ax.set_yscale("function", functions=(log1p, expm1))


def label_counts(ax: Axes, offset_key: str | None) -> None:
    """Label an axis of log(1 + x), with ticks at round numbers."""
    ax.set_ylabel(f"Count / size factor{'' if offset_key is None else ' / relative offset'}")
    low, high = ax.get_ylim()
    if high < 1:
        ax.set_ylim(top=1)
    decades = 10.0 ** np.arange(np.ceil(np.log10(max(high, 10))))
    set_round_ticks(ax.yaxis)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [tick for tick in (0, *np.outer(decades, steps).ravel()) if low <= tick <= high]
        if 3 <= len(ticks) <= 7:
            ax.yaxis.set_major_locator(FixedLocator(ticks))
            break
    ax.yaxis.set_minor_locator(NullLocator())
    thousands = EngFormatter(sep=" ")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: thousands(x) if x >= 10_000 else f"{x:,.4g}"))


def sample_points_look(n_samples: int) -> dict[str, Any]:
    """Arguments of a scatter of samples."""
    return {
        "s": float(np.clip(2_400 / n_samples, 4, 20)),
        "alpha": 0.8,
        "linewidths": 0,
        "rasterized": n_samples > MAX_VECTOR_POINTS,
    }


def count_undrawn(drawn: np.ndarray, column: str) -> list[str]:
    """Describe how many samples have no value of a column, for a caption."""
    n = int((~drawn).sum())
    return [f"{n:,} sample{'s' if n > 1 else ''} without {plain(column)}"] if n else []
