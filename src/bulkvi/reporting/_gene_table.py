"""The table of genes: all genes as data of the page's script, the first ones as rows that need no script."""

import math
from typing import Any, Final

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.gene_order import UNDERFLOW, order_by_significance

FIRST_ROWS: Final = 25
DECIMALS: Final = 2
MOST_DECIMALS: Final = 12
# bounds of numbers that underflow: a p-value has hardly a smaller float, a probability of the sign is 1 less its rounding error
SMALLEST_P: Final = "1e-300"
SMALLEST_RATE: Final = "1e-15"
NEEDED: Final = (
    *(names.BASE_MEAN, names.LOG_FC, names.LOG_FC_LOW, names.LOG_FC_HIGH),
    *(names.P_VALUE, names.ADJ_P_VALUE, names.S_VALUE, names.FLAG, names.CONTRAST),
)
FLAG_WORDS: Final = {
    names.LOW_INFORMATION: "few counts: the effect is very uncertain",
    names.OUTLIER: "a single count is far from the others and was weighted down",
    names.NOT_CONVERGED: "the fit did not converge: do not trust this row",
    names.SEPARATED: "no counts at all in one group: the data give the direction, not the size",
    names.CONSTANT: "the same count in every sample",
}


def gene_columns(de: pd.DataFrame, symbols: pd.Series, level: float, *, any_unit: bool = False) -> dict[str, Any]:
    """Convert the table to the data of the page's script, most significant genes first.

    Numbers are rounded to what is shown: each digit more is one for each gene, and rounding twice would show wrong ones.
    With ``any_unit`` (a slope per year or per mol/l) effects have as many decimals as their size needs, and 2 otherwise.
    """
    order = order_by_significance(de)
    table, shown = de.iloc[order], symbols.iloc[order].astype(str)
    flags = table[names.FLAG].fillna("").astype(str)
    digits = effect_decimals(table, level) if any_unit else DECIMALS
    kinds = list(dict.fromkeys(["", *flags]))
    ids = table.index.astype(str)
    called = (table[names.ADJ_P_VALUE] < level).to_numpy()
    up = (table[names.LOG_FC] > 0).to_numpy()
    return {
        "id": ids.tolist(),
        "name": shown.tolist() if (shown != ids).any() else None,
        "mean": [_rounded(value, "{:.0f}" if value >= 100 else "{:.1f}") for value in table[names.BASE_MEAN]],
        **{
            short: [_rounded(value, f"{{:.{digits}f}}") for value in table[column]]
            for short, column in (("fc", names.LOG_FC), ("low", names.LOG_FC_LOW), ("high", names.LOG_FC_HIGH))
        },
        **{
            short: [_rounded(value, "{:.3f}" if value >= 0.001 else "{:.1e}") for value in table[column]]
            for short, column in (("q", names.ADJ_P_VALUE), ("s", names.S_VALUE))
        },
        # a letter for each gene: up, down, not called
        "kind": "".join(np.where(called, np.where(up, "u", "d"), "-")),
        "flags": kinds,
        "flag": flags.map({kind: i for i, kind in enumerate(kinds)}).tolist(),
        "reach": _reach(table, level, any_unit=any_unit),
        "digits": digits,
        "words": FLAG_WORDS,
    }


def first_rows(columns: dict[str, Any], *, n: int = FIRST_ROWS) -> list[dict[str, Any]]:
    """Format the first rows as the script does, for readers without scripts and for mail programs."""
    rows = []
    for i in range(min(n, len(columns["id"]))):
        fc, low, high = (columns[name][i] for name in ("fc", "low", "high"))
        digits = columns["digits"]
        rows.append(
            {
                "id": columns["id"][i],
                "name": columns["name"][i] if columns["name"] else columns["id"][i],
                "mean": mean_text(columns["mean"][i]),
                "fc": signed(fc, digits),
                "interval": f"{signed(low, digits)} to {signed(high, digits)}",
                "bar": interval_bar(low, fc, high, columns["reach"]),
                "q": probability_text(columns["q"][i], SMALLEST_P),
                "s": probability_text(columns["s"][i], SMALLEST_RATE),
                "flag": columns["flags"][columns["flag"][i]],
                "kind": {"u": "up", "d": "down"}.get(columns["kind"][i], ""),
            }
        )
    return rows


def signed(value: float | None, digits: int = DECIMALS) -> str:
    """Format a log fold change."""
    return "–" if value is None else f"{'−' if value < 0 else '+'}{abs(value):.{digits}f}"


def mean_text(value: float | None) -> str:
    """Format a mean count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def probability_text(value: float | None, smallest: str) -> str:
    """Format a p-value or error rate; one that underflows is below the smallest."""
    if value is None:
        return "–"
    if value < UNDERFLOW:
        return f"< {smallest}"
    if value >= 0.001:
        return f"{value:.3f}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


def interval_bar(low: float | None, middle: float | None, high: float | None, reach: float) -> dict[str, Any] | None:
    """Place an interval on a line of 100 units whose middle is no change; ends beyond it become arrows."""
    if low is None or middle is None or high is None:
        return None
    places = [50 + 48 * max(-1.0, min(1.0, value / reach)) for value in (low, middle, high)]
    return {
        "low": f"{places[0]:.1f}",
        "middle": f"{places[1]:.1f}" if abs(middle) <= reach else "",
        "high": f"{places[2]:.1f}",
        "beyond_low": low < -reach,
        "beyond_high": high > reach,
    }


def _reach(table: pd.DataFrame, level: float, *, any_unit: bool = False) -> float:
    """Return the largest fold change of the interval graphics, log2: a whole number, or one with a single digit that is not 0."""
    called = table[table[names.ADJ_P_VALUE] < level]
    ends = (called if len(called) else table)[[names.LOG_FC_LOW, names.LOG_FC_HIGH]].abs().to_numpy()
    if not np.isfinite(ends).any():
        return 1.0
    largest = float(np.nanquantile(ends, 0.999))
    if not any_unit or largest <= 0:
        return float(max(1, math.ceil(largest)))
    unit = 10.0 ** math.floor(math.log10(largest))
    return float(f"{math.ceil(largest / unit) * unit:.1g}")


def effect_decimals(table: pd.DataFrame, level: float) -> int:
    """Return the decimals that leave two digits of half of the effects called."""
    called = table[table[names.ADJ_P_VALUE] < level]
    effects = (called if len(called) else table)[names.LOG_FC].abs()
    middle = effects[effects > 0].median()
    return int(np.clip(1 - math.floor(math.log10(middle)), DECIMALS, MOST_DECIMALS)) if middle > 0 else DECIMALS


def _rounded(value: float, digits: str) -> float | None:
    """Round to what is shown; None for a missing value."""
    if not math.isfinite(value):
        return None
    shown = float(digits.format(value)) + 0.0  # no -0
    return int(shown) if shown.is_integer() else shown
