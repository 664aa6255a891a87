"""The directions of the latent state, and why they enter the comparison or not."""

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.model import BulkVI
from bulkvi.reporting._asked import Asked
from bulkvi.reporting._plain_table import PlainTable, plain_table
from bulkvi.stats.hidden.hidden_factors import MIN_RESIDUAL_DF
from bulkvi.tl import DesignCheck


def latent_table(model: BulkVI, asked: Asked, design: DesignCheck | None) -> tuple[PlainTable | None, str]:
    """The report on the latent state and what it says in words; or None and why there is none."""
    try:
        table = model.latent_report()
    except ValueError as error:
        return None, str(error)
    chance = table[names.SINGULAR_VALUE_BY_CHANCE].to_numpy()
    shown = pd.DataFrame(
        {
            "direction": range(1, len(table) + 1),
            "enters": table[names.ENTERS].to_numpy(),
            "strength": table[names.SINGULAR_VALUE].to_numpy(),
            "by chance": np.where(np.isfinite(chance), chance, np.nan),
            "share": [f"{100 * share:.0f} %" for share in table[names.VARIANCE_SHARE]],
            "goes with": table[names.STRONGEST_WITH].replace("", "none").to_numpy(),
            "how closely": table[names.STRENGTH].round(2).to_numpy(),
        }
    )
    return plain_table(shown, "latent-table", "Directions of the latent state, strongest first"), _in_words(
        table, asked, design
    )


def _in_words(table: pd.DataFrame, asked: Asked, design: DesignCheck | None) -> str:
    n, of = int(table[names.ENTERS].sum()), len(table)
    first = table.iloc[0]
    stands_out = first[names.SINGULAR_VALUE] > first[names.SINGULAR_VALUE_BY_CHANCE]
    if not stands_out:
        return "None enters a comparison: the strongest direction is no stronger than unrelated genes would give by chance."
    if table[names.INFORMATION].isna().all():
        left = (
            ""
            if design is None
            else f": {design.n_samples} samples less {design.n_columns} columns of the design leave {design.residual_df}"
        )
        return (
            "The strongest direction is stronger than chance would give, but none enters a comparison, for want of samples: to "
            f"hold one fixed costs a degree of freedom, and {MIN_RESIDUAL_DF} are to be left{left}. If you know what it is, "
            "such as a batch, put it into the design."
        )
    if not n:
        return (
            "The strongest direction is stronger than chance would give, but none enters a comparison: held-out directions say "
            "that a comparison would lose more by the degree of freedom that it costs than it gains."
        )
    said = (
        f"The strongest direction is stronger than chance would give, and {n} of {of} "
        f"{'is' if n == 1 else 'are'} let into comparisons: so many help a held-out comparison most, whether or not each alone "
        "is above chance."
    )
    if asked.attrs.get(names.N_LATENT_COLUMNS) == 0:
        said += (
            " None entered this one: it was asked for without."
            if asked.arguments.get("latent_columns") == 0
            else " None entered this one: too many genes change to tell a batch from the effect."
        )
    return said
