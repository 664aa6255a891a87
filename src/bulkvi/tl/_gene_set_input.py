"""All that can be given as gene sets, as one table of members."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast, get_args

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from bulkvi.datasets import gene_sets as sets_by_name
from bulkvi.datasets import read_gmt
from bulkvi.datasets._gene_sets import Collection, Organism
from bulkvi.tl._scored_sets import CutSets

GeneSets: TypeAlias = Mapping[str, Sequence[str]] | pd.DataFrame | str | os.PathLike[str]


class Members(NamedTuple):
    """Sets and their genes: one entry for each gene in a set."""

    terms: list[str]
    accessions: list[str]
    one: np.ndarray
    """Position of the set."""
    gene: np.ndarray
    """Name of the gene."""
    weight: np.ndarray

    @property
    def plain(self) -> bool:
        """Whether all weights are 1."""
        return bool((self.weight == 1).all())

    def cut(self, names: np.ndarray, min_size: int, max_size: float) -> tuple[CutSets, np.ndarray, int, int]:
        """Sets of so many of the named genes; which they are, and how many were too small and too large."""
        at = pd.Index(names).get_indexer(pd.Index(self.gene))
        known = at >= 0
        shape = names.size, len(self.terms)
        matrix = csr_array((self.weight[known], (at[known], self.one[known])), shape=shape)
        size = np.bincount(self.one[known], minlength=len(self.terms))
        small, large = size < min_size, size > max_size
        kept = np.flatnonzero(~small & ~large)
        return CutSets(csr_array(matrix.tocsc()[:, kept])), kept, int(small.sum()), int(large.sum())


def members_of(gene_sets: GeneSets, organism: Organism) -> Members:
    """Read what was given as gene sets.

    Raises
    ------
    TypeError
        If it is none of dict, path, name and network.
    KeyError
        If a network lacks a column.
    ValueError
        If there is no set, a weight is 0 or no number, a gene is twice in a set of a network, or a name is not known.
    """
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
    one = np.repeat(np.arange(len(read)), [len(each.genes) for each in read])
    gene = np.array([name for each in read for name in each.genes], dtype=object)
    return Members([each.name for each in read], [each.accession for each in read], one, gene, np.ones(one.size))


def _of_dict(sets: Mapping[Any, Any]) -> Members:
    if not sets:
        raise ValueError("`gene_sets` is empty: give genes by the name of their set.")
    terms, one, gene = [], [], []
    for i, (term, listed) in enumerate(sets.items()):
        if isinstance(listed, str) or not hasattr(listed, "__iter__"):
            raise TypeError(f"`gene_sets[{term!r}]` must be a list of genes; it is {listed!r}.")
        unique = list(dict.fromkeys(map(str, listed)))
        terms.append(str(term))
        one += [i] * len(unique)
        gene += unique
    return Members(terms, [""] * len(terms), np.array(one, int), np.array(gene, dtype=object), np.ones(len(one)))


def _of_network(network: pd.DataFrame) -> Members:
    missing = [column for column in ("source", "target") if column not in network]
    if missing:
        raise KeyError(
            f"no columns {missing} in the network `gene_sets`; it has {list(network.columns)}. decoupler's networks have source, "
            "target and weight."
        )
    if network.empty:
        raise ValueError("the network `gene_sets` has no rows.")
    repeated = network.duplicated(["source", "target"])
    if repeated.any():
        pair = network.loc[repeated, ["source", "target"]].iloc[0].tolist()
        raise ValueError(
            f"{int(repeated.sum())} pairs of source and target stand twice in the network, such as {pair}: drop repeats, "
            "network.drop_duplicates(['source', 'target'])."
        )
    weight = np.ones(len(network))
    if "weight" in network:
        weight = pd.to_numeric(network["weight"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        if not (np.isfinite(weight) & (weight != 0)).all():
            raise ValueError("weights of the network `gene_sets` must be numbers other than 0: drop the other rows.")
    one, terms = pd.factorize(network["source"].astype(str))
    gene = network["target"].astype(str).to_numpy(dtype=object)
    return Members(list(map(str, terms)), [""] * len(terms), one, gene, weight)
