"""The table of pathways: few columns of one of ``tl.enrichment``, all columns of another."""

from typing import Final

import pandas as pd

from bulkvi import enrichment_names as en
from bulkvi import names
from bulkvi.reporting._plain_table import P_VALUES, PlainTable, number_text, plain_table

MAX_ROWS: Final = 500
ADJUSTED: Final = "adjusted p"
MAX_PRINTED: Final = 25
"""Rows on paper: the surest, or those that a search or a sort puts first."""
SCORES: Final = {
    "ora": "log2 odds ratio of being called, in the set against outside it.",
    "gsea": "normalised enrichment score.",
    "ulm": "t-value: how far the genes of the set stand from the others, in standard errors.",
}
NEEDED: Final = {
    *(en.TERM, en.DIRECTION, en.SCORE, en.SCORE_LOW, en.SCORE_HIGH, en.PROB_SIGN),
    *(names.ADJ_P_VALUE, en.SIZE, en.N_CALLED, en.GENES),
}


def pathway_table(enrichment: pd.DataFrame) -> PlainTable:
    """The first rows of a table of pathways."""
    if NEEDED <= set(enrichment.columns):
        frame = _short(enrichment)
    else:
        named = not isinstance(enrichment.index, pd.RangeIndex)
        frame = enrichment.reset_index() if named else enrichment
    return plain_table(frame, "pathway-table", "Pathways", max_rows=MAX_ROWS, p_values=(ADJUSTED, *P_VALUES))


def _short(table: pd.DataFrame) -> pd.DataFrame:
    """What of ``tl.enrichment`` there is room for."""
    ends = zip(table[en.SCORE_LOW], table[en.SCORE_HIGH], strict=True)
    return pd.DataFrame(
        {
            "gene set": table[en.TERM],
            "direction": table[en.DIRECTION],
            "score": table[en.SCORE],
            "95 % interval": [
                "–" if pd.isna(low) else f"{number_text(low)}\u00a0to\u00a0{number_text(high)}" for low, high in ends
            ],
            "sign kept": table[en.PROB_SIGN],
            ADJUSTED: table[names.ADJ_P_VALUE],
            "genes tested": table[en.SIZE],
            "called": table[en.N_CALLED],
            en.GENES: table[en.GENES],
        }
    )


def score_in_words(enrichment: pd.DataFrame) -> str | None:
    """What the score of ``tl.enrichment`` is; None for another table."""
    if not NEEDED <= set(enrichment.columns):
        return None
    return SCORES.get(str(enrichment.attrs.get(en.METHOD)), "the further from 0, the stronger; above 0 is up.")
