from collections.abc import Mapping
from os import PathLike
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bulkvi.pl._axes import OKABE_ITO, new_axes
from bulkvi.pl._finish import finish
from bulkvi.pl._text import plain, set_fonts

LABELS: Final = {
    "elbo": "Training loss\n(negative ELBO,\nnats per sample)",
    "reconstruction_loss": "Misfit of the counts\n(negative log-likelihood,\nnats per sample)",
    "kl_local": "Information in the latent state\n(KL divergence,\nnats per sample)",
}
"""Axis labels of what scvi-tools records in nats per sample."""
SPAN: Final = 0.01
"""Least height of the axis, as a share of the loss: what moves by less is flat, and is not to look like a fall."""


def training(
    history: Mapping[str, pd.DataFrame],
    *,
    metric: str = "elbo",
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Has training reached a plateau? Draw a loss over the epochs, for training and validation samples.

    Parameters
    ----------
    history
        ``model.history``: a table with a row per epoch for each recorded quantity.
    metric
        What to draw: ``"elbo"`` draws ``history["elbo_train"]`` and, if samples were held out, ``"elbo_validation"``.
        scvi-tools records the negative of the evidence lower bound, so lower is better.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes. The loss is in nats per sample; the axis spans at least 1 % of it.

    Raises
    ------
    TypeError
        If ``history`` is not a mapping of tables.
    KeyError
        If the metric was not recorded.

    Examples
    --------
    >>> import bulkvi as bv
    >>> epochs = pd.RangeIndex(3, name="epoch")
    >>> history = {"elbo_train": pd.DataFrame({"elbo_train": [9.0, 5.0, 4.0]}, index=epochs)}
    >>> ax = bv.pl.training(history)  # in real life model.history
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
    _show_at_least(ax, SPAN)
    ax.set(xlabel="Epoch", ylabel=LABELS.get(metric) or plain(metric))
    set_fonts([ax.yaxis.label])
    if len(drawn) > 1:
        ax.legend(fontsize="small", frameon=False)
    return finish(ax, show=show, save=save)


def _show_at_least(ax: Axes, share: float) -> None:
    """Widen the vertical axis to a share of its values."""
    low, high = ax.get_ylim()
    missing = share * max(abs(low), abs(high)) - (high - low)
    if missing > 0:
        ax.set_ylim(low - missing / 2, high + missing / 2)
