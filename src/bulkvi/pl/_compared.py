"""What a comparison of two tables must have to be drawn."""

from typing import Protocol

import pandas as pd


class Compared(Protocol):
    """What ``bulkvi.tl.compare`` returns."""

    @property
    def labels(self) -> tuple[str, str]:
        """What the two tables are called."""

    @property
    def level(self) -> float:
        """False discovery rate at which genes are called."""

    @property
    def column(self) -> str:
        """Which effects are compared."""

    @property
    def table(self) -> pd.DataFrame:
        """A row for each gene."""

    @property
    def concordance(self) -> pd.Series:
        """How well they agree."""


def check_compared(comparison: Compared) -> None:
    """Raise a TypeError for what is no comparison."""
    if not all(hasattr(comparison, name) for name in ("labels", "level", "column", "table", "concordance")):
        raise TypeError(f"`comparison` must be what bulkvi.tl.compare returns, not {type(comparison).__name__}.")
