from os import PathLike
from typing import Final

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from bulkvi.arguments import check_number
from bulkvi.names import LATENT
from bulkvi.pl._figure import finish
from bulkvi.pl._samples import Colouring, check_anndata, colour_samples, draw_samples, new_sample_axes
from bulkvi.pl._text import NAME_MARGIN, plain, set_fonts, write_names

MAX_LABELS: Final = 20
MIN_SAMPLES: Final = 3  # fewest samples whose covariance is not of rank one


def latent(
    adata: AnnData,
    *,
    color: str | None = None,
    basis: str = LATENT,
    dims: tuple[int, int] = (0, 1),
    ax: Axes | None = None,
    label: bool | None = None,
    size: float | None = None,
    legend_loc: str | None = "below",
    ellipse: float | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw two dimensions of the latent state, a point per sample. Which samples are alike?

    Parameters
    ----------
    adata
        Samples x genes, with the latent state in ``obsm``. It is not changed.
    color
        Column of ``obs``. Numbers get a colour bar. Other columns get a colour and a marker for each level, with scanpy's
        colours in ``uns["<color>_colors"]`` if there is one for each level, else those of a palette for colour-blind readers.
        Samples without a value are grey.
    basis
        Key of ``obsm``, with or without ``X_`` in front.
    dims
        The two columns to draw, counted from 0.
    label
        Whether to write the name of each sample; by default up to 20 samples.
    size
        Area of a marker in square points; by default smaller for more samples.
    legend_loc
        ``"below"`` the Axes, ``"right margin"``, a location of matplotlib such as ``"best"``, or None for no legend.
    ellipse
        Share between 0 and 1, such as 0.9: draw an ellipse for each level of ``color`` that holds this share of a normal
        distribution with the mean and covariance of its samples. It shows location and spread of the points; it is no
        confidence region of the mean, and imprecise with few samples. A level with fewer than 3 samples gets none.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Coordinates of bulkvi's latent state are in standard deviations of its prior.

    Raises
    ------
    TypeError, KeyError, ValueError
        If there is no such column or key, ``color`` has too many levels to distinguish or none to draw ellipses for, or an
        argument is out of range.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> adata.obsm["X_bulkvi"] = np.arange(16.0).reshape(8, 2)  # in practice model.get_latent_representation()
    >>> ax = bv.pl.latent(adata, color="dex")
    >>> ax.get_xlabel()
    'Latent 1 (usual: ±1)'
    """
    check_anndata(adata)
    key = next((key for key in (basis, f"X_{basis}") if key in adata.obsm), None)
    if key is None:
        raise KeyError(
            f"no {basis!r} in adata.obsm; it has {list(adata.obsm)}. Put the latent state there first: "
            f"adata.obsm[{basis!r}] = model.get_latent_representation()."
        )
    state = np.asarray(adata.obsm[key])
    whole = np.ndim(dims) == 1 and all(isinstance(dim, int | np.integer) and not isinstance(dim, bool) for dim in dims)
    if not whole or len(dims) != 2 or any(not 0 <= dim < state.shape[1] for dim in dims):
        raise ValueError(
            f"`dims` must be two columns of adata.obsm[{key!r}], each from 0 to {state.shape[1] - 1}; it is {dims}."
        )
    colouring = colour_samples(adata, color)
    if size is not None:
        check_number("size", size, above=0)
    if ellipse is not None:
        _check_ellipse(ellipse, colouring)
    ax = new_sample_axes(colouring, legend_loc) if ax is None else ax
    points = state[:, list(dims)]
    draw_samples(ax, points[:, 0], points[:, 1], colouring, size=size, legend_loc=legend_loc)
    if ellipse is not None:
        _draw_ellipses(ax, points, colouring, ellipse)
    name, unit = ("Latent", " (usual: ±1)") if key == LATENT else (plain(key.removeprefix("X_")), "")
    ax.set(xlabel=f"{name} {dims[0] + 1}{unit}", ylabel=f"{name} {dims[1] + 1}{unit}")
    set_fonts([ax.xaxis.label, ax.yaxis.label])
    if adata.n_obs <= MAX_LABELS if label is None else label:
        ax.margins(NAME_MARGIN)
        write_names(ax, points[:, 0], points[:, 1], adata.obs_names.tolist(), ring=False)
    return finish(ax, show=show, save=save)


def _check_ellipse(share: float, colouring: Colouring) -> None:
    check_number("ellipse (a share, such as 0.9)", share, above=0, below=1)
    if colouring.title is None or colouring.values is not None:
        raise ValueError(
            "ellipses are drawn for the levels of a column: give `color` a column of obs that is not numeric."
        )


def _draw_ellipses(ax: Axes, points: np.ndarray, colouring: Colouring, share: float) -> None:
    for level in colouring.levels:
        members = points[level.members]
        if level.missing or len(members) < MIN_SAMPLES:
            continue
        variances, directions = np.linalg.eigh(np.cov(members.T))
        # the squared Mahalanobis distance of a normal point of two dimensions is exponential with mean 2
        width, height = 2 * np.sqrt(-2 * np.log1p(-share) * variances.clip(0))
        angle = np.degrees(np.arctan2(directions[1, 0], directions[0, 0]))
        look = {"facecolor": "none", "edgecolor": level.colour, "linewidth": 0.8}
        ax.add_patch(Ellipse(tuple(members.mean(0)), width, height, angle=angle, **look))
    ax.autoscale_view()
