import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import pooch

from bulkvi.datasets._files import FOLDER_VARIABLE, find_in_data_folder

Collection = Literal["hallmark", "go_bp", "reactome", "kegg"]
Organism = Literal["human", "mouse"]

_PACKAGED: Final = {("go_bp", "human"): "go_bp_human_symbol.gmt.gz"}
_MSIGDB: Final = {"human": "2023.1.Hs", "mouse": "2023.1.Mm"}
_MSIGDB_CATEGORY: Final = {
    ("hallmark", "human"): "h.all",
    ("go_bp", "human"): "c5.go.bp",
    ("reactome", "human"): "c2.cp.reactome",
    ("kegg", "human"): "c2.cp.kegg",
    ("hallmark", "mouse"): "mh.all",
    ("go_bp", "mouse"): "m5.go.bp",
    ("reactome", "mouse"): "m2.cp.reactome",
}
# Names of genes and modules look similar (TP53, IL-6, module1): only a colon, a long number or a known prefix is certain.
_ACCESSION: Final = re.compile(
    r"[A-Za-z]+:[A-Za-z]*\d+(\.\d+)?|R-[A-Z]{3}-\d+(\.\d+)?|[A-Za-z]+(-[A-Za-z]+)*-\d{4,}|"
    r"(hsa|mmu|rno|dme|dre|cel|sce|ath|map|ko)\d{5}|WP\d+(_r?\d+)?|MM?\d{3,}|SMP\d{5,}"
)
_NO_DESCRIPTION: Final = frozenset(("", "na", "n/a", "nan", "none", "null", "-", "."))


class GeneSet(NamedTuple):
    """Name, accession and genes of one set."""

    name: str
    """For readers."""
    accession: str
    """Its id, such as ``GO:0006954``; empty where the file has none."""
    genes: tuple[str, ...]


def read_gmt(path: str | os.PathLike[str]) -> list[GeneSet]:
    r"""Read gene sets from a GMT file, plain or gzip: one tab-separated line per set, with name, description and genes.

    If the first field is an accession (``GO:0006954``, ``R-HSA-199420``, ``hsa04110``) and the description is neither one, nor an
    address, nor a placeholder such as ``na``, the description is the name, unless two sets would have the same name; else
    the first field is the name.

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
    """Return the compressed GMT file of sets by name, with the same bytes on every run."""
    lines = ["\t".join((name, "", *genes)) for name, genes in sets.items()]
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=9, mtime=0)


def _is_described(first: str, second: str) -> bool:
    """Whether the first field is an accession and the second its name."""
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


def gene_sets(name: Collection, organism: Organism = "human") -> list[GeneSet]:
    """Find gene sets by name: hallmark, GO biological process, Reactome or KEGG, with gene symbols.

    The order of search is: a file in the folder ``genesets`` of the folder that the environment variable
    ``BULKVI_DATA_DIR`` names, ``<name>_<organism>_symbol.gmt.gz`` or, where there is none, the first by alphabet of
    ``<name>*_<organism>_ortholog_symbol.gmt*`` and ``<name>*_<organism>*_symbol.gmt*``; the file packaged with bulkvi
    (``"go_bp"``, human); the copy of an earlier download in pooch's cache folder ``bulkvi``; MSigDB 2023.1 through gseapy.

    Parameters
    ----------
    name
        ``"hallmark"``, ``"go_bp"``, ``"reactome"`` or ``"kegg"``.
    organism
        ``"human"`` or ``"mouse"``.

    Returns
    -------
    List of :class:`~bulkvi.datasets.GeneSet`, each with ``name``, ``accession`` and ``genes``.

    Raises
    ------
    ValueError
        If ``name`` or ``organism`` is unknown, or there are no such sets (MSigDB has no KEGG for mouse).
    ConnectionError
        If the sets are not found locally and cannot be downloaded.
    ImportError
        If a download is needed and gseapy is not installed.

    Notes
    -----
    The packaged sets are GO biological processes (release 2022-07-01, propagated to ancestors) of 10 to 500 genes, CC BY 4.0;
    ``datasets/packaged/README.md`` says how they were made. KEGG's licence forbids redistribution: none are packaged.

    Examples
    --------
    >>> import bulkvi as bv
    >>> by_name = {one.name: one for one in bv.datasets.gene_sets("go_bp", "human")}  # doctest: +SKIP
    >>> by_name["cellular response to glucocorticoid stimulus"].accession  # doctest: +SKIP
    'GO:0071385'
    """
    for argument, value, allowed in (("name", name, get_args(Collection)), ("organism", organism, get_args(Organism))):
        if value not in allowed:
            raise ValueError(f"`{argument}` must be one of {', '.join(map(repr, allowed))}; it is {value!r}.")
    file = f"{name}_{organism}_symbol.gmt"
    patterns = (f"{file}*", f"{name}*_{organism}_ortholog_symbol.gmt*", f"{name}*_{organism}*_symbol.gmt*")
    local = find_in_data_folder(f"genesets/{pattern}" for pattern in patterns)
    if local is not None:
        return read_gmt(local)
    if (name, organism) in _PACKAGED:
        with as_file(files("bulkvi.datasets") / "packaged" / _PACKAGED[name, organism]) as path:
            return read_gmt(path)
    kept = Path(pooch.os_cache("bulkvi")) / "genesets" / f"{file}.gz"
    if not kept.is_file():
        content = _download(name, organism)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        part.write_bytes(content)
        part.replace(kept)  # so that a file of this name is always complete
    return read_gmt(kept)


def _download(name: str, organism: str) -> bytes:
    if (name, organism) not in _MSIGDB_CATEGORY:
        raise ValueError(f"MSigDB has no {name!r} sets of the {organism}: give a GMT file or a dict as gene_sets.")
    offline = (
        f"Without a network, put a GMT file {name}_{organism}_symbol.gmt.gz into a folder genesets and set the environment variable "
        f"{FOLDER_VARIABLE} to the folder that holds it, or give the path of any GMT file as gene_sets."
    )
    try:
        from gseapy import Msigdb
    except ImportError as error:
        raise ImportError(
            f"{name!r} sets of the {organism} are downloaded through gseapy, which is not installed: pip install "
            f"'bulkvi[enrichment]'. {offline}"
        ) from error
    try:
        sets = Msigdb.get_gmt(category=_MSIGDB_CATEGORY[name, organism], dbver=_MSIGDB[organism])
    except OSError as error:  # every error of requests is one
        raise ConnectionError(
            f"{name!r} sets of the {organism} could not be downloaded from MSigDB ({type(error).__name__}: {error}). {offline}"
        ) from error
    if not sets:
        raise ConnectionError(f"MSigDB returned no {name!r} sets of the {organism}. {offline}")
    return gmt_bytes(sets)
