"""Gene sets from a dict, a file, a network or by name, as one table of members."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast, get_args

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from bulkvi import enrichment_names as en
from bulkvi.datasets import gene_sets as sets_by_name
from bulkvi.datasets import read_gmt
from bulkvi.datasets._gene_sets import Collection, Organism
from bulkvi.tl._comparison import check_table
from bulkvi.tl._scored_sets import CutSets
from bulkvi.tl._tested_genes import names_in_sets

GeneSets: TypeAlias = Mapping[str, Sequence[str]] | pd.DataFrame | str | os.PathLike[str]


class Members(NamedTuple):
    """Sets and their genes: one entry of the arrays for each gene in a set."""

    terms: list[str]
    accessions: list[str]
    position: np.ndarray
    """Position of the set."""
    gene: np.ndarray
    """Name of the gene."""
    weight: np.ndarray

    @property
    def plain(self) -> bool:
        """Whether all weights are 1."""
        return bool((self.weight == 1).all())

    def cut(self, names: np.ndarray, min_size: int, max_size: float) -> tuple[CutSets, np.ndarray, int, int]:
        """Cut the sets to the named genes; return those of the right size, their positions, and the numbers too small and large."""
        at = pd.Index(names).get_indexer(pd.Index(self.gene))
        known = at >= 0
        shape = names.size, len(self.terms)
        matrix = csr_array((self.weight[known], (at[known], self.position[known])), shape=shape)
        size = np.bincount(self.position[known], minlength=len(self.terms))
        small, large = size < min_size, size > max_size
        kept = np.flatnonzero(~small & ~large)
        return CutSets(csr_array(matrix.tocsc()[:, kept])), kept, int(small.sum()), int(large.sum())


def check_gene_sets(genes: pd.DataFrame, gene_sets: GeneSets, *, organism: Organism = "human") -> pd.DataFrame:
    """Count the genes of each gene set that are in a table, to check names before a model is trained.

    Parameters
    ----------
    genes
        Table indexed by gene, such as ``adata.var``, optionally with a column ``symbol``: the names are those of the index
        or the symbols, whichever has more in the sets.
    gene_sets, organism
        As in :func:`~bulkvi.tl.enrichment`.

    Returns
    -------
    A row for each set, in order: ``term``, ``term_id``, ``n_genes`` of the set, and ``n_found`` of them in ``genes``.
    ``attrs["gene_names"]`` is the origin of the names.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``gene_sets`` is none of the choices or a network lacks a column, the names of the genes do not fit the sets, or a
        file cannot be read.
    FileNotFoundError, ConnectionError
        If there is no such file, or sets by name are neither stored nor can be downloaded.

    Examples
    --------
    >>> import bulkvi as bv
    >>> genes = pd.DataFrame({"symbol": ["IL6", "TNF", "WAP"]}, index=["ENSG1", "ENSG2", "ENSG3"])
    >>> bv.tl.check_gene_sets(genes, {"inflammation": ["IL6", "TNF", "CXCL8"], "milk": ["WAP"]})
               term term_id  n_genes  n_found
    0  inflammation                3        2
    1          milk                1        1
    """
    members = members_of(gene_sets, organism)
    names, origin = names_in_sets(genes, set(members.gene))
    found = np.isin(members.gene.astype(str), names.astype(str))
    n_sets = len(members.terms)
    table = pd.DataFrame(
        {
            en.TERM: members.terms,
            en.TERM_ID: members.accessions,
            en.N_GENES: np.bincount(members.position, minlength=n_sets),
            en.N_FOUND: np.bincount(members.position[found], minlength=n_sets),
        }
    )
    table.attrs = {en.GENE_NAMES: origin}
    return table


def members_of(gene_sets: GeneSets, organism: Organism) -> Members:
    """Read gene sets given in any form."""
    if isinstance(gene_sets, pd.DataFrame):
        return _of_network(gene_sets)
    if isinstance(gene_sets, Mapping):
        return _of_dict(gene_sets)
    if not isinstance(gene_sets, str | os.PathLike):
        raise TypeError(
            "`gene_sets` must be a dict of genes by set, the path of a GMT file, a network with columns source and target, or "
            f"one of {list(get_args(Collection))}; it is {type(gene_sets).__name__}."
        )
    path = os.fspath(gene_sets)
    if path in get_args(Collection):
        read = sets_by_name(cast(Collection, path), organism)
    elif os.path.exists(path) or path.endswith((".gmt", ".gmt.gz")):
        read = read_gmt(path)
    else:
        raise ValueError(f"`gene_sets` = {path!r} is neither a file nor one of {list(get_args(Collection))}.")
    position = np.repeat(np.arange(len(read)), [len(each.genes) for each in read])
    gene = np.array([name for each in read for name in each.genes], dtype=object)
    return Members([each.name for each in read], [each.accession for each in read], position, gene, np.ones(gene.size))


def _of_dict(sets: Mapping[Any, Any]) -> Members:
    if not sets:
        raise ValueError("`gene_sets` is empty: give genes by the name of their set.")
    terms, position, gene = [], [], []
    for i, (term, listed) in enumerate(sets.items()):
        if isinstance(listed, str) or not hasattr(listed, "__iter__"):
            raise TypeError(f"`gene_sets[{term!r}]` must be a list of genes; it is {listed!r}.")
        unique = list(dict.fromkeys(map(str, listed)))
        terms.append(str(term))
        position += [i] * len(unique)
        gene += unique
    return Members(terms, [""] * len(terms), np.array(position, int), np.array(gene, dtype=object), np.ones(len(gene)))


def _of_network(network: pd.DataFrame) -> Members:
    check_table(network, ("source", "target"), "gene_sets", "decoupler, with source, target and weight,")
    if network.empty:
        raise ValueError("the network `gene_sets` has no rows.")
    repeated = network.duplicated(["source", "target"])
    if repeated.any():
        pair = network.loc[repeated, ["source", "target"]].iloc[0].tolist()
        raise ValueError(
            f"{int(repeated.sum())} pairs of source and target are repeated in the network, such as {pair}: drop repeats, "
            "network.drop_duplicates(['source', 'target'])."
        )
    weight = np.ones(len(network))
    if "weight" in network:
        weight = pd.to_numeric(network["weight"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        if not (np.isfinite(weight) & (weight != 0)).all():
            raise ValueError("weights of the network `gene_sets` must be numbers other than 0: drop the other rows.")
    position, terms = pd.factorize(network["source"].astype(str))
    gene = network["target"].astype(str).to_numpy(dtype=object)
    return Members(list(map(str, terms)), [""] * len(terms), position, gene, weight)
