import numpy as np
import pytest
from scipy.stats import kstest

from bulkvi.stats.genes import effect_ridge
from bulkvi.stats.reference.states import StudyStates, carried_p_value, study_states, telling_genes
from tests.reference_cohorts import draw_study


def log_size(drawn):
    return np.log(drawn.adata.obs["size_factor"].to_numpy())


def states_of(drawn, loadings=None, **given):
    counts = np.asarray(drawn.adata.X, dtype=float)
    known = drawn.reference.known
    features = np.column_stack([np.ones(len(counts)), drawn.adata.obs["group"] == "B"]).astype(float)
    return features, study_states(
        counts,
        features,
        known.loadings if loadings is None else loadings,
        known.loadings_sd**2,
        **{"offset": log_size(drawn), "ridge": effect_ridge(features), "dispersion": np.exp(known.log_dispersion)}
        | given,
    )


@pytest.mark.parametrize("n_per_group", [2, 5])
def test_states_are_those_that_counts_were_drawn_with_less_the_groups(rng, n_per_group):
    drawn = draw_study(rng, n_per_group)
    features, states = states_of(drawn)
    basis = np.linalg.qr(features)[0]
    truth = drawn.state - basis @ (basis.T @ drawn.state)
    assert np.abs(states.mean - truth).max() < 5 * np.sqrt(np.diagonal(states.covariance).max())
    np.testing.assert_allclose(basis.T @ states.mean, 0, atol=1e-8)
    assert np.sqrt(np.diagonal(states.covariance)).max() < 0.05


def test_states_do_not_depend_on_the_order_of_samples_genes_and_directions(rng):
    drawn = draw_study(rng, 3, 800)
    _, states = states_of(drawn)
    samples, genes = rng.permutation(6), rng.permutation(800)
    known = drawn.reference.known
    features = np.column_stack([np.ones(6), drawn.adata.obs["group"] == "B"]).astype(float)[samples]
    again = study_states(
        np.asarray(drawn.adata.X, dtype=float)[samples][:, genes],
        features,
        known.loadings[::-1][:, genes],
        known.loadings_sd[:, genes] ** 2,
        offset=log_size(drawn)[samples],
        ridge=effect_ridge(features),
        dispersion=np.exp(known.log_dispersion)[genes],
    )
    np.testing.assert_allclose(again.mean[:, ::-1], states.mean[samples], atol=1e-6)
    np.testing.assert_allclose(again.scale[::-1], states.scale, atol=1e-6)


def test_an_offset_moves_no_state(rng):
    drawn = draw_study(rng, 3, 800)
    _, states = states_of(drawn)
    offset = rng.normal(size=(6, 1)) + np.zeros((1, 800))
    scaled = drawn._replace(adata=drawn.adata.copy())
    # depths that are known change precision alone; counts of 500 have enough of it
    scaled.adata.X = rng.poisson(np.asarray(drawn.adata.X) * np.exp(offset)).astype(np.float32)
    _, again = states_of(scaled, offset=offset + log_size(drawn)[:, None])
    assert np.abs(again.mean - states.mean).max() < 0.1


def test_genes_that_do_not_follow_the_loadings_leave_states_near_zero(rng):
    drawn = draw_study(rng, 3)
    wrong = drawn.reference.known.loadings[:, rng.permutation(2000)]
    _, states = states_of(drawn, wrong)
    assert np.abs(states.mean).max() < 0.15
    assert (states.scale < 0.6).all()


def test_outlying_counts_do_not_move_a_sample(rng):
    drawn = draw_study(rng, 5, 800)
    _, states = states_of(drawn)
    # in the genes that say most
    drawn.adata.X[0, np.argsort(drawn.reference.known.loadings[0])[-8:]] *= 100
    _, again = states_of(drawn)
    assert np.abs(again.mean - states.mean).max() < 0.25


def test_telling_genes_are_known_and_have_counts():
    base_mean, known = np.array([0.5, 10.0, 100.0, 50.0]), np.array([True, True, False, True])
    assert sorted(telling_genes(base_mean, known)) == [1, 3]


def drawn_states(rng, df, sd, covariance):
    mean = np.zeros((df + 2, len(sd)))
    # any basis of the residuals gives the same squares
    mean[:df] = rng.normal(size=(df, len(sd))) * sd
    return StudyStates(mean, covariance, np.ones(len(sd)), df)


@pytest.mark.parametrize("df", [2, 4, 14])
def test_groups_that_differ_by_chance_have_uniform_p_values_at_most(rng, df):
    sd = np.array([1.0, 0.5, 0.1])
    loadings = rng.normal(size=(3, 500)) * np.array([[0.3], [0.2], [0.1]])
    p_values = [
        carried_p_value(
            drawn_states(rng, df, sd, np.zeros((3, 3))),
            rng.normal(size=3) * sd * np.sqrt(0.4),
            loadings,
            np.ones(500),
            0.4,
        )
        for _ in range(800)
    ]
    # two tests of one hypothesis, by Bonferroni: never too small
    assert np.mean(np.array(p_values) < 0.01) < 0.01 + 3 * np.sqrt(0.01 / 800)
    assert np.mean(np.array(p_values) < 0.1) < 0.1 + 3 * np.sqrt(0.09 / 800)


def test_one_direction_alone_has_the_p_value_of_an_f_test(rng):
    values = [
        carried_p_value(
            drawn_states(rng, 6, np.ones(1), np.zeros((1, 1))),
            rng.normal(size=1) * np.sqrt(0.5),
            np.ones((1, 50)),
            np.ones(50),
            0.5,
        )
        for _ in range(1500)
    ]
    # twice the p-value of F(1, 6), at most 1
    below = np.array([value / 2 for value in values if value < 1])
    assert kstest(below * 2, "uniform").pvalue > 1e-3


def test_a_move_far_beyond_the_replicates_is_seen(rng):
    states = drawn_states(rng, 4, np.array([0.05, 1.0]), np.eye(2) * 1e-4)
    p = carried_p_value(states, np.array([2.0, 0.0]), rng.normal(size=(2, 300)), np.ones(300), 2 / 3)
    assert p < 1e-3


def test_without_loadings_nothing_is_carried():
    states = StudyStates(np.zeros((4, 1)), np.zeros((1, 1)), np.ones(1), 2)
    assert carried_p_value(states, np.ones(1), np.zeros((1, 5)), np.ones(5), 1.0) == 1.0
