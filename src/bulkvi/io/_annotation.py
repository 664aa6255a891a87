"""Files that accompany counts: annotations of genes and transcripts, whose ids are matched, and average lengths."""

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.arguments import warn_user
from bulkvi.io._count_tables import read_count_table
from bulkvi.io._genes import ID_COLUMNS, SYMBOL_COLUMNS, plain_label
from bulkvi.io._sample_names import Match
from bulkvi.io._tables import read_table
from bulkvi.io._text_files import DAMAGED, cut_off, open_unpacked
from bulkvi.names import COUNTS_SOURCE, LENGTH, SYMBOL

MAX_LOST: Final = 0.5
"""Largest share of reads in transcripts or genes that a table lacks; beyond it the table is taken for a wrong one."""
LENGTHS_ALIKE: Final = (
    "Lengths by sample are needed, as in nf-core's salmon.merged.gene_lengths.tsv or tximport's `length`; one length for each "
    "gene is the same in all samples and cancels in comparisons: leave it out."
)
GENE: Final = "gene_id"
TRANSCRIPT: Final = "transcript_id"
GENE_SYMBOL: Final = "gene_name"
TRANSCRIPT_COLUMNS: Final = frozenset(
    "transcript_id transcript tx_id txname tx target_id name transcript_stable_id transcript_stable_id_version "
    "ensembl_transcript_id ensembl_transcript_id_version".split()
)
GENE_COLUMNS: Final = ID_COLUMNS | frozenset("gene gene_stable_id_version ensembl_gene_id_version".split())
VERSION: Final = re.compile(r"(?<=\d)\.\d+(?=$|_PAR_Y$)")
ATTRIBUTES: Final = {
    TRANSCRIPT: re.compile(r'(?:^|;)\s*transcript_id[ =]"?([^";]+)'),
    GENE: re.compile(r'(?:^|;)\s*(?:gene_id[ =]|Parent=gene:)"?([^";]+)'),
    GENE_SYMBOL: re.compile(r'(?:^|;)\s*gene(?:_name)?[ =]"?([^";]+)'),
}
RULES: Final[dict[str, Callable[[str], str]]] = {
    "": str,
    "up to the first |": lambda name: name.partition("|")[0],
    "without versions": lambda name: VERSION.sub("", name.partition("|")[0]),
}
"""Rules to shorten ids, each applied to the ids that those before did not match."""


class Matches(NamedTuple):
    """Values of the ids that were found."""

    values: dict[str, str]
    """Value of the annotation by id."""
    n_by_rule: dict[str, int]
    """Number of ids by the rule that matched them; the rule of equal ids is an empty text."""

    def describe_rules(self) -> str:
        """Describe the rules that were needed, except equality; empty if none was."""
        used = [f"{n:,} of them {rule}" for rule, n in self.n_by_rule.items() if rule and n]
        return f" ({', '.join(used)})" if used else ""


def match_ids(ids: Iterable[str], known: dict[str, str]) -> Matches:
    """Find the value of each id in ``known``: by the same id, else the part before ``|``, else the id without its version.

    Ids that become equal without version do not match, unless they have the same value.
    """
    unmatched = list(dict.fromkeys(ids))
    values: dict[str, str] = {}
    n_by_rule = {}
    for rule, shorten in RULES.items():
        shortened: dict[str, str | None] = {}
        for name, value in known.items():
            short = shorten(name)
            shortened[short] = value if short not in shortened or shortened[short] == value else None
        found = {name: hit for name in unmatched if (hit := shortened.get(shorten(name))) is not None}
        n_by_rule[rule] = len(found)
        values |= found
        unmatched = [name for name in unmatched if name not in found]
        if not unmatched:
            break
    return Matches(values, n_by_rule)


def read_annotation(path: Path, *, wanted: Collection[str], column: str) -> pd.DataFrame:
    """Read the transcripts, genes and symbols of a table, ``.gtf`` or ``.gff``, as far as it has them, as text.

    The ``wanted`` ids, of transcripts or genes according to ``column``, decide whether the first line is a header and which
    column is which.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if re.search(r"\.g[tf]f3?(\.gz)?$", path.name, re.IGNORECASE):
        return _read_gtf(path, column)
    table = read_table(path, is_name=lambda _: True)
    cells = table.cells.astype(object).where(table.cells.notna(), "").astype(str)
    words = [plain_label(label) for label in table.labels]
    sought = {TRANSCRIPT: TRANSCRIPT_COLUMNS, GENE: GENE_COLUMNS, GENE_SYMBOL: SYMBOL_COLUMNS}
    named = {
        key: words.index(next(word for word in words if word in of)) for key, of in sought.items() if {*words} & of
    }
    if column == GENE:
        named.pop(TRANSCRIPT, None)
    if column not in named or len(named) < 2:  # no header: Salmon's --geneMap has none
        in_header = match_ids(table.labels, dict.fromkeys(wanted, "")).values
        header = not in_header and column == GENE or column in named
        cells = cells if header else pd.concat([pd.DataFrame([table.labels]), cells], ignore_index=True)
        known = dict.fromkeys(wanted, "")
        first, second = (len(match_ids(cells[k], known).values) for k in (0, 1))
        order = (1, 0) if second > first else (0, 1)
        others = (GENE, GENE_SYMBOL) if column == TRANSCRIPT else (GENE_SYMBOL,)
        named = {column: order[0], others[0]: order[1]}
    return pd.DataFrame({key: cells[k].str.strip() for key, k in named.items()})


def _read_gtf(path: Path, column: str) -> pd.DataFrame:
    feature = re.compile(
        r"\t(gene|transcript|mRNA|\w*RNA\w*|exon)\t" if column == TRANSCRIPT else r"\t(gene|transcript|mRNA|exon)\t"
    )
    rows: dict[tuple[str, ...], None] = {}
    try:
        with open_unpacked(path, "rt", encoding="utf-8-sig") as file:
            for line in file:
                if line.startswith("#") or not feature.search(line):
                    continue
                last = line.rstrip("\n").rpartition("\t")[2]
                found = {key: pattern.search(last) for key, pattern in ATTRIBUTES.items()}
                if found[column] and found[GENE]:
                    rows[tuple(hit[1] if hit else "" for hit in found.values())] = None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no annotation: it is no text in UTF-8.") from error
    except DAMAGED as error:
        raise cut_off(path, "gzip") from error
    if not rows:
        raise ValueError(f"{path} has no lines of {'transcripts' if column == TRANSCRIPT else 'genes'} with a gene_id.")
    table = pd.DataFrame(list(rows), columns=list(ATTRIBUTES))
    return table if table[GENE_SYMBOL].ne("").any() else table.drop(columns=GENE_SYMBOL)


def add_lengths(adata: AnnData, path: Path, samples: pd.DataFrame, *, match: Match) -> None:
    """Add the lengths of a table of genes x samples as ``layers["length"]``; genes without length get 1."""
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if LENGTH in adata.layers:
        raise ValueError(f"The counts come with lengths. Leave lengths={str(path)!r} out.")
    try:
        read = read_count_table(path, samples, match=match, given=None, gene_column=None)
    except ValueError as error:
        raise ValueError(f"lengths={str(path)!r}: {error} {LENGTHS_ALIKE}") from error
    table = read.counts.apply(pd.to_numeric, errors="coerce")
    wrong = ~(np.isfinite(table) & (table > 0))
    if wrong.any(axis=None):
        gene, sample = (int(k) for k in np.argwhere(wrong.to_numpy())[0])
        raise ValueError(
            f"{path}: {int(wrong.to_numpy().sum()):,} lengths are not finite numbers above 0, first {read.counts.iat[gene, sample]} of gene "
            f"{table.index[gene]!r} in sample {table.columns[sample]!r}. Give average lengths in bases, as the quantifier wrote them."
        )
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{path}: {len(repeated)} genes occur more than once, first {repeated[0]!r}. Leave one row for each."
        )
    rows = match_ids(adata.var_names, {name: name for name in table.index})
    consequence = f"have no length{rows.describe_rules()}, which is assumed to be the same in all samples"
    share = _share_missing(adata, rows.values, path, consequence)
    values = np.ones(adata.shape)
    found = adata.var_names.isin(list(rows.values))
    values[:, found] = table.loc[[rows.values[name] for name in adata.var_names[found]]].to_numpy(float).T
    adata.layers[LENGTH] = values
    adata.uns[COUNTS_SOURCE] |= {"lengths": str(path), "reads_without_length": share}


def add_symbols(adata: AnnData, path: Path) -> None:
    """Set ``var["symbol"]`` from an annotation; genes that it lacks keep their symbol, or their id."""
    annotation = read_annotation(path, wanted=adata.var_names, column=GENE)
    if GENE_SYMBOL not in annotation:
        raise ValueError(
            f"{path} has no symbols. Give a table with a column gene_id and a column symbol, or a .gtf with gene_name."
        )
    named = annotation[annotation[GENE_SYMBOL] != ""].drop_duplicates(GENE)
    symbols = match_ids(adata.var_names, dict(zip(named[GENE], named[GENE_SYMBOL], strict=True)))
    if not symbols.values:
        raise ValueError(
            f"{path} has none of the {adata.n_vars:,} genes: the counts have {adata.var_names[:3].tolist()}, the file has "
            f"{annotation[GENE].tolist()[:3]}. Give the annotation that the reads were counted with."
        )
    previous = adata.var[SYMBOL] if SYMBOL in adata.var else adata.var_names
    adata.var[SYMBOL] = [symbols.values.get(gene, old) for gene, old in zip(adata.var_names, previous, strict=True)]
    found = len(symbols.values)
    if found < adata.n_vars or symbols.describe_rules():
        warn_user(
            f"{path.name}: symbols of {found:,} of the {adata.n_vars:,} genes ({found / adata.n_vars:.0%}) were found{symbols.describe_rules()}"
            + (f"; not of {_absent(adata, symbols.values)}." if found < adata.n_vars else ".")
        )
    adata.uns[COUNTS_SOURCE] |= {"genes": str(path), "n_symbols": found}


def _share_missing(adata: AnnData, found: dict[str, str], path: Path, consequence: str) -> float:
    """Return the share of reads in genes that were not found, with a warning; most of them are an error."""
    absent = ~adata.var_names.isin(list(found))
    if not absent.any():
        return 0.0
    reads = np.asarray(adata.X.sum(axis=0), dtype=float).ravel()
    share = float(reads[absent].sum() / max(reads.sum(), 1))
    message = f"{path.name}: {absent.sum():,} of the {adata.n_vars:,} genes, with {share:.2%} of the reads, {consequence}: {_absent(adata, found)}."
    if share > MAX_LOST or not found:
        raise ValueError(f"{message} Give the table that belongs to these counts.")
    warn_user(message)
    return round(share, 6)


def _absent(adata: AnnData, found: dict[str, str]) -> str:
    absent = [name for name in adata.var_names if name not in found]
    return ", ".join(map(repr, absent[:3])) + (" ..." if len(absent) > 3 else "")
