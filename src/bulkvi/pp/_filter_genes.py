import numpy as np
from anndata import AnnData

from bulkvi.arguments import check_number
from bulkvi.names import N_COUNTS, N_SAMPLES
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.study.counts import checked_counts


def filter_genes(
    adata: AnnData, *, min_counts: int | None = 10, min_samples: int | None = None, layer: str | None = None
) -> None:
    """Keep the genes with enough counts, in place.

    As :func:`scanpy.pp.filter_genes` does, with both criteria in one call, on ``X`` or on a layer. The counts are checked first,
    because a missing value would remove its gene without notice.

    Parameters
    ----------
    adata
        Raw counts, samples x genes, in memory (dense, sparse or dask).
    min_counts
        Keep genes with at least this many counts over all samples. The default removes only genes with too few counts for
        any method, which saves time; None for no such filter.
    min_samples
        Keep genes with at least one count in at least this many samples; None for no such filter.
    layer
        Layer that holds the counts; None for ``adata.X``.

    Returns
    -------
    None. ``adata`` loses the other genes and gains

    - ``var["n_counts"]``: counts over all samples (with ``min_counts``).
    - ``var["n_samples"]``: number of samples with a count (with ``min_samples``).

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData or does not hold numbers.
    KeyError
        If there is no such layer.
    ValueError
        If no criterion is given, if no gene passes, if ``adata`` is backed by a file, if names are not unique, or if an
        entry is not a count. ``adata`` is then unchanged.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> genes = pd.DataFrame(index=["low", "high", "one_sample"])
    >>> adata = AnnData(np.array([[1, 20, 0], [0, 30, 40]], dtype=np.float32), var=genes)
    >>> filter_genes(adata, min_counts=10, min_samples=2)
    >>> list(adata.var_names)
    ['high']
    """
    if min_counts is None and min_samples is None:
        raise ValueError("give at least one of `min_counts` and `min_samples`; both are None.")
    for name, threshold in (("min_counts", min_counts), ("min_samples", min_samples)):
        if threshold is not None:
            check_number(name, threshold, least=0)
    if isinstance(adata, AnnData) and adata.isbacked:
        raise ValueError(
            f"genes of an AnnData backed by a file ({adata.filename}) cannot be dropped in place. Call "
            "`adata = adata.to_memory()` first, or write the chosen genes to a new file with "
            "`adata[:, keep].copy(filename)`."
        )
    matrix = checked_counts(adata, layer).matrix
    n_counts, n_samples = np.zeros((2, adata.n_vars))
    for _, block in iter_row_blocks(matrix):
        n_counts += block.sum(axis=0)
        n_samples += (block > 0).sum(axis=0)
    keep = np.ones(adata.n_vars, dtype=bool)
    columns = {}
    for column, values, threshold in ((N_COUNTS, n_counts, min_counts), (N_SAMPLES, n_samples, min_samples)):
        if threshold is not None:
            columns[column] = values.astype(np.int64)
            keep &= values >= threshold
    if not keep.any():
        raise ValueError(
            f"none of the {adata.n_vars} genes has at least min_counts={min_counts} counts and a count in at least "
            f"min_samples={min_samples} of {adata.n_obs} samples. The highest values are "
            f"{ {column: int(values.max()) for column, values in columns.items()} }: lower the threshold."
        )
    adata._inplace_subset_var(keep)  # what scanpy calls; anndata has no public name for it
    for column, values in columns.items():
        adata.var[column] = values[keep]
