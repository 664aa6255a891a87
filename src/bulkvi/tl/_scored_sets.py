"""Gene sets cut to the tested genes, and their scores by each method."""

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from scipy.sparse import csr_array
from scipy.stats import t as student

from bulkvi.tl._tested_genes import RankedGenes

SETS_AT_ONCE = 500  # decoupler makes a dense matrix of genes x sets


class CutSets(NamedTuple):
    """Sets of tested genes."""

    weight: csr_array
    """Genes x sets; 1 for members of plain sets, any number but 0 for targets in a network."""

    @property
    def member(self) -> csr_array:
        """Genes x sets, 1 for members."""
        return csr_array((np.ones_like(self.weight.data), self.weight.indices, self.weight.indptr), self.weight.shape)

    @property
    def size(self) -> np.ndarray:
        """Number of tested genes in each."""
        return np.diff(self.weight.tocsc().indptr)


class Scores(NamedTuple):
    """Results of a method, one value per set."""

    score: np.ndarray
    p_value: np.ndarray
    draws: np.ndarray
    """Scores over the posterior draws, in the unit of ``score``, draws x sets."""
    leading: list[list[str]] | None = None
    """Genes of the leading edge, where the method has one."""


def ora(genes: RankedGenes, sets: CutSets, called: np.ndarray, draws: np.ndarray) -> Scores:
    """Over-representation of the called genes; of a draw, as many genes with the largest positive effects are called."""
    from gseapy import enrich

    n_genes, n_sets = sets.weight.shape
    size, n_called = sets.size, int(called.sum())
    overlap = sets.member.T @ called.astype(float)
    p_value = np.ones(n_sets)
    if overlap.any():
        members = _members(genes, sets)
        found = enrich(
            genes.names[called].tolist(), members, background=genes.names.tolist(), outdir=None, no_plot=True
        ).results
        # sets without a called gene are left out there, and have p = 1
        p_value[found["Term"].astype(int).to_numpy()] = found["P-value"].to_numpy(dtype=float)
    listed = np.zeros((n_genes, len(draws)))
    for i, row in enumerate(draws):
        first = np.argpartition(-row, max(n_called - 1, 0))[:n_called]
        listed[first[row[first] > 0], i] = 1
    drawn = log2_odds(sets.member.T @ listed, size[:, None], listed.sum(0), n_genes).T
    return Scores(log2_odds(overlap, size, n_called, n_genes), p_value, drawn)


def log2_odds(overlap: np.ndarray, size: np.ndarray, n_listed: float | np.ndarray, n_genes: int) -> np.ndarray:
    """Log2 odds ratio with half a gene added to each cell (Haldane and Anscombe), as gseapy gives it."""
    cells = overlap, n_genes - size - n_listed + overlap, size - overlap, n_listed - overlap
    a, d, b, c = (np.log2(cell + 0.5) for cell in cells)
    return a + d - b - c


def gsea(genes: RankedGenes, sets: CutSets, draws: np.ndarray, seed: int) -> Scores:
    """Preranked GSEA by gseapy, multilevel p-values; draws by decoupler's enrichment scores, on the scale of ``score``."""
    from gseapy import prerank

    n_sets = sets.weight.shape[1]
    found = prerank(
        pd.Series(genes.score, index=genes.names),
        _members(genes, sets),
        min_size=1,
        max_size=len(genes.names),
        method="multilevel",
        threads=1,
        seed=seed,
        outdir=None,
        no_plot=True,
    ).res2d
    at = found["Term"].astype(int).to_numpy()
    plain, score, p_value = np.zeros(n_sets), np.zeros(n_sets), np.ones(n_sets)
    for column, target in (("ES", plain), ("NES", score), ("NOM p-val", p_value)):
        target[at] = found[column].to_numpy(dtype=float)
    leading: list[list[str]] = [[] for _ in range(n_sets)]
    for one, listed in zip(at, found["Lead_genes"], strict=True):
        leading[one] = [gene for gene in str(listed).split(";") if gene]
    scale = np.divide(score, plain, out=np.ones(n_sets), where=plain != 0)
    drawn = _decoupled("gsea", genes, sets, draws, slice(0, n_sets), times=0) if len(draws) else np.empty((0, n_sets))
    return Scores(score, p_value, drawn * scale, leading)


def ulm(genes: RankedGenes, sets: CutSets, draws: np.ndarray) -> Scores:
    """Univariate linear models by decoupler, in blocks of sets; draws in standard errors of the point."""
    n_genes, n_sets = sets.weight.shape
    rows = np.vstack([genes.score, draws])
    score = np.empty((len(rows), n_sets))
    for start in range(0, n_sets, SETS_AT_ONCE):
        block = slice(start, min(start + SETS_AT_ONCE, n_sets))
        score[:, block] = _decoupled("ulm", genes, sets, rows, block)
    p_value = 2 * student.sf(np.abs(score[0]), n_genes - 2)  # as in decoupler, which keeps only adjusted ones
    return Scores(score[0], p_value, _in_point_errors(score[1:], score[0], draws, genes.score))


def _in_point_errors(drawn: np.ndarray, point: np.ndarray, draws: np.ndarray, scores: np.ndarray) -> np.ndarray:
    r"""Slopes of the draws over the standard error of the point's slope, from t-values; draws x sets.

    The t-value of a draw is too near zero: it is divided by the scatter of the draw, which includes the uncertainty of the genes
    a second time. Slopes are linear in the scores of the genes, so that over a common standard error their mean is the point's
    t-value. With the correlation :math:`r = t / \sqrt{t^2 + \nu}` and a slope proportional to r times the standard deviation
    of the genes' scores this is :math:`r_d \, (s_d / s) \sqrt{\nu + t^2}`.
    """
    df = scores.size - 2
    correlation = drawn / np.sqrt(drawn**2 + df)
    return correlation * (draws.std(1)[:, None] / (scores.std() or 1.0)) * np.sqrt(df + point**2)


def _decoupled(
    method: str, genes: RankedGenes, sets: CutSets, rows: np.ndarray, block: slice, **options: int
) -> np.ndarray:
    """Scores of a block of sets in each row."""
    part = sets.weight[:, block].tocoo()
    keys = np.char.zfill(np.arange(block.stop - block.start).astype(str), 6)
    net = pd.DataFrame({"source": keys[part.col], "target": genes.names[part.row], "weight": part.data})
    mat = pd.DataFrame(rows, index=[str(i) for i in range(len(rows))], columns=genes.names)
    score, _ = decoupler_method(method)(mat, net, tmin=1, empty=False, **options)
    return score[keys].to_numpy()


def _members(genes: RankedGenes, sets: CutSets) -> dict[str, list[str]]:
    """Genes of each set by its position as text: names of sets may be repeated."""
    columns = sets.weight.tocsc()
    return {
        str(i): genes.names[columns.indices[columns.indptr[i] : columns.indptr[i + 1]]].tolist()
        for i in range(sets.weight.shape[1])
    }


def decoupler_method(name: str) -> Any:
    """Import a method of ``decoupler.mt``; the import would change the legends of all later figures (legendkit 0.5)."""
    with rc_context():
        return getattr(import_module("decoupler").mt, name)
