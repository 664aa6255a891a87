"""Fit the constants behind ``bulkvi.datasets.simulate``: how large and how variable real genes are.

Run ``BULKVI_DATA_DIR=<folder> python benchmarks/fit_simulation_trend.py``. The folder holds ``schurch_yeast_odd``,
``gse60450_mammary`` and ``geuvadis_sex``, each with ``counts.tsv.gz`` (genes x samples) and ``samples.tsv``. The lines
printed are the entries of ``TRENDS`` in ``src/bulkvi/datasets/_draws.py``.

Base means: counts over median-of-ratios size factors, averaged over samples; genes with at least 10 reads in all. Their
natural logarithm is fitted by a mixture of two normal distributions.

Dispersions: log alpha of gene g is normal around log(asymptote + extra_poisson / mean_g). The three parameters maximise
the marginal likelihood, in which the Cox-Reid adjusted profile likelihood of each gene (own mean in each group, so that
only variation within groups counts) is integrated over log alpha. Dispersions of single genes are never estimated, so
their sampling noise does not inflate the scatter.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp
from scipy.stats import kstest, norm
from sklearn.mixture import GaussianMixture

MIN_TOTAL = 10
LOG_ALPHA = np.linspace(np.log(1e-5), np.log(30), 90)


class Source(NamedTuple):
    """Which real samples a trend is fitted to."""

    folder: str
    group: str
    """Column of samples.tsv that holds the groups."""
    keep: str
    """Query over samples.tsv."""


SOURCES = {
    "yeast": Source("schurch_yeast_odd", "condition", "condition == 'WT' and not bad_replicate"),
    "gse60450": Source("gse60450_mammary", "group", "index == index"),
    "geuvadis": Source("geuvadis_sex", "sex", "index == index"),
}


def read(source: Source, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Counts (samples x genes) and integer group codes of the samples kept."""
    folder = root / source.folder
    samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0).query(source.keep)
    counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)[samples.index].to_numpy(dtype=float).T
    group = pd.Categorical(samples[source.group]).codes
    return counts[:, counts.sum(0) >= MIN_TOTAL], np.asarray(group)


def size_factors(counts: np.ndarray) -> np.ndarray:
    """Median of ratios over the genes without a zero."""
    log_counts = np.log(counts[:, (counts > 0).all(0)])
    return np.exp(np.median(log_counts - log_counts.mean(0), axis=1))


def profile_log_likelihood(counts: np.ndarray, group: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Cox-Reid adjusted log likelihood of each gene at each grid value of log alpha, genes x grid, up to a constant."""
    one_hot = np.eye(group.max() + 1)[group]
    group_rate = (one_hot.T @ (counts / size[:, None])) / one_hot.sum(0)[:, None]
    mean = size[:, None] * group_rate[group]
    out = np.empty((counts.shape[1], LOG_ALPHA.size))
    for k, alpha in enumerate(np.exp(LOG_ALPHA)):
        theta = 1 / alpha
        log_p = gammaln(counts + theta) - gammaln(theta) - (counts + theta) * np.log1p(alpha * mean)
        log_p += counts * np.log(alpha)  # the rest of counts * log(mean) does not depend on alpha
        information = one_hot.T @ (mean / (1 + alpha * mean))
        adjust = 0.5 * np.log(information, out=np.zeros_like(information), where=information > 0).sum(0)
        out[:, k] = log_p.sum(0) - adjust
    return out


def fit_dispersion(log_lik: np.ndarray, base_mean: np.ndarray) -> tuple[float, float, float]:
    """Asymptote, extra-Poisson term and standard deviation of the natural log, by marginal maximum likelihood."""

    def loss(parameters: np.ndarray) -> float:
        asymptote, extra, scatter = np.exp(parameters)
        centre = np.log(asymptote + extra / base_mean)
        log_prior = norm.logpdf(LOG_ALPHA, centre[:, None], scatter)
        log_prior -= logsumexp(log_prior, axis=1, keepdims=True)
        return -logsumexp(log_lik + log_prior, axis=1).sum()

    start = np.log([0.02, 0.5, 0.7])
    simplex = np.vstack([start, start + 0.5 * np.eye(3)])
    fit = minimize(
        loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-2, "initial_simplex": simplex}
    )
    if not fit.success:
        raise RuntimeError(f"The dispersion trend did not converge: {fit.message}")
    asymptote, extra, scatter = np.exp(fit.x)
    return float(asymptote), float(extra), float(scatter)


def fit(name: str, root: Path) -> None:
    """Print the constants of one trend, and how well the mixture fits."""
    counts, group = read(SOURCES[name], root)
    size = size_factors(counts)
    base_mean = (counts / size[:, None]).mean(0)
    log_mean = np.log(base_mean)
    mixture = GaussianMixture(2, random_state=0, n_init=5, tol=1e-5, max_iter=1000).fit(log_mean[:, None])
    order = np.argsort(mixture.means_[:, 0])
    weight, mean, sd = (
        x[order] for x in (mixture.weights_, mixture.means_[:, 0], mixture.covariances_[:, 0, 0] ** 0.5)
    )
    distance = kstest(log_mean, lambda x: norm.cdf(x[:, None], mean, sd) @ weight).statistic
    asymptote, extra, scatter = fit_dispersion(profile_log_likelihood(counts, group, size), base_mean)
    print(f"# {name}: {counts.shape[0]} samples, {counts.shape[1]} genes, Kolmogorov distance {distance:.3f}")
    print(
        f'"{name}": Trend(({weight[0]:.3f}, {weight[1]:.3f}), ({mean[0]:.2f}, {mean[1]:.2f}), '
        f"({sd[0]:.2f}, {sd[1]:.2f}), ({log_mean.min():.2f}, {log_mean.max():.2f}), "
        f"asymptote={asymptote:.4f}, extra_poisson={extra:.3f}, scatter={scatter:.3f}),"
    )


if __name__ == "__main__":
    if "BULKVI_DATA_DIR" not in os.environ:
        raise SystemExit("Set BULKVI_DATA_DIR to the folder that holds the data sets; see the top of this file.")
    for trend in SOURCES:
        fit(trend, Path(os.environ["BULKVI_DATA_DIR"]))
