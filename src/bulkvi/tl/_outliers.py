"""Outlying counts of a cohort, judged against itself."""

from collections.abc import Iterable
from typing import Any

from rich.progress import track

from bulkvi.regression.outlier_scores import Adjustment, OutlierScores, as_scores, check_adjustment
from bulkvi.regression.outliers import score_cohort

LEAST_SAMPLES = 5
"""Fewer leave less than the two residual degrees of freedom beside level and own sample that directions would."""


def outliers(model: Any, *, adjust: Adjustment = "by", progress_bar: bool = True) -> OutlierScores:
    r"""Find counts that are outliers among the samples of a cohort. Which genes are aberrant in which sample?

    Every sample is compared with the others: levels, effects, loadings and dispersions of the genes are those without it, its state is
    inferred from its counts as that of a new sample, and each gene's own count is left out of that state. The network is not trained
    again: what it hands over is the states of the *other* samples. :ref:`How <outliers>` it is computed, and how exact that is.

    Parameters
    ----------
    model
        A trained :class:`bulkvi.BulkVI` with its samples attached. What is in its design is expected of a sample, and not called.
    adjust
        Adjustment over the genes of a sample: ``"by"``, Benjamini and Yekutieli's, holds however genes depend on each other; ``"bh"``,
        Benjamini and Hochberg's, calls more.
    progress_bar
        Whether to show progress.

    Returns
    -------
    Scores of all samples and genes: ``calls()`` is the table of outliers, ``table("p_value")`` a table of all samples and genes.
    A p-value is the two-sided mid-p-value :math:`2 \min\{P(X < x) + P(X = x) / 2, P(X > x) + P(X = x) / 2\}`.

    Raises
    ------
    TypeError
        If ``model`` is no model.
    ValueError
        If the model has no last layer (it is not trained, or not negative binomial), its samples are not those it was trained on, there
        are fewer than 5, or ``adjust`` is unknown.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=200)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    >>> model = bv.BulkVI(adata, n_latent=2)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> bv.tl.outliers(model, progress_bar=False).per_sample().columns.tolist()
    ['n_outliers', 'n_up', 'n_down']
    """
    if not hasattr(model, "last_layer"):
        raise TypeError(
            f"model must be a trained BulkVI model; it is of type {type(model).__name__}. Set up and train one on the cohort: "
            "BulkVI.setup_anndata(adata, ...), model = BulkVI(adata), model.train()."
        )
    check_adjustment(adjust)
    layer, study = model.last_layer(), model.gene_fit().study
    if not layer.is_of(study):
        raise ValueError(
            "The samples of the model are not those it was trained on: a cohort is judged by a model of itself. For new samples use "
            "the score method of a bulkvi.Reference."
        )
    n = len(study.obs)
    if n < LEAST_SAMPLES:
        raise ValueError(
            f"The cohort has {n} samples: at least {LEAST_SAMPLES} are needed to compare each with the others. Score few samples against "
            "a reference cohort instead."
        )

    def progress(samples: Iterable[int]) -> Iterable[int]:
        return track(samples, "Outliers", total=n, disable=not progress_bar, transient=True)

    scores = score_cohort(layer, study, progress)
    return as_scores(scores, study.obs.index, study.genes, adjust, f"the other {n - 1} samples of the cohort")
