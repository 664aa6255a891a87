from collections.abc import Sequence
from os import PathLike
from typing import Final

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist, squareform

from bulkvi.names import SIZE_FACTOR
from bulkvi.pl._counts import BLOCK_ELEMENTS, checked_size_factors, normalised
from bulkvi.pl._figure import COLUMN_WIDTH, draw_colour_bar, finish, new_axes, set_height
from bulkvi.pl._strips import LINE, PAD, PER_NAME, colour_columns, draw_cells, draw_legends, draw_strips, sort_samples
from bulkvi.pl._text import plain, set_fonts, width_in_points

MAX_SAMPLES: Final = 1_000  # most samples that can be seen on a page
MAX_OPTIMAL: Final = 300  # most samples whose leaves are put in the optimal order, which takes long
COLOUR_BAR: Final = 0.75  # width of the colour bar with its label and the margins, inches
MIN_SIDE: Final = 1.5
MARGIN: Final = 6  # above and below all, points


def sample_distance(
    adata: AnnData,
    *,
    color: str | Sequence[str] | None = None,
    cluster: bool = True,
    size_factor_key: str = SIZE_FACTOR,
    layer: str | None = None,
    offset_key: str | None = None,
    label: bool | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    r"""Draw the distance between each two samples; dark is close. Which samples are alike over all genes?

    The distance of two samples is the root mean square over the genes :math:`g` of the difference of their log counts,

    .. math:: d_{nm} = \sqrt{\frac{1}{G} \sum_g (y_{ng} - y_{mg})^2}, \qquad y_{ng} = \log_2(1 + x_{ng} / s_n),

    with counts :math:`x` and size factors :math:`s`. The noise of genes with few counts is part of it: filter genes first.
    The colours begin at the smallest distance between two samples. No model is needed; :func:`~bulkvi.pl.latent` draws the
    latent state of a model.

    Parameters
    ----------
    adata
        Samples x genes with counts and size factors, in memory, in dask arrays or in a file. It is not changed.
    color
        Columns of ``obs`` to show as strips of colour above the samples, in the colours of :func:`~bulkvi.pl.latent`.
        Colours repeat after 8 levels.
    cluster
        Whether to order the samples by average linkage, neighbours as close as the tree allows; else by the columns in
        ``color``, ties as in ``adata``.
    size_factor_key, layer, offset_key
        Column of ``obs`` with the size factors, layers with counts and offsets, as in :func:`~bulkvi.pl.gene`.
    label
        Whether to write the names of the samples; by default if there is room.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Distances are in log base 2: 1 is a twofold difference in the root mean square.

    Raises
    ------
    TypeError, KeyError, ValueError
        If there is no such column or layer, there is no gene, fewer than 2 or more than 1,000 samples, a size factor or an
        offset is not positive, or a count is negative or not finite.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> bv.pp.filter_genes(adata, min_counts=10)
    >>> bv.pp.size_factors(adata)
    >>> ax = bv.pl.sample_distance(adata, color=["cell", "dex"])
    >>> sorted(label.get_text() for label in ax.get_yticklabels()) == sorted(adata.obs_names)
    True
    """
    checked_size_factors(adata, size_factor_key)
    if not 2 <= adata.n_obs <= MAX_SAMPLES:
        raise ValueError(f"{adata.n_obs:,} samples; distances are drawn for 2 to {MAX_SAMPLES:,}. Choose some of them.")
    if not adata.n_vars:
        raise ValueError("there are no genes to measure distances by.")
    colourings = colour_columns(adata, color)
    distances = sample_distances(adata, size_factor_key=size_factor_key, layer=layer, offset_key=offset_key)
    names = [str(name) for name in adata.obs_names]
    order = _cluster(distances, names) if cluster else sort_samples(colourings, adata.n_obs)
    between = distances[~np.eye(len(names), dtype=bool)]
    is_new = ax is None
    ax = new_axes(height=COLUMN_WIDTH) if ax is None else ax
    nearest, farthest = between.min(), between.max()
    limits = (nearest, farthest if farthest > nearest else nearest + 1)
    cells = draw_cells(ax, distances[np.ix_(order, order)], cmap="Blues_r", limits=limits)
    side, below = _name_samples(ax, [plain(names[sample]) for sample in order], label=label, is_new=is_new)
    used = draw_strips(ax, colourings, order)
    draw_colour_bar(ax, cells, "Distance (log2)")
    width = 72 * (side + COLOUR_BAR) if is_new else width_in_points(ax)
    below = draw_legends(ax, colourings, below=below, width=width)
    if is_new:
        set_height(ax, side + used + (below + MARGIN) / 72)
    return finish(ax, show=show, save=save)


def sample_distances(adata: AnnData, *, size_factor_key: str, layer: str | None, offset_key: str | None) -> np.ndarray:
    """Root mean squared difference of log2(1 + count / size factor) over the genes, samples x samples."""
    n_genes = max(1, BLOCK_ELEMENTS // adata.n_obs)
    squares = np.zeros(adata.n_obs * (adata.n_obs - 1) // 2)
    for start in range(0, adata.n_vars, n_genes):
        genes = np.arange(start, min(start + n_genes, adata.n_vars))
        block = normalised(adata, genes, size_factor_key=size_factor_key, layer=layer, offset_key=offset_key)
        squares += pdist(np.log2(1 + block), "sqeuclidean")
    return squareform(np.sqrt(squares / adata.n_vars))


def _cluster(distances: np.ndarray, names: list[str]) -> np.ndarray:
    """Order of the leaves of a tree; of the two directions the one that begins with the first name in the alphabet."""
    tree = linkage(squareform(distances), "average", optimal_ordering=len(names) <= MAX_OPTIMAL)
    order = leaves_list(tree)
    return order[::-1] if names[order[0]] > names[order[-1]] else order


def _name_samples(ax: Axes, names: Sequence[str], *, label: bool | None, is_new: bool) -> tuple[float, float]:
    """Name the rows if there is room, else count them; return the width of the matrix, inches, and the room below, points."""
    ax.set_xticks([])
    ax.tick_params(length=0)
    if label is not False:
        ax.set_yticks(range(len(names)), names, fontsize="x-small")
        set_fonts(ax.get_yticklabels())
        widest = max(one.get_window_extent().width for one in ax.get_yticklabels()) / ax.figure.dpi
        side = max(COLUMN_WIDTH - widest - COLOUR_BAR, MIN_SIDE)
        height = side if is_new else ax.get_window_extent().height / ax.figure.dpi
        if label or PER_NAME * len(names) <= 72 * height:
            return side, PAD
    ax.set_yticks([])
    ax.set_xlabel(f"{len(names):,} samples", fontsize="small")
    return COLUMN_WIDTH - COLOUR_BAR, LINE
