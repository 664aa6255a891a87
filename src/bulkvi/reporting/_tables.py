"""Tables of the page as rows of text that can be sorted by the numbers they show."""

from collections.abc import Collection
from numbers import Number
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from bulkvi import enrichment_names as en
from bulkvi import names
from bulkvi.gene_order import UNDERFLOW
from bulkvi.model import BulkVI
from bulkvi.reference_names import REFERENCE, SCALE
from bulkvi.reporting._gene_table import SMALLEST_P
from bulkvi.reporting._query import Query
from bulkvi.stats.hidden.hidden_factors import MIN_RESIDUAL_DF
from bulkvi.tl import DesignCheck

MAX_ROWS: Final = 200
P_VALUES: Final = (names.P_VALUE, names.ADJ_P_VALUE)
MAX_LIST: Final = 48
"""Characters of a list, such as the genes of a set, that are shown until it is opened."""
MAX_TEXT: Final = 120
"""The same of another text."""
MAX_PATHWAYS: Final = 500
ADJUSTED: Final = "adjusted p"
MAX_PRINTED: Final = 25
"""Pathways on paper: the first ones of the search or sort on the screen."""
SCORES: Final = {
    "ora": "log2 odds ratio of being called, in the set against outside it.",
    "gsea": "normalised enrichment score.",
    "ulm": "t-value: how far the genes of the set are from the others, in standard errors.",
}
ENRICHMENT_COLUMNS: Final = {
    *(en.TERM, en.DIRECTION, en.SCORE, en.SCORE_LOW, en.SCORE_HIGH, en.PROB_SIGN),
    *(names.ADJ_P_VALUE, en.SIZE, en.N_CALLED, en.GENES),
}


class Cell(NamedTuple):
    """An entry of a table."""

    text: str
    key: str
    """The number it is sorted by; empty for text."""
    rest: str = ""
    """Rest of a long text, shown on demand; empty for a short one."""


class PlainTable(NamedTuple):
    """A table of the page."""

    name: str
    """Id in the page."""
    caption: str
    columns: list[tuple[str, bool]]
    """Heading of each column, and whether it holds numbers."""
    rows: list[list[Cell]]
    left_out: int
    """Number of rows that are not shown."""


def plain_table(
    frame: pd.DataFrame, name: str, caption: str, *, max_rows: int = MAX_ROWS, p_values: Collection[str] = P_VALUES
) -> PlainTable:
    """Show the first rows of a table: numbers rounded for reading, ``p_values`` that underflow as a bound."""
    shown = frame.head(max_rows)
    numeric = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in shown.dtypes]
    bounded = [str(column) in p_values for column in shown.columns]
    rows = [
        [_cell(value, bounded=bound) for value, bound in zip(row, bounded, strict=True)]
        for row in shown.itertuples(index=False)
    ]
    heads = [(str(column).replace("_", " "), number) for column, number in zip(shown.columns, numeric, strict=True)]
    return PlainTable(name, caption, heads, rows, len(frame) - len(shown))


def _cell(value: Any, *, bounded: bool) -> Cell:
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", "")
    if isinstance(value, Number) and not isinstance(value, complex):
        number = float(value)  # type: ignore[arg-type]
        text = f"< {SMALLEST_P}" if bounded and number < UNDERFLOW else number_text(number)
        return Cell(text, f"{number:.6g}")
    if isinstance(value, list | tuple | set | np.ndarray):
        return _text(", ".join(map(str, value)))
    return _text("" if value is None or value is pd.NA else str(value))


def _text(text: str) -> Cell:
    """Show a text; a long one is cut between words or genes."""
    most = MAX_TEXT
    if " " not in text and ";" in text:
        # names of genes joined without a space would be one word that no line breaks
        text, most = text.replace(";", ", "), MAX_LIST
    if len(text) <= most:
        return Cell(text, "")
    cut = text.rfind(" ", 0, most)
    cut = cut if cut > 0 else most
    return Cell(text[:cut].rstrip(), "", text[cut:].lstrip())


def number_text(value: float) -> str:
    """Format a number: whole ones with commas, others with three digits."""
    if not np.isfinite(value):
        return "–"
    whole = value == round(value) and abs(value) < 1e15
    text = f"{abs(value):,.0f}" if whole or abs(value) >= 1_000 else f"{abs(value):.3g}"
    return f"−{text}" if value < 0 else text


def pathway_table(enrichment: pd.DataFrame) -> PlainTable:
    """Show the first rows of a table of pathways: the main columns of ``tl.enrichment``, all columns of another table."""
    if ENRICHMENT_COLUMNS <= set(enrichment.columns):
        frame = _short_enrichment(enrichment)
    else:
        named = not isinstance(enrichment.index, pd.RangeIndex)
        frame = enrichment.reset_index() if named else enrichment
    return plain_table(frame, "pathway-table", "Pathways", max_rows=MAX_PATHWAYS, p_values=(ADJUSTED, *P_VALUES))


def _short_enrichment(table: pd.DataFrame) -> pd.DataFrame:
    """Select the columns of ``tl.enrichment`` that fit on the page."""
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


def describe_score(enrichment: pd.DataFrame) -> str | None:
    """Describe the score of ``tl.enrichment``; None for another table."""
    if not ENRICHMENT_COLUMNS <= set(enrichment.columns):
        return None
    return SCORES.get(str(enrichment.attrs.get(en.METHOD)), "the further from 0, the stronger; above 0 is up.")


def latent_table(model: BulkVI, query: Query, design: DesignCheck | None) -> tuple[PlainTable | None, str]:
    """Show and describe the report on the latent state; without one, None and the reason."""
    try:
        table = model.latent_report()
    except ValueError as error:
        return None, str(error)
    if table.empty:
        return (
            None,
            "No hidden factor is used: training found no direction beside the design that these samples support.",
        )
    chance = table[names.SINGULAR_VALUE_BY_CHANCE].to_numpy()
    shown = pd.DataFrame(
        {
            "direction": table.index.str.replace("_", " ") if SCALE in table else range(1, len(table) + 1),
            "enters": table[names.ENTERS].to_numpy(),
            "strength": table[names.SINGULAR_VALUE].to_numpy(),
            "by chance": np.where(np.isfinite(chance), chance, np.nan),
            "share": [f"{100 * share:.0f} %" for share in table[names.VARIANCE_SHARE]],
            "goes with": table[names.STRONGEST_WITH].replace("", "none").to_numpy(),
            "how closely": table[names.STRENGTH].round(2).to_numpy(),
        }
    )
    if SCALE in table:
        caption = "Directions of the reference, then directions of the study's own"
        return plain_table(shown, "latent-table", caption), _describe_reference(table)
    caption = "Directions of the latent state, strongest first"
    return plain_table(shown, "latent-table", caption), _describe_latent(table, query, design)


def _describe_reference(table: pd.DataFrame) -> str:
    """Describe which directions of the reference are in use."""
    known = table.index.str.startswith(f"{REFERENCE}_")
    told = known & (table[names.SINGULAR_VALUE] > 2 * table[names.SINGULAR_VALUE_BY_CHANCE]).to_numpy()
    share, own = table.loc[known, names.VARIANCE_SHARE].sum(), int((~known & table[names.ENTERS].to_numpy()).sum())
    return (
        f"The samples differ along {int(told.sum())} of {int(known.sum())} directions of the reference by clearly more than estimation "
        f"error; together the directions take {100 * share:.0f} % of the variance that the design leaves. {own or 'No'} "
        f"direction{'s' * (own != 1)} of the study's own {'enters' if own == 1 else 'enter'} comparisons beside them."
    )


def _describe_latent(table: pd.DataFrame, query: Query, design: DesignCheck | None) -> str:
    n, first = int(table[names.ENTERS].sum()), table.iloc[0]
    if not first[names.SINGULAR_VALUE] > first[names.SINGULAR_VALUE_BY_CHANCE]:
        return "No hidden factor is used: the strongest direction is no stronger than unrelated genes would give by chance."
    if table[names.INFORMATION].isna().all():
        left = (
            ""
            if design is None
            else f": {design.n_samples} samples less {design.n_columns} columns of the design leave {design.residual_df}"
        )
        return (
            "The strongest direction is stronger than expected by chance, but no direction enters a comparison, because there are "
            f"too few samples: each direction costs a degree of freedom, and {MIN_RESIDUAL_DF} must be left{left}. If you can "
            "name the direction, such as a batch, add it to the design."
        )
    if not n:
        return (
            "The strongest direction is stronger than expected by chance, but no direction enters a comparison: by the held-out "
            "directions a comparison would lose more by the degree of freedom than it gains."
        )
    text = (
        f"The strongest direction is stronger than expected by chance, and {n} of {len(table)} {'enters' if n == 1 else 'enter'} "
        "comparisons: the number that helps a held-out comparison most, whether or not each alone is stronger than chance."
    )
    if query.attrs.get(names.N_LATENT_COLUMNS) == 0:
        text += (
            " None entered this one: the query excluded them (latent_columns=0)."
            if query.arguments.get("latent_columns") == 0
            else " None entered this one: too many genes change to separate a batch from the effect."
        )
    return text
