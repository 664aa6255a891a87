"""Samples that are put beside a trained model: they must be what it learned from, or have its genes in its order."""

from pathlib import Path
from typing import Any
from warnings import warn

from anndata import AnnData

from bulkvi.model._record import GENES, RecordedMixin, recorded


class LoadingMixin(RecordedMixin):
    """``load`` of :class:`~bulkvi.BulkVI`, and the check of samples that every method begins with."""

    @classmethod
    def load(
        cls,
        dir_path: str | Path,
        adata: AnnData | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        backup_url: str | None = None,
        datamodule: Any = None,
    ) -> Any:
        """Load a saved model.

        Parameters
        ----------
        dir_path
            Folder it was saved in. It is unpickled: load only what you trust.
        adata
            The samples of the model, or others with all its genes, in any order; those saved with the model if ``None``.
            ``False`` for none.
        accelerator, device
            Where to put the model.
        prefix
            Beginning of the names of the saved files.
        backup_url
            Where to get the files if the folder lacks them.
        datamodule
            Source of minibatches.

        Returns
        -------
        The model. Where the genes of ``adata`` are more than the model's, or in another order, ``model.adata`` is a copy with
        the model's genes in its order.

        Warns
        -----
        UserWarning
            If such a copy was made.

        Raises
        ------
        ValueError
            If ``adata`` lacks genes of the model, or its samples have levels that the model does not know.
        """
        if isinstance(adata, AnnData):
            genes = recorded(cls.load_registry(str(dir_path), prefix)).get(GENES, []) if backup_url is None else []
            adata = _with_genes(adata, genes)
        return super().load(
            str(dir_path),
            adata,
            accelerator=accelerator,
            device=device,
            prefix=prefix,
            backup_url=backup_url,
            datamodule=datamodule,
        )

    def _validate_anndata(self, adata: AnnData | None = None, *, copy_if_view: bool = True) -> AnnData:
        """Raise if the samples are not what was registered any more, or new ones have other genes."""
        record = recorded(self.registry)
        if record and adata is not None and adata is not self.adata:
            check_genes(adata, record[GENES])
        elif self.adata is not None:
            self._check_unchanged()
        return super()._validate_anndata(adata, copy_if_view=copy_if_view)


def check_genes(adata: AnnData, genes: list[str]) -> None:
    """Raise ValueError unless new samples have the genes of a model in its order."""
    if genes and adata.var_names.astype(str).tolist() != genes:
        raise ValueError(
            f"The genes of these samples are not the {len(genes):,} genes of the model in its order. Bring them there: "
            "BulkVI.prepare_query_anndata(adata, model)."
        )


def _with_genes(adata: AnnData, genes: list[str]) -> AnnData:
    """Samples with the genes of a model in its order: themselves, or a copy."""
    found = adata.var_names.astype(str)
    if not genes or found.tolist() == genes:
        return adata
    if not found.is_unique:
        raise ValueError("The names of the genes of adata repeat; the model's genes cannot be found by name.")
    absent = [gene for gene in genes if gene not in set(found)]
    if absent:
        raise ValueError(
            f"adata lacks {len(absent):,} of the {len(genes):,} genes of the model (first: {absent[:5]}). Give the samples that it "
            "was trained on; for new samples see BulkVI.prepare_query_anndata and BulkVI.load_query_data."
        )
    more = len(found) - len(genes)
    warn(
        f"The genes of adata are {f'{more:,} more than those of the model' if more else 'in another order than in the model'}: the "
        "model has a copy with its own genes in its own order, model.adata.",
        UserWarning,
        stacklevel=3,
    )
    return adata[:, found.get_indexer(genes)].copy()
