"""Models without a network on counts whose structure is known."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plain() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_plain")


def cohort(rng: np.random.Generator, n: int = 30, n_genes: int = 200) -> tuple[AnnData, AnnData]:
    """Counts whose log rates have two directions; a third of the samples is held out."""
    size_factor = rng.uniform(0.7, 1.4, n)
    rate = np.exp(5 + rng.normal(size=(n, 2)) @ rng.normal(size=(2, n_genes)))
    counts = rng.poisson(size_factor[:, None] * rate).astype(float)
    adata = AnnData(counts, obs=pd.DataFrame({"size_factor": size_factor}, index=map(str, range(n))))
    return adata[: 2 * n // 3].copy(), adata[2 * n // 3 :].copy()


def test_components_describe_what_a_negative_binomial_per_gene_cannot(plain, rng):
    train, held_out = cohort(rng)
    alone = plain.Fixed(train, held_out).log_probability().mean()
    one, two, all_of_them = (plain.Projected(train, held_out, k).log_probability().mean() for k in (1, 2, 100))
    assert two > max(one, alone) + 0.3
    assert two > all_of_them


def test_the_given_genes_alone_place_a_sample(plain, rng):
    train, held_out = cohort(rng)
    given = np.arange(0, 200, 2)
    changed = held_out.copy()
    changed.X[:, 1::2] = 0
    found, other = (plain.Projected(train, new, 2).counts(given).mean for new in (held_out, changed))
    np.testing.assert_allclose(found, other)
    assert not np.allclose(found, plain.Projected(train, held_out, 2).counts().mean)


def test_rates_have_the_totals_of_the_training_counts(plain, rng):
    train, _ = cohort(rng)
    fitted = plain.Projected(train, train, 2).counts().mean
    np.testing.assert_allclose(fitted.sum(0), np.asarray(train.X).sum(0))


def test_a_model_without_state_is_the_same_whatever_it_is_given(plain, rng):
    fixed = plain.Fixed(*cohort(rng))
    np.testing.assert_array_equal(fixed.log_probability(np.array([3, 4])), fixed.log_probability())
