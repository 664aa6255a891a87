"""The plots of the page, each with a sentence that says how to read it and one that says what is seen."""

from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import design_names as dn
from bulkvi import enrichment_names as en
from bulkvi import names, pl
from bulkvi.gene_order import order_by_significance
from bulkvi.model import BulkVI
from bulkvi.reporting._asked import Asked
from bulkvi.reporting._gene_table import signed
from bulkvi.reporting._picture import Picture, draw
from bulkvi.study.design import make_design
from bulkvi.tl import DesignCheck

N_GENES: Final = 6
N_NAMED: Final = 10
"""Names in the volcano plot."""
N_TERMS: Final = 12
DRAWN_OF_TERMS: Final = {en.TERM, en.DIRECTION, en.SCORE, en.SCORE_LOW, en.SCORE_HIGH, en.SIZE, en.N_CALLED, en.GENES}
N_LATENT: Final = 2
CLOSE: Final = 0.2
"""Share of a direction that a column must explain to be drawn before the columns of the design."""
MAX_LEVELS: Final = 12
GENE_WIDTH: Final = 3.1
RESULT_WIDTH: Final = 4.9


def result_pictures(de: pd.DataFrame, *, level: float, said: str, asked: Asked) -> list[Picture]:
    """Effects and how sure they are."""
    top = top_genes(de, level, N_NAMED)
    named = f" Named are {', '.join(top[names.SYMBOL])}." if len(top) else ""
    right = f" To the right is up{asked.up()}." if asked.up() else ""
    right += f" Changes are per unit of {asked.slope}." if asked.slope else ""
    return [
        draw(
            lambda ax: pl.volcano(de, level=level, label=N_NAMED, ax=ax),
            title="Volcano plot",
            says=f"A point for each gene: the further up, the surer; the further out, the larger the change.{right}",
            alt=f"Volcano plot, -log10 p-value over log2 fold change. {said}{named}",
            height=4.6,
            width=RESULT_WIDTH,
        ),
        draw(
            lambda ax: pl.ma(de, level=level, ax=ax),
            title="Change and expression",
            says="Genes with many counts are on the right. The grey cloud should lie on the zero line all along.",
            alt=f"Log2 fold change over mean count of each gene, calls coloured. {said}",
            height=4.6,
            width=RESULT_WIDTH,
        ),
    ]


def top_genes(de: pd.DataFrame, level: float, n: int) -> pd.DataFrame:
    """Rows of the most significant genes that are called."""
    ordered = de.iloc[order_by_significance(de)]
    return ordered[ordered[names.ADJ_P_VALUE] < level].head(n)


def gene_pictures(model: BulkVI, de: pd.DataFrame, groupby: str | None, asked: Asked, *, level: float) -> list[Picture]:
    """Counts of the most significant genes; the reference, where there is one, on the left."""
    order = asked.groups[::-1] if asked.groups and groupby == asked.groupby else None
    called = top_genes(de, level, N_GENES)
    adata, setup = model.adata, model.registry["setup_args"]
    if groupby is None or adata.obs[groupby].nunique() > MAX_LEVELS or called.empty:
        return []
    rates = model.get_group_rates(called.index.tolist(), groupby, within="auto")
    drawn = []
    for gene, row in called.iterrows():
        own = rates.loc[[gene]]
        heights = ", ".join(
            " ".join([str(row[names.GROUP]), *([str(row[names.STRATUM])] if names.STRATUM in own else [])])
            + f" {row[names.RATE]:,.0f}"
            for _, row in own.iterrows()
        )
        drawn.append(
            draw(
                lambda ax, gene=gene: pl.gene(  # type: ignore[misc]
                    adata,
                    gene,
                    groupby,
                    rates=rates,
                    order=order,
                    size_factor_key=setup["size_factor_key"],
                    layer=setup["layer"],
                    offset_key=setup["offset_key"],
                    ax=ax,
                ),
                title=row[names.SYMBOL],
                says=f"Log2 fold change {signed(row[names.LOG_FC])} ({signed(row[names.LOG_FC_LOW])} to "
                f"{signed(row[names.LOG_FC_HIGH])}).",
                alt=f"Counts of {row[names.SYMBOL]} by {groupby}, divided by size factors. Fitted: {heights}.",
                height=3.3 if names.STRATUM in rates else 2.8,
                width=GENE_WIDTH,
            )
        )
    return drawn


def design_picture(check: DesignCheck | None) -> list[Picture]:
    """How closely the columns of the table of samples go together."""
    if check is None or not 1 <= len(check.association) <= 105:
        return []
    pairs = check.association.dropna(subset=dn.ASSOCIATION).nlargest(3, dn.ASSOCIATION)
    closest = "; ".join(
        f"{row[dn.COLUMN]} and {row[dn.OTHER_COLUMN]} {row[dn.ASSOCIATION]:.2f}" for _, row in pairs.iterrows()
    )
    return [
        draw(
            lambda ax: pl.design(check, ax=ax),
            title="Columns that go together",
            says="A dark cell beside what is compared would be a column whose effect cannot be told from it.",
            alt=f"Table of associations between columns, from 0 to 1. Closest: {closest}.",
            height=3.6,
        )
    ]


def size_factor_picture(model: BulkVI, groupby: str | None) -> Picture:
    """Size factors against depth."""
    adata, setup = model.adata, model.registry["setup_args"]
    factors = adata.obs[setup["size_factor_key"]]
    return draw(
        lambda ax: pl.size_factors(
            adata, key=setup["size_factor_key"], layer=setup["layer"], color=_colour(adata, groupby), ax=ax
        ),
        title="Size factors",
        says="Samples near the line were scaled as deep as they were sequenced; one far off it has a composition of its own.",
        alt=f"Size factor of each sample over its total count; size factors from {factors.min():.2f} to {factors.max():.2f}.",
        height=3.8,
    )


def latent_pictures(model: BulkVI, groupby: str | None) -> list[Picture]:
    """The samples in the first two dimensions of the latent state, coloured by what may explain it."""
    if model.module.n_latent < 2:
        return []
    adata = model.adata
    columns = _latent_columns(model, groupby)
    shown = AnnData(
        obs=adata.obs[columns],
        obsm={names.LATENT: model.get_latent_representation()},
        uns={key: adata.uns[key] for key in (f"{column}_colors" for column in columns) if key in adata.uns},
    )
    says = "Samples that lie together are alike in what the design leaves unexplained"
    pictures: list[Picture] = []
    for column in columns or (None,):
        by = f" by {column}" if column else ""
        pictures.append(
            draw(
                lambda ax, column=column: pl.latent(shown, color=column, ax=ax),  # type: ignore[misc]
                title=f"Latent state{by}",
                says=f"{says}; clusters that you can name are worth a column in the design." if not pictures else "",
                alt=f"Each of {adata.n_obs} samples in the first two latent dimensions"
                + (f", coloured{by}." if column else "."),
                height=3.8,
            )
        )
    return pictures


def _latent_columns(model: BulkVI, groupby: str | None) -> list[str]:
    """Columns to colour by: what is compared, what goes with the latent state, what else is in the design."""
    obs, setup = model.adata.obs, model.registry["setup_args"]
    try:
        report = model.latent_report()
        closest = report.loc[report[names.STRENGTH] >= CLOSE, names.STRONGEST_WITH].tolist()
    except ValueError:
        closest = []
    design = [] if setup["design"] is None else make_design(setup["design"], obs)[0].variables
    wanted = dict.fromkeys([groupby, *closest, *design])
    return [
        column
        for column in wanted
        if column in obs and (pd.api.types.is_numeric_dtype(obs[column]) or obs[column].nunique() <= MAX_LEVELS)
    ][:N_LATENT]


def fit_pictures(model: BulkVI, de: pd.DataFrame, *, level: float) -> list[Picture]:
    """What the tests stand on."""
    p_values = de[names.P_VALUE].dropna()
    dispersions = model.get_dispersions()
    drawn = [
        draw(
            lambda ax: pl.p_values(de, ax=ax),
            title="p-values",
            says="Expect even bars and a peak at zero. Bars that climb to the right, or a hump, tell of something that the "
            "model does not know.",
            alt=f"Histogram of p-values: {100 * np.mean(p_values < 0.05):.0f} % lie below 0.05, {100 * np.mean(p_values > 0.5):.0f} % above 0.5.",
            height=3.3,
        ),
        draw(
            lambda ax: pl.dispersion(dispersions, ax=ax),
            title="Variation between replicates",
            says="How much replicates differ beyond counting noise: the blue points should follow the line, without a second "
            "cloud.",
            alt="Dispersion of each gene over its mean count; the median is "
            f"{dispersions[names.DISPERSION].median():.3g}.",
            height=3.5,
        ),
        draw(
            lambda ax: pl.shrinkage(de, level=level, ax=ax),
            title="Shrinkage",
            says="Genes on the diagonal keep the fold change of their counts; those near the horizontal line have too few to "
            "be believed.",
            alt="Log2 fold changes with shrinkage over those without.",
            height=3.8,
        ),
    ]
    if "elbo_train" in (model.history or {}):
        losses = model.history["elbo_train"].iloc[:, 0].to_numpy(float)
        drawn.append(
            draw(
                lambda ax: pl.training(model.history, ax=ax),
                title="Training",
                says=f"The curve should have become flat: over its last half it moved by {_moved(losses)} of its height above "
                "zero; zigzags are the random draws of training. The tests above do not hang on it; the latent state does.",
                alt=f"Training loss over {losses.size} epochs, from {losses[0]:,.0f} to {losses[-1]:,.0f}.",
                height=3.2,
            )
        )
    return drawn


def _moved(losses: np.ndarray) -> str:
    """By how much of itself a loss changed in the second half of training, in per cent."""
    last = losses[losses.size // 2 :]
    return f"{100 * (last.max() - last.min()) / max(abs(last[-1]), 1e-300):.2g} %"


def pathway_pictures(enrichment: pd.DataFrame, *, level: float) -> list[Picture]:
    """The most significant gene sets, where the table is one of ``tl.enrichment``."""
    if not DRAWN_OF_TERMS <= set(enrichment.columns) or not enrichment[en.SCORE].notna().any():
        return []
    first = ", ".join(enrichment[en.TERM].astype(str).head(5))
    return [
        draw(
            lambda ax: pl.enrichment(enrichment, n_terms=N_TERMS, level=level, ax=ax),
            title="Most significant gene sets",
            says="A dot for each set: the further out, the stronger; the line is how far the score moves with the genes' uncertainty.",
            alt=f"Scores of the most significant gene sets with intervals. The first are {first}.",
            height=4.8,
            width=RESULT_WIDTH,
        )
    ]


def calibration_pictures(calibration: Any) -> list[Picture]:
    """What relabelled samples say."""
    return [
        draw(
            lambda ax: pl.calibration(calibration, ax=ax),
            title="Rate of false calls",
            says="Points on or below the diagonal: no more false calls than promised.",
            alt=f"Empirical against nominal false discovery rate. {calibration.verdict}",
            height=3.6,
        ),
        draw(
            lambda ax: pl.calibration(calibration, kind="calls", ax=ax),
            title="Calls when labels mean nothing",
            says="The dashed line, calls on the data, should stand far to the right of the bars.",
            alt="Histogram of the number of genes called in relabelled samples, with a line for the data.",
            height=3.3,
        ),
    ]


def _colour(adata: AnnData, column: str | None) -> str | None:
    """The column, if its levels can be told apart in colour."""
    return column if column is None or adata.obs[column].nunique() <= MAX_LEVELS else None
