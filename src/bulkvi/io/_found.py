"""What every reader of counts hands on."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd


class Found(NamedTuple):
    """Numbers as a file holds them, genes x samples, the samples in the order and by the names of the sheet."""

    counts: pd.DataFrame
    """Genes x samples; not yet checked to be counts. Gene ids may repeat."""
    facts: Mapping[str, str | float]
    """How the file was read, for ``uns``."""
    symbols: pd.Series | None = None
    """Gene symbols, a row for each of ``counts``."""
    lengths: pd.DataFrame | None = None
    """Average lengths of transcripts, as ``counts``."""
