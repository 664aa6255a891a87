"""Genes of samples that are put beside a trained model: those of the model, in its order."""

from warnings import warn

from anndata import AnnData


def check_genes(adata: AnnData, genes: list[str]) -> None:
    """Raise ValueError unless new samples have the genes of a model in its order."""
    if genes and adata.var_names.astype(str).tolist() != genes:
        raise ValueError(
            f"The genes of these samples are not the {len(genes):,} genes of the model in its order. Bring them there: "
            "BulkVI.prepare_query_anndata(adata, model)."
        )


def with_genes(adata: AnnData, genes: list[str]) -> AnnData:
    """Samples with the genes of a model in its order: themselves, or a copy, with a warning.

    Raises
    ------
    ValueError
        If they lack genes of the model, or names repeat.
    """
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
