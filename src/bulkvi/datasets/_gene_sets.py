import os
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, Literal, get_args

import pooch

from bulkvi.datasets._gmt import GeneSet, gmt_bytes, read_gmt

Collection = Literal["hallmark", "go_bp", "reactome", "kegg"]
Organism = Literal["human", "mouse"]

_FOLDER_VARIABLE: Final = "BULKVI_DATA_DIR"
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


def gene_sets(name: Collection, organism: Organism = "human") -> list[GeneSet]:
    """Gene sets by name: hallmark, GO biological process, Reactome or KEGG, with gene symbols.

    Looked for in this order: a file in the folder ``genesets`` of the folder that the environment variable
    ``BULKVI_DATA_DIR`` names, ``<name>_<organism>_symbol.gmt.gz`` or, where there is none, the first by alphabet of
    ``<name>*_<organism>_ortholog_symbol.gmt*`` and ``<name>*_<organism>*_symbol.gmt*``; the file that travels with bulkvi
    (``"go_bp"``, human); a copy kept from an earlier download; MSigDB 2023.1 through gseapy, whose answer is kept in pooch's
    cache folder ``bulkvi``.

    Parameters
    ----------
    name
        ``"hallmark"``, ``"go_bp"``, ``"reactome"`` or ``"kegg"``.
    organism
        ``"human"`` or ``"mouse"``.

    Returns
    -------
    A :class:`~bulkvi.datasets.GeneSet` of ``name``, ``accession`` and ``genes`` for each set.

    Raises
    ------
    ValueError
        If ``name`` or ``organism`` is not known, or there are no such sets (MSigDB has no KEGG of the mouse).
    ConnectionError
        If the sets are neither at hand nor can they be downloaded.
    ImportError
        If they would have to be downloaded and gseapy is not installed.

    Notes
    -----
    The packaged sets are GO biological processes (release 2022-07-01, propagated to ancestors) of 10 to 500 genes, CC BY 4.0;
    ``datasets/packaged/README.md`` says how they were made. KEGG's licence forbids passing its sets on: none are packaged.

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
    own = _in_data_folder(name, organism)
    if own is not None:
        return read_gmt(own)
    if (name, organism) in _PACKAGED:
        with as_file(files("bulkvi.datasets") / "packaged" / _PACKAGED[name, organism]) as path:
            return read_gmt(path)
    kept = Path(pooch.os_cache("bulkvi")) / "genesets" / f"{name}_{organism}_symbol.gmt.gz"
    if not kept.is_file():
        content = _download(name, organism)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        part.write_bytes(content)
        part.replace(kept)  # never half a file under the name
    return read_gmt(kept)


def _in_data_folder(name: str, organism: str) -> Path | None:
    folder = os.environ.get(_FOLDER_VARIABLE)
    if not folder:
        return None
    at = Path(folder) / "genesets"
    for pattern in (
        f"{name}_{organism}_symbol.gmt*",
        f"{name}*_{organism}_ortholog_symbol.gmt*",
        f"{name}*_{organism}*_symbol.gmt*",
    ):
        found = sorted(at.glob(pattern))
        if found:
            return found[0]
    return None


def _download(name: str, organism: str) -> bytes:
    if (name, organism) not in _MSIGDB_CATEGORY:
        raise ValueError(
            f"MSigDB has no {name!r} sets of the {organism}: give a GMT file of your own, or a dict, as gene_sets."
        )
    own = f"{name}_{organism}_symbol.gmt.gz"
    offline = (
        f"Without a network, put a GMT file {own} into a folder genesets and set the environment variable "
        f"{_FOLDER_VARIABLE} to the folder that holds it, or give the path of any GMT file as gene_sets."
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
        raise ConnectionError(f"MSigDB did not give the {name!r} sets of the {organism}. {offline}")
    return gmt_bytes(sets)
