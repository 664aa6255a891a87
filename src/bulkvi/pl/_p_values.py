from os import PathLike

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from bulkvi.arguments import check_whole
from bulkvi.names import P_VALUE
from bulkvi.pl._axes import AXES_HEIGHT, OKABE_ITO, legend_height, new_axes
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import count_genes, finite_genes, legend_beneath, p_values_of, say_above


def p_values(
    de: pd.DataFrame,
    *,
    ax: Axes | None = None,
    n_bins: int = 20,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Are the p-values trustworthy? Draw their histogram, with the height that every bar has if no gene changes.

    Expect even bars, and a peak at zero if there are genes that change. Bars that climb towards one, or a hump in the
    middle, tell of something that the model does not know, such as a hidden batch. Above the Axes stands how many genes
    are drawn and how many are not.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``: a row per gene, with the column ``p_value``. It is not changed.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    n_bins
        Number of bars.
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError
        If ``de`` is not a table.
    KeyError
        If the column is missing.
    ValueError
        If a p-value lies outside [0, 1], no gene has one, or ``n_bins`` is not positive.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame({"p_value": [0.001, 0.02, 0.3, 0.7, 0.9]})
    >>> ax = bv.pl.p_values(de, n_bins=5)  # in real life the table that model.differential_expression gives
    >>> [int(bar.get_height()) for bar in ax.patches]
    [2, 1, 0, 1, 1]
    """
    check_whole("n_bins", n_bins)
    if n_bins < 1:
        raise ValueError(f"`n_bins` must be at least 1; it is {n_bins}.")
    values = p_values_of(de)
    p_value = values[finite_genes(values[None], [P_VALUE])]
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + legend_height(1))
    ax.hist(p_value, bins=n_bins, range=(0, 1), color=OKABE_ITO[0], edgecolor="white", linewidth=0.4)
    expected = ax.axhline(
        p_value.size / n_bins, color=OKABE_ITO[1], linewidth=1.2, linestyle="--", label="expected if no gene changed"
    )
    ax.set(xlim=(0, 1), xlabel="p-value", ylabel="Genes")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    legend_beneath(ax, [expected])
    say_above(ax, count_genes(len(de), p_value.size))
    return finish(ax, show=show, save=save)
