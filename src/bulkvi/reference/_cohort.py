"""Estimates of a cohort, and what a study queries of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from bulkvi.arguments import warn_user
from bulkvi.names import LOG_GEOMETRIC_MEAN
from bulkvi.reference._describe import as_html, as_text
from bulkvi.reference._fingerprints import hash_samples, shared_samples
from bulkvi.reference._held_out import HeldOut, score_held_out
from bulkvi.reference._matching import GeneMatch, check_match, match_genes
from bulkvi.reference._record import Provenance
from bulkvi.stats.counts.blocks import RowMatrix, by_rows, iter_row_blocks
from bulkvi.stats.counts.size_factors import size_factors_from_reference
from bulkvi.stats.reference.genes import ReferenceGenes

FEW_SHARED: Final = 0.5
"""Share of the study's genes below which a warning says how many are shared."""

MIN_SHARE: Final = 0.5
"""Least share of the genes that size factors are measured on, as in :func:`bulkvi.pp.size_factors`."""

MOST_OFF: Final = 1.0
"""Largest distance of a sample's size factor from those of the reference, log2: methods of normalisation differ by less."""


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Estimates of the genes of a cohort, matched to those of a study by name."""

    genes: pd.Index
    """Ids of the genes."""
    symbols: pd.Index | None
    """Symbols of the genes, where the cohort had them."""
    directions: list[str]
    """Names of the directions."""
    values: ReferenceGenes
    """Estimates of every gene, natural logs; NaN for genes without counts in the cohort."""
    level_sd: np.ndarray
    """Posterior standard deviation of the levels, genes, natural log."""
    relevance: np.ndarray
    """Prior standard deviation of the loadings of each direction, natural log."""
    design_columns: list[str]
    """Columns of the cohort's design."""
    design_mean: np.ndarray
    """Mean row of the cohort's design, at which the levels are."""
    effects: np.ndarray
    """Posterior mean of the coefficients of the design, columns x genes, natural log."""
    effects_sd: np.ndarray
    """Their posterior standard deviation, columns x genes, natural log."""
    log_geometric_mean: np.ndarray
    """Natural log of the count that size factors are measured against, genes; -inf leaves a gene out."""
    fingerprints: np.ndarray
    """One-way hashes of the samples, to find them in a study, samples x tuples of genes."""
    fingerprint_genes: np.ndarray
    """Positions of the genes of each tuple, tuples x genes."""
    provenance: Provenance
    """Where it comes from."""
    held_out: HeldOut | None = None
    """How well it predicts samples outside the cohort, if some were given."""

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def name(self) -> str:
        """Short name."""
        return self.provenance.name

    @property
    def n_samples(self) -> int:
        """Number of samples of the cohort."""
        return self.provenance.n_samples

    @property
    def size_factor_reference(self) -> pd.Series:
        """Natural log of each gene's count that size factors are measured against, by gene (:func:`bulkvi.pp.size_factors`)."""
        return pd.Series(self.log_geometric_mean, self.genes)

    def match_genes(self, var_names: Sequence[str]) -> GeneMatch:
        """Match gene names to the genes of the reference: the same id, the id without version, then the symbol.

        Parameters
        ----------
        var_names
            Names of the genes of a study.

        Returns
        -------
        Named tuple with ``position`` (of each name in the reference, -1 where it lacks the gene), ``n_shared`` and ``describe()``.
        """
        return match_genes(var_names, self.genes, self.symbols, self.values.known)

    def genes_for(self, var_names: Sequence[str]) -> ReferenceGenes:
        """Return what the cohort says about the genes of a study.

        Parameters
        ----------
        var_names
            Names of the genes of the study: ids with or without versions, or symbols.

        Returns
        -------
        One value for each name, in their order; NaN where the reference lacks the gene.

        Raises
        ------
        ValueError
            If fewer than 50 genes are shared, as with ids of another organism.

        Warns
        -----
        If the reference has fewer than half of the genes.
        """
        return self.values.at(self._enough_shared(var_names).position)

    def shared_samples(
        self, counts: RowMatrix, genes: Sequence[str], samples: Sequence[Any] | None = None
    ) -> list[Any]:
        """Find samples that are in the cohort too, by one-way hashes of the counts of its strongest genes.

        Parameters
        ----------
        counts
            Raw counts, samples x genes.
        genes
            Names of the genes.
        samples
            Names of the samples; by default their positions.

        Returns
        -------
        Names of the samples that have the same counts as a sample of the cohort in all genes of one of 64 tuples of 8 genes: found
        with probability .99 or more if a tenth of the genes is missing or has other counts, .98 if three tenths have. Not found: samples whose reads
        were counted in another way, rounded, scaled or added to those of other runs, or are too few (about 180 in each of these genes).
        """
        names = list(range(counts.shape[0])) if samples is None else list(samples)
        ours = self._position_in(genes)[self.fingerprint_genes]
        hashes = [hash_samples(block, ours) for _, block in iter_row_blocks(by_rows(counts))]
        found = shared_samples(np.concatenate(hashes), self.fingerprints) if hashes else np.zeros(0, bool)
        return [names[k] for k in np.flatnonzero(found).tolist()]

    def score_held_out(self, counts: RowMatrix, genes: Sequence[str]) -> HeldOut:
        """Compute how well the reference predicts samples that it was not built from.

        Size factors are measured against the reference; the state of each sample is inferred from one half of the genes, and the
        counts of the other half are predicted.

        Parameters
        ----------
        counts
            Raw counts of samples outside the cohort, samples x genes.
        genes
            Names of the genes.

        Returns
        -------
        Named tuple with ``n_samples``, ``n_genes``, and the mean ``log_likelihood`` of a count (natural log) with the directions
        and, ``log_likelihood_alone``, without them.

        Raises
        ------
        ValueError
            If samples are in the cohort, or too few genes are shared.
        """
        shared = self.shared_samples(counts, genes)
        if shared:
            raise ValueError(
                f"{len(shared)} of the {counts.shape[0]} held-out samples are in the reference (first: position {shared[0]}): they are "
                "not held out. Leave them out."
            )
        means = self.log_geometric_means_for(genes).to_numpy()
        position = self.match_genes(genes).position
        values = np.concatenate([block for _, block in iter_row_blocks(by_rows(counts))])
        offset = np.log(size_factors_from_reference(values, means))
        used = np.flatnonzero(position >= 0)
        at = position[used]
        return score_held_out(values[:, used], self.values.at(at), self.level_sd[at], self.relevance, offset)

    def log_geometric_means_for(self, var_names: Sequence[str]) -> pd.Series:
        """Return the log counts that size factors are measured against, by the names of a study's genes.

        Parameters
        ----------
        var_names
            Names of the genes of the study.

        Returns
        -------
        Natural logs; -inf for genes that are left out or that the reference lacks.

        Raises
        ------
        ValueError
            If fewer than 50 genes are shared, or fewer than half of those that the size factors of the cohort are measured on.
        """
        means = self._means_for(var_names)
        n_shared, n_used = (int(np.isfinite(each).sum()) for each in (means, self.log_geometric_mean))
        if n_shared < MIN_SHARE * n_used:
            raise ValueError(
                f"The study has {n_shared:,} of the {n_used:,} genes that the size factors of the reference {self.name!r} are measured "
                f"on, and at least {MIN_SHARE:.0%} are needed: over fewer genes the median is not comparable. Do not filter the genes "
                "of the study beforehand, or estimate size factors from the study itself."
            )
        return pd.Series(means, pd.Index(var_names), name=LOG_GEOMETRIC_MEAN)

    def check_size_factors(self, counts: RowMatrix, genes: Sequence[str], size_factors: np.ndarray) -> float:
        """Compare size factors of a study with those that the reference gives.

        A factor that all samples have in common does no harm in a comparison, because levels are the study's own; samples that
        disagree shift the state of each sample. Size factors from spike-ins may disagree where samples have more or less RNA.

        Parameters
        ----------
        counts
            Raw counts, samples x genes.
        genes
            Names of the genes.
        size_factors
            One value per sample.

        Returns
        -------
        Median ratio of the size factors to those that the reference gives, 1 on the same scale.

        Raises
        ------
        ValueError
            If too few genes are shared, or a sample is more than twice off the median ratio.
        """
        expected = size_factors_from_reference(by_rows(counts), self._means_for(genes))
        ratio = np.asarray(size_factors, dtype=float) / expected
        common = float(np.median(ratio))
        off = np.abs(np.log2(ratio / common))
        worst = int(off.argmax())
        if off[worst] > MOST_OFF:
            raise ValueError(
                f"The size factors are on another scale than those of the reference {self.name!r}: relative to the usual sample, that of "
                f"sample {worst} (from 0) is {ratio[worst] / common:.2g} times what its counts give against the reference, and at most "
                f"{2**MOST_OFF:g} times, or one over it, is allowed. Estimate them from the counts: bulkvi.pp.size_factors(adata), or "
                "bulkvi.pp.size_factors(adata, reference=reference)."
            )
        return common

    def _enough_shared(self, var_names: Sequence[str]) -> GeneMatch:
        """Match genes; raise ValueError if too few are shared, and warn if the reference has fewer than half of them."""
        match = self.match_genes(var_names)
        check_match(match, list(var_names), self.genes, self.symbols)
        if match.n_shared < FEW_SHARED * len(match.position):
            warn_user(match.describe())
        return match

    def _means_for(self, var_names: Sequence[str]) -> np.ndarray:
        """Log counts that size factors are measured against, however many of them the study has."""
        match = self.match_genes(var_names)
        check_match(match, list(var_names), self.genes, self.symbols)
        return np.append(self.log_geometric_mean, -np.inf)[match.position]

    def _position_in(self, var_names: Sequence[str]) -> np.ndarray:
        """Position of each gene of the reference among these names; -1 where it is not among them."""
        position = self.match_genes(var_names).position
        found = np.flatnonzero(position >= 0)
        of_gene = np.full(len(self.genes), -1)
        of_gene[position[found]] = found
        return of_gene
