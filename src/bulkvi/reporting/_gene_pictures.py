"""A comparison, and the counts of its genes as pictures."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from bulkvi import names, pl
from bulkvi.gene_order import order_by_significance
from bulkvi.model import BulkVI
from bulkvi.reporting._gene_table import DECIMALS, effect_decimals, signed
from bulkvi.reporting._picture import Picture, draw
from bulkvi.reporting._query import Query

N_GENES: Final = 6
MAX_LEVELS: Final = 12
SCALE: Final = 0.94


class Comparison(NamedTuple):
    """A model and its table."""

    model: BulkVI
    de: pd.DataFrame
    """With symbols."""
    query: Query
    groupby: str | None
    """Column of the groups."""
    slope: str | None
    """Numeric column that genes are drawn over."""
    level: float

    @property
    def column(self) -> str | None:
        """Column that samples are coloured by."""
        return self.groupby or self.slope

    @property
    def digits(self) -> int:
        """Decimals of effects."""
        return DECIMALS if self.query.slope is None else effect_decimals(self.de, self.level)

    def counts_of(self, *keys: str) -> dict[str, Any]:
        """Return the keys of the model's counts in the AnnData, as plots take them."""
        setup = self.model.registry["setup_args"]
        return {key: setup[key] for key in keys}

    def few_levels(self, column: str) -> bool:
        """Whether the levels of a column can be distinguished in a plot."""
        return bool(self.model.adata.obs[column].nunique() <= MAX_LEVELS)

    def is_colour(self, column: str) -> bool:
        """Whether samples can be coloured by a column."""
        return pd.api.types.is_numeric_dtype(self.model.adata.obs[column]) or self.few_levels(column)

    def most_significant(self, n: int) -> pd.DataFrame:
        """Return the rows of the most significant genes."""
        return self.de.iloc[order_by_significance(self.de)[:n]]

    def top_genes(self, n: int) -> pd.DataFrame:
        """Return the rows of the most significant genes that are called."""
        called = self.de[self.de[names.ADJ_P_VALUE] < self.level]
        return called.iloc[order_by_significance(called)[:n]]

    def drawn_genes(self) -> pd.DataFrame:
        """Return the genes whose counts the page shows."""
        visible = self.slope is not None or (self.groupby is not None and self.few_levels(self.groupby))
        return self.top_genes(N_GENES if visible else 0)


def gene_pictures(comparison: Comparison, genes: pd.DataFrame) -> list[Picture]:
    """Counts of genes with their fitted rates: over a numeric column, or by group with the reference on the left."""
    if comparison.column is None or genes.empty:
        return []
    pictures: list[Picture] = []
    draw_gene = _trends(comparison, genes) if comparison.slope is not None else _groups(comparison, genes)
    for gene, row in genes.iterrows():
        plot, rates, height = draw_gene(gene)
        caption = ""
        if names.LOG_FC in row:
            effect, *ends = (
                signed(row[x], comparison.digits) for x in (names.LOG_FC, names.LOG_FC_LOW, names.LOG_FC_HIGH)
            )
            unit = comparison.query.unit if comparison.slope is not None else ""
            caption = f"Log2 fold change{unit} {effect} ({' to '.join(ends)})."
        by = f"over {comparison.slope}" if comparison.slope is not None else f"by {comparison.groupby}"
        pictures.append(
            draw(
                plot,
                title=row[names.SYMBOL],
                caption=caption,
                alt=f"Counts of {row[names.SYMBOL]} {by}, divided by size factors. Fitted: {rates}.",
                height=height,
                scale=SCALE,
                file="" if pictures else "gene",
            )
        )
    return pictures


GenePlot = Callable[[Any], tuple[Callable[[Axes], Axes], str, float]]
"""Plot of a gene, its fitted rates in words, and the height in inches."""


def _trends(comparison: Comparison, genes: pd.DataFrame) -> GenePlot:
    column, keys = str(comparison.slope), comparison.counts_of("size_factor_key", "layer", "offset_key")
    curves = comparison.model.get_rate_curve(genes.index.tolist(), column)

    def draw_gene(gene: Any) -> tuple[Callable[[Axes], Axes], str, float]:
        ends = curves.loc[gene].iloc[[0, -1]].to_dict("records")
        rates = ", ".join(f"{end[names.RATE]:,.0f} at {end[names.COVARIATE]:g}" for end in ends)
        return lambda ax: pl.gene_trend(comparison.model.adata, gene, column, curve=curves, ax=ax, **keys), rates, 3.1

    return draw_gene


def _groups(comparison: Comparison, genes: pd.DataFrame) -> GenePlot:
    query, groupby = comparison.query, str(comparison.groupby)
    order = query.groups[::-1] if query.groups and groupby == query.groupby else None
    keys = comparison.counts_of("size_factor_key", "layer", "offset_key")
    rates = comparison.model.get_group_rates(genes.index.tolist(), groupby, within="auto")
    parts = [names.GROUP, *([names.STRATUM] if names.STRATUM in rates else [])]

    def draw_gene(gene: Any) -> tuple[Callable[[Axes], Axes], str, float]:
        heights = ", ".join(
            f"{' '.join(str(row[part]) for part in parts)} {row[names.RATE]:,.0f}"
            for _, row in rates.loc[[gene]].iterrows()
        )
        height = 3.5 if names.STRATUM in rates else 3.1
        plot = lambda ax: pl.gene(comparison.model.adata, gene, groupby, rates=rates, order=order, ax=ax, **keys)  # noqa: E731
        return plot, heights, height

    return draw_gene


def is_number_in_design(model: BulkVI, column: str) -> bool:
    """Whether a column enters the design as a number, so that a gene can be drawn over it."""
    values = model.adata.obs[column]
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return False
    try:
        model.get_rate_curve(model.adata.var_names[:1].tolist(), column)
    except ValueError:
        return False
    return True
