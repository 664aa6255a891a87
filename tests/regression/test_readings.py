"""Genes of which counts may be outlying: both readings in the effects of a regression."""

from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import pytest

from bulkvi.datasets import simulate
from bulkvi.regression.effect_table import estimate_contrast
from bulkvi.regression.regression import GeneRegression, regress_genes
from bulkvi.stats.effects.summary import EffectSummary
from bulkvi.study.study import Study


class Counted(NamedTuple):
    """What a regression reads of a study."""

    counts: np.ndarray
    log_exposure: np.ndarray
    donor: np.ndarray | None = None


class Spoiled(NamedTuple):
    """Counts of which some are multiplied."""

    study: Study
    features: pd.DataFrame
    hit: np.ndarray


@pytest.fixture(scope="module")
def spoiled() -> Spoiled:
    adata = simulate(n_per_group=6, n_genes=1500, seed=5)
    counts = np.asarray(adata.X, dtype=float)
    rng = np.random.default_rng(1)
    hit = (rng.random(counts.shape) < 0.004) & (counts > 5)
    counts = np.where(hit, counts * rng.choice([4, 8, 30], counts.shape), counts)
    features = pd.DataFrame({"one": 1.0, "b": np.repeat([0.0, 1.0], 6)})
    study = cast(Study, Counted(counts, np.log(adata.obs["true_depth"].to_numpy())))
    return Spoiled(study, features, hit)


def effect_of(regression: GeneRegression, **weights: float) -> EffectSummary:
    return estimate_contrast(regression, pd.Series(weights), subtract=False).summary


def test_some_genes_are_contested_and_most_outlying_counts_found(spoiled: Spoiled) -> None:
    regression = regress_genes(spoiled.study, spoiled.features)
    readings = regression.readings
    assert readings is not None
    several = np.bincount(readings.gene) > 1
    assert several.sum() >= 5
    sums = np.bincount(readings.gene, readings.probability)
    np.testing.assert_allclose(sums[np.unique(readings.gene)], 1.0)
    called = regression.outliers.called
    assert (called & spoiled.hit).sum() > 0.6 * spoiled.hit.sum()
    assert (called & ~spoiled.hit).sum() < 0.1 * called.sum()
    # the fit that all else reads is that of the most probable reading
    gene = int(readings.gene[np.argmax(readings.probability < 1)])
    best = np.flatnonzero(readings.gene == gene)[np.argmax(readings.probability[readings.gene == gene])]
    np.testing.assert_array_equal(regression.fit.nodes.coef[..., gene], readings.fit.nodes.coef[..., best])
    np.testing.assert_array_equal(regression.outliers.weight[:, gene], 1.0 - readings.dropped[:, best])


def test_estimates_stay_linear_in_the_contrast_and_do_not_hang_on_the_coding(spoiled: Spoiled) -> None:
    third = spoiled.features["b"] * np.tile([0.0, 1.0], 6)
    features = spoiled.features.assign(c=third)
    regression = regress_genes(spoiled.study, features)
    assert regression.readings is not None
    first, second = effect_of(regression, b=1.0), effect_of(regression, c=1.0)
    both = effect_of(regression, b=1.0, c=1.0)
    usual = ~regression.contrast(pd.Series({"b": 1.0, "c": 1.0})).separated
    for part in ({"b": 1.0}, {"c": 1.0}):
        usual &= ~regression.contrast(pd.Series(part)).separated
    empty = np.isin(np.arange(usual.size), regression.readings.gene) & ((spoiled.study.counts == 0).sum(0) > 2)
    usual &= ~empty
    np.testing.assert_allclose((first.mle + second.mle)[usual], both.mle[usual], atol=1e-8)

    recoded = pd.DataFrame({"a": 1 - features["b"], "b": features["b"], "c": features["c"]})
    other = regress_genes(spoiled.study, recoded)
    np.testing.assert_array_equal(other.outliers.called, regression.outliers.called)
    mirrored = effect_of(other, a=-1.0, b=1.0)
    np.testing.assert_allclose(mirrored.mle[usual], first.mle[usual], atol=1e-3)


def test_samples_that_latent_columns_hide_keep_the_readings_without_these(spoiled: Spoiled) -> None:
    plain = regress_genes(spoiled.study, spoiled.features)
    assert plain.readings is not None
    gene = int(np.flatnonzero(plain.outliers.called.any(0) & (plain.outliers.called.sum(0) == 1))[0])
    sample = int(np.flatnonzero(plain.outliers.called[:, gene])[0])
    rng = np.random.default_rng(0)
    column = np.where(np.arange(12) == sample, 3.0, 0.0) + rng.normal(0, 0.1, 12)
    more = spoiled.features.assign(latent=column)
    alone, carried = regress_genes(spoiled.study, more), regress_genes(spoiled.study, more, reduced=plain)
    assert not alone.outliers.judged[sample]
    assert not alone.outliers.called[sample].any()
    assert carried.outliers.judged[sample]
    assert carried.outliers.called[sample, gene]
    assert carried.readings is not None
    here, there = carried.readings.gene == gene, plain.readings.gene == gene
    np.testing.assert_array_equal(carried.readings.dropped[:, here], plain.readings.dropped[:, there])
    np.testing.assert_allclose(carried.readings.probability[here], plain.readings.probability[there])
    assert carried.readings.fit.nodes.coef.shape[1] == 3


def test_donors_take_the_better_verdict(spoiled: Spoiled) -> None:
    donor = np.repeat(np.arange(6), 2)
    counted = cast(Counted, spoiled.study)
    features = pd.DataFrame({"one": 1.0, "b": np.tile([0.0, 1.0], 6)})
    regression = regress_genes(cast(Study, counted._replace(donor=donor)), features)
    assert regression.readings is None
    assert set(np.unique(regression.outliers.weight)) <= {0.0, 1.0}
    called = regression.outliers.called
    assert (called & ~spoiled.hit).sum() <= 0.2 * max(called.sum(), 10)
