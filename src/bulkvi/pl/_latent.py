from os import PathLike
from typing import Final

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from bulkvi.arguments import check_number
from bulkvi.names import LATENT
from bulkvi.pl._axes import Colouring, colour_samples, draw_samples, new_sample_axes
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_names import write_names
from bulkvi.pl._text import plain, set_fonts

MAX_LABELS: Final = 20
FEWEST: Final = 3
"""Samples from which a covariance is not a mere line."""


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
    """Which samples are alike? Draw two dimensions of the latent state, a point per sample.

    Parameters
    ----------
    adata
        Samples x genes, with the latent state in ``obsm``. It is not changed.
    color
        Column of ``obs``. Numbers get a colour bar. All else gets a colour and a marker for each level, with the colours
        in ``uns["<color>_colors"]`` where scanpy has put one for each level, and else ones that colour-blind readers can
        tell apart. Samples without a value are grey.
    basis
        Key of ``obsm``, with or without ``X_`` in front.
    dims
        The two columns to draw, counted from 0.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    label
        Whether to write the name of each sample beside it; by default up to 20 samples.
    size
        Area of a marker in square points; by default smaller for more samples.
    legend_loc
        ``"below"`` the Axes, ``"right margin"``, a location that matplotlib knows such as ``"best"``, or None for no legend.
    ellipse
        Share between 0 and 1, such as 0.9: around the samples of each level of ``color`` an ellipse is drawn that holds this
        share of a normal distribution with their mean and covariance. It shows where they lie and how they spread, from no
        more than their own points: it is no confidence region of the mean, and from a few samples it is rough. A level with
        fewer than 3 samples gets none.
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes. Coordinates of bulkvi's latent state are in standard deviations of its prior.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData.
    KeyError
        If there is no such column of ``obs`` or key of ``obsm``.
    ValueError
        If ``basis`` has no such column, ``color`` has too many levels to tell apart, ``ellipse`` is not between 0 and 1,
        or ``color`` has no levels to draw ellipses around.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> adata.obsm["X_bulkvi"] = np.arange(16.0).reshape(8, 2)  # in real life model.get_latent_representation()
    >>> ax = bv.pl.latent(adata, color="dex")
    >>> ax.get_xlabel()
    'Latent 1 (usual: ±1)'
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
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
        write_names(ax, points[:, 0], points[:, 1], adata.obs_names.tolist(), ring=False)
    return finish(ax, show=show, save=save)


def _check_ellipse(share: float, colouring: Colouring) -> None:
    check_number("ellipse", share)
    if not 0 < share < 1:
        raise ValueError(f"`ellipse` is a share between 0 and 1, such as 0.9; it is {share}.")
    if colouring.title is None or colouring.values is not None:
        raise ValueError(
            "ellipses are drawn around the levels of a column: give `color` a column of obs that is not numeric."
        )


def _draw_ellipses(ax: Axes, points: np.ndarray, colouring: Colouring, share: float) -> None:
    for level in colouring.levels:
        members = points[level.members]
        if level.missing or len(members) < FEWEST:
            continue
        variances, directions = np.linalg.eigh(np.cov(members.T))
        # the squared Mahalanobis distance of a normal point of two dimensions is exponential with mean 2
        width, height = 2 * np.sqrt(-2 * np.log1p(-share) * variances.clip(0))
        angle = np.degrees(np.arctan2(directions[1, 0], directions[0, 0]))
        around = Ellipse(
            tuple(members.mean(0)), width, height, angle=angle, facecolor="none", edgecolor=level.colour, linewidth=0.8
        )
        ax.add_patch(around)
    ax.autoscale_view()
