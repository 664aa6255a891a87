"""Samples scored against a reference."""

from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from bulkvi.reference._held_out import layer_of
from bulkvi.regression.outlier_scores import Adjustment, OutlierScores, as_scores, check_adjustment
from bulkvi.regression.outliers import score_samples
from bulkvi.stats.counts.blocks import by_rows, iter_row_blocks
from bulkvi.stats.counts.size_factors import size_factors_from_reference
from bulkvi.study.counts import check_size_factor, checked_counts

if TYPE_CHECKING:
    from bulkvi.reference._cohort import Cohort


def score(
    reference: "Cohort",
    adata: AnnData,
    *,
    size_factor_key: str | None = None,
    layer: str | None = None,
    adjust: Adjustment = "by",
) -> OutlierScores:
    r"""Score samples against a reference. Which genes are aberrant in this sample?

    The state of each sample in the reference's directions, and its noise level, are inferred from its own counts; what is expected of a
    gene is given by the other genes. The uncertainty of state, levels, loadings and dispersions is part of the p-values. The samples
    do not depend on each other: one is enough.

    Parameters
    ----------
    adata
        Samples x genes with raw counts. Genes that the reference lacks are left out.
    size_factor_key
        Column of ``obs`` with size factors against this reference (``bulkvi.pp.size_factors(adata, reference=reference)``); they are
        computed if ``None``.
    layer
        Layer with the raw counts; ``X`` if ``None``.
    adjust
        Adjustment over the genes of a sample: ``"by"`` (Benjamini and Yekutieli) or ``"bh"`` (Benjamini and Hochberg).

    Returns
    -------
    Scores of all samples and of the shared genes, see :class:`bulkvi.tl.OutlierScores`. A p-value is the two-sided mid-p-value
    :math:`2 \min\{P(X < x) + P(X = x) / 2, P(X > x) + P(X = x) / 2\}`.

    Raises
    ------
    KeyError
        If there is no such layer or column.
    TypeError
        If ``adata`` is no AnnData.
    ValueError
        If too few genes are shared, counts are not whole numbers of at least 0, a sample has no count in the genes that size factors are
        measured on, or ``adjust`` is unknown.

    Examples
    --------
    >>> import bulkvi as bv
    >>> samples = bv.datasets.simulate(n_per_group=12, n_genes=300, n_hidden=2, hidden_share=0.8, hidden_sd=1.0)
    >>> new, cohort = samples[:1].copy(), samples[1:].copy()
    >>> bv.pp.size_factors(cohort)
    >>> bv.BulkVI.setup_anndata(cohort, size_factor_key="size_factor")
    >>> model = bv.BulkVI(cohort, n_latent=3)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> reference = bv.Reference.from_model(model, name="simulated")
    >>> reference.score(new).table("p_value").shape
    (1, 300)
    """
    check_adjustment(adjust)
    checked = checked_counts(adata, layer)
    match = reference._enough_shared(adata.var_names)
    shared = np.flatnonzero(match.position >= 0)
    position = match.position[shared]
    counts = np.concatenate([block for _, block in iter_row_blocks(checked.matrix)])[:, shared]
    if size_factor_key is None:
        log_geometric_mean = reference.size_factor_reference.to_numpy()[position]
        size_factor = size_factors_from_reference(
            by_rows(counts), log_geometric_mean, sample_names=list(adata.obs_names)
        )
    else:
        check_size_factor(adata, size_factor_key)
        size_factor = adata.obs[size_factor_key].to_numpy(dtype=float)
    of_genes = layer_of(reference.values.at(position), reference.level_sd[position], reference.relevance)
    scores = score_samples(counts, of_genes, np.ones((len(counts), 1)), np.log(size_factor))
    what = f"{reference.provenance.name} ({reference.n_samples} samples)"
    return as_scores(scores, adata.obs_names, adata.var_names[shared], adjust, what)
