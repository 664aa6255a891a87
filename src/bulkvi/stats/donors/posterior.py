"""Posterior of each gene's dispersion and donor variance, on a lattice of nodes around its mode."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.donors.donors import DonorData, LatticeFit, regress_at_nodes

SPACING = 1.5
REACH = 3
STAR = 1.2
LOCATE_TOL = 0.03
LOCATE_ROUNDS = 3
FARTHEST = 3.0
NEAR = 0.4
OFF_CENTRE = 0.6
LOG_BOUNDS = np.array([[-16.0], [5.0]])


class DonorPrior(NamedTuple):
    """Prior of log dispersion and log donor variance: two independent normals; natural logs."""

    log_trend: np.ndarray
    """Prior means, 2 x genes: dispersion, donor variance."""
    variance: np.ndarray
    """Prior variances, 2."""

    def genes(self, part: slice | np.ndarray) -> "DonorPrior":
        """Select genes."""
        return self._replace(log_trend=self.log_trend[:, part])

    def log_density(self, at: np.ndarray) -> np.ndarray:
        """Log density, without its constant, at places (2 x nodes x genes): nodes x genes."""
        deviation = (at - self.log_trend[:, None]) ** 2
        return -0.5 * (deviation[0] / self.variance[0] + deviation[1] / self.variance[1])


class Place(NamedTuple):
    """Approximate location of a gene's posterior: ``centre + root z`` with z about standard normal."""

    centre: np.ndarray
    """2 x genes."""
    root: np.ndarray
    """Cholesky factor of the covariance, 2 x 2 x genes."""

    def at(self, z: np.ndarray) -> np.ndarray:
        """Places of standardised points (points x 2): 2 x points x genes."""
        first = self.centre[0] + z[:, :1] * self.root[0, 0]
        second = self.centre[1] + z[:, :1] * self.root[1, 0] + z[:, 1:] * self.root[1, 1]
        return np.clip(np.stack([first, second]), *LOG_BOUNDS)

    def genes(self, part: slice | np.ndarray) -> "Place":
        """Select genes."""
        return Place(self.centre[:, part], self.root[:, :, part])


def lattice(reach: int) -> np.ndarray:
    """Whole points within a circle, rows of equal first coordinate together, the middle one in the middle; points x 2."""
    axis = np.arange(-reach, reach + 1)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return points[(points**2).sum(1) <= reach**2]


def route_of(points: np.ndarray) -> np.ndarray:
    """Route of `regress_at_nodes` (4 x points): from the middle outwards, each point from the line or plane of its neighbours."""
    index = {tuple(point): k for k, point in enumerate(points.tolist())}
    order = sorted(index, key=lambda point: (point[0] < 0, abs(point[0]), point[1] < 0, abs(point[1])))
    seen: set[tuple[int, int]] = set()
    route = []
    for i, j in order:
        back_i, back_j = i - int(np.sign(i)), j - int(np.sign(j))
        lines = [
            ((back_i, j), (i, back_j), (back_i, back_j)),  # plane through three corners of a square
            ((i, back_j), (i, back_j), (i, back_j - (j - back_j))),  # line along the row
            ((back_i, j), (back_i, j), (back_i - (i - back_i), j)),  # line along the column
            ((i, back_j), (i, back_j), (i, back_j)),
            ((back_i, j), (back_i, j), (back_i, j)),
        ]
        usable = [line for line in lines if seen.issuperset(line)]
        route.append([index[i, j], *(index[point] for point in (usable[0] if usable else [(i, j)] * 3))])
        seen.add((i, j))
    return np.array(route).T


NODES = lattice(REACH)
CORNERS = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])


def locate(
    data: DonorData,
    prior: DonorPrior,
    place: Place,
    coef: np.ndarray,
    effect: np.ndarray,
    *,
    rounds: int = LOCATE_ROUNDS,
) -> Place:
    """Find the mode of the posterior by Newton's rule, with a parabola through nine points of the likelihood.

    The curvature of the likelihood is clipped at zero, so that the posterior is no wider than the prior.
    ``coef`` and ``effect`` follow the mode of the regression.
    """
    z = STAR * CORNERS
    terms = np.stack([np.ones(9), z[:, 0], z[:, 1], z[:, 0] ** 2 / 2, z[:, 0] * z[:, 1], z[:, 1] ** 2 / 2], 1)
    solve = np.linalg.pinv(terms)
    precision = 1 / prior.variance
    active = np.arange(place.centre.shape[1])
    centre, roots = place.centre.copy(), place.root.copy()
    for _ in range(rounds):
        place = Place(centre, roots)
        at = place.at(z)
        fit = regress_at_nodes(
            data, at[0], at[1], coef, effect, route=route_of(CORNERS), index=active, tol=LOCATE_TOL, keep=False
        )
        current = place.genes(active)
        _, g1, g2, h11, h12, h22 = solve @ fit.log_likelihood[:, active]
        values, vectors = np.linalg.eigh(-np.stack([[h11, h12], [h12, h22]]).transpose(2, 0, 1))
        curvature = (vectors * np.clip(values, 0, None)[:, None]) @ vectors.transpose(0, 2, 1)
        root = current.root.transpose(2, 0, 1)
        full = curvature + root.transpose(0, 2, 1) @ (precision[:, None] * root)
        pull = precision[:, None] * (prior.log_trend[:, active] - current.centre)
        slope = np.stack([g1, g2], 1) + np.einsum("gji,jg->gi", root, pull)
        covariance = np.linalg.inv(full)
        step = np.clip(np.einsum("gij,gj->gi", covariance, slope), -FARTHEST, FARTHEST)
        centre[:, active] = np.clip(current.centre + np.einsum("gij,gj->ig", root, step), *LOG_BOUNDS)
        wide = root @ covariance @ root.transpose(0, 2, 1)
        roots[:, :, active] = np.linalg.cholesky(wide).transpose(1, 2, 0)
        size = np.sqrt(np.einsum("gii->gi", covariance))
        done = (np.abs(step) < NEAR * size) & (size > 1 - NEAR) & (size < 1 + NEAR)
        active = active[~done.all(1)]
        if not active.size:
            break
    return Place(centre, roots)


class DonorNodes(NamedTuple):
    """The posterior on its lattice; natural logs, genes last."""

    at: np.ndarray
    """Log dispersion and log donor variance, 2 x nodes x genes."""
    weight: np.ndarray
    """Posterior weights, nodes x genes; they sum to one over the nodes."""
    fit: LatticeFit
    """Regressions at the nodes."""

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means (2 x genes) and covariances (2 x 2 x genes)."""
        mean = (self.weight * self.at).sum(1)
        deviation = self.at - mean[:, None]
        return mean, np.einsum("kg,ikg,jkg->ijg", self.weight, deviation, deviation)


def place_nodes(
    data: DonorData, prior: DonorPrior, place: Place, coef: np.ndarray, effect: np.ndarray, *, tol: float = 0.01
) -> DonorNodes:
    """Fit the regressions on a lattice of `SPACING` posterior standard deviations, `REACH` steps each way.

    Weights are prior density times likelihood at the nodes: the trapezoid rule, nearly exact for bell shapes at this spacing
    (an error of exp(-2 pi^2 / 1.5^2), 2e-4). Genes whose lattice turns out to be off their posterior get a second one.
    """
    at = place.at(SPACING * NODES)
    route = route_of(NODES)
    fit = regress_at_nodes(data, at[0], at[1], coef, effect, route=route, tol=tol)
    nodes = DonorNodes(at, posterior_weight(fit.log_likelihood, prior, at), fit)
    mean, covariance = nodes.moments()
    shift = np.abs(mean - place.centre) / np.sqrt((place.root**2).sum(1))
    spread = np.sqrt(np.einsum("iig->ig", covariance) / (place.root**2).sum(1))
    off = np.flatnonzero(((shift > OFF_CENTRE) | (spread > 1.5) | (spread < 0.6)).any(0))
    if off.size:
        # a posterior that fell between the nodes has no spread there: the lattice never shrinks below half
        widened = covariance[:, :, off] + 0.25 * np.einsum("ijg,kjg->ikg", place.root[:, :, off], place.root[:, :, off])
        again = Place(mean[:, off], np.linalg.cholesky(widened.transpose(2, 0, 1)).transpose(1, 2, 0))
        at[:, :, off] = again.at(SPACING * NODES)
        second = regress_at_nodes(data, at[0], at[1], coef, effect, route=route, index=off, tol=tol)
        for old, new in zip(fit, second, strict=True):
            old[..., off] = new[..., off]
        weight = nodes.weight
        weight[:, off] = posterior_weight(fit.log_likelihood[:, off], prior.genes(off), at[:, :, off])
        nodes = DonorNodes(at, weight, fit)
    return nodes


def posterior_weight(log_likelihood: np.ndarray, prior: DonorPrior, at: np.ndarray) -> np.ndarray:
    """Weights of nodes, nodes x genes, that sum to one over the nodes."""
    log_weight = log_likelihood + prior.log_density(at)
    weight = np.exp(log_weight - log_weight.max(0))
    return weight / weight.sum(0)
