"""A reference: what a cohort teaches about the genes of a tissue."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from bulkvi.names import SYMBOL
from bulkvi.reference import _file
from bulkvi.reference._cohort import Cohort
from bulkvi.reference._fingerprints import choose_genes, hash_samples
from bulkvi.reference._from_model import cohort_genes, design_columns
from bulkvi.reference._held_out import HeldOut
from bulkvi.reference._record import (
    OTHER_ARRAYS,
    Provenance,
    check_shapes,
    rounded,
    rounded_genes,
    stored,
    stored_genes,
)
from bulkvi.reference._score import score
from bulkvi.stats.reference.genes import ReferenceGenes
from bulkvi.study.counts import checked_counts

if TYPE_CHECKING:
    from bulkvi.model import BulkVI


@dataclass(frozen=True, eq=False, repr=False)
class Reference(Cohort):
    """What a cohort teaches a study of the same tissue: levels, directions and dispersions of its genes. It holds no counts.

    Made by :meth:`from_model` or :meth:`load`.

    Parameters
    ----------
    genes, symbols, directions
        Ids of the genes, their symbols (or None) and names of the directions.
    values, level_sd, relevance, design_columns, design_mean, effects, effects_sd, log_geometric_mean
        Estimates of the cohort; see the attributes.
    fingerprints, fingerprint_genes
        Hashes of the samples.
    provenance, held_out
        Where it comes from, and how well it predicts other samples.

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

    score = score

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
        held_out: AnnData | None = None,
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
        held_out
            Samples of the same kind that are not in the cohort, raw counts: :meth:`score_held_out` of them is kept and printed.

        Returns
        -------
        The reference. Levels are log rates per unit size factor at the cohort's mean design row and mean state.

        Raises
        ------
        KeyError
            If ``symbols`` is not a column of ``var``.
        ValueError
            If the model has no last layer (:meth:`bulkvi.BulkVI.last_layer`), or other samples attached than it was trained on; or
            if held-out samples are in the cohort.
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
        chosen = choose_genes(study.counts, [str(gene) for gene in layer.genes])
        made = cls(
            genes=pd.Index(layer.genes.astype(str)),
            symbols=None if column is None else pd.Index(var[column].astype(str)),
            directions=layer.directions,
            values=rounded_genes(parts.values),
            level_sd=rounded(parts.level_sd),
            relevance=rounded(layer.posterior.relevance),
            design_columns=columns,
            design_mean=rounded(row),
            effects=rounded(parts.effects),
            effects_sd=rounded(parts.effects_sd),
            log_geometric_mean=rounded(parts.log_geometric_mean),
            fingerprints=hash_samples(study.counts, chosen),
            fingerprint_genes=chosen,
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
        if held_out is None:
            return made
        counts = checked_counts(held_out, None).matrix
        return replace(made, held_out=made.score_held_out(counts, held_out.var_names))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the reference to one file, for :meth:`load`.

        The file is an archive of NumPy arrays and text: nothing in it is run when it is loaded, and it holds no counts. It is written
        under another name first and renamed when it is complete.

        Parameters
        ----------
        path
            The file, such as ``"lcl.ref"``.
        overwrite
            Whether the file may exist.

        Raises
        ------
        ValueError
            If the file exists and ``overwrite`` is not set, or it is a folder.
        OSError
            If it cannot be written.
        """
        header = {
            "genes": self.genes.tolist(),
            "symbols": None if self.symbols is None else self.symbols.tolist(),
            "directions": list(self.directions),
            "design_columns": list(self.design_columns),
            "provenance": asdict(self.provenance),
            "held_out": None if self.held_out is None else self.held_out._asdict(),
        }
        others = {name: getattr(self, name) for name in OTHER_ARRAYS}
        numbers = {name: stored(array) if array.dtype.kind == "f" else array for name, array in others.items()}
        _file.write(Path(path), header, stored_genes(self.values) | numbers, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "Reference":
        """Load a reference that :meth:`save` wrote. Nothing in the file is run.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        The reference.

        Raises
        ------
        FileNotFoundError
            If there is no file.
        ValueError
            If it is no reference, is truncated, damaged or changed, or of another format version.
        """
        header, arrays = _file.read(Path(path))
        try:
            check_shapes(header, arrays)
            provenance = Provenance.from_record(header["provenance"])
            held_out = None if header["held_out"] is None else HeldOut(**header["held_out"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no complete reference: {error}. {_file.BUILD_AGAIN}") from error
        numbers = {name: array.astype(float) if array.dtype.kind == "f" else array for name, array in arrays.items()}
        symbols = header["symbols"]
        return cls(
            genes=pd.Index(header["genes"], dtype=object),
            symbols=None if symbols is None else pd.Index(symbols, dtype=object),
            directions=header["directions"],
            values=ReferenceGenes(**{name: numbers[name] for name in ReferenceGenes._fields}),
            design_columns=header["design_columns"],
            provenance=provenance,
            held_out=held_out,
            **{name: numbers[name] for name in OTHER_ARRAYS},
        )
