"""Whether the shift that most effects share is subtracted, and what to tell the user about it."""

from typing import Any

import numpy as np

from bulkvi import names
from bulkvi.study.size_factors import SizeFactorSource

LARGE_SHIFT_LOG2 = 0.1


def resolve_shift(source: SizeFactorSource, *, given: Any) -> bool:
    """Decide whether the shift is subtracted; by default only where size factors assume that most genes do not change."""
    if given is None:
        return source.most_genes_unchanged
    if not isinstance(given, bool | np.bool_):
        raise TypeError(
            f"composition_shift is {given!r}: give True (subtract the shift that most effects share), False (leave zero where "
            "the size factors put it), or None (True only for size factors that bulkvi estimated from all genes)."
        )
    return bool(given)


def describe_source(source: SizeFactorSource) -> str:
    """Origin of size factors, in words that follow 'these size factors'."""
    if source.method is None:
        return "were given by the user"
    if source.n_control_genes:
        return f"were estimated from {source.n_control_genes:,} control genes"
    return "were estimated from all genes"


def shift_warning(attrs: dict[str, Any], source: SizeFactorSource) -> str | None:
    """Warning about a large shift, subtracted or not; None where there is none."""
    subtracted, seen = attrs[names.COMPOSITION_SHIFT], attrs[names.COMPOSITION_SHIFT_SEEN]
    if abs(subtracted) > LARGE_SHIFT_LOG2:
        return (
            f"Unchanged genes have a log2 fold change of {subtracted:+.2f} under these size factors: most genes change, and more of "
            f"them {'up' if subtracted < 0 else 'down'}. This shift was subtracted from all effects; bulkvi.pl.ma draws it. If "
            "size factors should decide where zero is, give composition_shift=False."
        )
    if not subtracted and abs(seen) > LARGE_SHIFT_LOG2:
        return (
            f"Most effects lie around a log2 fold change of {seen:+.2f}. No shift was subtracted: these size factors "
            f"{describe_source(source)}, and decide where zero is. If most genes should be taken for unchanged, give "
            "composition_shift=True."
        )
    return None
