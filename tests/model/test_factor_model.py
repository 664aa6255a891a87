import numpy as np
import pytest
import torch
from scipy import stats

from bulkvi.model import _factor_model as factor_model
from bulkvi.model._factor_model import FactorModel, fit_factor_model, squared_estimates

N, G, K = 30, 400, 2


def simulated(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, FactorModel]:
    """Counts, size factors, features and the truth."""
    z = rng.normal(size=(N, K))
    z = (z - z.mean(0)) / z.std(0)
    group = np.repeat([0.0, 1.0], N // 2)
    features = np.column_stack([np.ones(N), group])
    coefficients = np.stack([rng.normal(5, 1, G), rng.normal(0, 0.5, G)])
    loadings = rng.normal(0, 0.5, (K, G))
    dispersion = np.full(G, 0.05)
    s = np.exp(rng.normal(0, 0.4, (N, 1)))
    mean = s * np.exp(features @ coefficients + z @ loadings)
    counts = rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))
    truth = FactorModel(
        coefficients=torch.tensor(coefficients),
        loadings=torch.tensor(loadings),
        z=torch.tensor(z),
        log_dispersion=torch.tensor(np.log(dispersion)),
        z_variance=torch.ones(N, K).double(),
        relevance=torch.ones(K).double(),
        spread=torch.ones(G).double(),
        n_absorbed=float(K),
    )
    return torch.tensor(counts, dtype=torch.float64), torch.tensor(s), torch.tensor(features), truth


def rough_start(counts: torch.Tensor, s: torch.Tensor, features: torch.Tensor, k: int = K) -> FactorModel:
    level = torch.log1p(counts / s)
    coefficients = torch.linalg.pinv(features) @ level
    left, singular, right = torch.linalg.svd(level - features @ coefficients, full_matrices=False)
    z = left[:, :k] * len(left) ** 0.5
    return FactorModel(
        coefficients,
        right[:k] * singular[:k, None] / len(left) ** 0.5,
        z,
        torch.full_like(coefficients[0], -1.0),
        torch.ones_like(z),
        torch.ones(k).double(),
        torch.ones_like(coefficients[0]),
        float(k),
    )


def log_posterior(counts: torch.Tensor, s: torch.Tensor, features: torch.Tensor, fit: FactorModel) -> float:
    mean = (s * torch.exp(features @ fit.coefficients + fit.z @ fit.loadings)).numpy()
    r = np.exp(-fit.log_dispersion.numpy())
    likelihood = stats.nbinom.logpmf(counts.numpy(), r, r / (r + mean)).sum()
    effects = torch.cat([fit.coefficients[1:], fit.loadings])
    prior = -effects.square().sum() / 50 - fit.z.square().sum() / 2 - (fit.log_dispersion + 3).square().sum() / 2
    n_absorbed = features.shape[1] + K
    adjustment = 0.5 * n_absorbed * np.log1p(mean.mean(0) / r).sum()
    return likelihood + float(prior) + adjustment


def run(counts, s, features, start: FactorModel, n_rounds: int) -> FactorModel:
    return fit_factor_model(
        counts,
        s,
        features,
        start,
        log_dispersion_trend=torch.full((G,), -3.0).double(),
        effect_prior_sd=5.0,
        dispersion_prior_sd=1.0,
        learn_dispersion=True,
        n_rounds=n_rounds,
    )


def test_every_round_climbs_and_the_top_is_above_the_truth(rng: np.random.Generator) -> None:
    counts, s, features, truth = simulated(rng)
    start = rough_start(counts, s, features)
    heights = [log_posterior(counts, s, features, run(counts, s, features, start, n)) for n in (1, 2, 4, 8)]
    assert np.all(np.diff(heights) > 0)
    assert heights[-1] > log_posterior(counts, s, features, truth)


def test_directions_no_stronger_than_noise_leave_at_once(rng: np.random.Generator) -> None:
    """With 20 genes a sample or more EM alone takes dozens of rounds."""
    n, n_genes = 40, 4000
    hidden = np.outer(rng.normal(size=n), rng.normal(0, 0.1, n_genes))
    mean = np.exp(rng.normal(5, 1, n_genes) + hidden)
    counts = torch.tensor(rng.poisson(rng.gamma(20, mean / 20)), dtype=torch.float64)
    ones = torch.ones(n, 1).double()
    start = rough_start(counts, ones, ones, 15)
    fit = fit_factor_model(
        counts,
        ones,
        ones,
        start,
        log_dispersion_trend=torch.full((n_genes,), -3.0).double(),
        effect_prior_sd=5.0,
        dispersion_prior_sd=1.0,
        learn_dispersion=True,
        n_rounds=3,
    )
    assert fit.relevance.count_nonzero() == 1
    assert (fit.loadings[1:] == 0).all()


def test_squared_estimates_are_those_of_a_regression_without_prior(rng: np.random.Generator) -> None:
    """One gene, normal noise of variance 1: the ridge estimate and its variance give back the least squares."""
    z, y = rng.normal(size=50), rng.normal(size=50)
    information, prior = z @ z, 30.0
    variance = 1 / (information + prior)
    ridge = variance * (z @ y)
    found = squared_estimates(*(torch.tensor([value]) for value in (ridge, variance, prior)))
    assert found.item() == pytest.approx((z @ y) ** 2 / information)


def test_coefficients_and_latent_space_are_recovered(rng: np.random.Generator) -> None:
    counts, s, features, truth = simulated(rng)
    fit = run(counts, s, features, rough_start(counts, s, features), 10)
    # the group effect is identified up to what the latent state shares with the group: compare the fitted log rates
    fitted = features @ fit.coefficients + fit.z @ fit.loadings
    expected = features @ truth.coefficients + truth.z @ truth.loadings
    assert (fitted - expected).square().mean().sqrt() < 0.15
    span = torch.cat([features, fit.z], 1)
    left_over = truth.z - span @ torch.linalg.pinv(span) @ truth.z
    assert left_over.std() < 0.05


def test_order_of_genes_and_samples_does_not_matter(rng: np.random.Generator) -> None:
    counts, s, features, _ = simulated(rng)
    start = rough_start(counts, s, features)
    genes, samples = torch.as_tensor(rng.permutation(G)), torch.as_tensor(rng.permutation(N))
    fit = run(counts, s, features, start, 3)
    moved = run(
        counts[samples][:, genes],
        s[samples],
        features[samples],
        FactorModel(
            start.coefficients[:, genes],
            start.loadings[:, genes],
            start.z[samples],
            start.log_dispersion[genes],
            start.z_variance,
            start.relevance,
            start.spread,
            start.n_absorbed,
        ),
        3,
    )
    torch.testing.assert_close(moved.coefficients, fit.coefficients[:, genes])
    torch.testing.assert_close(moved.z, fit.z[samples])


def test_without_factors_it_is_a_regression(rng: np.random.Generator) -> None:
    counts, s, features, _ = simulated(rng)
    none = rough_start(counts, s, features)
    start = none._replace(
        loadings=none.loadings[:0], z=none.z[:, :0], z_variance=none.z[:, :0], relevance=none.relevance[:0]
    )
    fit = run(counts, s, features, start, 12)
    mean = s * torch.exp(features @ fit.coefficients)
    score = (counts - mean) / (1 + fit.log_dispersion.exp() * mean)
    gradient = features.T @ score - torch.tensor([[1e-6], [1 / 25]]) * fit.coefficients
    assert gradient.abs().max() < 1e-3


def test_each_count_has_an_exposure_of_its_own(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exposures that go with the latent state are not taken for loadings, in blocks of genes as in one."""
    _, s, features, truth = simulated(rng)
    own = truth.z[:, :1] * torch.tensor(rng.normal(0, 0.7, G))
    each = s * torch.exp(own)
    mean = (each * torch.exp(features @ truth.coefficients + truth.z @ truth.loadings)).numpy()
    counts = torch.tensor(rng.poisson(rng.gamma(20, 0.05 * mean)), dtype=torch.float64)
    start = rough_start(counts, each, features)
    whole = run(counts, each, features, start, 8)
    assert log_posterior(counts, each, features, whole) > log_posterior(counts, each, features, truth)
    parts = np.column_stack([(truth.z @ truth.loadings).ravel(), own.ravel()])
    share_of_own = np.linalg.lstsq(parts, (whole.z @ whole.loadings).ravel(), rcond=None)[0][1]
    assert abs(share_of_own) < 0.05  # it would be near 1 if the exposures were not known
    monkeypatch.setattr(factor_model, "BLOCK_ELEMENTS", 70 * N)
    blocks = run(counts, each, features, start, 8)
    torch.testing.assert_close(blocks.coefficients, whole.coefficients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_factors_of_sparse_genes_are_climbed_from_far_above(seed: int) -> None:
    """Ten factors, counts that are zeros and a few large ones, loadings three times too long: steps that add up are bounded."""
    rng = np.random.default_rng(seed)
    n_factors = 10
    batch = rng.permutation(np.repeat([0.0, 1.0], 20))
    shift = rng.normal(0, 1.5, 2000) * (rng.random(2000) < 0.5)
    mean = np.exp(rng.normal(1, 2, 2000) + batch[:, None] * shift)
    counts = torch.tensor(rng.poisson(rng.gamma(0.2, 5 * mean)), dtype=torch.float64)
    counts = counts[:, counts.sum(0) >= 10]
    ones = torch.ones(40, 1).double()
    level = torch.log1p(counts)
    left, singular, right = torch.linalg.svd(level - level.mean(0), full_matrices=False)
    z, loadings = left[:, :n_factors] * 40**0.5, 3 * right[:n_factors] * singular[:n_factors, None] / 40**0.5
    trend = torch.zeros(counts.shape[1]).double()
    start = FactorModel(
        level.mean(0)[None], loadings, z, trend, torch.ones_like(z), torch.ones(n_factors), torch.ones_like(trend), 10.0
    )
    too_high = (start.coefficients + z @ loadings).max() - counts.max().log()
    fit = fit_factor_model(
        counts,
        ones,
        ones,
        start,
        log_dispersion_trend=trend,
        effect_prior_sd=2.0,
        dispersion_prior_sd=1.0,
        learn_dispersion=True,
        n_rounds=6,
    )
    assert all(bool(torch.as_tensor(part).isfinite().all()) for part in fit)
    assert (fit.coefficients + fit.z @ fit.loadings).max() - counts.max().log() < 0.5 * too_high


def test_directions_that_the_counts_do_not_support_vanish(rng: np.random.Generator) -> None:
    """Two true directions and six of noise: no loadings are left of the six."""
    counts, s, features, _ = simulated(rng)
    level = torch.log1p(counts / s)
    coefficients = torch.linalg.pinv(features) @ level
    left, singular, right = torch.linalg.svd(level - features @ coefficients, full_matrices=False)
    z = left[:, :8] * N**0.5
    start = rough_start(counts, s, features)._replace(
        z=z, loadings=right[:8] * singular[:8, None] / N**0.5, z_variance=torch.ones_like(z), relevance=torch.ones(8)
    )
    fit = run(counts, s, features, start, 40)
    assert (fit.relevance > 0).sum() == K
    assert (fit.loadings[K:] == 0).all()
    assert (fit.z[:, K:] == 0).all()
    assert fit.n_absorbed < features.shape[1] + K
