from collections.abc import Mapping
from os import PathLike
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bulkvi.pl._axes import OKABE_ITO, new_axes
from bulkvi.pl._finish import finish

LABELS: Final = {
    "elbo": "Negative ELBO",
    "reconstruction_loss": "Negative log-likelihood",
    "kl_local": "KL divergence of the latent state",
}
"""Axis labels of what scvi-tools records in nats per sample."""


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
    The Axes. The loss is in nats per sample.

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
    ax.set(xlabel="Epoch", ylabel=f"{LABELS[metric]}\n(nats per sample)" if metric in LABELS else metric)
    if len(drawn) > 1:
        ax.legend(fontsize="small", frameon=False)
    return finish(ax, show=show, save=save)
