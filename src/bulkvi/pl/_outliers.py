from os import PathLike
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bulkvi import names
from bulkvi import outlier_names as on
from bulkvi.pl._figure import AXES_HEIGHT, OKABE_ITO, finish, legend_below, legend_height, legend_marker, new_axes
from bulkvi.pl._text import plain, text_width, write_caption, write_names

MOST_NAMED = 8
"""Called samples of a gene that get their name, the most significant ones."""
MOST_LABELLED = 24
"""Samples that have a label below their bar."""
UP, DOWN, USUAL = OKABE_ITO[1], OKABE_ITO[0], "0.55"
MARGIN = 1.3


class OutlierScores(Protocol):
    """What is drawn of a :class:`bulkvi.tl.OutlierScores`."""

    @property
    def samples(self) -> pd.Index:
        """Names of the samples."""

    @property
    def genes(self) -> pd.Index:
        """Names of the genes."""

    @property
    def compared_with(self) -> str:
        """What the samples are compared with."""

    def table(self, quantity: str) -> pd.DataFrame:
        """Return one quantity, samples x genes."""

    def per_sample(self, alpha: float) -> pd.DataFrame:
        """Return the numbers of outliers of each sample."""


def outliers(
    scores: OutlierScores,
    gene: str | None = None,
    *,
    alpha: float = 0.05,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw outliers: how many each sample has, or one gene's counts against those expected.

    Without a gene, bars are the outliers of each sample, above (more reads than expected) and below zero (fewer), samples sorted by
    their number. With a gene, points are samples, at count and expected count, both plus 1 on log scales; triangles are called.

    Parameters
    ----------
    scores
        Result of :func:`bulkvi.tl.outliers`, or of a reference's ``score``. It is not changed.
    gene
        Name of a gene.
    alpha
        Counts are called at ``adj_p_value < alpha``.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    KeyError
        If there is no such gene.
    TypeError, ValueError
        If ``alpha`` is not a number above 0 and at most 1.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=200)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    >>> model = bv.BulkVI(adata, n_latent=2)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> scores = bv.tl.outliers(model, progress_bar=False)
    >>> bv.pl.outliers(scores).get_ylabel()
    'Outliers (genes)'
    >>> bv.pl.outliers(scores, adata.var_names[0]).get_xlabel()
    'Expected count + 1'
    """
    numbers = scores.per_sample(alpha).sort_values(on.N_OUTLIERS, ascending=False, kind="stable")
    if gene is not None and gene not in scores.genes:
        raise KeyError(f"no gene {gene!r} in the scores, which have {list(scores.genes[:3])} ...")
    if ax is None:
        rows = 1 if gene is not None else 2
        few = gene is None and len(numbers) <= MOST_LABELLED
        longest = max((len(plain(name)) for name in numbers.index), default=0) if few else 0
        ax = new_axes(height=AXES_HEIGHT + legend_height(rows) + text_width(longest) / 72)
    parts = [f"against {scores.compared_with}".replace("$", r"\$"), f"adjusted p < {alpha:g}"]
    if gene is None:
        _draw_numbers(ax, numbers)
        most, name = int(numbers[on.N_OUTLIERS].iloc[0]), numbers.index[0]
        write_caption(ax, [f"{len(numbers)} samples", *parts, *([f"most in {plain(name)}: {most:,}"] if most else [])])
    else:
        _draw_gene(ax, scores, gene, alpha)
        write_caption(ax, [plain(gene), *parts])
    return finish(ax, show=show, save=save)


def _draw_numbers(ax: Axes, numbers: pd.DataFrame) -> None:
    """Draw the numbers of outliers of samples, sorted."""
    place = np.arange(len(numbers))
    up, down = numbers[on.N_UP].to_numpy(), numbers[on.N_DOWN].to_numpy()
    # with many samples bars without gaps: those between thin bars would flicker
    width = 0.8 if len(numbers) <= 40 else 1.0
    handles = [
        ax.bar(place, up, width=width, color=UP, label=f"more reads than expected ({up.sum():,})"),
        ax.bar(place, -down, width=width, color=DOWN, label=f"fewer ({down.sum():,})"),
    ]
    ax.axhline(0, color="0.4", linewidth=0.6)
    top = max(int(up.max(initial=0)), int(down.max(initial=0)), 1)
    ax.set(
        ylabel="Outliers (genes)",
        ylim=(-max(down.max(initial=0), 0.1 * top) * MARGIN, max(up.max(initial=0), 0.1 * top) * MARGIN),
    )
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    if len(numbers) <= MOST_LABELLED:
        ax.set_xticks(place, [plain(name) for name in numbers.index], rotation=90, fontsize="small")
    else:
        ax.set_xlabel("Samples, by number of outliers")
        ax.set_xlim(-1, len(numbers))
    longest = max((len(plain(name)) for name in numbers.index), default=0) if len(numbers) <= MOST_LABELLED else 0
    legend_below(ax, handles, ncols=1, lower=text_width(longest))


def _draw_gene(ax: Axes, scores: OutlierScores, gene: str, alpha: float) -> None:
    """Draw counts of a gene against those expected."""
    table = {
        name: scores.table(name)[gene].to_numpy() for name in (names.COUNT, names.EXPECTED_COUNT, names.ADJ_P_VALUE)
    }
    count, expected = table[names.COUNT] + 1, table[names.EXPECTED_COUNT] + 1
    called = table[names.ADJ_P_VALUE] < alpha
    above = count > expected
    ax.set(xscale="log", yscale="log", xlabel="Expected count + 1", ylabel="Count + 1")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_minor_locator(NullLocator())
    ends = np.array([min(count.min(), expected.min()) / MARGIN, max(count.max(), expected.max()) * MARGIN])
    ax.plot(ends, ends, color="0.4", linewidth=0.8, zorder=1)
    handles = []
    for which, colour, marker, size, label in (
        (~called, USUAL, "o", 14, "as expected"),
        (called & above, UP, "^", 36, "outlier, more"),
        (called & ~above, DOWN, "v", 36, "outlier, fewer"),
    ):
        ax.scatter(expected[which], count[which], s=size, c=colour, marker=marker, linewidths=0, alpha=0.9, zorder=2)
        if which.any():
            handles.append(legend_marker(colour, f"{label} ({int(which.sum())})", marker=marker))
    order = np.flatnonzero(called)[np.argsort(table[names.ADJ_P_VALUE][called], kind="stable")][:MOST_NAMED]
    write_names(ax, expected[order], count[order], [plain(scores.samples[k]) for k in order], ring=False)
    legend_below(ax, handles)
