"""Are these numbers raw counts? If not, what are they, and what to give instead."""

import warnings
from typing import Final, Literal

import numpy as np
import pandas as pd

Missing = Literal["error", "zero"]

MILLION: Final = 1e6
NEAR_MILLION: Final = 0.005
LARGEST_LOG: Final = 30.0
SMALL_TOTAL: Final = 2e6
MANY_WHOLE: Final = 0.05
FIRST_MULTIPLES: Final = (1.5, 10.0)
NEAR_WHOLE: Final = 0.05
GIVE_COUNTS: Final = (
    "bulkvi needs raw counts: the table of featureCounts, HTSeq or STAR (ReadsPerGene.out.tab), tximport's counts, or the "
    "folders of Salmon or kallisto."
)


def to_counts(table: pd.DataFrame, *, missing: Missing, round_counts: bool, source: str) -> np.ndarray:
    """Counts of genes x samples as whole numbers.

    Raises
    ------
    ValueError
        If an entry is text, missing (and not to be zero), or the numbers are no counts, or rounded ones that may not be
        rounded; the message says what they look like.
    """
    if missing not in ("error", "zero"):
        raise ValueError(f"missing={missing!r} is unknown; choose 'error' or 'zero'.")
    values = _numbers(table, source)
    absent = np.isnan(values)
    if absent.any():
        if missing == "error":
            gene, sample = (int(k) for k in np.argwhere(absent)[0])
            raise ValueError(
                f"{source}: {absent.sum():,} counts are missing, in {absent.any(1).sum():,} genes (first: gene "
                f"{table.index[gene]!r}, sample {table.columns[sample]!r}). If an empty cell means no read, as in tables "
                "joined from several files, give missing='zero'; otherwise take these genes or samples out."
            )
        values = np.where(absent, 0.0, values)
    if not _are_counts(values).all():
        problem, may_round = what_they_are(values)
        if not (round_counts and may_round):
            raise ValueError(f"{source}: {_first_offence(table, values)} {problem}")
        values = np.rint(values)
    elif add_up_to_a_million(values.sum(0)):
        said = f"{source}: the counts of every sample add up to a million, as TPM or CPM do that were rounded."
        if not round_counts:
            raise ValueError(
                f"{said} They do not tell how many reads stand behind a value. {GIVE_COUNTS} If they are raw counts after all, "
                "drawn down to a million in each sample, add round_counts=True."
            )
        warnings.warn(f"{said} Results are wrong unless they are raw counts.", UserWarning, stacklevel=2)
    return values.astype(np.int32 if values.max(initial=0) <= np.iinfo(np.int32).max else np.int64)


def what_they_are(values: np.ndarray) -> tuple[str, bool]:
    """What values look like that are no counts, with what to do; and whether rounding would make them counts.

    Parameters
    ----------
    values
        Genes x samples, none missing.

    Notes
    -----
    TPM and CPM add up to a million. Counts divided by a size factor are multiples of the least of them, sample by sample.
    Expected counts are whole numbers in many genes, those whose reads belong to one transcript.
    """
    if values.min() < 0:
        return f"Negative values are log ratios, or centred or batch-corrected values. {GIVE_COUNTS}", False
    if not np.isfinite(values).all():
        return f"Infinite values cannot be counted. {GIVE_COUNTS}", False
    if values.max() < LARGEST_LOG:
        return (
            f"No value is above {LARGEST_LOG:g}: they look like logarithms (log2 CPM, rlog, vst). {GIVE_COUNTS}",
            False,
        )
    if add_up_to_a_million(values.sum(0)):
        return (
            f"The values of every sample add up to a million: they are TPM (or CPM), which do not tell how many reads stand "
            f"behind a value. {GIVE_COUNTS}"
        ), False
    if _thousands_are_points(values):
        return (
            "All values with decimals have three of them and lie below 1,000, and no whole number reaches 1,000: points that "
            "part thousands (1.234 for 1234) have been read as decimal points. Write the counts as plain whole numbers: in a "
            "spreadsheet, format the cells as numbers without separators, and save the file again.",
            False,
        )
    if _are_multiples(values):
        return (
            "In every sample the values are multiples of the smallest: they are counts divided by a size factor or library "
            f"size, as counts(dds, normalized=TRUE) or CPM. Sequencing depth enters the model by itself. {GIVE_COUNTS}"
        ), False
    positive = values[values > 0]
    whole = float(np.mean(positive == np.rint(positive)))
    if whole < MANY_WHOLE and values.sum(0).max() < SMALL_TOTAL:
        return f"They look like FPKM, RPKM or other normalised values. {GIVE_COUNTS}", False
    if whole < MANY_WHOLE:
        return (
            "They look like normalised counts, or like tximport's counts scaled by abundance. If they are estimates of read "
            f"numbers, round_counts=True rounds them; if they are normalised, give the raw ones. {GIVE_COUNTS}"
        ), True
    return (
        "They look like expected counts (RSEM, Salmon, kallisto): round_counts=True rounds them. Better, give the folders of "
        "Salmon or kallisto, so that the lengths of transcripts enter as well."
    ), True


def _numbers(table: pd.DataFrame, source: str) -> np.ndarray:
    for position, sample in enumerate(table.columns):
        column = table.iloc[:, position]
        if pd.api.types.is_numeric_dtype(column):
            continue
        wrong = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
        if len(wrong):
            raise ValueError(
                f"{source}: {len(wrong)} entries of sample {sample!r} are not numbers, first {wrong.iloc[0]!r} at gene "
                f"{wrong.index[0]!r}. Write counts as plain whole numbers (1234, not '1,234' or '1.234'); leave other columns out."
            )
    return table.apply(pd.to_numeric).to_numpy(dtype=float)


def _are_counts(values: np.ndarray) -> np.ndarray:
    return (values >= 0) & (values < np.inf) & (values == np.rint(values))


def _first_offence(table: pd.DataFrame, values: np.ndarray) -> str:
    gene, sample = (int(k) for k in np.argwhere(~_are_counts(values))[0])
    return (
        f"these are not raw counts: sample {table.columns[sample]!r} has {values[gene, sample]:g} at gene "
        f"{table.index[gene]!r}."
    )


def add_up_to_a_million(totals: np.ndarray) -> bool:
    """Whether the totals of all samples are as those of TPM and CPM."""
    return bool((np.abs(totals / MILLION - 1) < NEAR_MILLION).all())


def _thousands_are_points(values: np.ndarray) -> bool:
    """Counts of four to six digits look like numbers with three decimals; expected counts also stand above and below those."""
    whole = values == np.rint(values)
    split = values[~whole]
    thousands = np.abs(1000 * split - np.rint(1000 * split)) < 1e-6
    return bool(thousands.all() and (split >= 1).all() and (values < 1000).all())


def _are_multiples(values: np.ndarray) -> bool:
    units = np.array([column[column > 0].min(initial=np.inf) for column in values.T])
    if not np.isfinite(units).all() or (np.abs(units - 1) < 0.01).all():
        return False
    low, high = FIRST_MULTIPLES
    shares = []
    for column, unit in zip(values.T, units, strict=True):
        ratio = column[(column > low * unit) & (column < high * unit)] / unit
        shares.append(np.mean(np.abs(ratio - np.rint(ratio)) < NEAR_WHOLE) if ratio.size else 0.0)
    return min(shares) > 0.95
