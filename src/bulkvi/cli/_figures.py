"""The figures that every comparison on the command line leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bulkvi import BulkVI

WIDTH: Final = 3.3
N_TERMS: Final = 12
LONGEST: Final = 24
"""Characters of a column's name that are drawn."""
FIGURES: Final = tuple("volcano ma p_values dispersion shrinkage gene latent size_factors training enrichment".split())
"""Names of all figures; the last only where gene sets were scored."""
OF_EFFECTS: Final = ("volcano", "ma", "shrinkage")
"""Those that an omnibus test, which has no effect, lacks."""


def draw_figures(
    model: "BulkVI",
    adata: "AnnData",
    table: "pd.DataFrame",
    folder: Path,
    *,
    terms: "pd.DataFrame | None" = None,
    groupby: str | None,
    level: float,
    slope: str | None = None,
) -> None:
    """Draw an answer as PNG and PDF, one figure a file: what its table and question have a picture for.

    Parameters
    ----------
    model
        Trained on ``adata``.
    adata
        Samples x genes, with size factors and latent states.
    table
        Of differential expression, with symbols where they are known.
    folder
        Where the figures go.
    terms
        Scored gene sets, if any.
    groupby
        Column of ``obs`` whose groups were compared; None if there is no such column.
    level
        Genes are called where the adjusted p-value is below it.
    slope
        Numeric column of ``obs``, if the effect is the change per unit of it.
    """
    from bulkvi import pl
    from bulkvi.gene_order import order_by_significance
    from bulkvi.names import LOG_FC, QUERY

    top = str(table.index[order_by_significance(table)[0]])
    asked = table.attrs.get(QUERY, {})
    # the reference on the left, so that up looks like up
    order = [asked["group2"], asked["group1"]] if groupby and asked.get("groupby") == groupby else None
    setup = model.registry["setup_args"]
    counts = {key: setup[key] for key in ("size_factor_key", "layer", "offset_key")}
    colour = slope or groupby

    def draw_gene(ax: "Axes") -> "Axes":
        if slope is not None:
            return pl.gene_trend(adata, top, slope, curve=model.get_rate_curve([top], slope), ax=ax, **counts)
        rates = model.get_group_rates([top], str(groupby), within="auto")
        return pl.gene(adata, top, str(groupby), rates=rates, order=order, ax=ax, **counts)

    def draw_size_factors(ax: "Axes") -> "Axes":
        return pl.size_factors(adata, key=setup["size_factor_key"], layer=setup["layer"], color=colour, ax=ax)

    plots: dict[str, tuple[float, Callable[[Axes], Axes]]] = {
        "volcano": (3.3, lambda ax: pl.volcano(table, level=level, ax=ax)),
        "ma": (3.0, lambda ax: pl.ma(table, level=level, ax=ax)),
        "p_values": (2.6, lambda ax: pl.p_values(table, ax=ax)),
        "dispersion": (2.8, lambda ax: pl.dispersion(model.get_dispersions(), ax=ax)),
        "shrinkage": (3.1, lambda ax: pl.shrinkage(table, level=level, ax=ax)),
        "gene": (3.1, draw_gene),
        "latent": (3.0, lambda ax: pl.latent(adata, color=colour, ax=ax)),
        "size_factors": (3.0, draw_size_factors),
        "training": (2.4, lambda ax: pl.training(model.history, ax=ax)),
    }
    if terms is not None:
        plots["enrichment"] = (4.5, lambda ax: pl.enrichment(terms, n_terms=N_TERMS, level=level, ax=ax))
    if LOG_FC not in table:  # an omnibus test
        plots = {name: plot for name, plot in plots.items() if name not in OF_EFFECTS}
    if colour is None:
        del plots["gene"]
    for name, (height, draw) in plots.items():
        figure = new_figure(height)
        axes = draw(figure.subplots())
        if slope is not None and name in OF_EFFECTS:
            _say_unit(axes, slope)
        save_figure(figure, folder / name)


def _say_unit(axes: "Axes", column: str) -> None:
    """Say above the Axes of effects that they are per unit of a column."""
    shown = column if len(column) <= LONGEST else f"{column[: LONGEST - 1]}…"
    unit = " ".join(f"Fold changes per unit of {shown}".split()).replace("$", r"\$")
    axes.set_title(f"{unit}\n{axes.get_title(loc='left')}", loc="left", fontsize="small")


def new_figure(height: float) -> "Figure":
    """A figure of one column width that needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG and PDF; the path is without an ending."""
    for suffix in ("png", "pdf"):
        figure.savefig(path.with_name(f"{path.name}.{suffix}"), dpi=300)
