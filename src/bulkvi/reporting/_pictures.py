"""The plots of a comparison, each with a caption on how to read it and a description of what is seen."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from bulkvi import design_names as dn
from bulkvi import enrichment_names as en
from bulkvi import names, pl
from bulkvi.latent_names import DESIGN_VARIABLES
from bulkvi.reporting._gene_pictures import Comparison, gene_pictures
from bulkvi.reporting._picture import Picture, draw
from bulkvi.study.design import make_design
from bulkvi.tl import DesignCheck

N_NAMED: Final = 10
"""Names in the volcano plot."""
N_TERMS: Final = 12
DRAWN_OF_TERMS: Final = {en.TERM, en.DIRECTION, en.SCORE, en.SCORE_LOW, en.SCORE_HIGH, en.SIZE, en.N_CALLED, en.GENES}
N_LATENT: Final = 2
CLOSE: Final = 0.2
"""Share of a direction that a column must explain to be drawn before the columns of the design."""
LONGEST: Final = 24
"""Characters of a column's name that are drawn."""


def result_pictures(comparison: Comparison, *, summary: str) -> list[Picture]:
    """Effects and their significance."""
    de, query, level = comparison.de, comparison.query, comparison.level
    top = comparison.top_genes(N_NAMED)
    named = f" Named are {', '.join(top[names.SYMBOL])}." if len(top) else ""
    right = f" To the right is up{query.direction}." if query.direction else ""
    right += f" Changes are per unit of {query.slope}." if query.slope else ""
    return [
        draw(
            _with_unit(lambda ax: pl.volcano(de, level=level, label=N_NAMED, ax=ax), query.slope),
            title="Volcano plot",
            caption=f"One point per gene: more significant genes are higher, larger changes are further out.{right}",
            alt=f"Volcano plot, -log10 p-value over log2 fold change. {summary}{named}",
            height=3.3,
            file="volcano",
        ),
        draw(
            _with_unit(lambda ax: pl.ma(de, level=level, ax=ax), query.slope),
            title="Change and expression",
            caption="Genes with many counts are on the right. The grey points should be centred on zero at every mean count.",
            alt=f"Log2 fold change over mean count of each gene, calls coloured. {summary}",
            height=3.0,
            file="ma",
        ),
    ]


def _with_unit(plot: Callable[[Axes], Axes], column: str | None) -> Callable[[Axes], Axes]:
    """Add the unit of a slope above the Axes of a plot of effects."""
    if column is None:
        return plot
    shown = column if len(column) <= LONGEST else f"{column[: LONGEST - 1]}…"
    unit = " ".join(f"Fold changes per unit of {shown}".split()).replace("$", r"\$")

    def plot_with_unit(ax: Axes) -> Axes:
        plot(ax)
        ax.set_title(f"{unit}\n{ax.get_title(loc='left')}", loc="left", fontsize="small")
        return ax

    return plot_with_unit


def design_picture(check: DesignCheck | None) -> list[Picture]:
    """Association between the columns of the table of samples."""
    if check is None or not 1 <= len(check.association) <= 105:
        return []
    pairs = check.association.dropna(subset=dn.ASSOCIATION).nlargest(3, dn.ASSOCIATION)
    closest = "; ".join(
        f"{row[dn.COLUMN]} and {row[dn.OTHER_COLUMN]} {row[dn.ASSOCIATION]:.2f}" for _, row in pairs.iterrows()
    )
    return [
        draw(
            lambda ax: pl.design(check, ax=ax),
            title="Associated columns",
            caption="A dark cell in the row of the compared column marks a column whose effect cannot be separated from it.",
            alt=f"Table of associations between columns, from 0 to 1. Closest: {closest}.",
            height=3.1,
        )
    ]


def size_factor_picture(comparison: Comparison) -> Picture:
    """Size factors against depth."""
    adata, keys = comparison.model.adata, comparison.counts_of("size_factor_key", "layer")
    key = keys["size_factor_key"]
    colour = comparison.column if comparison.column is not None and comparison.is_colour(comparison.column) else None
    return draw(
        lambda ax: pl.size_factors(adata, key=key, layer=keys["layer"], color=colour, ax=ax),
        title="Size factors",
        caption="The size factor of a sample near the line follows its depth; a sample far from it has another composition.",
        alt="Size factor of each sample over its total count; size factors from "
        f"{adata.obs[key].min():.2f} to {adata.obs[key].max():.2f}.",
        height=3.0,
        file="size_factors",
    )


def latent_pictures(comparison: Comparison) -> list[Picture]:
    """The samples in the first two dimensions of the latent state, coloured by columns that may explain it."""
    state = comparison.model.get_latent_representation()
    # without a direction that the samples support all of them are in one place
    if state.shape[1] < 2 or not state.any():
        return []
    adata, columns = comparison.model.adata, _latent_columns(comparison)
    shown = AnnData(
        obs=adata.obs[columns],
        obsm={names.LATENT: state},
        uns={
            key: adata.uns[key]
            for key in (DESIGN_VARIABLES, *(f"{column}_colors" for column in columns))
            if key in adata.uns
        },
    )
    caption = (
        "Samples that are close together are alike in the variation that the design leaves unexplained (distances are log2 fold "
        "changes); add a column to the design for clusters that you can name."
    )
    pictures: list[Picture] = []
    for column in columns or (None,):
        by = f" by {column}" if column else ""
        pictures.append(
            draw(
                lambda ax, column=column: pl.latent(shown, color=column, ax=ax),  # type: ignore[misc]
                title=f"Latent state{by}",
                caption="" if pictures else caption,
                alt=f"Each of {adata.n_obs} samples on the first two axes of the latent state"
                + (f", coloured{by}." if column else "."),
                height=3.0,
                file="" if pictures else "latent",
            )
        )
    return pictures


def _latent_columns(comparison: Comparison) -> list[str]:
    """Columns to colour by: the compared one, those associated with the latent state, others of the design."""
    obs, formula = comparison.model.adata.obs, comparison.model.registry["setup_args"]["design"]
    try:
        report = comparison.model.latent_report()
        closest = report.loc[report[names.STRENGTH] >= CLOSE, names.STRONGEST_WITH].tolist()
    except ValueError:
        closest = []
    design = [] if formula is None else make_design(formula, obs)[0].variables
    return [
        column
        for column in dict.fromkeys([comparison.column, *closest, *design])
        if column in obs and comparison.is_colour(column)
    ][:N_LATENT]


def fit_pictures(comparison: Comparison) -> list[Picture]:
    """Evidence on the fit; without effects, as of an omnibus test, no shrinkage."""
    de, p_values, dispersions = comparison.de, comparison.de[names.P_VALUE].dropna(), comparison.model.get_dispersions()
    pictures = [
        draw(
            lambda ax: pl.p_values(de, ax=ax),
            title="p-values",
            caption="Expect even bars and a peak at zero. Bars that rise to the right, or a hump, show that the model misses a "
            "source of variation.",
            alt=f"Histogram of p-values: {100 * np.mean(p_values < 0.05):.0f} % lie below 0.05, {100 * np.mean(p_values > 0.5):.0f} % above 0.5.",
            height=2.6,
            file="p_values",
        ),
        draw(
            lambda ax: pl.dispersion(dispersions, ax=ax),
            title="Variation between replicates",
            caption="Variation of replicates beyond counting noise: the blue points should follow the line, without a second "
            "cloud.",
            alt="Dispersion of each gene over its mean count; the median is "
            f"{dispersions[names.DISPERSION].median():.3g}.",
            height=2.8,
            file="dispersion",
        ),
    ]
    if names.LOG_FC in de:
        pictures.append(
            draw(
                _with_unit(lambda ax: pl.shrinkage(de, level=comparison.level, ax=ax), comparison.query.slope),
                title="Shrinkage",
                caption="Genes on the diagonal keep the fold change of their counts; those near the horizontal line have too few "
                "counts to estimate it.",
                alt="Log2 fold changes with shrinkage over those without.",
                height=3.1,
                file="shrinkage",
            )
        )
    if "elbo_train" in (comparison.model.history or {}):
        losses = comparison.model.history["elbo_train"].iloc[:, 0].to_numpy(float)
        last = losses[losses.size // 2 :]
        moved = 100 * (last.max() - last.min()) / max(abs(last[-1]), 1e-300)
        pictures.append(
            draw(
                lambda ax: pl.training(comparison.model.history, ax=ax),
                title="Training",
                caption=f"The curve should have become flat: over its last half it changed by {moved:.2g} % of its value; zigzags "
                "are the random draws of training. The tests above do not depend on it; the latent state does.",
                alt=f"Training loss over {losses.size} epochs, from {losses[0]:,.0f} to {losses[-1]:,.0f}.",
                height=2.4,
                file="training",
            )
        )
    return pictures


def pathway_pictures(enrichment: pd.DataFrame | None, *, level: float) -> list[Picture]:
    """The most significant gene sets, where the table is one of ``tl.enrichment``."""
    if enrichment is None or not DRAWN_OF_TERMS <= set(enrichment.columns) or not enrichment[en.SCORE].notna().any():
        return []
    first = ", ".join(enrichment[en.TERM].astype(str).head(5))
    return [
        draw(
            lambda ax: pl.enrichment(enrichment, n_terms=N_TERMS, level=level, ax=ax),
            title="Most significant gene sets",
            caption="One dot per set: stronger sets are further out; the line is the range of the score within the uncertainty of "
            "the genes' fold changes.",
            alt=f"Scores of the most significant gene sets with intervals. The first are {first}.",
            height=4.5,
            file="enrichment",
        )
    ]


def calibration_pictures(calibration: Any) -> list[Picture]:
    """Calls after permutation of the labels."""
    if calibration is None:
        return []
    return [
        draw(
            lambda ax: pl.calibration(calibration, ax=ax),
            title="Rate of false calls",
            caption="Points on or below the diagonal: no more false calls than the nominal rate.",
            alt=f"Empirical against nominal false discovery rate. {calibration.verdict}",
            height=3.1,
        ),
        draw(
            lambda ax: pl.calibration(calibration, kind="calls", ax=ax),
            title="Calls with permuted labels",
            caption="The dashed line, calls on the data, should be far to the right of the bars.",
            alt="Histogram of the number of genes called with permuted labels, with a line for the data.",
            height=2.8,
        ),
    ]


def write_pictures(drawn: Sequence[Picture], comparison: Comparison, folder: Path) -> None:
    """Write the pictures that have files, among them in any case that of the most significant gene."""
    if not any(picture.file == "gene" for picture in drawn):
        drawn = [*drawn, *gene_pictures(comparison, comparison.most_significant(1))]
    for picture in drawn:
        if picture.file:
            picture.write(folder)
