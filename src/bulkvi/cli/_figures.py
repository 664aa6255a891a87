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
FIGURES: Final = tuple("volcano ma p_values dispersion shrinkage gene latent size_factors training enrichment".split())
"""Names of all figures; the last only where gene sets were scored."""


def draw_figures(
    model: "BulkVI",
    adata: "AnnData",
    table: "pd.DataFrame",
    folder: Path,
    *,
    terms: "pd.DataFrame | None" = None,
    groupby: str,
    level: float,
) -> None:
    """Draw a comparison of groups as PNG and PDF, one figure a file.

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
        Column of ``obs`` that was compared.
    level
        Genes are called where the adjusted p-value is below it.
    """
    from bulkvi import pl
    from bulkvi.gene_order import order_by_significance
    from bulkvi.names import ASKED

    top = str(table.index[order_by_significance(table)[0]])
    asked = table.attrs.get(ASKED, {})
    # the reference on the left, so that up looks like up
    order = [asked["group2"], asked["group1"]] if asked.get("groupby") == groupby else None
    rates = model.get_group_rates([top], groupby, within="auto")
    setup = model.registry["setup_args"]

    def draw_gene(ax: "Axes") -> "Axes":
        return pl.gene(
            adata,
            top,
            groupby,
            rates=rates,
            order=order,
            size_factor_key=setup["size_factor_key"],
            layer=setup["layer"],
            offset_key=setup["offset_key"],
            ax=ax,
        )

    def draw_size_factors(ax: "Axes") -> "Axes":
        return pl.size_factors(adata, key=setup["size_factor_key"], layer=setup["layer"], color=groupby, ax=ax)

    plots: dict[str, tuple[float, Callable[[Axes], Axes]]] = {
        "volcano": (3.3, lambda ax: pl.volcano(table, level=level, ax=ax)),
        "ma": (3.0, lambda ax: pl.ma(table, level=level, ax=ax)),
        "p_values": (2.6, lambda ax: pl.p_values(table, ax=ax)),
        "dispersion": (2.8, lambda ax: pl.dispersion(model.get_dispersions(), ax=ax)),
        "shrinkage": (3.1, lambda ax: pl.shrinkage(table, level=level, ax=ax)),
        "gene": (3.1, draw_gene),
        "latent": (3.0, lambda ax: pl.latent(adata, color=groupby, ax=ax)),
        "size_factors": (3.0, draw_size_factors),
        "training": (2.4, lambda ax: pl.training(model.history, ax=ax)),
    }
    if terms is not None:
        plots["enrichment"] = (4.5, lambda ax: pl.enrichment(terms, n_terms=N_TERMS, level=level, ax=ax))
    for name, (height, draw) in plots.items():
        figure = new_figure(height)
        draw(figure.subplots())
        save_figure(figure, folder / name)


def new_figure(height: float) -> "Figure":
    """A figure of one column width that needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG and PDF; the path is without an ending."""
    for suffix in ("png", "pdf"):
        figure.savefig(path.with_name(f"{path.name}.{suffix}"), dpi=300)
