"""The most significant genes of a slope, sample by sample."""

from typing import Final

import pandas as pd

from bulkvi import names, pl
from bulkvi.model import BulkVI
from bulkvi.reporting._asked import Asked
from bulkvi.reporting._gene_table import signed
from bulkvi.reporting._picture import Picture, draw
from bulkvi.reporting._pictures import top_genes

N_GENES: Final = 6
WIDTH: Final = 3.1


def trend_pictures(model: BulkVI, de: pd.DataFrame, asked: Asked, *, level: float, digits: int) -> list[Picture]:
    """Draw counts over the covariate with the fitted curve; nothing unless the effect is a slope."""
    called = top_genes(de, level, N_GENES)
    if asked.slope is None or called.empty:
        return []
    column, setup = asked.slope, model.registry["setup_args"]
    curves = model.get_rate_curve(called.index.tolist(), column)
    drawn = []
    for gene, row in called.iterrows():
        first, last = curves.loc[gene].iloc[[0, -1]].to_dict("records")
        drawn.append(
            draw(
                lambda ax, gene=gene: pl.gene_trend(  # type: ignore[misc]
                    model.adata,
                    gene,
                    column,
                    curve=curves,
                    size_factor_key=setup["size_factor_key"],
                    layer=setup["layer"],
                    offset_key=setup["offset_key"],
                    ax=ax,
                ),
                title=row[names.SYMBOL],
                says=f"Log2 fold change per unit of {column} {signed(row[names.LOG_FC], digits)} "
                f"({signed(row[names.LOG_FC_LOW], digits)} to {signed(row[names.LOG_FC_HIGH], digits)}).",
                alt=f"Counts of {row[names.SYMBOL]} over {column}, divided by size factors. Fitted: "
                f"{first[names.RATE]:,.0f} at {first[names.COVARIATE]:g}, {last[names.RATE]:,.0f} at {last[names.COVARIATE]:g}.",
                height=2.8,
                width=WIDTH,
            )
        )
    return drawn
