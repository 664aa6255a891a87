"""Separation of groups against its definition, and principal components without a batch."""

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
def latent() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_latent")


def test_the_silhouette_is_its_definition(latent, rng):
    z, labels = rng.normal(size=(15, 3)), np.array([*"aaaaabbbbbbcccc"])
    widths = []
    for i in range(15):
        distance = np.linalg.norm(z - z[i], axis=1)
        to = {g: distance[(labels == g) & (np.arange(15) != i)].mean() for g in "abc"}
        own, other = to[labels[i]], min(d for g, d in to.items() if g != labels[i])
        widths.append((other - own) / max(own, other))
    assert latent.separation(z, labels)["silhouette"] == pytest.approx(np.mean(widths))


def test_groups_far_apart_have_silhouette_one_and_neighbours_of_their_own(latent, rng):
    labels = np.repeat(["a", "b", "c"], 4)
    z = rng.normal(size=(12, 2)) + 1000 * np.repeat(np.arange(3), 4)[:, None]
    found = latent.separation(z, labels)
    assert found["silhouette"] > 0.99
    assert found["nearest"] == 1


def test_chance_is_the_mean_over_shuffled_labels(latent, rng):
    z, labels = rng.normal(size=(20, 2)), np.repeat(["a", "b", "c"], [13, 5, 2])
    shuffled = [latent.separation(z, rng.permutation(labels)) for _ in range(400)]
    nearest = [found["nearest"] for found in shuffled]
    by_chance = shuffled[0]["nearest_by_chance"]
    assert by_chance == pytest.approx((13 * 12 + 5 * 4 + 2) / (20 * 19))
    assert np.mean(nearest) == pytest.approx(by_chance, abs=5 * np.std(nearest) / 20)


def test_removing_batch_means_leaves_nothing_of_a_batch(latent, rng):
    batch = np.tile(["1", "2"], 8)
    counts = rng.poisson(np.where(batch[:, None] == "1", 20, 200), (16, 50)).astype(float)
    adata = AnnData(counts, obs=pd.DataFrame({"batch": batch, "size_factor": 1.0}, index=map(str, range(16))))
    assert latent.separation(latent.principal_components(adata, 5), batch)["nearest"] == 1
    means = pd.DataFrame(latent.principal_components(adata, 5, without_batch=True)).groupby(batch).mean()
    np.testing.assert_allclose(means, 0, atol=1e-10)


def test_there_are_as_many_components_as_there_can_be(latent, rng):
    adata = AnnData(
        rng.poisson(30, (7, 30)).astype(float), obs=pd.DataFrame({"size_factor": 1.0}, index=map(str, range(7)))
    )
    assert latent.principal_components(adata, 3).shape == (7, 3)
    assert latent.principal_components(adata, 50).shape == (7, 6)
