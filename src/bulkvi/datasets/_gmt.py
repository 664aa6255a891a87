"""Files of gene sets in Broad's GMT format."""

import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

# Genes and modules are called so as well (TP53, IL-6, module1): only a colon, a long number or a known prefix tells.
_ACCESSION: Final = re.compile(
    r"[A-Za-z]+:[A-Za-z]*\d+(\.\d+)?|R-[A-Z]{3}-\d+(\.\d+)?|[A-Za-z]+(-[A-Za-z]+)*-\d{4,}|"
    r"(hsa|mmu|rno|dme|dre|cel|sce|ath|map|ko)\d{5}|WP\d+(_r?\d+)?|MM?\d{3,}|SMP\d{5,}"
)
_NO_DESCRIPTION: Final = frozenset(("", "na", "n/a", "nan", "none", "null", "-", "."))


class GeneSet(NamedTuple):
    """One set of genes."""

    name: str
    """In words."""
    accession: str
    """Its id, such as ``GO:0006954``; empty where the file has none."""
    genes: tuple[str, ...]


def read_gmt(path: str | os.PathLike[str]) -> list[GeneSet]:
    r"""Gene sets of a GMT file, plain or gzip: a line for each, tab-separated: name, description, genes.

    If the first field is an accession (``GO:0006954``, ``R-HSA-199420``, ``hsa04110``) and the description is neither one, nor an
    address, nor a placeholder such as ``na``, the description is the name, unless another set would be called the same; else
    the first field is.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The sets in the order of the file, each gene once.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not text, holds no set or has a line of fewer than three fields.

    Examples
    --------
    >>> from pathlib import Path
    >>> import bulkvi as bv
    >>> _ = Path("sets.gmt").write_text("GO:0006954\tinflammatory response\tIL6\tTNF\n")
    >>> bv.datasets.read_gmt("sets.gmt")
    [GeneSet(name='inflammatory response', accession='GO:0006954', genes=('IL6', 'TNF'))]
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no file of gene sets at {os.fspath(path)!r}.")
    try:
        with open(path, "rb") as file:
            content = file.read()
        text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be read as text or gzip ({error}).") from error
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [field.strip() for field in line.split("\t")]
        if not any(fields):
            continue
        if len(fields) < 3:
            raise ValueError(
                f"line {number} of {os.fspath(path)!r} is not of a GMT file: name, description and genes, separated by tabs, "
                f"are expected, and it has {len(fields)} fields."
            )
        rows.append(fields)
    if not rows:
        raise ValueError(f"{os.fspath(path)!r} holds no gene set.")
    n_named = Counter(second if _is_described(first, second) else first for first, second, *_ in rows)
    return [_gene_set(first, second, genes, n_named) for first, second, *genes in rows]


def gmt_bytes(sets: Mapping[str, Sequence[str]]) -> bytes:
    """A compressed GMT file of sets by name, the same on every run."""
    lines = ["\t".join((name, "", *genes)) for name, genes in sets.items()]
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=9, mtime=0)


def _is_described(first: str, second: str) -> bool:
    """Whether the second field says in words what the accession in the first is."""
    return (
        _ACCESSION.fullmatch(first) is not None
        and _ACCESSION.fullmatch(second) is None
        and second.lower() not in _NO_DESCRIPTION
        and "://" not in second
    )


def _gene_set(first: str, second: str, genes: Sequence[str], n_named: Counter[str]) -> GeneSet:
    members = tuple(dict.fromkeys(gene for gene in genes if gene))
    if _is_described(first, second) and n_named[second] == 1:
        return GeneSet(second, first, members)
    return GeneSet(first, second if _ACCESSION.fullmatch(second) else "", members)
