"""Drawn parameters agree with each other, and counts with the parameters."""

import numpy as np
import pytest

import bulkvi
from bulkvi.regression.simulate import Truth, draw_counts, draw_truth
from bulkvi.regression.simulate_study import Plan, plan_study
from tests.cohorts import fit, make_hidden, set_up


def plan_of(model: bulkvi.BulkVI, latent_columns: int = 0) -> Plan:
    return plan_study(model.gene_fit(), "group", "B", "A", latent_columns=latent_columns, depth=1.0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(set_up(bulkvi.datasets.simulate(n_per_group=3, n_genes=400, seed=2)))


def test_coefficients_have_the_drawn_effects(plan: Plan, rng: np.random.Generator):
    truth = draw_truth(plan.pilot, rng)
    np.testing.assert_allclose(plan.pilot.design_weights.to_numpy() @ truth.coef, truth.effect, atol=1e-8)
    assert 0 < (truth.effect != 0).mean() < 1
    assert np.isfinite(truth.coef).all()
    assert (truth.dispersion > 0).all()


def test_beside_latent_columns_too_the_effect_is_in_the_design(rng: np.random.Generator):
    pilot = plan_of(fit(make_hidden(), max_steps=20), latent_columns=2).pilot
    truth = draw_truth(pilot, rng)
    assert len(truth.loading) > 2
    np.testing.assert_allclose(pilot.design_weights.to_numpy() @ truth.coef, truth.effect, atol=1e-8)


def test_effects_and_levels_of_a_clear_pilot_are_those_of_its_truth(rng: np.random.Generator):
    adata = bulkvi.datasets.simulate(n_per_group=30, n_genes=300, depth_factor=5.0, seed=3)
    truth = draw_truth(plan_of(set_up(adata)).pilot, rng)
    known = adata.var["true_log_fc"].to_numpy() * np.log(2)
    well_known = adata.var["true_base_mean"].to_numpy() > 100
    assert np.abs(truth.effect - known)[well_known].mean() < 0.06
    assert np.corrcoef(truth.coef[0], np.log(adata.var["true_base_mean"]))[0, 1] > 0.99


def test_genes_may_be_drawn_several_times(plan: Plan, rng: np.random.Generator):
    strongest = int(np.abs(plan.pilot.effect.mean()).argmax())
    truth = draw_truth(plan.pilot, rng, np.repeat([strongest, 0], 200))
    assert truth.effect.size == 400
    estimate = plan.pilot.effect.mean()[strongest]
    assert truth.effect[:200].mean() == pytest.approx(estimate, rel=0.3)
    assert truth.effect[:200].std() > 0


def test_counts_have_the_mean_and_the_variance_of_the_parameters(rng: np.random.Generator):
    n, alpha, loading = 200_000, np.array([0.1, 0.5]), np.array([[0.3, 0.0]])
    truth = Truth(np.zeros(2), np.log([[50.0, 8.0]]), loading, alpha, np.full(2, 20.0))
    counts = draw_counts(truth, np.ones((n, 1)), np.full(n, np.log(2.0)), rng.standard_normal((n, 1)), rng)
    mean = np.array([100.0, 16.0])
    total = (1 + alpha) * np.exp(loading[0] ** 2) - 1
    np.testing.assert_allclose(counts.mean(0), mean, rtol=0.01)
    np.testing.assert_allclose(counts.var(0), mean + total * mean**2, rtol=0.03)


def test_rates_stay_near_the_counts_of_the_pilot(plan: Plan, rng: np.random.Generator):
    truth = draw_truth(plan.pilot, rng)
    far = truth._replace(coef=truth.coef + 30.0)
    counts = draw_counts(far, np.ones((2, 2)), np.zeros(2), np.zeros((2, len(truth.loading))), rng)
    largest = plan.pilot.regression.counts.max()
    assert counts.max() < 1000 * largest


def test_shared_noise_goes_on_in_the_future_study(rng: np.random.Generator):
    adata = bulkvi.datasets.simulate(
        n_per_group=6, n_genes=800, n_hidden=2, hidden_share=0.8, hidden_kind="continuous", seed=4
    )
    with_hidden = plan_of(set_up(adata)).pilot
    without = plan_of(set_up(bulkvi.datasets.simulate(n_per_group=6, n_genes=800, seed=4))).pilot
    strength = [
        np.mean([(draw_truth(pilot, rng).loading ** 2).sum(0).mean() for _ in range(5)])
        for pilot in (with_hidden, without)
    ]
    assert strength[0] > 5 * strength[1]
