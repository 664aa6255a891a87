from collections.abc import Mapping
from os import PathLike
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bulkvi.names import BASE_MEAN, DISPERSION, DISPERSION_GENE, DISPERSION_TREND
from bulkvi.pl._figure import AXES_HEIGHT, OKABE_ITO, finish, legend_below, legend_height, legend_marker, new_axes
from bulkvi.pl._gene_table import count_genes, finite_genes, points_look, table_values
from bulkvi.pl._text import plain, set_fonts, write_caption

COLUMNS: Final = (BASE_MEAN, DISPERSION_GENE, DISPERSION_TREND, DISPERSION)
POISSON: Final = 1e-6  # dispersion below which a gene's counts vary no more than Poisson counts
GENE_COLOUR: Final = "0.6"
N_TREND: Final = 200  # points of the trend that are joined by lines
LOSS_LABELS: Final = {
    "elbo": "Training loss\n(negative ELBO,\nnats per sample)",
    "reconstruction_loss": "Misfit of the counts\n(negative log-likelihood,\nnats per sample)",
    "kl_local": "Information in the latent state\n(KL divergence,\nnats per sample)",
}
"""Axis labels of the quantities that scvi-tools records in nats per sample."""
SPAN: Final = 0.01  # least height of the axis, as a share of the loss: smaller changes must look flat


def dispersion(
    dispersions: pd.DataFrame, *, ax: Axes | None = None, show: bool = False, save: str | PathLike[str] | None = None
) -> Axes:
    """Draw the dispersion of each gene over its mean count, both on log axes. How much do replicates vary?

    Grey points are the dispersions estimated from the counts of each gene alone, blue points their posterior means given
    the trend over all genes, which is the line. Grey triangles at the lower edge are genes whose counts vary no more than
    Poisson counts (dispersion below 1e-6). The caption counts the genes that are drawn and those that are not.

    Parameters
    ----------
    dispersions
        Table of ``model.get_dispersions``: a row per gene, with the columns ``base_mean``, ``dispersion_gene``,
        ``dispersion_trend`` and ``dispersion``. It is not changed.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Mean counts are per unit size factor; the dispersion is alpha in variance = mean + alpha mean^2.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``dispersions`` is not a table or lacks a column, or no gene has finite values above zero.

    Examples
    --------
    >>> import bulkvi as bv
    >>> table = pd.DataFrame({"base_mean": [900.0, 80.0, 7.0], "dispersion_gene": [0.02, 0.3, 1e-8]})
    >>> table = table.assign(dispersion_trend=[0.03, 0.05, 0.2], dispersion=[0.025, 0.1, 0.1])
    >>> ax = bv.pl.dispersion(table)  # in practice the table of model.get_dispersions
    >>> ax.get_title(loc="left")
    '3 genes; 1 with Poisson noise only'
    """
    values = table_values(dispersions, COLUMNS, ("dispersions", "model.get_dispersions()"))
    # zero has no place on a log axis, but the estimate of a single gene may be zero
    values[[0, 2, 3]] = np.where(values[[0, 2, 3]] > 0, values[[0, 2, 3]], np.nan)
    drawn = finite_genes(values, COLUMNS)
    mean, single, trend, posterior = values[:, drawn]
    poisson = single < POISSON
    edge = 0.6 * min(single[~poisson].min(initial=np.inf), trend.min(), posterior.min())
    ax = new_axes(height=AXES_HEIGHT + legend_height(1)) if ax is None else ax
    look = points_look(mean.size)
    ax.scatter(mean[~poisson], single[~poisson], color=GENE_COLOUR, **look)
    ax.scatter(mean, posterior, color=OKABE_ITO[0], **look)
    if poisson.any():
        ax.scatter(mean[poisson], np.full(poisson.sum(), edge), marker="v", color=GENE_COLOUR, **look | {"s": 8})
    order = np.argsort(mean)
    steps = np.linspace(np.log(mean.min()), np.log(mean.max()), N_TREND)
    ends = order[np.unique(np.searchsorted(np.log(mean[order]), steps).clip(max=mean.size - 1))]
    ax.plot(mean[ends], trend[ends], color=OKABE_ITO[1], linewidth=1.5)
    ax.set(xscale="log", yscale="log", xlabel="Mean count / size factor", ylabel="Dispersion")
    handles = [
        legend_marker(GENE_COLOUR, "gene"),
        Line2D([], [], color=OKABE_ITO[1], linewidth=1.5, label="trend"),
        legend_marker(OKABE_ITO[0], "posterior"),
    ]
    legend_below(ax, handles)
    at_edge = [f"{poisson.sum():,} with Poisson noise only"] if poisson.any() else []
    write_caption(ax, count_genes(len(dispersions), mean.size, *at_edge))
    return finish(ax, show=show, save=save)


def training(
    history: Mapping[str, pd.DataFrame],
    *,
    metric: str = "elbo",
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw a loss over the epochs, for training and validation samples. Has training reached a plateau?

    Parameters
    ----------
    history
        ``model.history``: a table with a row per epoch for each recorded quantity.
    metric
        Quantity: ``"elbo"`` draws ``history["elbo_train"]`` and, if samples were held out, ``"elbo_validation"``.
        scvi-tools records the negative of the evidence lower bound, so lower is better.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. The loss is in nats per sample; the axis spans at least 1 % of it.

    Raises
    ------
    TypeError, KeyError
        If ``history`` is not a mapping of tables, or the metric was not recorded.

    Examples
    --------
    >>> import bulkvi as bv
    >>> epochs = pd.RangeIndex(3, name="epoch")
    >>> history = {"elbo_train": pd.DataFrame({"elbo_train": [9.0, 5.0, 4.0]}, index=epochs)}
    >>> ax = bv.pl.training(history)  # in practice model.history
    >>> ax.get_xlabel()
    'Epoch'
    """
    if not isinstance(history, Mapping):
        given = "None: train the model first" if history is None else type(history).__name__
        raise TypeError(f"`history` must be model.history, a mapping of names to tables; it is {given}.")
    parts = {part: f"{metric}_{part}" for part in ("train", "validation")}
    if not any(key in history for key in parts.values()):
        recorded = sorted(
            {key.removesuffix(f"_{part}") for key in history for part in parts if key.endswith(f"_{part}")}
        )
        raise KeyError(f"no {metric!r} in the history; it has {recorded}.")
    ax = new_axes(height=2.2) if ax is None else ax
    styles = {"train": (OKABE_ITO[0], "-"), "validation": (OKABE_ITO[1], "--")}
    drawn = {part: history[key].iloc[:, 0] for part, key in parts.items() if key in history}
    for part, values in drawn.items():
        colour, line = styles[part]
        # a single epoch makes no line
        marker = "o" if len(values) == 1 else None
        ax.plot(values.index.to_numpy(), values.to_numpy(), color=colour, linestyle=line, marker=marker, label=part)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.ticklabel_format(axis="y", useOffset=False)
    _widen(ax, SPAN)
    ax.set(xlabel="Epoch", ylabel=LOSS_LABELS.get(metric) or plain(metric))
    set_fonts([ax.yaxis.label])
    if len(drawn) > 1:
        ax.legend(fontsize="small", frameon=False)
    return finish(ax, show=show, save=save)


def _widen(ax: Axes, share: float) -> None:
    """Widen the vertical axis to at least a share of its values."""
    low, high = ax.get_ylim()
    missing = share * max(abs(low), abs(high)) - (high - low)
    if missing > 0:
        ax.set_ylim(low - missing / 2, high + missing / 2)
