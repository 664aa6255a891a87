"""What was done, as the methods section of a paper says it: what is known, and nothing else."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from bulkvi import enrichment_names as en
from bulkvi import names
from bulkvi.model import BulkVI
from bulkvi.model._fields import has_recorded_source
from bulkvi.reporting._asked import Asked
from bulkvi.stats.counts import size_factors as estimators
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.study.size_factors import source_from

TOLERANCE: Final = 1e-6
SETS: Final = {
    "go_bp": "GO biological processes",
    "hallmark": "the hallmark sets of MSigDB",
    "reactome": "Reactome pathways",
    "kegg": "KEGG pathways",
}
SIZE_FACTORS: Final = {
    "median_of_ratios": "the median of ratios to the geometric mean (Anders and Huber 2010)",
    "poscounts": "DESeq2's poscounts, the median of ratios over all genes with a count",
}
SCORED: Final = {
    "ora": "over-representation among the genes called up and among those called down (hypergeometric test, gseapy)",
    "gsea": "preranked gene set enrichment analysis (gseapy)",
    "ulm": "a univariate linear model of the genes' scores on membership (decoupler)",
}
BACKGROUND: Final = {"annotated": "tested genes that are in at least one set", "tested": "tested genes"}
ANDERS: Final = (
    "Anders S, Huber W (2010). Differential expression analysis for sequence count data. Genome Biology 11:R106."
)
BENJAMINI: Final = (
    "Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate: a practical and powerful approach to multiple "
    "testing. Journal of the Royal Statistical Society B 57:289–300."
)
GAYOSO: Final = (
    "Gayoso A, Lopez R, Xing G, et al. (2022). A Python library for probabilistic analysis of single-cell omics data. "
    "Nature Biotechnology 40:163–166."
)


class Methods(NamedTuple):
    """A section of methods."""

    paragraphs: list[str]
    references: list[str]


def methods_of(
    model: BulkVI,
    de: pd.DataFrame,
    asked: Asked,
    *,
    enrichment: pd.DataFrame | None,
    level: float,
    run: Mapping[str, Any],
    seeds: str,
    versions: Mapping[str, str],
) -> Methods:
    """What was done with these counts.

    Parameters
    ----------
    model
        Trained, with its data.
    de
        Its table.
    asked
        What the table answers; what is not known of it is left out.
    enrichment
        Scored gene sets, if there are any.
    level
        False discovery rate at which genes are called.
    run
        What is known of the way to the model, under the names of ``run.json``.
    seeds
        In words.
    versions
        Of packages, by name.
    """
    paragraphs = [
        " ".join([_genes(model, run), *_factor_sentence(model, run)]),
        " ".join([_regression(model, de), *_hidden(asked), *_compared(model, asked)]),
        " ".join([*_tested(de, asked, level), *_effects(asked)]),
    ]
    if enrichment is not None:
        paragraphs += _gene_sets(enrichment, run)
    paragraphs.append(
        f"The analysis was made with bulkvi {versions['bulkvi']} on scvi-tools {versions['scvi-tools']} (Gayoso et al. 2022) "
        f"and PyTorch {versions['torch']} under Python {versions['Python']}; seeds: {seeds}."
    )
    own = (
        f"The bulkvi developers. bulkvi: deep generative models for bulk RNA-seq on scvi-tools, version "
        f"{versions['bulkvi']}. bulkvi.readthedocs.io."
    )
    cited = {"Anders": ANDERS, "Benjamini": BENJAMINI}
    text = " ".join(paragraphs)
    return Methods(paragraphs, [*(full for name, full in cited.items() if name in text), own, GAYOSO])


def _genes(model: BulkVI, run: Mapping[str, Any]) -> str:
    adata, n_read, least = model.adata, run.get("n_genes_read"), run.get("min_counts")
    if n_read is not None and least is not None:
        return (
            f"Counts of {n_read:,} genes in {adata.n_obs:,} samples were read; the {adata.n_vars:,} genes with at least "
            f"{least:,} counts over all samples were analysed."
        )
    fewest = int(_counts_by_gene(model).min())
    return f"Counts of {adata.n_vars:,} genes in {adata.n_obs:,} samples were analysed" + (
        f", each gene with {fewest:,} or more over all samples." if fewest else "."
    )


def _counts_by_gene(model: BulkVI) -> np.ndarray:
    return sum(block.sum(0) for _, block in iter_row_blocks(_counts(model)))


def _counts(model: BulkVI) -> Any:
    layer = model.registry["setup_args"]["layer"]
    return model.adata.X if layer is None else model.adata.layers[layer]


def _factor_sentence(model: BulkVI, run: Mapping[str, Any]) -> list[str]:
    """Origin of the size factors, by what is recorded or, without a record, by estimating them again."""
    source = model.gene_fit().study.source
    chosen = run.get("size_factors", {})
    chosen = chosen.get("chosen") if isinstance(chosen, Mapping) else None
    if chosen is not None and chosen not in SIZE_FACTORS:
        return [f"Size factors were taken from {chosen}."]
    method = chosen or source.method or _estimated_again(model)
    if method is None:
        return ["Size factors were given by the user."] if has_recorded_source(model.registry) else []
    over = f", over {source.n_control_genes:,} control genes" if source.n_control_genes else ""
    frozen = ", measured against the reference of other samples" if source.reference else ""
    return [f"Size factors were {SIZE_FACTORS[method]}{over}{frozen}."]


def _estimated_again(model: BulkVI) -> str | None:
    """Method that gives these size factors on these counts; None if none does."""
    adata, setup = model.adata, model.registry["setup_args"]
    if setup["offset_key"] is not None:
        return None
    given = adata.obs[setup["size_factor_key"]].to_numpy(float)
    for name in SIZE_FACTORS:
        try:
            again, _ = getattr(estimators, name)(_counts(model), sample_names=adata.obs_names.tolist())
        except ValueError:  # no gene without a zero, say
            continue
        if np.allclose(again, given, rtol=TOLERANCE):
            return name
    return None


def _regression(model: BulkVI, de: pd.DataFrame) -> str:
    setup = model.registry["setup_args"]
    formula = f" on the design {setup['design']}" if setup["design"] else ""
    donors = f", with a random intercept for each {setup['donor_key']}" if setup.get("donor_key") else ""
    n_wild = int(de[names.FLAG].str.contains(names.OUTLIER).sum())
    offset = f", beside an offset of each count ({setup['offset_key']})" if setup["offset_key"] else ""
    return (
        f"The counts of each gene were regressed{formula} by a negative binomial model with a log link{offset}{donors}; the "
        "dispersion had a prior learned from all genes and was integrated out."
        + (f" In {n_wild:,} genes single counts far from the others were weighted down." if n_wild else "")
    )


def _hidden(asked: Asked) -> list[str]:
    if names.N_LATENT_COLUMNS not in asked.attrs or not asked.arguments:
        return []
    n = int(asked.attrs[names.N_LATENT_COLUMNS])
    if not n:
        return ["No direction of the latent state of the variational autoencoder entered the regression."]
    several = "s" * (n != 1)
    part = {"direct": "held fixed", "latent": "taken for the effect", "total": "part of the effect"}
    return [
        f"{n} direction{several} of the latent state of a variational autoencoder of the same counts {'was' if n == 1 else 'were'} "
        f"a further column{several} of the regression, {part[asked.arguments['effect']]}."
    ]


def _compared(model: BulkVI, asked: Asked) -> list[str]:
    if asked.slope is not None:
        values = model.adata.obs[asked.slope]
        return [
            f"The effect tested was the change of log2 expression per unit of {asked.slope} ({values.min():g} to {values.max():g} "
            "in these samples)."
        ]
    if asked.groups is None:
        return [f"The effect tested was the weighted sum {asked.label} of coefficients of the design."]
    sizes = [int((model.adata.obs[asked.groupby] == group).sum()) for group in asked.groups]
    n_first, n_second = sizes
    first, second = asked.groups
    return [
        f"{n_first:,} sample{'s' * (n_first != 1)} of {first} {'was' if n_first == 1 else 'were'} compared with {n_second:,} "
        f"of {second} ({asked.groupby})."
    ]


def _tested(de: pd.DataFrame, asked: Asked, level: float) -> list[str]:
    called = de[de[names.ADJ_P_VALUE] < level]
    up = int((called[names.LOG_FC] > 0).sum())
    delta = asked.arguments.get("delta")
    effect = "no effect" if not delta else f"an absolute log2 fold change of no more than {delta:g}"
    tests = [f"Two-sided p-values of {effect}, "] if asked.arguments else ["p-values, "]
    tests[0] += (
        f"adjusted for {len(de):,} genes by the method of Benjamini and Hochberg (1995), called {len(called):,} genes at a "
        f"false discovery rate of {100 * level:g} %: {up:,} up and {len(called) - up:,} down"
        + ("." if asked.slope is None else f" with {asked.slope}.")
    )
    return tests


def _effects(asked: Asked) -> list[str]:
    said = [
        f"Log2 fold changes{asked.of_what() if asked.slope else ''} are posterior means, shrunk towards zero by a prior learned from all genes"
    ]
    said[0] += f", with {100 * asked.arguments['level']:g} % credible intervals." if asked.arguments else "."
    shift, seen = asked.attrs.get(names.COMPOSITION_SHIFT), asked.attrs.get(names.COMPOSITION_SHIFT_SEEN)
    if shift:
        said.append(f"A shift of {shift:+.2f} (log2) that unchanged genes shared was subtracted from all of them.")
    elif seen:
        said.append(
            f"Most of them lie around {seen:+.2f} (log2); no shift was subtracted, as size factors decide where zero is."
        )
    elif names.SIZE_FACTORS in asked.attrs and not source_from(asked.attrs[names.SIZE_FACTORS]).most_genes_unchanged:
        said.append("No shift that they share was subtracted, as size factors decide where zero is.")
    wider = asked.attrs.get(names.NULL_VARIANCE)
    if wider and wider > 1:
        said.append(
            f"Variances of the effects were widened, by a factor of {wider:.2f} on average, for noise that genes share."
        )
    return said


def _gene_sets(enrichment: pd.DataFrame, run: Mapping[str, Any]) -> list[str]:
    attrs, source = enrichment.attrs, run.get("gene_sets")
    method, background, n = attrs.get(en.METHOD), attrs.get(en.BACKGROUND), attrs.get(en.N_BACKGROUND)
    if source is None and method is None:
        return []
    n_sets = attrs.get(en.N_SETS) or (enrichment[en.TERM].nunique() if en.TERM in enrichment else len(enrichment))
    of = "" if source is None else f", {SETS.get(str(source), f'from {source}')},"
    by = f" by {SCORED[method]}" if method in SCORED else ""
    beside = f" against {f'{n:,} ' if n else ''}{BACKGROUND[background]}" if background in BACKGROUND else ""
    return [f"{n_sets:,} gene sets{of} were scored{by}{beside}, and their p-values adjusted likewise."]
