from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from bulkvi import enrichment_names as en
from bulkvi.arguments import check_whole
from bulkvi.datasets._gene_sets import Organism
from bulkvi.names import ADJ_P_VALUE, P_VALUE
from bulkvi.stats.effects.effect import benjamini_hochberg
from bulkvi.tl._comparison import check_level
from bulkvi.tl._gene_sets import GeneSets, members_of
from bulkvi.tl._scored_sets import CutSets, Scores, gsea, ora, ulm
from bulkvi.tl._tested_genes import Background, GeneNames, RankedGenes, tested_genes

Method = Literal["ora", "gsea", "ulm"]
NEEDED: Final = {"ora": ("gseapy",), "gsea": ("gseapy", "decoupler"), "ulm": ("decoupler",)}
ENDS: Final = (0.025, 0.975)


def enrichment(
    de: pd.DataFrame,
    gene_sets: GeneSets,
    method: Method = "ora",
    *,
    organism: Organism = "human",
    gene_names: GeneNames = None,
    background: Background | None = None,
    level: float = 0.05,
    min_size: int = 10,
    max_size: int | None = 500,
    n_draws: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Test gene sets for enrichment. Which sets go up, which down, and how certain is the score given uncertain effects?

    ``"ora"`` tests which sets hold more of the genes called up, or called down, than expected by chance (one-sided
    hypergeometric test by gseapy). ``"gsea"`` tests whether the genes of a set are at one end of the ranking of all genes
    (preranked GSEA by gseapy, multilevel p-values). ``"ulm"`` tests whether the genes of a set, or the targets of a regulator
    by the sign and size of their weight, have larger scores than the others (univariate linear model by decoupler): with a
    network such as CollecTRI or PROGENy it estimates activities of transcription factors or pathways.

    The background is the genes that could have been called: those with counts, an effect and an adjusted p-value; by
    default, for sets from a file or by name that hold at least a fifth of them, only those in at least one of the sets.
    Genes without annotation are often weakly expressed and seldom called, and make every set look enriched; a few sets of
    a user are no list of annotated genes, and are compared with all.

    Genes are ranked by posterior mean / posterior standard deviation of the effect, which unlike a probability has no upper
    bound, so that all genes are ordered. A table of another tool has no posterior: its genes are ranked by the normal quantile
    of the p-value with the sign of the effect, and there are no intervals.

    The interval and ``prob_sign`` propagate the uncertainty of the effects: the score is computed for each of ``n_draws`` draws
    of all effects. With ``"ulm"`` the draws are slopes in standard errors of the point estimate, and the score is their mean.
    With ``"ora"`` and ``"gsea"`` genes that are overestimated by chance are more often called and rank higher, so that the score
    is often further from zero than most draws; the interval then extends to it. Draws are independent between genes, from a
    point mass at zero and a normal distribution with the mean, standard deviation and lfsr of the table
    (`bulkvi.stats.effects.shrinkage.spike_and_normal`).

    Parameters
    ----------
    de
        Table of ``model.differential_expression``, or of DESeq2, PyDESeq2, edgeR, limma or pertpy as in
        :func:`~bulkvi.tl.compare`. It is not changed.
    gene_sets
        A dict of genes by set; the path of a GMT file, plain or gzip; a network as in decoupler, with columns ``source``,
        ``target`` and optionally ``weight``; or ``"hallmark"``, ``"go_bp"``, ``"reactome"``, ``"kegg"``, as in
        :func:`bulkvi.datasets.gene_sets`. A network with weights other than 1 needs ``"ulm"``.
    method
        ``"ora"``, ``"gsea"`` or ``"ulm"``.
    organism
        ``"human"`` or ``"mouse"``, for sets by name.
    gene_names
        Names of the genes in the sets: a column of ``de``, ``"index"``, or names by gene such as ``adata.var["symbol"]``. By
        default the column ``symbol`` or the index, whichever has more names in the sets.
    background
        ``"annotated"``: tested genes that are in at least one of the sets; ``"tested"``: all tested genes. None is
        ``"annotated"`` for a GMT file or sets by name that hold at least a fifth of the tested genes, and ``"tested"`` for
        smaller ones and for a dict or network, which seldom annotate all genes.
    level
        Genes are called at an adjusted p-value below it.
    min_size, max_size
        Sets of fewer or more tested genes are left out; None for no largest size.
    n_draws
        Number of posterior draws, 0 for none.
    seed
        Seed of the draws and of GSEA.

    Returns
    -------
    A row for each set, with ``"ora"`` one for ``up`` and one for ``down``; small p-values first.

    ``term, term_id``
        The set, and its accession if the sets have any.
    ``direction``
        ``up`` or ``down``.
    ``score``
        ora: log2 odds ratio, half a gene added to each cell; gsea: normalised enrichment score; ulm: t-value.
    ``score_low, score_high, prob_sign``
        Interval with the score and the central 95 % of its draws, and the share of the draws with the sign of ``score``; NaN
        without draws.
    ``p_value, adj_p_value``
        Of the point score; adjusted by Benjamini-Hochberg over all rows.
    ``size, n_called, genes``
        Number of tested genes in the set and of those called (ora: in that direction); genes that contribute to the score,
        joined by ``;``, the most significant first: called ones (ulm: that agree in sign), or the leading edge.

    ``attrs`` has the numbers of genes and sets that were left out, and why (``bulkvi.enrichment_names``).

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``de`` or ``gene_sets`` is none of the choices, a column is missing, an argument is out of range, names of genes do
        not fit the sets, no set is left, or the weights need ``"ulm"``.
    ImportError, ConnectionError
        If gseapy or decoupler is not installed, or sets by name are neither stored nor can be downloaded.

    Examples
    --------
    >>> import numpy as np
    >>> import bulkvi as bv
    >>> effect = np.repeat([2.0, 0.1, -0.1, 0.05, -2.0], 20) + 0.001 * np.arange(100)
    >>> de = pd.DataFrame(
    ...     {"log_fc": effect, "log_fc_sd": 0.2, "lfsr": 0.01, "p_value": np.where(np.abs(effect) > 1, 1e-6, 0.5)},
    ...     index=[f"gene{i}" for i in range(100)],
    ... ).assign(adj_p_value=lambda table: 2 * table["p_value"])
    >>> sets = {"rises": [f"gene{i}" for i in range(12)], "stays": [f"gene{i}" for i in range(40, 60)]}
    >>> table = bv.tl.enrichment(de, sets)
    >>> table[["term", "direction", "size", "n_called"]].head(2)
        term direction  size  n_called
    0  rises        up    12        12
    1  stays        up    20         0
    """
    if method not in get_args(Method):
        raise ValueError(f"`method` must be one of {', '.join(map(repr, get_args(Method)))}; it is {method!r}.")
    if background not in (None, *get_args(Background)):
        raise ValueError(
            f"`background` must be {' or '.join(map(repr, get_args(Background)))}, or None; it is {background!r}."
        )
    check_level(level)
    check_whole("min_size", min_size, least=1)
    if max_size is not None:
        check_whole("max_size (min_size or more)", max_size, least=min_size)
    check_whole("n_draws", n_draws, least=0)
    check_whole("seed", seed, least=0)
    absent = [name for name in NEEDED[method] if find_spec(name) is None]
    if absent:
        raise ImportError(
            f"method={method!r} needs {' and '.join(absent)}, which is not installed: pip install 'bulkvi[enrichment]'."
        )
    members = members_of(gene_sets, organism)
    if method != "ulm" and not members.plain:
        raise ValueError(
            f"the network has weights other than 1, which {method!r} cannot use: take method='ulm', or drop the column weight."
        )
    if background is None and isinstance(gene_sets, Mapping | pd.DataFrame):
        background = "tested"
    genes = tested_genes(de, set(members.gene), gene_names, level, background=background)
    # a set of the whole background has no other genes to be compared with
    largest = min(genes.names.size - 1, np.inf if max_size is None else max_size)
    sets, kept, n_small, n_large = members.cut(genes.names, min_size, largest)
    if not kept.size:
        raise ValueError(
            f"none of the {len(members.terms):,} sets has {min_size} to {largest:,} of the {genes.names.size:,} genes in the "
            f"background ({n_small:,} have fewer, {n_large:,} more): change min_size, max_size or background."
        )
    draws = genes.draws(n_draws, np.random.default_rng(seed))
    table = _by_method(method, genes, sets, draws, seed)
    table.insert(0, en.TERM, [members.terms[kept[i]] for i in table.index])
    table.insert(1, en.TERM_ID, [members.accessions[kept[i]] for i in table.index])
    table[ADJ_P_VALUE] = benjamini_hochberg(table[P_VALUE].to_numpy())
    table = table[
        [
            *(en.TERM, en.TERM_ID, en.DIRECTION, en.SCORE, en.SCORE_LOW, en.SCORE_HIGH, en.PROB_SIGN),
            *(P_VALUE, ADJ_P_VALUE, en.SIZE, en.N_CALLED, en.GENES),
        ]
    ]
    order = np.lexsort([-table[en.SCORE].abs(), table[P_VALUE]])
    table = table.iloc[order].reset_index(drop=True)
    table.attrs = genes.attrs | {
        en.METHOD: method,
        en.LEVEL: level,
        en.N_SETS: int(kept.size),
        en.N_SETS_TOO_SMALL: n_small,
        en.N_SETS_TOO_LARGE: n_large,
        en.N_DRAWS: len(draws),
    }
    return table


def _by_method(method: Method, genes: RankedGenes, sets: CutSets, draws: np.ndarray, seed: int) -> pd.DataFrame:
    """Scores of each set, indexed by its position."""
    if method == "ora":
        up = _rows(ora(genes, sets, genes.up, draws), genes, sets, genes.up, en.UP)
        down = _rows(ora(genes, sets, genes.down, -draws), genes, sets, genes.down, en.DOWN)
        return pd.concat([up, down])
    scores = gsea(genes, sets, draws, seed) if method == "gsea" else ulm(genes, sets, draws)
    return _rows(scores, genes, sets, genes.up | genes.down, None)


def _rows(scores: Scores, genes: RankedGenes, sets: CutSets, called: np.ndarray, direction: str | None) -> pd.DataFrame:
    score, draws = scores.score, scores.draws
    low, high, same = np.full((3, score.size), np.nan)
    if len(draws):
        low, high = np.quantile(draws, ENDS, axis=0)
        # calls and leading edges favour genes with overestimated effects: their score can lie beyond all draws
        low, high = np.minimum(low, score), np.maximum(high, score)
        same = (np.sign(draws) == np.sign(score)).mean(0)
    return pd.DataFrame(
        {
            en.DIRECTION: direction or np.where(score >= 0, en.UP, en.DOWN),
            en.SCORE: score,
            en.SCORE_LOW: low,
            en.SCORE_HIGH: high,
            en.PROB_SIGN: same,
            P_VALUE: scores.p_value,
            en.SIZE: sets.size,
            en.N_CALLED: (sets.member.T @ called.astype(float)).astype(int),
            en.GENES: _contributing(scores, genes, sets, called, agreeing=direction is None),
        }
    )


def _contributing(
    scores: Scores, genes: RankedGenes, sets: CutSets, called: np.ndarray, *, agreeing: bool
) -> list[str]:
    place = np.argsort(genes.order)
    if scores.leading is not None:
        place_of = dict(zip(genes.names, place, strict=True))
        return [";".join(sorted(listed, key=lambda name: place_of[name])) for listed in scores.leading]
    columns = sets.weight.tocsc()
    listed = []
    for i, score in enumerate(scores.score):
        part = slice(columns.indptr[i], columns.indptr[i + 1])
        at, weight = columns.indices[part], columns.data[part]
        keep = called[at]
        if agreeing:
            keep = keep & (weight * genes.score[at] * score > 0)
        at = at[keep]
        listed.append(";".join(genes.names[at[np.argsort(place[at])]]))
    return listed
