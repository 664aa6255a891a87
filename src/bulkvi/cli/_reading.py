"""Files of counts and samples become an AnnData with size factors."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData


class HowToRead(NamedTuple):
    """Options of reading COUNTS and SAMPLES."""

    sample_column: str | None
    match: Any
    samples_in: Any
    gene_column: str | None
    layer: str | None
    duplicate_genes: Any
    missing: Any
    round_counts: bool
    strandedness: Any
    transcripts: Path | None
    lengths: Path | None
    genes: Path | None
    sheet: list[str] | None

    @classmethod
    def from_options(cls, params: Mapping[str, Any]) -> "HowToRead":
        """Select the options of reading from the parameters of a command."""
        return cls(**{name: params[name] for name in cls._fields})


def read(counts: Path, samples: Path | None, how: HowToRead) -> "AnnData":
    """Read samples x genes, with the sample sheet as ``obs``."""
    from bulkvi import io
    from bulkvi.study.counts import check_column_names

    options = how._asdict()
    sample_column = options.pop("sample_column")
    if samples is None and counts.suffix.lower() != ".h5ad":
        raise ValueError(
            f"SAMPLES is missing: {counts} does not describe its samples. Give the sample sheet after it: a table with one row for "
            "each sample, its name in the first column. Only an .h5ad may hold it."
        )
    of_counts, of_samples = choose_sheets(counts, samples or counts, options.pop("sheet") or [])
    if samples is None or samples.suffix.lower() == ".h5ad":
        if sample_column is not None:
            raise ValueError(f"--sample-column {sample_column}: an .h5ad names its samples itself. Leave it out.")
        adata = io.read_counts(counts, samples, sheet=of_counts, **options)
    else:
        table = io.read_samples(samples, sample_column=sample_column, sheet=of_samples)
        adata = io.read_counts(counts, table, sheet=of_counts, **options)
    check_column_names(adata)
    return adata


def describe(adata: "AnnData") -> str:
    """Describe the counts and how they were read."""
    from bulkvi.names import COUNTS_SOURCE

    facts = adata.uns[COUNTS_SOURCE]
    where = {"rows": ", the samples in its rows", "columns": ", the samples in its columns"}.get(
        facts["samples_in"], ""
    )
    matched = {
        "exact": "",
        "file_names": "; names of files without folder and ending",
    }.get(facts["match"], f"; names matched by {facts['match']}")
    strand = f"; {facts['strandedness']}" if "strandedness" in facts else ""
    lost = f"; {facts['lost_reads']:.2%} of the reads lost" if facts.get("lost_reads") else ""
    symbols = f"; symbols of {facts['n_symbols'] / adata.n_vars:.0%} of the genes" if "n_symbols" in facts else ""
    totals = adata.X.sum(axis=1)
    return (
        f"{adata.n_obs} samples x {adata.n_vars:,} genes ({facts['format']}{where}{matched}{strand}{lost}{symbols}); "
        f"{totals.min():,} to {totals.max():,} counts a sample"
    )


def add_size_factors(adata: "AnnData", chosen: str, control_genes: str | None = None) -> str | None:
    """Write ``obs["size_factor"]``, by a method or from a column, and return the offset's layer, if there is one.

    Raises ValueError for a choice that is neither a method nor a column of numbers above 0, or for control genes with a
    column; KeyError for unknown control genes.
    """
    from bulkvi import pp
    from bulkvi.names import LENGTH, SIZE_FACTOR

    offset = LENGTH if LENGTH in adata.layers else None
    if SIZE_FACTOR in adata.obs and chosen != SIZE_FACTOR:
        warnings.warn(
            f"The column {SIZE_FACTOR!r} of the sample sheet is not used, and is not in the results: size factors are those of "
            f"{chosen}. To take the column, add --size-factors {SIZE_FACTOR}.",
            UserWarning,
            stacklevel=1,
        )
    if chosen in ("median_of_ratios", "poscounts"):
        genes = None if control_genes is None else find_control_genes(adata, control_genes)
        pp.size_factors(adata, method=chosen, offset_key=offset, control_genes=genes)  # type: ignore[arg-type]
    elif control_genes is not None:
        raise ValueError(
            f"--control-genes with --size-factors {chosen}: size factors are either estimated from control genes "
            "(--size-factors median_of_ratios or poscounts) or taken from a column. Leave one of the two out."
        )
    elif chosen in adata.obs:
        adata.obs[SIZE_FACTOR] = _size_factor_column(adata.obs[chosen], chosen)
    else:
        raise ValueError(
            f"--size-factors {chosen}: give median_of_ratios, poscounts, or a column of the sample sheet, which has "
            f"{list(adata.obs.columns)}."
        )
    return offset


def _size_factor_column(column: "pd.Series", name: str) -> "pd.Series":
    from numpy import inf
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(column) and not is_bool_dtype(column):
        wrong = column[~((column > 0) & (column < inf))]
    else:
        wrong = column
    if len(wrong):
        raise ValueError(
            f"--size-factors {name}: size factors are numbers above 0, and that column of the sample sheet has "
            f"{wrong.iloc[0]!s} for sample {str(wrong.index[0])!r}. Name another column, or leave the option out: then they are "
            "computed from the counts."
        )
    return column


def find_control_genes(adata: "AnnData", given: str) -> "list[str] | np.ndarray":
    """Find ``--control-genes`` as `bulkvi.pp.size_factors` takes them; KeyError if no gene has such a name.

    Given is a file with names separated by line breaks, commas or tabs (lines that begin with # are left out); or names
    separated by commas, of which one that is no gene is the beginning of names.
    """
    import numpy as np

    from bulkvi.names import SYMBOL

    if Path(given).is_file():
        return _names_in(Path(given))
    chosen = np.zeros(adata.n_vars, dtype=bool)
    columns = [adata.var_names, *([adata.var[SYMBOL].astype(str)] if SYMBOL in adata.var else [])]
    for name in filter(None, (part.strip() for part in given.split(","))):
        exact = [np.asarray(column == name) for column in columns]
        found = exact if np.any(exact) else [np.asarray(column.str.startswith(name)) for column in columns]
        if not np.any(found):
            raise KeyError(
                f"--control-genes {given}: there is no such file, and no gene has a name that is or begins with {name!r}; genes are "
                f"named like {list(adata.var_names[:3])}. Genes with few counts are left out (--min-counts)."
            )
        chosen |= np.any(found, axis=0)
    return chosen


def _names_in(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"--control-genes {path}: the file is no text. Give a file with a gene name on each line."
        ) from error
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    names = [name.strip().strip('"') for line in lines for name in re.split(r"[,;\t]", line)]
    names = [name for name in names if name]
    if not names:
        raise ValueError(f"--control-genes {path}: the file is empty. Give a file with a gene name on each line.")
    return names


def choose_sheets(counts: Path, samples: Path, names: list[str]) -> tuple[str | None, str | None]:
    """Choose the sheets of COUNTS and of SAMPLES: two in this order, or one for the spreadsheet that has it."""
    if not names:
        return None, None
    if len(names) == 2:
        return names[0], names[1]
    known = [_sheet_names(path) for path in (counts, samples)]
    if len(names) > 2 or not any(names[0] in those for those in known):
        raise ValueError(
            f"--sheet {', '.join(map(repr, names))}: give the name of one sheet, or of two, first for COUNTS. {counts.name} has "
            f"{known[0] or 'no sheets'}, {samples.name} has {known[1] or 'no sheets'}."
        )
    # a file with a single sheet needs no name
    in_samples = names[0] in known[1] and (names[0] not in known[0] or len(known[0]) == 1 < len(known[1]))
    return (None, names[0]) if in_samples else (names[0], None)


def _sheet_names(path: Path) -> list[str]:
    """List the sheets; none if it is no spreadsheet, or one that cannot be read, which the reader explains."""
    import pandas as pd

    if not path.is_file() or not zipfile.is_zipfile(path):
        return []
    try:
        with warnings.catch_warnings(action="ignore"), pd.ExcelFile(path, engine="openpyxl") as book:
            return [str(name) for name in book.sheet_names]
    except (ValueError, KeyError, OSError, ImportError, zipfile.BadZipFile):
        return []


def sum_replicates(
    adata: "AnnData", column: str | None, in_design: set[str], donor: str | None, size_factors: str
) -> "AnnData":
    """Sum the counts of technical replicates, if a column of libraries is given; the donor is constant within a library."""
    from bulkvi import pp

    if column is None:
        return adata
    if column not in adata.obs:
        raise ValueError(
            f"--sum-replicates {column}: the sample sheet has no such column; it has {list(adata.obs.columns)}."
        )
    if size_factors in adata.obs:
        raise ValueError(
            f"--sum-replicates {column} and --size-factors {size_factors}: that column belongs to the single samples. Leave it out, or "
            "sum counts and size factors beforehand."
        )
    return pp.sum_replicates(adata, column, constant=sorted(in_design if donor is None else in_design | {donor}))
