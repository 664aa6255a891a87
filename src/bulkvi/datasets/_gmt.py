"""Files of gene sets in Broad's GMT format."""

import gzip
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

_ACCESSION: Final = re.compile(r"[A-Za-z]+([:-][A-Za-z]+)*[:-]?\d+(\.\d+)?")


class GeneSet(NamedTuple):
    """One set of genes."""

    name: str
    """In words."""
    accession: str
    """Its id, such as ``GO:0006954``; empty where the file has none."""
    genes: tuple[str, ...]


def read_gmt(path: str | os.PathLike[str]) -> list[GeneSet]:
    r"""Gene sets of a GMT file, plain or gzip: a line for each, tab-separated: name, description, genes.

    If one of the two first fields looks like an accession (``GO:0006954``, ``R-HSA-199420``, ``hsa04110``) and the other
    does not, the other is the name; else the first is.

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
    sets = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [field.strip() for field in line.split("\t")]
        if not any(fields):
            continue
        if len(fields) < 3:
            raise ValueError(
                f"line {number} of {os.fspath(path)!r} is not of a GMT file: name, description and genes, separated by tabs, "
                f"are expected, and it has {len(fields)} fields."
            )
        sets.append(_gene_set(fields[0], fields[1], fields[2:]))
    if not sets:
        raise ValueError(f"{os.fspath(path)!r} holds no gene set.")
    return sets


def gmt_bytes(sets: Mapping[str, Sequence[str]]) -> bytes:
    """A compressed GMT file of sets by name, the same on every run."""
    lines = ["\t".join((name, "", *genes)) for name, genes in sets.items()]
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=9, mtime=0)


def _gene_set(first: str, second: str, genes: Sequence[str]) -> GeneSet:
    members = tuple(dict.fromkeys(gene for gene in genes if gene))
    if _ACCESSION.fullmatch(first) and second and not _ACCESSION.fullmatch(second) and "://" not in second:
        return GeneSet(second, first, members)
    return GeneSet(first, second if _ACCESSION.fullmatch(second) else "", members)
