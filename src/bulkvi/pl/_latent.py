from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from bulkvi.arguments import check_number
from bulkvi.latent_names import DESIGN_VARIABLES
from bulkvi.names import LATENT
from bulkvi.pl._figure import finish
from bulkvi.pl._samples import Colouring, check_anndata, colour_samples, draw_samples, new_sample_axes
from bulkvi.pl._text import NAME_MARGIN, plain, set_fonts, write_caption, write_names

MAX_LABELS: Final = 20
MAX_NAME: Final = 14  # usual number of characters above which the names of samples would cover the picture
MIN_SAMPLES: Final = 3  # fewest samples whose covariance is not of rank one


def latent(
    adata: AnnData,
    *,
    color: str | Sequence[str] | None = None,
    basis: str = LATENT,
    dims: tuple[int, int] = (0, 1),
    adjusted_for: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    label: bool | None = None,
    size: float | None = None,
    legend_loc: str | None = "below",
    ellipse: float | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Any:  # an Axes or a list, by the argument
    """Draw two axes of the latent representation, a point per sample. Which samples are alike?

    Distances are log2 fold changes: at a distance of 1, over all axes, two samples differ twofold in the root mean square over
    the genes. The axis labels have the share of the variance of these samples.

    Parameters
    ----------
    adata
        Samples x genes, with ``model.get_latent_representation()`` in ``obsm``. It is not changed.
    color
        Column of ``obs``, or several, for a panel each. Numbers get a colour bar. Other columns get a colour and a marker for each
        level, with scanpy's colours in ``uns["<color>_colors"]`` if there is one for each level, else those of a palette for
        colour-blind readers. Samples without a value are grey.
    basis
        Key of ``obsm``, with or without ``X_`` in front.
    dims
        The two columns to draw, counted from 0.
    adjusted_for
        Columns of the design, batch and covariates, whose effects the latent state leaves out, named above the picture. By default
        those of the last ``setup_anndata`` of ``adata``; ``[]`` if the latent state is of a model without a design.
    label
        Whether to write the name of each sample; by default up to 20 samples with short names, in the first panel.
    size
        Area of a marker in square points; by default smaller for more samples.
    legend_loc
        ``"below"`` the Axes, ``"right margin"``, a location of matplotlib such as ``"best"``, or None for no legend.
    ellipse
        Share between 0 and 1, such as 0.9: draw an ellipse for each level of ``color`` that holds this share of a normal
        distribution with the mean and covariance of its samples. It shows location and spread of the points; it is no
        confidence region of the mean, and imprecise with few samples. A level with fewer than 3 samples gets none.
    ax, show, save
        Axes to draw on, for one column, by default in a new figure of one column width (3.3 inches) per panel; whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes; a list of them for a list of columns.

    Raises
    ------
    TypeError, KeyError, ValueError
        If there is no such column or key, ``color`` has too many levels to distinguish or none to draw ellipses for, ``ax`` is
        given for several columns, or an argument is out of range.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> adata.obsm["X_bulkvi"] = np.diag([4.0, 2.0] * 4)[:, :2]  # in practice model.get_latent_representation()
    >>> ax = bv.pl.latent(adata, color="dex")
    >>> ax.get_xlabel()
    'Axis 1 (80 % of variance)'
    """
    check_anndata(adata)
    state, key = _coordinates(adata, basis)
    whole = np.ndim(dims) == 1 and all(isinstance(dim, int | np.integer) and not isinstance(dim, bool) for dim in dims)
    if not whole or len(dims) != 2 or any(not 0 <= dim < state.shape[1] for dim in dims):
        raise ValueError(
            f"`dims` must be two columns of adata.obsm[{key!r}], each from 0 to {state.shape[1] - 1}; it is {dims}."
        )
    columns = [color] if color is None or isinstance(color, str) else list(color)
    if not columns or (ax is not None and len(columns) > 1):
        raise ValueError(
            f"`color` names {len(columns)} columns; give one or more, and one only with `ax`: a panel needs an Axes of its own."
        )
    colourings = [colour_samples(adata, column) for column in columns]
    if size is not None:
        check_number("size", size, above=0)
    for colouring in colourings:
        if ellipse is not None:
            _check_ellipse(ellipse, colouring)
    panels = new_sample_axes(colourings, legend_loc) if ax is None else [ax]
    points = state[:, list(dims)]
    caption = _caption(adata, adjusted_for) if key == LATENT else []
    for position, (panel, colouring) in enumerate(zip(panels, colourings, strict=True)):
        draw_samples(panel, points[:, 0], points[:, 1], colouring, size=size, legend_loc=legend_loc)
        if ellipse is not None:
            _draw_ellipses(panel, points, colouring, ellipse)
        panel.set(xlabel=_axis_label(state, key, dims[0]), ylabel=_axis_label(state, key, dims[1]))
        set_fonts([panel.xaxis.label, panel.yaxis.label])
        if caption:
            write_caption(panel, caption)
        if label or (label is None and position == 0 and _has_room(adata)):
            panel.margins(NAME_MARGIN)
            write_names(panel, points[:, 0], points[:, 1], adata.obs_names.tolist(), ring=False)
    finish(panels[0], show=show, save=save)
    return panels[0] if color is None or isinstance(color, str) else panels


def _coordinates(adata: AnnData, basis: str) -> tuple[np.ndarray, str]:
    """Return the coordinates of the samples and their key in ``obsm``, or raise KeyError."""
    key = next((key for key in (basis, f"X_{basis}") if key in adata.obsm), None)
    if key is None:
        raise KeyError(
            f"no {basis!r} in adata.obsm; it has {list(adata.obsm)}. Put the latent state there first: "
            f"adata.obsm[{basis!r}] = model.get_latent_representation()."
        )
    return np.asarray(adata.obsm[key]), key


def _has_room(adata: AnnData) -> bool:
    """Whether the samples are few and their names short."""
    return adata.n_obs <= MAX_LABELS and float(adata.obs_names.str.len().to_numpy().mean()) <= MAX_NAME


def _axis_label(state: np.ndarray, key: str, dim: int) -> str:
    """Name of an axis, with its share of the variance of the latent representation."""
    if key != LATENT:
        return f"{plain(key.removeprefix('X_'))} {dim + 1}"
    variance = state.var(0)
    if not variance.sum() > 0:
        return f"Axis {dim + 1}"
    return f"Axis {dim + 1} ({100 * variance[dim] / variance.sum():.0f} % of variance)"


def _caption(adata: AnnData, adjusted_for: str | Sequence[str] | None) -> list[str]:
    """Name the columns whose effects the latent state leaves out, in parts of a caption."""
    names = adata.uns.get(DESIGN_VARIABLES, ()) if adjusted_for is None else adjusted_for
    names = [names] if isinstance(names, str) else list(names)
    return [f"Adjusted for {plain(names[0])}", *(plain(name) for name in names[1:])] if names else []


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
