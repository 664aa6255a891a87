import numpy as np

from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.outliers.effect_evidence import log_effect_evidence


def test_effects_are_weighed_by_the_prior_of_all_genes(simulate, rng):
    cohort = simulate(rng, 6, 500, share=0.3)
    features = np.column_stack([cohort.features, np.tile([0.0, 1.0, 2.0], 4)])
    fit = fit_genes(cohort.counts, features, offset=cohort.offset, ridge=effect_ridge(features))
    value = log_effect_evidence(features, fit, fit)
    # another coding of the same columns
    turn = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 0.3], [0.0, 0.2, 2.0]])
    other = fit_genes(cohort.counts, features @ turn, offset=cohort.offset, ridge=effect_ridge(features @ turn))
    np.testing.assert_allclose(log_effect_evidence(features @ turn, other, other), value, atol=2e-3)
    # few genes have large effects: those that do have less evidence
    variance = np.var(features @ fit.nodes.coef[4], axis=0)
    known = fit.prior.mean < 0
    assert np.corrcoef(np.log(variance[known]), value[known])[0, 1] < -0.5
