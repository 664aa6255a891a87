import numpy as np

from bulkvi.stats.genes import effect_ridge
from bulkvi.stats.outliers.outliers import find_outliers
from bulkvi.stats.outliers.readings import fill_unjudged


def test_a_sample_of_high_leverage_keeps_the_verdict_beside_fewer_features(rng: np.random.Generator) -> None:
    counts = rng.negative_binomial(20, 20 / (20 + np.geomspace(20, 2000, 600)), (12, 600)).astype(float)
    design, offset = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6)]), np.zeros(12)
    gene = int(np.argsort(-counts.mean(0))[5])
    counts[2, gene] *= 40
    # a column that is nearly this one sample: beside it, nobody can say
    column = np.where(np.arange(12) == 2, 3.0, 0.0) + rng.normal(0, 0.2, 12)
    more = np.column_stack([design, column])
    few, many = (
        find_outliers(counts, features, offset=offset, ridge=effect_ridge(features)) for features in (design, more)
    )
    assert few.called[2, gene]
    assert few.judged.all()
    assert not many.judged[2]
    assert not many.called[2].any()
    both = fill_unjudged(many, few)
    assert both.called[2, gene]
    assert both.weight[2, gene] == few.weight[2, gene] < 0.3
    others = many.judged
    np.testing.assert_array_equal(both.weight[others], many.weight[others])
    assert both.judged.all()
