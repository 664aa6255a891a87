"""Findings of the checks of design, samples and fit, and the warnings that a reader needs first."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from bulkvi import design_names as dn
from bulkvi import names
from bulkvi.model import BulkVI
from bulkvi.reference_names import CARRIED_P_VALUE, REFERENCE
from bulkvi.regression.composition_shift import describe_source
from bulkvi.regression.reference import CARRIED
from bulkvi.reporting._gene_table import FLAG_WORDS
from bulkvi.reporting._query import Query
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.study.design import make_design
from bulkvi.study.size_factors import source_from
from bulkvi.tl import DesignCheck, check_design, check_samples

MANY_SAMPLES = 1_000
LARGE_SHIFT_LOG2: Final = 0.1
MANY_FLAGGED: Final = 0.01
SAMPLE_WORDS: Final = {
    names.SWAPPED: "another label fits far better",
    names.DOUBTFUL: "some labels are wrong, and this one may be among them",
    names.OUTLYING: "an outlier whichever group it is assigned to",
    names.SEX_MISMATCH: "its genes are those of another sex than in the table of samples, or of both",
    names.NOT_CHECKED: "no other sample to compare with",
}


class SampleCheck(NamedTuple):
    """The samples, one by one."""

    rows: list[dict[str, Any]]
    """``sample``, ``label``, ``total``, ``size_factor``, ``prob``, ``flag`` of each."""
    summary: str
    """Findings in words, or the reason why there was no check."""
    checked: bool
    warnings: list[str]


def design_check(model: BulkVI, groupby: str | None = None) -> DesignCheck | None:
    """Check the design formula for a comparison of groups; None without a formula."""
    formula = model.registry["setup_args"]["design"]
    if formula is None:
        return None
    variables = make_design(formula, model.adata.obs)[0].variables
    return check_design(model.adata, formula, contrast=groupby if groupby in variables else None)


def sample_check(model: BulkVI, groupby: str | None) -> SampleCheck:
    """List the depth of each sample, and whether its counts agree with its label."""
    adata, setup = model.adata, model.registry["setup_args"]
    table, summary = _label_check(model, groupby)
    size_factors = adata.obs[setup["size_factor_key"]].to_numpy(float)
    counts = adata.X if setup["layer"] is None else adata.layers[setup["layer"]]
    totals = np.concatenate([block.sum(1) for _, block in iter_row_blocks(counts)])
    flags = [""] * adata.n_obs if table is None else table[names.FLAG].tolist()
    probs = [np.nan] * adata.n_obs if table is None else table[names.PROB_LABEL].tolist()
    rows: list[dict[str, Any]] = [
        {
            "sample": str(adata.obs_names[i]),
            "label": "" if groupby is None else str(adata.obs[groupby].iloc[i]),
            "total": int(totals[i]),
            "size_factor": float(size_factors[i]),
            "prob": float(probs[i]) if np.isfinite(probs[i]) else None,
            "flag": flags[i],
        }
        for i in range(adata.n_obs)
    ]
    warnings = [
        f"Sample {row['sample']} ({row['label']}): " + "; ".join(SAMPLE_WORDS.get(code, code) for code in codes) + "."
        for row in rows
        if (codes := [code for code in row["flag"].split(",") if code and code != names.NOT_CHECKED])
    ]
    if table is not None:
        found = f"{len(warnings)} of {len(rows)} samples stand out."
        summary = found if warnings else f"None of the {len(rows)} samples stands out."
        unchecked = sum(names.NOT_CHECKED in flag for flag in flags)
        summary += f" {unchecked} could not be checked: no other sample is like them." if unchecked else ""
        meaningless = table.attrs[names.PROB_MEANINGLESS]
        if meaningless > 0.5:
            warnings.append(f"The labels of {groupby} may be unrelated to the counts (probability {meaningless:.2f}).")
    return SampleCheck(rows, summary, table is not None, warnings)


def _label_check(model: BulkVI, groupby: str | None) -> tuple[pd.DataFrame | None, str]:
    """Check the labels; without a check, None and the reason."""
    adata, setup = model.adata, model.registry["setup_args"]
    if groupby is None:
        return None, "Labels were not checked: the comparison is not one of two groups."
    if adata.n_obs > MANY_SAMPLES:
        many = f"with more than {MANY_SAMPLES:,} samples it takes long. Call bulkvi.tl.check_samples."
        return None, f"Labels were not checked: {many}"
    keys = {key: setup[key] for key in ("design", "size_factor_key", "layer", "offset_key")}
    try:
        return check_samples(adata, groupby, **keys), ""
    except ValueError as error:
        return None, f"Labels could not be checked: {error}"


class Fact(NamedTuple):
    """A number of the fit."""

    what: str
    value: str
    meaning: str


def fit_facts(de: pd.DataFrame, query: Query) -> list[Fact]:
    """List the numbers that the tests depend on."""

    def value(key: str, form: str, scale: float = 1) -> str:
        return "not kept with the table" if attrs.get(key) is None else form.format(scale * attrs[key])

    attrs = query.attrs
    facts = [
        Fact("Shift of all genes (log2)", value(names.COMPOSITION_SHIFT, "{:+.2f}"), _describe_shift(attrs)),
        Fact(
            "Hidden directions in the comparison",
            value(names.N_LATENT_COLUMNS, "{}"),
            "directions of the latent state, such as an unknown batch, that were added to the design",
        ),
        Fact(
            "Spread of unchanged genes",
            value(names.NULL_VARIANCE, "{:.2f}"),
            "1 if test statistics vary as the fit predicts; above 1, all tests were made more conservative by this factor",
        ),
        Fact(
            "Genes without any effect",
            value(names.NULL_SHARE, "{:.0f} %", 100),
            "an estimate from all genes together (share of the prior at zero), which counts effects too small to be detected one "
            "by one as effects: it is not the share of genes that are not called",
        ),
    ]
    flags = de[names.FLAG].str.split(",").explode()
    for code, words in FLAG_WORDS.items():
        if n := int((flags == code).sum()):
            facts.append(Fact(f"Genes flagged {code.replace('_', ' ')}", f"{n:,}", words))
    return facts


def _describe_shift(attrs: Mapping[str, Any]) -> str:
    """Describe whether the shift that most effects share was subtracted."""
    seen, shift = attrs.get(names.COMPOSITION_SHIFT_SEEN, 0.0), attrs.get(names.COMPOSITION_SHIFT)
    source = attrs.get(names.SIZE_FACTORS)
    origin = "" if source is None else f", which {describe_source(source_from(source))},"
    if shift == 0.0 and seen:
        return f"nothing was subtracted, as the size factors{origin} define zero; most effects are around {seen:+.2f}"
    if source is not None and not source_from(source).most_genes_unchanged and not shift:
        return f"nothing was subtracted, as the size factors{origin} define zero"
    return "the part that all effects share because most genes change; it was subtracted from each"


def warnings_for_reader(
    de: pd.DataFrame, query: Query, design: DesignCheck | None, samples: Sequence[str], warnings: Sequence[str]
) -> list[str]:
    """List what a reader should know before the genes."""
    found = []
    if design is not None:
        found += [f"{row[dn.FINDING]} {row[dn.REMEDY]}" for row in design.findings.to_dict("records")]
    found += samples
    shift = float(query.attrs.get(names.COMPOSITION_SHIFT, 0.0))
    seen = float(query.attrs.get(names.COMPOSITION_SHIFT_SEEN, 0.0))
    if abs(shift) > LARGE_SHIFT_LOG2:
        found.append(
            f"Most genes change, more of them {'up' if shift < 0 else 'down'}: unchanged genes had a log2 fold change of "
            f"{shift:+.2f}, which was subtracted from all effects."
        )
    elif not shift and abs(seen) > LARGE_SHIFT_LOG2:
        found.append(
            f"Most effects are around a log2 fold change of {seen:+.2f}. Nothing was subtracted: the size factors define zero."
        )
    carried = query.attrs.get(REFERENCE, {}).get(CARRIED_P_VALUE)
    if carried is not None and carried < CARRIED:
        found.append(
            "The groups stand further apart along the directions of the reference than their replicates do: a treatment acts along "
            "them, or a batch goes with the groups. Effects are total, so that nothing of a treatment is taken away."
        )
    if n_latent := int(query.attrs.get(names.N_LATENT_COLUMNS, 0)):
        found.append(
            f"{n_latent} hidden direction{'s' * (n_latent != 1)} of the data entered the comparison, such as a batch that is not in "
            "the design. The section Hidden structure lists the columns that go with it."
        )
    failed = de[names.FLAG].str.contains(names.NOT_CONVERGED).mean()
    if failed > MANY_FLAGGED:
        found.append(
            f"The fit of {100 * failed:.0f} % of the genes did not converge; their rows are flagged not_converged."
        )
    # a warning of setup_anndata repeats a finding with words around it
    return [*found, *(text for text in warnings if not any(known in text for known in found))]
