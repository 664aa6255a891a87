import numpy as np
import pytest

from bulkvi.stats.hidden.hidden_factors import align

DELTA = np.array([0.6, -0.3])


def effects(
    rng, *, n_genes=3000, changed=0.1, hit=0.3, delta=DELTA, se=0.15, effect_sd=0.7
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects with a sparse part of their own and a part that hidden factors bring along."""
    loadings = np.where(rng.random((2, n_genes)) < hit, rng.normal(0, 0.5, (2, n_genes)), 0.0)
    own = np.where(rng.random(n_genes) < changed, rng.normal(0, effect_sd, n_genes), 0.0)
    errors = se * np.exp(rng.normal(0, 0.3, n_genes))
    return rng.normal(own + delta @ loadings, errors), errors, loadings


@pytest.mark.parametrize("changed", [0.0, 0.1, 0.4])
def test_the_shift_is_found_and_its_uncertainty_is_honest(rng, changed):
    z = []
    for _ in range(20):
        found = align(*effects(rng, n_genes=800, changed=changed), 0.4)
        assert found.accepted
        z.append((found.delta - DELTA) / np.sqrt(np.diag(found.covariance)))
    assert np.abs(np.mean(z)) < 0.5
    assert np.sqrt(np.mean(np.square(z))) < 1.5


def test_no_shift_is_found_where_there_is_none(rng):
    found = align(*effects(rng, delta=np.zeros(2)), 0.4)
    assert np.abs(found.delta).max() < 0.03
    assert found.gain < 0.002
    assert found.near_null > 0.8


def test_dense_effects_along_the_loadings_are_not_explained_away(rng):
    """All genes change, partly along the pathways that also vary between replicates: biology, not a batch."""
    n_genes = 3000
    loadings = rng.normal(0, 0.5, (2, n_genes))
    estimate = 0.8 * loadings[0] + rng.normal(0, 0.6, n_genes)
    found = align(estimate, np.full(n_genes, 0.12), loadings, 0.4)
    assert not found.accepted
    assert found.near_null < 0.2


def test_the_prior_holds_back_what_the_data_do_not_say(rng):
    estimate, se, loadings = effects(rng, n_genes=3000)
    weak = align(estimate, se, 1e-4 * loadings, 0.4)
    assert np.abs(weak.delta).max() < 0.1  # the prior's sd is 0.63
    np.testing.assert_allclose(np.diag(weak.covariance), 0.4, rtol=0.05)


def test_order_of_genes_sign_and_unit_do_not_matter(rng):
    estimate, se, loadings = effects(rng)
    found = align(estimate, se, loadings, 0.4)
    order = rng.permutation(estimate.size)
    np.testing.assert_allclose(align(estimate[order], se[order], loadings[:, order], 0.4).delta, found.delta, atol=1e-6)
    np.testing.assert_allclose(align(-estimate, se, loadings, 0.4).delta, -found.delta, atol=1e-6)
    in_log2 = align(estimate / np.log(2), se / np.log(2), loadings / np.log(2), 0.4)
    np.testing.assert_allclose(in_log2.delta, found.delta, rtol=1e-4)
    assert in_log2.near_null == pytest.approx(found.near_null, abs=1e-4)


def test_a_common_effect_is_left_alone_where_size_factors_decide(rng):
    """Loadings of one sign could explain a change of all genes; without ``common`` they do."""
    loadings = rng.normal(0.3, 0.1, (1, 2000))
    estimate = rng.normal(0.7 + 0.5 * (loadings[0] - 0.3), 0.1)
    explained = align(estimate, np.full(2000, 0.1), loadings, 0.5)
    assert explained.delta[0] * 0.3 > 0.5
    kept = align(estimate, np.full(2000, 0.1), loadings, 0.5, common=True)
    assert kept.delta[0] == pytest.approx(0.5, abs=0.1)
    assert kept.accepted and kept.covariance.shape == (1, 1)


def test_a_common_effect_of_any_size_changes_nothing_else(rng):
    estimate, se, loadings = effects(rng)
    plain = align(estimate, se, loadings, 0.4, common=True)
    for shift in (-3.0, 0.5, 20.0):
        moved = align(estimate + shift, se, loadings, 0.4, common=True)
        np.testing.assert_allclose(moved.delta, plain.delta, atol=2e-3)
        np.testing.assert_allclose(moved.covariance, plain.covariance, rtol=0.05)
