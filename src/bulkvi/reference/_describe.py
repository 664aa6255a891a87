"""Text that says what a reference holds and how good it is."""

from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

from bulkvi.reference._record import OTHER_ARRAYS, stored, stored_genes

if TYPE_CHECKING:
    from bulkvi.reference._cohort import Cohort

SHOWN: Final = 6
"""Directions and names that are written out."""
MISSING: Final = "not given"


def describe(cohort: "Cohort") -> list[tuple[str, str]]:
    """Return labels and values, in the order in which a reader needs them."""
    p, values = cohort.provenance, cohort.values
    known = values.known
    absent = int((~known).sum())
    with_symbols = "" if cohort.symbols is None else ", with symbols"
    without_counts = f"; {absent:,} more had no counts" if absent else ""
    examples = ", ".join(map(str, cohort.genes[known][:3]))
    noise = np.exp(0.5 * values.log_dispersion[known])
    noise_alone = np.exp(0.5 * values.log_dispersion_alone[known])
    rows = [
        ("source", p.source or MISSING),
        ("licence", p.licence or f"{MISSING}: do not share it"),
        ("organism, tissue", f"{p.organism or MISSING}, {p.tissue or MISSING}"),
        ("samples", f"{p.n_samples:,}, design {p.design}"),
        ("genes", f"{int(known.sum()):,}{with_symbols} ({examples}, ...){without_counts}"),
        ("directions", _directions(cohort)),
        (
            "biological variation",
            f"median {np.median(noise_alone):.0%} given the design, {np.median(noise):.0%} given the directions too"
            if known.any()
            else MISSING,
        ),
        ("held-out samples", _held_out(cohort)),
        ("size", f"{size_of(cohort) / 1e6:.1f} MB; no counts, no names of samples"),
        ("built", f"{p.date} with bulkvi {p.bulkvi_version}, scvi-tools {p.scvi_version}"),
    ]
    return rows


def as_text(cohort: "Cohort") -> str:
    """Return the description as aligned lines."""
    rows = describe(cohort)
    width = max(len(label) for label, _ in rows)
    return "\n".join([f"Reference {cohort.name!r}", *(f"  {label:<{width}}  {value}" for label, value in rows)])


def as_html(cohort: "Cohort") -> str:
    """Return the description as a table."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in describe(cohort)
    )
    return f"<table><caption>Reference {escape(repr(cohort.name))}</caption>{rows}</table>"


def size_of(cohort: "Cohort") -> int:
    """Return the bytes of all arrays in the number formats of the file, before compression."""
    others = [getattr(cohort, name) for name in OTHER_ARRAYS]
    numbers = [stored(array) if array.dtype.kind == "f" else array for array in others]
    return sum(array.nbytes for array in [*stored_genes(cohort.values).values(), *numbers])


def _directions(cohort: "Cohort") -> str:
    """Describe the number of directions, and how far a step along each moves the usual gene."""
    if not cohort.directions:
        return "none"
    log2 = cohort.relevance / np.log(2)
    shown = ", ".join(f"{value:.2f}" for value in log2[:SHOWN])
    more = ", ..." if len(log2) > SHOWN else ""
    return f"{len(log2)}; standard deviation of the genes' log2 fold changes along them {shown}{more}"


def _held_out(cohort: "Cohort") -> str:
    held = cohort.held_out
    if held is None:
        return f"{MISSING} (held_out= of Reference.from_model)"
    gain = held.log_likelihood - held.log_likelihood_alone
    return (
        f"{held.n_samples:,}; log likelihood per count {held.log_likelihood:.3f} with the directions, "
        f"{held.log_likelihood_alone:.3f} without ({gain:+.3f})"
    )
