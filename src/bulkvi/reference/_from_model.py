"""What a trained model of a cohort hands to a study: per gene from its last layer and its regression on the design alone."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bulkvi.regression.last_layer import LastLayer
from bulkvi.stats.counts.size_factors import size_factors_from_reference
from bulkvi.stats.reference.genes import ReferenceGenes
from bulkvi.study.study import Study

if TYPE_CHECKING:
    from bulkvi.model import BulkVI

MIN_MEASURED = 100
"""Genes with counts in all samples, as in the median of ratios, that are enough for a median with an error of a tenth of a gene's."""
MIN_SHARE_COUNTED = 0.5
"""Share of samples with a count of the genes that size factors are measured on where there are fewer of them."""


class CohortGenes(NamedTuple):
    """Estimates of every gene of a cohort; natural logs, genes last, NaN for genes without counts."""

    values: ReferenceGenes
    """What a study uses as a prior."""
    level_sd: np.ndarray
    """Posterior standard deviation of the level, genes."""
    effects: np.ndarray
    """Posterior mean of the coefficients of the design, columns x genes."""
    effects_sd: np.ndarray
    """Their posterior standard deviation, columns x genes."""
    log_geometric_mean: np.ndarray
    """Log of the count that size factors are measured against, genes; -inf for genes that are left out."""


def cohort_genes(model: "BulkVI") -> CohortGenes:
    """Collect the estimates of a model's cohort.

    Raises
    ------
    ValueError
        If the samples of the model are not those it was trained on, or its last layer was saved by a version without trends.
    """
    layer, fit = model.last_layer(), model.gene_fit()
    study = fit.study
    if not layer.is_of(study):
        raise ValueError(
            "The samples attached to the model are not those it was trained on (or it is a model of load_query_data): load it with "
            "adata=, the samples of the cohort."
        )
    posterior, alone = layer.posterior, fit.regression.fit.prior
    if posterior.log_trend is None:
        raise ValueError(
            "The model was saved by a version without the trend of dispersions in its last layer: train it again, "
            "model.train()."
        )
    q = posterior.n_design
    row = layer.design(study).mean(0)
    level, variance = posterior.log_rate(np.concatenate([row, np.zeros(len(posterior.relevance))])[None])
    loadings, loadings_sd = (table.to_numpy().T for table in layer.loadings())
    diagonal = np.arange(1, q + 1) * np.arange(2, q + 2) // 2 - 1
    values = ReferenceGenes(
        level=level[0],
        loadings=loadings,
        loadings_sd=loadings_sd,
        log_dispersion=posterior.log_dispersion,
        log_dispersion_sd=posterior.log_dispersion_sd,
        log_trend=posterior.log_trend,
        log_dispersion_alone=alone.mean,
        log_dispersion_alone_sd=alone.sd,
        log_trend_alone=alone.log_trend,
    )
    absent = study.counts.sum(0) == 0
    parts = CohortGenes(
        values.at(np.where(absent, -1, np.arange(len(absent)))),
        np.sqrt(variance[0]),
        posterior.mean[:q].copy(),
        np.sqrt(posterior.covariance[diagonal]),
        size_factor_reference(study),
    )
    for estimate in (parts.level_sd, parts.effects, parts.effects_sd):
        estimate[..., absent] = np.nan
    return parts


def design_columns(layer: LastLayer, study: Study) -> tuple[list[str], np.ndarray]:
    """Return the names of the design's columns and the cohort's mean row, as the coefficients use it."""
    return [str(name) for name in layer.centre.index], layer.design(study).mean(0)


def size_factor_reference(study: Study) -> np.ndarray:
    r"""Compute the log count per gene that gives the samples of the cohort their size factors; -inf leaves a gene out.

    .. math:: r_g = c + \operatorname{mean}_{n:\; x_{ng} > 0} \log (x_{ng} / s_n)

    over genes with a count in every sample, or in at least half of them where the former are fewer than `MIN_MEASURED`. The constant c makes the median ratio of the recomputed to the cohort's
    own size factors one, whichever method gave these: new samples get size factors on the scale of the cohort's levels.
    """
    counts = study.counts
    exposure = study.log_exposure if study.log_exposure.ndim == 2 else study.log_exposure[:, None]
    positive = counts > 0
    number = positive.sum(0)
    logs = np.where(positive, np.log(np.where(positive, counts, 1.0)) - exposure, 0.0).sum(0)
    for least in (len(counts), MIN_SHARE_COUNTED * len(counts), 1):
        used = number >= max(1.0, least)
        if used.sum() >= MIN_MEASURED:
            break
    reference = np.where(used, logs / np.maximum(number, 1), -np.inf)
    own = np.log(study.adata.obs[study.size_factor_key].to_numpy(float))
    relative = counts if study.log_exposure.ndim == 1 else counts / np.exp(exposure - own[:, None])
    again = np.log(size_factors_from_reference(relative, reference))
    return reference + np.median(again - own)
