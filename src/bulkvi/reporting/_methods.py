"""Methods section of a paper and the versions behind it: only what is known of the analysis."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from bulkvi import enrichment_names as en
from bulkvi import names
from bulkvi.model import BulkVI
from bulkvi.model._fields import has_recorded_source
from bulkvi.reference_names import DISPERSION_TRUST, N_DIRECTIONS, N_GENES, REFERENCE, REFERENCE_NAME
from bulkvi.reporting._query import Query
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
PACKAGES: Final = ("bulkvi", "scvi-tools", "torch", "anndata", "numpy", "pandas", "scipy", "matplotlib")


class Methods(NamedTuple):
    """A section of methods."""

    paragraphs: list[str]
    references: list[str]


def methods_of(
    model: BulkVI,
    de: pd.DataFrame,
    query: Query,
    *,
    enrichment: pd.DataFrame | None,
    level: float,
    run: Mapping[str, Any],
    seeds: str,
    versions: Mapping[str, str],
) -> Methods:
    """Describe the analysis; ``run`` has names of ``run.json``, ``level`` is the false discovery rate of the calls."""
    paragraphs = [
        " ".join([_genes(model, run), *_size_factors(model, run)]),
        " ".join([_regression(model, de), *_hidden(query), _compared(model, query)]),
        " ".join([_tests(de, query, level), *_effects(query)]),
    ]
    if enrichment is not None:
        paragraphs += _gene_sets(enrichment, run)
    paragraphs.append(
        f"The analysis was made with bulkvi {versions['bulkvi']} on scvi-tools {versions['scvi-tools']} (Gayoso et al. 2022) "
        f"and PyTorch {versions['torch']} under Python {versions['Python']}; seeds: {seeds}."
    )
    bulkvi = (
        f"The bulkvi developers. bulkvi: deep generative models for bulk RNA-seq on scvi-tools, version "
        f"{versions['bulkvi']}. bulkvi.readthedocs.io."
    )
    cited = {"Anders": ANDERS, "Benjamini": BENJAMINI}
    text = " ".join(paragraphs)
    return Methods(paragraphs, [*(full for name, full in cited.items() if name in text), bulkvi, GAYOSO])


def _genes(model: BulkVI, run: Mapping[str, Any]) -> str:
    adata, n_read, least = model.adata, run.get("n_genes_read"), run.get("min_counts")
    if n_read is not None and least is not None:
        return (
            f"Counts of {n_read:,} genes in {adata.n_obs:,} samples were read; the {adata.n_vars:,} genes with at least "
            f"{least:,} counts over all samples were analysed."
        )
    fewest = int(sum(block.sum(0) for _, block in iter_row_blocks(_counts(model))).min())
    return f"Counts of {adata.n_vars:,} genes in {adata.n_obs:,} samples were analysed" + (
        f", each gene with {fewest:,} or more over all samples." if fewest else "."
    )


def _counts(model: BulkVI) -> Any:
    layer = model.registry["setup_args"]["layer"]
    return model.adata.X if layer is None else model.adata.layers[layer]


def _size_factors(model: BulkVI, run: Mapping[str, Any]) -> list[str]:
    """Describe the origin of the size factors: the record of it or, without one, the method that gives the same numbers."""
    source = model.gene_fit().study.source
    chosen = run.get("size_factors", {})
    chosen = chosen.get("chosen") if isinstance(chosen, Mapping) else None
    if chosen is not None and chosen not in SIZE_FACTORS:
        return [f"Size factors were taken from {chosen}."]
    method = chosen or source.method or _method_with_same_result(model)
    if method is None:
        return ["Size factors were given by the user."] if has_recorded_source(model.registry) else []
    over = f", over {source.n_control_genes:,} control genes" if source.n_control_genes else ""
    frozen = ", measured against the reference of other samples" if source.reference else ""
    return [f"Size factors were {SIZE_FACTORS[method]}{over}{frozen}."]


def _method_with_same_result(model: BulkVI) -> str | None:
    """Return the method that gives these size factors on these counts, if there is one."""
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
    n_outlying = int(de[names.FLAG].str.contains(names.OUTLIER).sum())
    offset = f", with an offset of each count ({setup['offset_key']})" if setup["offset_key"] else ""
    return (
        f"The counts of each gene were regressed{formula} by a negative binomial model with a log link{offset}{donors}; the "
        "dispersion had a prior learned from all genes and was integrated out."
        + (f" In {n_outlying:,} genes outlying counts were weighted down." if n_outlying else "")
    )


def _hidden(query: Query) -> list[str]:
    if names.N_LATENT_COLUMNS not in query.attrs or not query.is_known:
        return []
    n = int(query.attrs[names.N_LATENT_COLUMNS])
    if REFERENCE in query.attrs:
        return [_beside_reference(query, n)]
    if not n:
        return ["No direction of the latent state of the variational autoencoder entered the regression."]
    several, alone = "s" * (n != 1), float(query.attrs.get(names.DESIGN_ALONE, 0.0))
    part = {"direct": "held fixed", "latent": "taken for the effect", "total": "part of the effect"}
    return [
        f"{n} direction{several} of the latent state of a variational autoencoder of the same counts {'was' if n == 1 else 'were'} "
        f"a further column{several} of the regression, {part[query.arguments['effect']]}."
        + (f" Results are averaged with those of the design alone, which had a weight of {alone:.2f}." if alone else "")
    ]


def _beside_reference(query: Query, n_own: int) -> str:
    """Describe what a reference cohort did, and the latent columns of the study's own beside it."""
    said, effect = query.attrs[REFERENCE], query.arguments["effect"]
    part = {
        "direct": "held fixed, their position along the comparison estimated from all genes",
        "latent": "taken for the effect",
        "total": "part of the effect",
    }
    return (
        f"The prior of the dispersions was informed by the reference cohort {said[REFERENCE_NAME]} ({said[N_GENES]:,} genes; trust "
        f"{said[DISPERSION_TRUST]:.2f}), and the states of the samples along its {said[N_DIRECTIONS]:,} directions were {part[effect]}."
        + (
            f" {n_own} direction{'s' * (n_own != 1)} of the latent state beyond them entered the regression."
            if n_own
            else ""
        )
    )


def _compared(model: BulkVI, query: Query) -> str:
    if query.slope is not None:
        values = model.adata.obs[query.slope]
        return (
            f"The effect tested was the change of log2 expression per unit of {query.slope} ({values.min():g} to {values.max():g} "
            "in these samples)."
        )
    if query.groups is None:
        return f"The effect tested was the weighted sum {query.label} of coefficients of the design."
    first, second = query.groups
    n_first, n_second = (int((model.adata.obs[query.groupby] == group).sum()) for group in query.groups)
    return (
        f"{n_first:,} sample{'s' * (n_first != 1)} of {first} {'was' if n_first == 1 else 'were'} compared with {n_second:,} "
        f"of {second} ({query.groupby})."
    )


def _tests(de: pd.DataFrame, query: Query, level: float) -> str:
    called = de[de[names.ADJ_P_VALUE] < level]
    up = int((called[names.LOG_FC] > 0).sum())
    delta = query.arguments.get("delta")
    effect = "no effect" if not delta else f"an absolute log2 fold change of no more than {delta:g}"
    start = f"Two-sided p-values of {effect}, " if query.is_known else "p-values, "
    return (
        f"{start}adjusted for {len(de):,} genes by the method of Benjamini and Hochberg (1995), called {len(called):,} genes at a "
        f"false discovery rate of {100 * level:g} %: {up:,} up and {len(called) - up:,} down"
        + ("." if query.slope is None else f" with {query.slope}.")
    )


def _effects(query: Query) -> list[str]:
    shift, seen = query.attrs.get(names.COMPOSITION_SHIFT), query.attrs.get(names.COMPOSITION_SHIFT_SEEN)
    text = [
        f"Log2 fold changes{query.unit if query.slope else ''} are posterior means, shrunk towards zero by a prior learned from "
        "all genes" + (f", with {100 * query.arguments['level']:g} % credible intervals." if query.is_known else ".")
    ]
    if shift:
        text.append(f"A shift of {shift:+.2f} (log2) that unchanged genes shared was subtracted from all of them.")
    elif seen:
        text.append(
            f"Most of them are around {seen:+.2f} (log2); no shift was subtracted, as size factors define zero."
        )
    elif names.SIZE_FACTORS in query.attrs and not source_from(query.attrs[names.SIZE_FACTORS]).most_genes_unchanged:
        text.append("No shared shift was subtracted, as size factors define zero.")
    inflation = query.attrs.get(names.NULL_VARIANCE)
    if inflation and inflation > 1:
        text.append(
            f"Variances of the effects were widened, by a factor of {inflation:.2f} on average, for noise that genes share."
        )
    return text


def _gene_sets(enrichment: pd.DataFrame, run: Mapping[str, Any]) -> list[str]:
    attrs, source = enrichment.attrs, run.get("gene_sets")
    method, background, n = attrs.get(en.METHOD), attrs.get(en.BACKGROUND), attrs.get(en.N_BACKGROUND)
    if source is None and method is None:
        return []
    n_sets = attrs.get(en.N_SETS) or (enrichment[en.TERM].nunique() if en.TERM in enrichment else len(enrichment))
    of = "" if source is None else f", {SETS.get(str(source), f'from {source}')},"
    by = f" by {SCORED[method]}" if method in SCORED else ""
    against = f" against {f'{n:,} ' if n else ''}{BACKGROUND[background]}" if background in BACKGROUND else ""
    return [f"{n_sets:,} gene sets{of} were scored{by}{against}, and their p-values adjusted likewise."]


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def seeds_of(model: BulkVI) -> str:
    """Describe the seeds of the start and of training."""
    start = model.init_params_["non_kwargs"]["seed"]
    calls = [call["seed"] for call in model.train_params_]
    training = " then ".join(str(seed) for seed in calls) if calls else "not kept with the model"
    return f"start of the networks {start}, training {training}"
