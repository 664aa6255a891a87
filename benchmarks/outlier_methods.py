"""Scores of outlying counts, larger for counts further out: bulkvi and the methods it is compared with.

The comparison methods are written from their papers:

- z-scores of log counts, and of what principal components leave of them
- a negative binomial per gene, fitted to all samples
- an autoencoder with negative binomial noise, as OUTRIDER's (Brechtmann et al. 2018): the encoder is linear in centred log counts, the
  decoder linear in log means, encoder and decoder start at the principal components; dispersions by maximum likelihood.
"""

import numpy as np
import torch
from anndata import AnnData
from scipy.special import gammaln
from scipy.stats import nbinom

import bulkvi as bv

N_COMPONENTS = (1, 2, 3, 5, 8, 10, 15, 20, 30)
LOG_DISPERSIONS = np.linspace(np.log(1e-3), np.log(100.0), 60)
ROUNDS = 4
STEPS = 25


def bulkvi_scores(adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Negative log p-values and p-values of `bulkvi.tl.outliers`."""
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    model = bv.BulkVI(adata)
    model.train(progress_bar=False)
    p_value = bv.tl.outliers(model, progress_bar=False).scores.p_value
    return -np.log(p_value), p_value


def log_rates(adata: AnnData) -> np.ndarray:
    """Log2 of (count + 1) / size factor."""
    return np.log2((np.asarray(adata.X, dtype=float) + 1) / adata.obs["size_factor"].to_numpy()[:, None])


def component_scores(adata: AnnData) -> dict[int, np.ndarray]:
    """Absolute z-scores of the residuals beside principal components, by their number; 0 for none."""
    y = log_rates(adata)
    y = y - y.mean(0)
    left, value, right = np.linalg.svd(y, full_matrices=False)
    found = {}
    for number in (0, *N_COMPONENTS):
        if number <= adata.n_obs // 2:
            rest = y - (left[:, :number] * value[:number]) @ right[:number]
            found[number] = np.abs(rest / np.maximum(rest.std(0), 1e-12))
    return found


def gene_wise_scores(adata: AnnData) -> np.ndarray:
    """Negative log p-values of a negative binomial per gene."""
    x, s = np.asarray(adata.X, dtype=float), adata.obs["size_factor"].to_numpy()[:, None]
    mean = s * np.maximum((x / s).mean(0), 1e-6)
    return -np.log(negative_binomial_p(x, mean, most_likely_dispersion(x, mean)))


def autoencoder_scores(adata: AnnData, n_components: int) -> np.ndarray:
    """Negative log p-values of a linear autoencoder with negative binomial noise."""
    x, s = np.asarray(adata.X, dtype=float), adata.obs["size_factor"].to_numpy()[:, None]
    y = np.log((x + 1) / s)
    centred = torch.from_numpy(y - y.mean(0))
    _, _, right = np.linalg.svd(centred.numpy(), full_matrices=False)
    encoder, decoder, level = (
        torch.from_numpy(each.copy()).requires_grad_()
        for each in (right[:n_components].T, right[:n_components], np.log((x / s).mean(0) + 1e-6))
    )
    counts, log_size = torch.from_numpy(x), torch.from_numpy(np.log(s))

    def log_mean() -> torch.Tensor:
        return torch.clamp(level + centred @ encoder @ decoder, -15, 25) + log_size

    dispersion = most_likely_dispersion(x, np.exp(log_mean().detach().numpy()))
    for _ in range(ROUNDS):
        size = torch.from_numpy(1 / dispersion)
        optimiser = torch.optim.LBFGS([encoder, decoder, level], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss(optimiser: torch.optim.LBFGS = optimiser, size: torch.Tensor = size) -> torch.Tensor:
            optimiser.zero_grad()
            at = log_mean()
            value = ((counts + size) * torch.log(size + torch.exp(at)) - counts * at).mean()
            value.backward()
            return value

        optimiser.step(loss)
        mean = np.exp(log_mean().detach().numpy())
        dispersion = most_likely_dispersion(x, mean)
    return -np.log(negative_binomial_p(x, mean, dispersion))


def most_likely_dispersion(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Dispersion of each gene of highest likelihood, on a grid."""
    value = np.empty((len(LOG_DISPERSIONS), x.shape[1]))
    for k, log_dispersion in enumerate(LOG_DISPERSIONS):
        r = np.exp(-log_dispersion)
        value[k] = (gammaln(x + r) - gammaln(r) + r * np.log(r) - (x + r) * np.log(r + mean) + x * np.log(mean)).sum(0)
    return np.exp(LOG_DISPERSIONS[value.argmax(0)])


def negative_binomial_p(x: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Two-sided p-values as OUTRIDER's: twice the smallest of 1/2, P(X <= x) and P(X >= x)."""
    r = np.broadcast_to(1 / dispersion, x.shape)
    share = r / (r + mean)
    below, above = nbinom.cdf(x, r, share), nbinom.sf(x - 1, r, share)
    return np.clip(2 * np.minimum(0.5, np.minimum(below, above)), np.finfo(float).tiny, 1)
