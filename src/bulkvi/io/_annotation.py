"""Files that say what genes are: a table or a .gtf with ids, symbols and transcripts; and the match of ids to them."""

import gzip
import re
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from bulkvi.io._gene_names import ID_COLUMNS, SYMBOL_COLUMNS, plain
from bulkvi.io._tables import read_table

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
"""How ids are read, one rule after the other for those that the rules before did not match."""


class Matches(NamedTuple):
    """Ids and what they were found as."""

    values: dict[str, str]
    """What the annotation has for each id that was found."""
    n_by_rule: dict[str, int]
    """Number of ids by the rule that matched them, in words; empty words where they are the same."""

    def in_words(self) -> str:
        """The rules that were needed beside equality; empty if none was."""
        used = [f"{n:,} of them {rule}" for rule, n in self.n_by_rule.items() if rule and n]
        return f" ({', '.join(used)})" if used else ""


def match_ids(ids: Iterable[str], known: dict[str, str]) -> Matches:
    """What is known of each id: the same id, else the part before ``|``, else the id without its version.

    Parameters
    ----------
    ids
        Such as transcripts that were counted.
    known
        Value by id, such as the gene of each transcript of an annotation. Ids that become one without version are no match
        unless they have one value.
    """
    left = list(dict.fromkeys(ids))
    values: dict[str, str] = {}
    n_by_rule = {}
    for rule, shorten in RULES.items():
        shortened: dict[str, str | None] = {}
        for name, value in known.items():
            short = shorten(name)
            shortened[short] = value if short not in shortened or shortened[short] == value else None
        found = {name: hit for name in left if (hit := shortened.get(shorten(name))) is not None}
        n_by_rule[rule] = len(found)
        values |= found
        left = [name for name in left if name not in found]
        if not left:
            break
    return Matches(values, n_by_rule)


def read_annotation(path: Path, *, wanted: Collection[str], column: str) -> pd.DataFrame:
    """Transcripts, genes and symbols of a file, as far as it has them, as text.

    Parameters
    ----------
    path
        A table, or ``.gtf`` or ``.gff`` (``.gz`` too).
    wanted
        Ids that the file is to explain: they tell whether its first line is a header, and which column is which.
    column
        What the ids are: ``"transcript_id"`` or ``"gene_id"``.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    if re.search(r"\.g[tf]f3?(\.gz)?$", path.name, re.IGNORECASE):
        return _read_gtf(path, column)
    table = read_table(path, is_name=lambda _: True)
    cells = table.cells.astype(object).where(table.cells.notna(), "").astype(str)
    words = [plain(label) for label in table.labels]
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
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for line in file:
                if line.startswith("#") or not feature.search(line):
                    continue
                last = line.rstrip("\n").rpartition("\t")[2]
                found = {key: pattern.search(last) for key, pattern in ATTRIBUTES.items()}
                if found[column] and found[GENE]:
                    rows[tuple(hit[1] if hit else "" for hit in found.values())] = None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: its compressed content is cut short or damaged. Copy it again.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no annotation: it is no text in UTF-8.") from error
    if not rows:
        raise ValueError(f"{path} has no lines of {'transcripts' if column == TRANSCRIPT else 'genes'} with a gene_id.")
    table = pd.DataFrame(list(rows), columns=list(ATTRIBUTES))
    return table if table[GENE_SYMBOL].ne("").any() else table.drop(columns=GENE_SYMBOL)
