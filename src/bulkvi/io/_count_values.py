"""Decide whether numbers are raw counts; if not, describe them and name what to give instead."""

from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from bulkvi.arguments import warn_user

Missing = Literal["error", "zero"]

MILLION: Final = 1e6
NEAR_MILLION: Final = 0.005
LARGEST_LOG: Final = 30.0
SMALL_TOTAL: Final = 2e6
MIN_WHOLE: Final = 0.05
MAX_BELOW_ONE: Final = 0.02
"""Share of positive values below one: many genes have an FPKM below one, few an expected count."""
FIRST_MULTIPLES: Final = (1.5, 10.0)
NEAR_WHOLE: Final = 0.05
LARGEST_EXACT: Final = 2**53
"""Limit up to which 64-bit floating point numbers, with which models compute, represent all whole numbers."""
TOO_LARGE: Final = (
    "Floating point numbers cannot represent such counts exactly, and no sequencer produces them: check the file."
)
GIVE_COUNTS: Final = (
    "bulkvi needs raw counts: the table of featureCounts, HTSeq or STAR (ReadsPerGene.out.tab), tximport's counts, or the "
    "folders of Salmon or kallisto."
)


def to_counts(table: pd.DataFrame, *, missing: Missing, round_counts: bool, source: str) -> np.ndarray:
    """Return the counts of genes x samples as whole numbers; raise a ValueError that describes values that are none."""
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
                "joined from several files, give missing='zero'; otherwise remove these genes or samples."
            )
        values = np.where(absent, 0.0, values)
    large = (values > LARGEST_EXACT) & (values < np.inf)
    if large.any():
        gene, sample = (int(k) for k in np.argwhere(large)[0])
        raise ValueError(
            f"{source}: sample {table.columns[sample]!r} has {values[gene, sample]:.4g} counts at gene {table.index[gene]!r}, more "
            f"than {LARGEST_EXACT:,} (2^53). {TOO_LARGE}"
        )
    if not _are_counts(values).all():
        problem, may_round = describe_values(values)
        if not (round_counts and may_round):
            gene, sample = (int(k) for k in np.argwhere(~_are_counts(values))[0])
            raise ValueError(
                f"{source}: these are not raw counts: sample {table.columns[sample]!r} has {values[gene, sample]:g} at gene "
                f"{table.index[gene]!r}. {problem}"
            )
        if _share_whole(values) < MIN_WHOLE:
            warn_user(
                f"{source}: nearly all values have decimals, and were rounded. Results are wrong if they are normalised counts, FPKM "
                "or the like, and not estimates of read numbers."
            )
        values = np.rint(values)
    elif add_up_to_a_million(values.sum(0)):
        message = f"{source}: the counts of every sample add up to a million, as TPM or CPM do that were rounded."
        if not round_counts:
            raise ValueError(
                f"{message} The number of reads of a value is then unknown. {GIVE_COUNTS} If they are raw counts after all, "
                "downsampled to a million in each sample, add round_counts=True."
            )
        warn_user(f"{message} Results are wrong unless they are raw counts.")
    return values.astype(np.int64)


def sparse_counts(values: sparse.csr_matrix) -> sparse.csr_matrix | None:
    """Return the counts as 64-bit whole numbers if they are clearly raw counts; None if the entries need a detailed check."""
    if values.dtype.kind not in "iuf":
        return None
    data = values.data
    # a missing number, a fraction or a negative number is always among the stored values
    whole = np.isfinite(data).all() and (data == np.rint(data)).all()
    if not whole or data.min(initial=0) < 0 or data.max(initial=0) > LARGEST_EXACT:
        return None
    counts = values.astype(np.int64)
    counts.eliminate_zeros()
    return None if add_up_to_a_million(np.asarray(counts.sum(axis=0, dtype=float)).ravel()) else counts


def narrow(counts: np.ndarray | sparse.csr_matrix, source: str) -> np.ndarray | sparse.csr_matrix:
    """Return counts in 32 bits if they fit, else in 64; raise a ValueError if a sum of repeated genes is too large."""
    largest = counts.max() if counts.size else 0
    if largest > LARGEST_EXACT or (counts.min() if counts.size else 0) < 0:
        raise ValueError(f"{source}: the summed counts of a gene are larger than {LARGEST_EXACT:,}. {TOO_LARGE}")
    return counts.astype(np.int32 if largest <= np.iinfo(np.int32).max else np.int64)


def describe_values(values: np.ndarray) -> tuple[str, bool]:
    """Describe values (genes x samples, none missing) that are no counts, with the remedy, and whether rounding is possible.

    TPM and CPM add up to a million. Counts divided by a size factor are multiples of the smallest value of the sample.
    Expected counts are whole numbers in many genes, those whose reads belong to one transcript.
    """
    normalised = _describe_normalised(values)
    if normalised is not None:
        return f"{normalised} {GIVE_COUNTS}", False
    if _share_whole(values) < MIN_WHOLE:
        return (
            "They look like normalised counts, or like tximport's counts scaled by abundance. If they are estimates of read "
            f"numbers, round_counts=True rounds them; if they are normalised, give the raw ones. {GIVE_COUNTS}"
        ), True
    return (
        "They look like expected counts (RSEM, Salmon, kallisto): round_counts=True rounds them. Better, give the folders of "
        "Salmon or kallisto, so that the lengths of transcripts are used as well."
    ), True


def _describe_normalised(values: np.ndarray) -> str | None:
    """Describe values that cannot be rounded to counts; None for others."""
    if values.min() < 0:
        return "Negative values are log ratios, or centred or batch-corrected values."
    if not np.isfinite(values).all():
        return "Infinite values are no counts."
    if values.max() < LARGEST_LOG:
        return f"No value is above {LARGEST_LOG:g}: they look like logarithms (log2 CPM, rlog, vst)."
    if add_up_to_a_million(values.sum(0)):
        return (
            "The values of every sample add up to a million: they are TPM (or CPM), from which the number of reads of a value is "
            "unknown."
        )
    if _thousands_are_points(values):
        return (
            "All values with decimals have three of them and lie below 1,000, and no whole number reaches 1,000: points that "
            "separate thousands (1.234 for 1234), or commas, were read as decimal marks. Write the counts as plain whole numbers: in a "
            "spreadsheet, format the cells as numbers without separators, and save the file again."
        )
    if _are_multiples(values):
        return (
            "In every sample the values are multiples of the smallest: they are counts divided by a size factor or library size, as "
            "counts(dds, normalized=TRUE) or CPM. The model accounts for sequencing depth."
        )
    many_below_one = np.mean(values[values > 0] < 1) >= MAX_BELOW_ONE
    if _share_whole(values) < MIN_WHOLE and values.sum(0).max() < SMALL_TOTAL and many_below_one:
        return "They look like FPKM, RPKM or other normalised values."
    return None


def _numbers(table: pd.DataFrame, source: str) -> np.ndarray:
    columns = []
    for position, sample in enumerate(table.columns):
        column = table.iloc[:, position]
        if pd.api.types.is_bool_dtype(column):
            raise ValueError(
                f"{source}: the entries of sample {sample!r} are true and false: they show whether a gene was found, not how "
                f"often. {GIVE_COUNTS}"
            )
        if not pd.api.types.is_numeric_dtype(column):
            text = column.astype(object)
            column = pd.to_numeric(text.map(as_float, na_action="ignore"), errors="coerce")
            wrong = text[column.isna() & text.notna()]
            if len(wrong):
                raise ValueError(
                    f"{source}: {len(wrong)} entries of sample {sample!r} are not numbers, first {wrong.iloc[0]!r} at gene "
                    f"{wrong.index[0]!r}. Write counts as plain whole numbers (1234, not '1,234' or '1.234'); leave other columns out."
                )
        if np.iscomplexobj(column):
            raise ValueError(f"{source}: the entries of sample {sample!r} are complex numbers. {GIVE_COUNTS}")
        columns.append(column.to_numpy(dtype=float, na_value=np.nan))
    return np.column_stack(columns) if columns else np.empty((len(table), 0))


def as_float(cell: object) -> float | None:
    """Return a number of any length, or None."""
    try:
        return float(str(cell)) if "_" not in str(cell) else None
    except ValueError:
        return None


def _are_counts(values: np.ndarray) -> np.ndarray:
    return (values >= 0) & (values < np.inf) & (values == np.rint(values))


def add_up_to_a_million(totals: np.ndarray) -> bool:
    """Whether the total of every sample is that of TPM and CPM."""
    return bool((np.abs(totals / MILLION - 1) < NEAR_MILLION).all())


def _share_whole(values: np.ndarray) -> float:
    """Return the share of whole numbers among the values above 0."""
    positive = values[values > 0]
    return float(np.mean(positive == np.rint(positive)))


def _thousands_are_points(values: np.ndarray) -> bool:
    """Whether values are counts of four to six digits with a point before the last three; expected counts have a wider range."""
    whole = values == np.rint(values)
    split = values[~whole]
    thousands = np.abs(1000 * split - np.rint(1000 * split)) < 1e-6
    return bool(thousands.all() and (split >= 1).all() and (values < 1000).all())


def _are_multiples(values: np.ndarray) -> bool:
    """Whether the values of each sample are multiples of its smallest."""
    units = np.array([column[column > 0].min(initial=np.inf) for column in values.T])
    if not np.isfinite(units).all() or (np.abs(units - 1) < 0.01).all():
        return False
    low, high = FIRST_MULTIPLES
    shares = []
    for column, unit in zip(values.T, units, strict=True):
        ratio = column[(column > low * unit) & (column < high * unit)] / unit
        shares.append(np.mean(np.abs(ratio - np.rint(ratio)) < NEAR_WHOLE) if ratio.size else 0.0)
    return min(shares) > 0.95
