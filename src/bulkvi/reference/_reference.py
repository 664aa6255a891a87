"""A reference: what a cohort teaches about the genes of a tissue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkvi.arguments import warn_user
from bulkvi.names import SYMBOL
from bulkvi.reference._from_model import cohort_genes, design_columns
from bulkvi.reference._matching import GeneMatch, check_match, match_genes
from bulkvi.stats.reference.genes import ReferenceGenes

if TYPE_CHECKING:
    from bulkvi.model import BulkVI

FEW_SHARED = 0.5
"""Share of the study's genes below which a warning says how many are shared."""
HALF_PRECISION = ("loadings", "loadings_sd", "log_dispersion_sd", "log_dispersion_alone_sd")
"""Kept with 11 binary digits: an error of 0.05 %, far below the posterior standard deviations that they are or that go with them."""


@dataclass(frozen=True)
class Provenance:
    """Where a reference comes from."""

    name: str
    """Short name."""
    source: str = ""
    """Where the counts of the cohort are, such as an accession or address."""
    licence: str = ""
    """Terms under which the reference may be used and shared."""
    organism: str = ""
    """Organism, if given."""
    tissue: str = ""
    """Tissue or cell type, if given."""
    design: str = ""
    """Formula or columns of the cohort's design."""
    n_samples: int = 0
    """Samples of the cohort."""
    date: str = ""
    """Day on which it was built, year-month-day (UTC)."""
    bulkvi_version: str = ""
    """Version of bulkvi that built it."""
    scvi_version: str = ""
    """Version of scvi-tools that the network was trained with."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What a cohort teaches a study of the same tissue: levels, directions and dispersions of its genes. It holds no counts.

    Made by :meth:`from_model` or :meth:`load`.

    Parameters
    ----------
    genes, symbols, directions
        Ids of the genes, their symbols (or None) and names of the directions.
    values, level_sd, relevance, design_columns, design_mean, effects, effects_sd, log_geometric_mean
        Estimates of the cohort; see the attributes.
    provenance
        Where it comes from.

    Examples
    --------
    >>> import bulkvi as bv
    >>> cohort = bv.datasets.simulate(n_per_group=12, n_genes=300, n_hidden=2, hidden_share=0.8, hidden_sd=1.0)
    >>> bv.pp.size_factors(cohort)
    >>> bv.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    >>> model = bv.BulkVI(cohort, n_latent=3)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> reference = bv.Reference.from_model(model, name="simulated")
    >>> reference.genes_for(["gene002", "gene001", "another", *cohort.var_names[2:]]).known[:3].tolist()
    [True, True, False]
    """

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
    provenance: Provenance
    """Where it comes from."""

    @classmethod
    def from_model(
        cls,
        model: "BulkVI",
        *,
        name: str,
        source: str = "",
        licence: str = "",
        organism: str = "",
        tissue: str = "",
        symbols: str | None = None,
    ) -> "Reference":
        """Build the reference of the cohort that a model was trained on.

        Parameters
        ----------
        model
            Trained, with the samples of the cohort attached.
        name
            Short name.
        source
            Where the counts of the cohort are, such as an accession.
        licence
            Terms under which the reference may be used and shared.
        organism, tissue
            As a reader would want to know them.
        symbols
            Column of ``var`` with gene symbols, so that studies with symbols match; by default ``"symbol"``, if there is one.

        Returns
        -------
        The reference. Levels are log rates per unit size factor at the cohort's mean design row and mean state.

        Raises
        ------
        KeyError
            If ``symbols`` is not a column of ``var``.
        ValueError
            If the model has no last layer (:meth:`bulkvi.BulkVI.last_layer`), or other samples attached than it was trained on.
        """
        if not name.strip():
            raise ValueError("name is empty: give the reference a short name, such as 'geuvadis LCL'.")
        var = model.adata.var if model.adata is not None else pd.DataFrame()
        if symbols is not None and symbols not in var:
            raise KeyError(f"symbols={symbols!r} is not a column of adata.var, which has {list(var.columns)}.")
        parts = cohort_genes(model)
        layer, study = model.last_layer(), model.gene_fit().study
        columns, row = design_columns(layer, study)
        column = symbols or (SYMBOL if SYMBOL in var else None)
        design = study.design
        return cls(
            genes=pd.Index(layer.genes.astype(str)),
            symbols=None if column is None else pd.Index(var[column].astype(str)),
            directions=layer.directions,
            values=_rounded(parts.values),
            level_sd=_round(parts.level_sd),
            relevance=_round(layer.posterior.relevance),
            design_columns=columns,
            design_mean=row,
            effects=_round(parts.effects),
            effects_sd=_round(parts.effects_sd),
            log_geometric_mean=_round(parts.log_geometric_mean),
            provenance=Provenance(
                name=name,
                source=source,
                licence=licence,
                organism=organism,
                tissue=tissue,
                design=design.formula.formula
                if design.formula is not None
                else f"~ {' + '.join(design.variables) or 1}",
                n_samples=len(study.obs),
                date=datetime.now(UTC).date().isoformat(),
                bulkvi_version=version("bulkvi"),
                scvi_version=version("scvi-tools"),
            ),
        )

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
        match = self.match_genes(var_names)
        check_match(match, list(var_names), self.genes, self.symbols)
        if match.n_shared < FEW_SHARED * len(match.position):
            warn_user(match.describe())
        return self.values.at(match.position)


def _round(values: np.ndarray, kind: type[np.floating] = np.float32) -> np.ndarray:
    """Round to the precision of the file, so that a reference is the same before and after it was saved."""
    stored = values.astype(kind)
    if kind is np.float16:
        # a standard deviation of 0 would be a division by zero, one beyond the largest number infinite
        limits = np.finfo(np.float16)
        stored = np.where(values > 0, np.clip(stored, limits.smallest_subnormal, limits.max), stored)
    return stored.astype(float)


def _rounded(values: ReferenceGenes) -> ReferenceGenes:
    rounded: Mapping[str, np.ndarray] = {
        field: _round(array, np.float16 if field in HALF_PRECISION else np.float32)
        for field, array in values._asdict().items()
    }
    return ReferenceGenes(**rounded)
