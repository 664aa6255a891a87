"""Principal axes of the decoded rates, and the loadings of the genes on them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch

from bulkvi.model._networks import Covariates
from bulkvi.stats.hidden.loadings import loading_information, shrink_loadings
from bulkvi.study.study import Study

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI

BLOCK: Final = 256
"""Samples decoded at once; also the largest rank of decoded variation that is kept, far above any latent dimension."""
MIN_SHARE: Final = 1e-4
"""An axis with a smaller share of the variance is not in use: it changes no squared distance by more than one part in 10,000."""
FEWEST_AXES: Final = 2
"""Axes that are kept in any case, where the model has as many dimensions: a picture needs two."""
PRECISION: Final = 1e-6
"""Log2, root mean square over the genes: smaller differences are rounding errors of the network."""
LN2: Final = np.log(2)


class PrincipalAxes(NamedTuple):
    """Principal axes of decoded log2 rates, kept with the model as plain arrays."""

    projection: np.ndarray
    """What the coordinates weigh each gene's deviation with, genes x axes; axes not in use are zero."""
    centre: np.ndarray
    """Mean over the training samples of the decoded log2 rates at mean covariates, genes."""
    covariates: dict[str, np.ndarray]
    """Mean of the columns of each kind of covariate over the training samples."""
    loadings: np.ndarray
    """Posterior mean of the log2 fold change per standard deviation of a coordinate, genes x axes."""
    loadings_sd: np.ndarray
    """Posterior standard deviation of the loadings, log2, genes x axes."""
    of_reference: bool = False
    """Whether they are those of a reference model, which stay when its query is trained."""


def compute_axes(model: "BulkVI", *, with_samples: bool = True) -> PrincipalAxes:
    """Compute the principal axes of the registered samples, or without samples those of the prior of the latent state.

    The decoded deviations D = U S V' have as many directions as the latent state. The loadings on U are shrunk by an
    empirical-Bayes prior, with the information of the counts; the principal axes are those of U times the shrunk loadings.
    """
    n_latent = model.module.n_latent
    if model.adata is None or not with_samples:
        # points with mean 0 and covariance I (Julier & Uhlmann 1997)
        corners = np.sqrt(n_latent) * np.eye(n_latent, dtype=np.float32)
        study, state, means = None, np.concatenate([corners, -corners]), {}
    else:
        study, state = model.gene_fit().study, model.get_latent_representation(axes="whitened")
        means = {kind: block.to_numpy(float).mean(0) for kind, block in study.design.sample_blocks.items()}
    n = len(state)
    centre = sum(rates.sum(0) for rates in log2_rates(model, state, means)) / n
    directions, spread = leading_axes((rates - centre for rates in log2_rates(model, state, means)), centre.size)
    spread = spread[:n_latent] / np.sqrt(n)
    spread = spread[spread > PRECISION * np.sqrt(centre.size)]
    directions = directions[:, : spread.size]
    # coordinates on the directions with mean square 1, and the loadings on them
    whitening, loadings = directions / spread, directions * spread
    covariance = np.zeros((*loadings.shape, loadings.shape[1]))
    if study is not None and loadings.shape[1]:
        blocks = _weighted_blocks(model, study, state, lambda rates: (rates - centre) @ whitening, means)
        n_known = study.design.matrix.shape[1]
        posterior = shrink_loadings(loadings * LN2, loading_information(blocks, n_known))
        loadings, covariance = posterior.mean / LN2, posterior.covariance / LN2**2
    return _rotated(centre, means, whitening, loadings, covariance, min(FEWEST_AXES, n_latent))


def _rotated(
    centre: np.ndarray,
    means: dict[str, np.ndarray],
    whitening: np.ndarray,
    loadings: np.ndarray,
    covariance: np.ndarray,
    fewest: int,
) -> PrincipalAxes:
    """Rotate whitened coordinates to principal axes of their loadings, with signs and the number of axes in use."""
    square, turn = np.linalg.eigh(loadings.T @ loadings)
    square, turn = square[::-1].clip(0), turn[:, ::-1]
    in_use = int((square >= MIN_SHARE * square.sum()).sum()) if square.any() else 0
    turn = turn[:, :in_use]
    turn = turn * np.where(((loadings @ turn) ** 3).sum(0) < 0, -1.0, 1.0)
    n_genes, n_axes = centre.size, max(in_use, fewest)
    projection, turned, sd = (np.zeros((n_genes, n_axes), np.float32) for _ in range(3))
    projection[:, :in_use] = whitening @ turn * np.sqrt(square[:in_use] / n_genes)
    turned[:, :in_use] = loadings @ turn
    sd[:, :in_use] = np.sqrt(np.einsum("ia,gij,ja->ga", turn, covariance, turn, optimize=True).clip(0))
    return PrincipalAxes(projection, centre, means, turned, sd)


def coordinates_of(model: "BulkVI", axes: PrincipalAxes, state: np.ndarray) -> np.ndarray:
    """Coordinates on principal axes of whitened states, samples x axes, float32 as scvi-tools' latent states."""
    blocks = [(rates - axes.centre) @ axes.projection for rates in log2_rates(model, state, axes.covariates)]
    return np.concatenate(blocks).astype(np.float32)


def leading_axes(blocks: Iterator[np.ndarray], n_genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Right singular vectors (genes x rank) and singular values of blocks of rows, largest first.

    Blocks are merged one by one into the singular values and vectors of all rows so far, so that memory does not grow with the
    number of samples; exact as long as the rank of the rows is at most ``BLOCK``. Singular values below the precision of the
    network, and their vectors, are left out.
    """
    merged, square = np.zeros((0, n_genes)), np.zeros(0)
    for block in blocks:
        rows = np.concatenate([merged, block])
        square, vector = np.linalg.eigh(rows @ rows.T)
        order = np.argsort(-square)[:BLOCK]
        square = square[order]
        merged = vector[:, order].T @ rows
    precise = square > 1e-9 * square.max(initial=0.0)
    value = np.sqrt(square[precise])
    return (merged[precise] / value[:, None]).T, value


@torch.inference_mode()
def log2_rates(model: "BulkVI", state: np.ndarray, means: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Decoded log2 rates of whitened states at one row of covariates, in blocks of samples, float64."""
    row = {}
    for kind, width in model.module.coding.widths.items():
        # the categories of a query that its reference does not have are no part of the mean
        values, known = np.zeros((1, width), np.float32), means.get(kind, np.zeros(0))
        values[0, : known.size] = known
        row[kind] = torch.as_tensor(values, device=model.device)
    for begin in range(0, len(state), BLOCK):
        yield _decode(model, state[begin : begin + BLOCK], row) / LN2


def _decode(model: "BulkVI", state: Any, rows: Covariates) -> np.ndarray:
    """Decoded natural-log rates, float64."""
    z = torch.as_tensor(np.asarray(state, np.float32), device=model.device)
    return model.module.decoder(z, rows).double().cpu().numpy()


@torch.inference_mode()
def _weighted_blocks(
    model: "BulkVI",
    study: Study,
    state: np.ndarray,
    directions: Callable[[np.ndarray], np.ndarray],
    means: dict[str, np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Information of each count about its log mean, m / (1 + alpha m) at the network's fit, and predictors, by block of samples."""
    covariates = {
        kind: torch.as_tensor(block.to_numpy(np.float32), device=model.device)
        for kind, block in study.design.sample_blocks.items()
    }
    exposure = study.log_exposure if study.log_exposure.ndim == 2 else study.log_exposure[:, None]
    known = study.design.matrix.to_numpy()
    begin = 0
    for rates in log2_rates(model, state, means):
        part = slice(begin, begin + len(rates))
        rows = {kind: values[part] for kind, values in covariates.items()}
        mean = np.exp(_decode(model, state[part], rows) + exposure[part])
        dispersion = torch.exp(model.module.log_dispersion_of(rows)).double().cpu().numpy()
        yield mean / (1 + dispersion * mean), np.concatenate([known[part], directions(rates)], 1)
        begin += len(rates)
