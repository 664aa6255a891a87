import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import nbinom

from bulkvi.stats.nb.regression import make_layout
from bulkvi.stats.outliers.contamination import OUTLYING_SCALE, _leave_one_out

RIDGE = np.array([1e-6, 1e-2])


def test_the_probability_is_bayes_rule_on_the_count_left_out(rng):
    """At weight 0 a count is out of the fit already: its prediction is the nodes' mixture of negative binomials."""
    n, nodes = 6, 3
    features = np.column_stack([np.ones(n), np.repeat([0.0, 1.0], 3)])
    layout, order = make_layout(features, RIDGE)
    counts = rng.poisson(20, (n, 1)).astype(float)
    counts[2] = 90
    weights = np.ones((n, 1))
    weights[2] = 0
    dispersion, node_weight = np.array([[0.05], [0.1], [0.3]]), np.array([[0.2], [0.5], [0.3]])
    coef = np.array([np.log(20.0), 0.1])[None, :, None] + 0.05 * rng.normal(size=(nodes, 2, 1))
    covariance = np.repeat(np.array([0.02, -0.01, 0.03])[None, :, None], nodes, 0)
    probability, log_outlying = np.zeros((n, 1)), np.zeros((n, 1))
    exposure = np.linspace(0.8, 1.2, n)[:, None]
    _leave_one_out(
        counts[order],
        exposure[order],
        weights[order],
        layout,
        gammaln(counts[order] + 1),
        dispersion,
        coef,
        covariance,
        node_weight,
        np.ones(n, dtype=bool),
        0.01,
        probability,
        log_outlying,
    )
    x, inlying = features[2], 0.0
    for k in range(nodes):
        mean = exposure[2, 0] * np.exp(x @ coef[k, :, 0])
        size = 1 / ((1 + dispersion[k, 0]) * np.exp(0.02) - 1)  # x is (1, 0): its variance is the first entry
        inlying += node_weight[k, 0] * nbinom.pmf(90, size, size / (size + mean))
    mean = exposure[2, 0] * np.exp(x @ coef[1, :, 0])
    t = np.log(90.5 / (mean + 0.5)) / OUTLYING_SCALE
    outlying = np.exp(-t) / (1 + np.exp(-t)) ** 2 / OUTLYING_SCALE / 90.5
    at = np.flatnonzero(order == 2)[0]
    assert probability[at, 0] == pytest.approx(0.01 * outlying / (0.01 * outlying + 0.99 * inlying), rel=1e-9)
    assert log_outlying[at, 0] == pytest.approx(np.log(outlying), rel=1e-9)
