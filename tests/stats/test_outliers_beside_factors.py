import numpy as np

from bulkvi.stats.gene_fit import effect_ridge
from bulkvi.stats.outliers import find_outliers


def test_a_sample_of_high_leverage_keeps_the_verdict_beside_fewer_features(simulate, rng):
    cohort = simulate(rng, 6, 600)
    counts = cohort.counts.copy()
    gene = int(np.argsort(-counts.mean(0))[5])
    counts[2, gene] *= 40
    # a column that is nearly this one sample: beside it, nobody can say
    column = np.where(np.arange(12) == 2, 3.0, 0.0) + rng.normal(0, 0.2, 12)
    more = np.column_stack([cohort.features, column])
    few, many = (
        find_outliers(counts, features, offset=cohort.offset, ridge=effect_ridge(features))
        for features in (cohort.features, more)
    )
    assert few.called[2, gene]
    assert few.judged.all()
    assert not many.judged[2]
    assert not many.called[2].any()
    both = many.completed_by(few)
    assert both.called[2, gene]
    assert both.weight[2, gene] == few.weight[2, gene] < 0.3
    others = many.judged
    np.testing.assert_array_equal(both.weight[others], many.weight[others])
    assert both.judged.all()
