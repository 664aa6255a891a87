"""What the fit says about itself, in words, and what in it to watch."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd

from bulkvi import design_names as dn
from bulkvi import names
from bulkvi.regression.composition_shift import describe_source
from bulkvi.reporting._asked import Asked
from bulkvi.reporting._gene_table import FLAG_WORDS
from bulkvi.study.size_factors import source_from
from bulkvi.tl import DesignCheck

LARGE_SHIFT_LOG2: Final = 0.1
MANY_FLAGGED: Final = 0.01


class Fact(NamedTuple):
    """A number of the fit."""

    what: str
    value: str
    means: str


def fit_facts(de: pd.DataFrame, asked: Asked) -> list[Fact]:
    """Numbers that the tests stand on."""
    attrs = asked.attrs
    unknown = "not kept with the table"
    shift = attrs.get(names.COMPOSITION_SHIFT)
    n_latent, variance, null_share = (
        attrs.get(key) for key in (names.N_LATENT_COLUMNS, names.NULL_VARIANCE, names.NULL_SHARE)
    )
    facts = [
        Fact(
            "Shift of all genes (log2)",
            unknown if shift is None else f"{shift:+.2f}",
            _shift_in_words(attrs),
        ),
        Fact(
            "Hidden directions held",
            unknown if n_latent is None else str(n_latent),
            "directions of the latent state, such as an unknown batch, that entered the comparison",
        ),
        Fact(
            "Spread of unchanged genes",
            unknown if variance is None else f"{variance:.2f}",
            "1 where test statistics spread as the fit says they should; above 1, all tests were made more careful by it",
        ),
        Fact(
            "Genes without any effect",
            unknown if null_share is None else f"{100 * null_share:.0f} %",
            "an estimate from all genes together (share of the prior at zero), in which effects too tiny to be found one by one "
            "count as effects: so it is not the share of genes that are not called",
        ),
    ]
    flags = de[names.FLAG].str.split(",").explode()
    for code, words in FLAG_WORDS.items():
        if n := int((flags == code).sum()):
            facts.append(Fact(f"Genes flagged {code.replace('_', ' ')}", f"{n:,}", words))
    return facts


def _shift_in_words(attrs: Mapping[str, Any]) -> str:
    """Whether the shift that most effects share was subtracted."""
    seen, shift = attrs.get(names.COMPOSITION_SHIFT_SEEN, 0.0), attrs.get(names.COMPOSITION_SHIFT)
    source = attrs.get(names.SIZE_FACTORS)
    origin = "" if source is None else f", which {describe_source(source_from(source))},"
    if shift == 0.0 and seen:
        return f"nothing was subtracted, as the size factors{origin} decide where zero is; most effects lie around {seen:+.2f}"
    if source is not None and not source_from(source).most_genes_unchanged and not shift:
        return f"nothing was subtracted, as the size factors{origin} decide where zero is"
    return "what all effects shared because most genes change; it was subtracted from each"


def to_watch(
    de: pd.DataFrame, asked: Asked, design: DesignCheck | None, samples: Sequence[str], warnings: Sequence[str]
) -> list[str]:
    """All that a reader should know before the genes."""
    watch = []
    if design is not None:
        rows = design.findings.to_dict("records")
        watch += [f"{row[dn.FINDING]} {row[dn.REMEDY]}" for row in rows]
    watch += samples
    shift = float(asked.attrs.get(names.COMPOSITION_SHIFT, 0.0))
    if abs(shift) > LARGE_SHIFT_LOG2:
        watch.append(
            f"Most genes change, more of them {'up' if shift < 0 else 'down'}: unchanged genes had a log2 fold change of "
            f"{shift:+.2f}, which was subtracted from all effects."
        )
    seen = float(asked.attrs.get(names.COMPOSITION_SHIFT_SEEN, 0.0))
    if not shift and abs(seen) > LARGE_SHIFT_LOG2:
        watch.append(
            f"Most effects lie around a log2 fold change of {seen:+.2f}. Nothing was subtracted: size factors decide where zero is."
        )
    n_latent = int(asked.attrs.get(names.N_LATENT_COLUMNS, 0))
    if n_latent:
        watch.append(
            f"{n_latent} hidden direction{'s' * (n_latent != 1)} of the data entered the comparison, such as a batch that the "
            "design does not name. The section Hidden structure says what goes with it."
        )
    failed = de[names.FLAG].str.contains(names.NOT_CONVERGED).mean()
    if failed > MANY_FLAGGED:
        watch.append(
            f"The fit of {100 * failed:.0f} % of the genes did not settle; their rows are flagged not_converged."
        )
    # a warning of setup_anndata repeats a finding with words around it
    return [*watch, *(text for text in warnings if not any(said in text for said in watch))]
