"""Genes of a table that could have been called, under the names of gene sets."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import ndtri_exp

from bulkvi import enrichment_names as en
from bulkvi.gene_order import order_by_significance
from bulkvi.names import ADJ_P_VALUE, BASE_MEAN, LFSR, LOG_FC, LOG_FC_SD, P_VALUE, STAT, SYMBOL
from bulkvi.stats.effects.shrinkage import SpikeAndNormal, draw_effects, spike_and_normal
from bulkvi.tl._foreign_tables import recognise

INDEX = "index"
MIN_SHARE = 0.1  # names that fit a smaller share of the genes are names of another kind
MIN_ANNOTATED = 0.2  # sets with a smaller share of the tested genes are no list of annotated genes

Background = Literal["annotated", "tested"]
GeneNames: TypeAlias = str | Mapping[str, str] | pd.Series | None


class RankedGenes(NamedTuple):
    """Genes with a test and a unique name, in the order of the table."""

    names: np.ndarray
    """Unique names, text."""
    score: np.ndarray
    """Score of the ranking: posterior mean / posterior sd, or the normal quantile of a p-value with the sign of the effect."""
    up: np.ndarray
    """Which genes are called and up, boolean."""
    down: np.ndarray
    order: np.ndarray
    """Positions from the most to the least significant gene."""
    posterior: SpikeAndNormal | None
    """Posterior of ``score``; None if the table has none."""
    attrs: dict[str, object]

    def draws(self, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Posterior draws of the scores, draws x genes; none if the table has no posterior."""
        if self.posterior is None:
            return np.empty((0, self.names.size))
        return draw_effects(self.posterior, n_draws, rng)


def tested_genes(
    de: pd.DataFrame, in_sets: set[str], gene_names: GeneNames, level: float, *, background: Background | None
) -> RankedGenes:
    """Names, scores and calls of the genes that could have been called, restricted to the background."""
    recognised = recognise(de, "de")
    table = recognised.table
    # tables of bulkvi.baselines have our columns, NaN where a method has no value
    has_posterior = {LOG_FC, LOG_FC_SD, LFSR}.issubset(de) and bool(de[[LOG_FC_SD, LFSR]].notna().any().all())
    if has_posterior:
        for column in (LOG_FC_SD, LFSR):
            table[column] = pd.to_numeric(de[column]).to_numpy(dtype=float, na_value=np.nan)
    answered = np.isfinite(table[LOG_FC]) & np.isfinite(table[ADJ_P_VALUE]) & ~(table[BASE_MEAN] == 0)
    if has_posterior:
        answered &= (table[LOG_FC_SD] > 0) & np.isfinite(table[LFSR])
    tested = table[answered]
    if tested.empty:
        raise ValueError("no gene of `de` has an effect and an adjusted p-value: there is nothing to test.")
    named, origin = _names(tested, de, gene_names, in_sets)
    without = pd.isna(named) | (named == "")
    tested, named = tested[~without], named[~without]
    # of several rows with one name the one with the largest mean: a choice that is independent of the result
    by_mean = np.argsort(-tested[BASE_MEAN].fillna(0.0).to_numpy(), kind="stable")
    kept = np.sort(by_mean[~pd.Series(named[by_mean]).duplicated().to_numpy()])
    n_repeated = len(tested) - kept.size
    in_a_set = np.array([name in in_sets for name in named[kept]])
    _check_names(named[kept], in_sets, origin)
    attrs = {
        en.SOURCE: recognised.tool,
        en.CONTRAST: recognised.contrast,
        en.GENE_NAMES: origin,
        en.N_NOT_TESTED: int((~answered).sum()),
        en.N_WITHOUT_NAME: int(without.sum()),
        en.N_REPEATED: n_repeated,
        en.N_IN_NO_SET: int((~in_a_set).sum()),
    }
    if background is None:
        background = "annotated" if in_a_set.mean() >= MIN_ANNOTATED else "tested"
    kept = kept[in_a_set] if background == "annotated" else kept
    attrs |= {en.BACKGROUND: background, en.N_BACKGROUND: kept.size}
    tested, named = tested.iloc[kept], named[kept]
    effect, called = tested[LOG_FC].to_numpy(), tested[ADJ_P_VALUE].to_numpy() < level
    posterior = None
    if has_posterior:
        sd = tested[LOG_FC_SD].to_numpy()
        score = effect / sd
        posterior = spike_and_normal(score, np.ones_like(score), tested[LFSR].to_numpy())
    else:
        score = _signed_quantile(tested)
    return RankedGenes(
        named, score, called & (effect > 0), called & (effect < 0), order_by_significance(tested), posterior, attrs
    )


def names_in_sets(genes: pd.DataFrame, in_sets: set[str]) -> tuple[np.ndarray, str]:
    """Names of genes in the sets, "" for a gene without one, and their origin; raise ValueError if they do not fit."""
    names, origin = _names(genes, genes, None, in_sets)
    _check_names(names, in_sets, origin)
    return names, origin


def _names(tested: pd.DataFrame, de: pd.DataFrame, gene_names: GeneNames, in_sets: set[str]) -> tuple[np.ndarray, str]:
    """Names of the genes, and their origin."""
    ids = tested.index.to_numpy(dtype=object)
    if gene_names is None:
        choices = {INDEX: ids}
        if SYMBOL in tested:
            choices = {SYMBOL: tested[SYMBOL].to_numpy(dtype=object)} | choices
        origin = max(choices, key=lambda one: len(in_sets.intersection(choices[one])))
        return _text(choices[origin]), origin
    if isinstance(gene_names, str):
        if gene_names == INDEX:
            return _text(ids), INDEX
        if gene_names not in de:
            raise KeyError(
                f"no column {gene_names!r} in `de`; it has {list(de.columns)}. gene_names is a column, 'index', or names by "
                "gene such as adata.var['symbol']."
            )
        column = pd.Series(de[gene_names].to_numpy(dtype=object), index=recognise(de, "de").table.index)
        return _text(column[tested.index].to_numpy(dtype=object)), gene_names
    return _text(np.array([gene_names.get(gene) for gene in ids], dtype=object)), "given"


def _text(names: np.ndarray) -> np.ndarray:
    return np.array(["" if pd.isna(name) else str(name) for name in names], dtype=object)


def _check_names(names: np.ndarray, in_sets: set[str], origin: str) -> None:
    shared = len(in_sets.intersection(names))
    possible = min(len(in_sets), names.size)
    if shared >= MIN_SHARE * possible and shared:
        return
    upper = {name.upper() for name in in_sets}
    remedy = (
        "In capitals they do: are the sets of another organism? See `organism`."
        if sum(name.upper() in upper for name in names) >= MIN_SHARE * possible
        else "Give the kind of names that the sets have as gene_names: a column of `de`, or names by gene such as "
        "adata.var['symbol']."
    )
    raise ValueError(
        f"the gene names do not fit the gene sets: of {names.size:,} genes {shared:,} are in them. The names of the genes are "
        f"{', '.join(map(repr, map(str, names[:3])))} ... ({origin}), those of the sets {', '.join(map(repr, sorted(in_sets)[:3]))} "
        f"... {remedy}"
    )


def _signed_quantile(tested: pd.DataFrame) -> np.ndarray:
    """Normal quantile of the p-value with the sign of the effect; p-values of 0 beyond all others, by statistic and effect."""
    p_value, effect = tested[P_VALUE].to_numpy(), tested[LOG_FC].to_numpy()
    # a table may keep an adjusted p-value and no other
    p_value = np.where(np.isfinite(p_value), p_value, tested[ADJ_P_VALUE].to_numpy())
    with np.errstate(divide="ignore"):
        size = -ndtri_exp(np.log(p_value) - np.log(2))
    beyond = np.flatnonzero(np.isinf(size))
    if beyond.size:
        statistic = np.abs(tested[STAT].fillna(0.0).to_numpy()[beyond])
        rank = np.lexsort([np.abs(effect[beyond]), statistic]).argsort()
        largest = max(size[np.isfinite(size)].max(initial=0.0), 38.6)  # no p-value above 0 has more
        size[beyond] = largest + 0.1 * (1 + rank)
    return np.sign(effect) * size
