from collections.abc import Sequence
from typing import Final, Literal, Protocol

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.names import LOG_GEOMETRIC_MEAN, LOG_GEOMETRIC_MEAN_PER_OFFSET, SIZE_FACTOR
from bulkvi.pp._control_genes import MIN_CONTROL_GENES, control_mask
from bulkvi.stats.counts.size_factors import median_of_ratios, poscounts, size_factors_from_reference
from bulkvi.study.counts import check_unique, checked_counts, checked_offset
from bulkvi.study.size_factors import SizeFactorSource, control_genes_of_reference, record_source

METHODS: Final = {"median_of_ratios": median_of_ratios, "poscounts": poscounts}
MIN_SHARE: Final = 0.5
"""Least share of the reference's genes that new samples must have; over fewer genes the median is not comparable."""


class MeasuredReference(Protocol):
    """What size factors need of :class:`bulkvi.Reference`."""

    def log_geometric_means_for(self, var_names: pd.Index, /) -> pd.Series:
        """Return the log count of each gene per unit size factor and relative offset; -inf leaves a gene out."""


def size_factors(
    adata: AnnData,
    *,
    method: Literal["median_of_ratios", "poscounts"] = "median_of_ratios",
    reference: AnnData | pd.Series | MeasuredReference | None = None,
    control_genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    layer: str | None = None,
    offset_key: str | None = None,
    key_added: str = SIZE_FACTOR,
) -> None:
    r"""Estimate the size factor of each sample (its relative sequencing depth) as DESeq2 does, in place.

    A sample's size factor is the median ratio of its counts to a reference sample:

    .. math:: s_n = \exp \operatorname{median}_{g:\; r_g > -\infty,\; x_{ng} > 0} \left( \log x_{ng} - r_g \right)

    where :math:`x_{ng}` is the count of gene :math:`g` in sample :math:`n` and :math:`r_g` is the log geometric mean of
    the gene over the samples. Counts divided by the size factor compare between samples if most genes do not change.

    If most genes may change, for example because a treatment doubles all transcripts, name genes that do not change as
    ``control_genes``: spike-ins of known amount, or housekeeping genes. The median is then over these genes only, and
    :meth:`bulkvi.BulkVI.differential_expression` does not re-estimate the zero of the log fold changes.

    With an offset :math:`o_{ng}`, such as the average length of a gene's transcripts in a sample, counts per unit of it are
    compared: :math:`\log x_{ng} - \log o_{ng}` replaces :math:`\log x_{ng}`, so that longer transcripts are not taken
    for deeper sequencing. Give the same offset to :meth:`bulkvi.BulkVI.setup_anndata`.

    Parameters
    ----------
    adata
        Raw counts, samples x genes: dense, sparse, dask, or backed by a file. Read three times, in row blocks.
    method
        ``"median_of_ratios"`` uses the genes without a zero in any sample (Anders and Huber 2010); in large cohorts few
        or none are left. ``"poscounts"`` uses every gene with a count: a zero counts as one in the geometric mean, and
        the size factors are scaled to geometric mean one. Not used with ``reference``.
    reference
        An AnnData on which this function was called, or its ``var["log_geometric_mean"]`` as a Series by gene name: new
        samples get size factors on the same scale, whichever other samples are in ``adata``. Genes are matched by name.
        Genes unknown to the reference are left out, and at least half of the reference's genes must be in ``adata``. With
        an offset the column is ``var["log_geometric_mean_per_offset"]``: both must have been called with one. A reference
        estimated from control genes uses them here too; with a Series give ``control_genes`` as well, so that this is
        recorded. A :class:`bulkvi.Reference` matches ids without versions and symbols too; with an offset, its counts are those at
        the mean offset of each gene in ``adata``.
    control_genes
        Genes that do not change between samples, at least 3: a list of names (of ``var_names``, or of ``var["symbol"]`` if
        none is found), a boolean for each gene, or the name of a boolean column of ``var``; None for all genes. Names that
        are not found, such as genes that :func:`filter_genes` removed, are left out with a warning.
    layer
        Layer that holds the counts; None for ``adata.X``.
    offset_key
        Layer with a factor > 0 for each count, samples x genes, such as tximport's average transcript lengths; any unit.
    key_added
        Column of ``obs`` for the size factors.

    Returns
    -------
    None. ``adata`` gains (``adata.copy()`` first keeps the original)

    - ``obs["size_factor"]``, or ``obs[key_added]``: size factor, unitless, > 0.
    - ``var["log_geometric_mean"]``: the reference :math:`r_g`, natural log of counts; -inf for a gene left out. With an
      offset ``var["log_geometric_mean_per_offset"]``, of counts per unit of it.
    - ``uns["size_factor_source"]``: how each column of size factors was estimated, for the model and the report.

    Raises
    ------
    TypeError
        If ``adata``, ``reference``, ``control_genes`` or ``offset_key`` has the wrong type.
    KeyError
        If there is no such layer, no control gene or column is found, or ``reference`` has no estimates of this function, or
        only one of ``reference`` and ``adata`` has an offset.
    ValueError
        If the method is unknown, if names are not unique, if an entry is not a count, if an offset is not finite and > 0,
        if a sample has no count, if no gene or fewer than 3 control genes are left, if a mask of control genes
        does not fit, or if the reference shares too few genes. ``adata`` is then unchanged.

    References
    ----------
    Anders and Huber (2010), Genome Biology 11:R106. Love, Huber and Anders (2014), Genome Biology 15:550. Soneson, Love
    and Robinson (2015), F1000Research 4:1521. Equals ``estimateSizeFactors(dds, type = "ratio")`` and ``type =
    "poscounts"`` of DESeq2, with an offset those with an assay ``avgTxLength``: its ``normalizationFactors`` are size
    factor x relative offset, scaled to geometric mean one in each gene.

    Examples
    --------
    >>> adata = AnnData(np.array([[1, 4, 9], [4, 16, 36]], dtype=np.float32))
    >>> size_factors(adata)
    >>> adata.obs["size_factor"].round(6).tolist()
    [0.5, 2.0]

    New samples on the scale of these:

    >>> new = AnnData(np.array([[8, 32, 72]], dtype=np.float32))
    >>> size_factors(new, reference=adata)
    >>> new.obs["size_factor"].round(6).tolist()
    [4.0]

    Twice as deep by three spike-ins, whatever the other genes do:

    >>> counts = np.array([[10, 20, 30, 7, 9], [20, 40, 60, 56, 72]], dtype=np.float32)
    >>> spiked = AnnData(counts, var=pd.DataFrame(index=["ERCC-1", "ERCC-2", "ERCC-3", "a", "b"]))
    >>> size_factors(spiked, control_genes=spiked.var_names.str.startswith("ERCC-"))
    >>> (spiked.obs["size_factor"].iloc[1] / spiked.obs["size_factor"].iloc[0]).round(6)
    np.float64(2.0)
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of {list(METHODS)}.")
    if isinstance(adata, AnnData) and adata.isbacked and adata.is_view:
        raise ValueError(
            "columns cannot be added to a view of an AnnData backed by a file: call `adata = adata.to_memory()`, or "
            "`adata = adata.copy(filename)`, first."
        )
    counts = checked_counts(adata, layer).matrix
    offset = None if offset_key is None else checked_offset(adata, offset_key)
    column = LOG_GEOMETRIC_MEAN if offset is None else LOG_GEOMETRIC_MEAN_PER_OFFSET
    sample_names = adata.obs_names.tolist()
    n_control = 0
    if reference is None:
        control = None if control_genes is None else control_mask(adata, control_genes)
        estimate = METHODS[method]
        factors, log_geometric_means = estimate(counts, offset=offset, control=control, sample_names=sample_names)
    else:
        if hasattr(reference, "log_geometric_means_for"):
            log_geometric_means = reference.log_geometric_means_for(adata.var_names).to_numpy(dtype=np.float64)
            if offset is not None:
                log_geometric_means = log_geometric_means - offset.log_mean
        else:
            log_geometric_means = _align(_usable_reference(reference, column), adata.var_names)
        if control_genes is not None:
            control = control_mask(adata, control_genes, np.isfinite(log_geometric_means))
            log_geometric_means = np.where(control, log_geometric_means, -np.inf)
        elif isinstance(reference, AnnData) and control_genes_of_reference(reference, column):
            n_control = int(np.isfinite(log_geometric_means).sum())
        factors = size_factors_from_reference(counts, log_geometric_means, offset=offset, sample_names=sample_names)
    if control_genes is not None:
        n_control = int(np.isfinite(log_geometric_means).sum())
        if n_control < MIN_CONTROL_GENES:
            other = " method='poscounts' uses control genes with zeros too." if method == "median_of_ratios" else ""
            raise ValueError(
                f"control_genes: {n_control} of them have a count in every sample, and at least {MIN_CONTROL_GENES} are needed.{other}"
            )
    adata.obs[key_added] = factors
    adata.var[column] = log_geometric_means
    source = SizeFactorSource(method, n_control, reference is not None)
    record_source(adata, key_added, source, factors, column)


def _usable_reference(reference: AnnData | pd.Series, column: str) -> pd.Series:
    """Return the finite log geometric means of the reference by gene name."""
    call = "size_factors(reference)" if column == LOG_GEOMETRIC_MEAN else "size_factors(reference, offset_key=...)"
    if isinstance(reference, AnnData):
        if column not in reference.var:
            raise KeyError(f"`reference` has no var[{column!r}]: call bulkvi.pp.{call} first.")
        reference = reference.var[column]
    elif not isinstance(reference, pd.Series):
        raise TypeError(
            "`reference` must be a bulkvi.Reference, an AnnData or a Series of log geometric means, not "
            f"{type(reference).__name__}."
        )
    if {reference.name, column} == {LOG_GEOMETRIC_MEAN, LOG_GEOMETRIC_MEAN_PER_OFFSET}:
        raise KeyError(
            f"`reference` is the column {reference.name!r}, but {column!r} is needed: call bulkvi.pp.{call}, and give its "
            "column. Use an offset for both or for neither."
        )
    check_unique(reference.index, "gene names of `reference`", "reference.var_names_make_unique()")
    values = reference.to_numpy(dtype=np.float64)
    wrong = np.isnan(values) | np.isposinf(values)
    if wrong.any():
        raise ValueError(
            f"`reference` must hold finite log geometric means, or -inf for a gene left out; {wrong.sum()} are NaN or "
            f"+inf, first at gene {reference.index[wrong.argmax()]!r}."
        )
    usable = pd.Series(values, index=reference.index)[np.isfinite(values)]
    if usable.empty:
        raise ValueError("`reference` has no gene with a finite log geometric mean.")
    return usable


def _align(reference: pd.Series, var_names: pd.Index) -> np.ndarray:
    """Return log geometric means in the order of ``var_names``, -inf for genes that the reference does not use."""
    n_shared = int(reference.index.isin(var_names).sum())
    if n_shared < MIN_SHARE * reference.size:
        raise ValueError(
            f"`adata` has only {n_shared} of the {reference.size} genes that `reference` uses; at least "
            f"{MIN_SHARE:.0%} are needed. `adata` names genes like {list(var_names[:3])}, `reference` like "
            f"{list(reference.index[:3])}: use the same gene ids, and do not filter the genes of new samples."
        )
    return reference.reindex(var_names, fill_value=-np.inf).to_numpy()
