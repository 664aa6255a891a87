"""The likelihood of each gene's dispersion, on a lattice even in its information."""

from typing import Any, NamedTuple

import numpy as np

from bulkvi.stats.nb.kernels import evaluate
from bulkvi.stats.nb.regression import Block, maximise, start_coef

MIN_DISPERSION = 1e-8
MAX_DISPERSION = 50.0
SPACING = 1.0
SPACING_SMALL = 0.6
MIN_WIDTH = 8
DROP = 10.0
LOWEST = 1e4
MIN_LARGEST = 1e-3


class DispersionProfile(NamedTuple):
    """Adjusted profile log likelihood of the dispersions, genes last.

    Place ``j`` of a gene's lattice is the dispersion where ``sqrt(df / 2) log(1 + a largest) = j * spacing``.
    """

    log_likelihood: np.ndarray
    """Places x genes, zero at the highest; consecutive places of a gene, all within `DROP` of the highest."""
    first: np.ndarray
    """Lattice place of the first row, genes."""
    largest: np.ndarray
    """Largest count of a gene, genes."""
    root_df: float
    """Square root of half the residual degrees of freedom."""
    spacing: float
    """Distance of the places."""
    coef: np.ndarray
    """Coefficients at the highest place, features x genes."""
    converged: np.ndarray
    """Whether every place was reached by its regression, genes."""

    def genes(self, part: slice | np.ndarray) -> "DispersionProfile":
        """Select genes."""
        return self._replace(
            log_likelihood=self.log_likelihood[:, part],
            first=self.first[part],
            largest=self.largest[part],
            coef=self.coef[:, part],
            converged=self.converged[part],
        )


def lattice_dispersion(place: np.ndarray, largest: np.ndarray, root_df: float, spacing: float) -> np.ndarray:
    """Dispersion at a place of the lattice: ``(exp(place spacing / root_df) - 1) / largest``."""
    return np.clip(np.expm1(place * (spacing / root_df)) / largest, MIN_DISPERSION, None)


def moment_dispersion(block: Block, coef: np.ndarray, n_free: int) -> np.ndarray:
    """Moment estimate about the fitted means m: ``sum((y - m)^2 n / n_free - m) / sum(m^2)``, not below 0."""
    mean = block.exposure * np.repeat(np.exp(block.layout.unique @ coef), np.diff(block.layout.start), axis=0)
    excess = (block.counts - mean) ** 2 * (mean.shape[0] / n_free) - mean
    square = mean * mean
    if block.weights.shape[0]:
        excess, square = block.weights * excess, block.weights * square
    return np.clip(excess.sum(0) / np.clip(square.sum(0), 1e-300, None), 0.0, None)


def dispersion_profile(block: Block, n_free: int, *, tol: float = 0.02) -> DispersionProfile:
    r"""Evaluate the likelihood along the lattice, from the moment estimate both ways until it has fallen by `DROP`.

    The lattice is even in :math:`z = \sqrt{\nu / 2} \log(1 + \alpha \max y)`, :math:`\nu` the residual degrees of
    freedom. The information on :math:`\log \alpha` is about :math:`(\nu / 2) (\alpha m / (1 + \alpha m))^2`, so in z
    the likelihood has a curvature of about one everywhere and ends at z = 0, the Poisson distribution: some ten places
    and a cubic spline describe it, for few samples and for thousands.
    """
    n_genes = block.counts.shape[1]
    root_df = float(np.sqrt(n_free / 2))
    spacing = min(SPACING, SPACING_SMALL * root_df)
    largest = np.clip(np.amax(block.counts, 0), MIN_LARGEST, None)
    coef = start_coef(block)
    moment = moment_dispersion(block, coef, n_free)
    top = np.ceil(root_df * np.log1p(MAX_DISPERSION * largest) / spacing)
    middle = np.minimum(np.round(root_df * np.log1p(moment * largest) / spacing), top)

    all_genes = np.arange(n_genes)
    converged = np.ones(n_genes, dtype=bool)
    no_covariance = np.zeros((0, n_genes))

    def visit(active: np.ndarray, place: np.ndarray, coef: np.ndarray) -> np.ndarray:
        dispersion = lattice_dispersion(place, largest, root_df, spacing)
        failed = maximise(block, dispersion, coef, index=active, tol=tol)
        converged[failed] = False
        value = np.full(n_genes, -np.inf)
        evaluate(active, *block, dispersion, coef, value, no_covariance)
        return value

    centre = visit(all_genes, middle, coef)
    best, best_coef = centre + 0.0, coef + 0.0
    line = {0: centre}
    middle_coef, right_coef = coef + 0.0, coef + 0.0
    for direction in (1, -1):
        last, before = middle_coef + 0.0, (middle_coef if direction == 1 else right_coef) + 0.0
        place = middle + direction
        active = all_genes[(place <= top) & (place >= 0)]
        offset = direction
        while active.size:
            coef = 2 * last - before
            value = visit(active, place, coef)
            line[offset] = value
            if offset == 1:
                right_coef[:, active] = coef[:, active]
            before, last = last, coef
            better = value > best
            best = np.where(better, value, best)
            best_coef = np.where(better, coef, best_coef)
            place = place + direction
            active = all_genes[(value >= best - DROP) & (place <= top) & (place >= 0)]
            offset += direction
    return _window(line, middle, best, largest, root_df, spacing, best_coef, converged)


def _window(
    line: dict[int, np.ndarray],
    middle: np.ndarray,
    best: np.ndarray,
    largest: np.ndarray,
    root_df: float,
    spacing: float,
    coef: np.ndarray,
    converged: np.ndarray,
) -> DispersionProfile:
    """Cut the places within `DROP` of the highest out of those visited, continued in straight lines."""
    offsets = sorted(line)
    values = np.stack([line[offset] for offset in offsets]) - best
    count = values.shape[0]
    row = np.arange(count)[:, None]
    low, high = np.where(values >= -DROP, row, count), np.where(values >= -DROP, row, -1)
    first_reached = np.amin(np.where(np.isfinite(values), row, count), 0)
    low = np.maximum(np.amin(low, 0) - 1, first_reached)
    high = np.amax(high, 0) + 1
    width = max(MIN_WIDTH, int((high - low).max()) + 1)
    window: list[np.ndarray] = []
    for k in range(width):
        value = np.take_along_axis(values, np.clip(low + k, None, count - 1)[None], 0)[0]
        value = np.where((low + k < count) & (low + k <= high), value, -np.inf)
        # a gene whose every likelihood underflows has no finite place to continue from
        onward = -LOWEST if k == 0 else np.clip(2 * window[-1] - window[-2] if k > 1 else window[-1], -LOWEST, None)
        value = np.where(np.isfinite(value), value, onward)
        window.append(value)
    return DispersionProfile(np.stack(window), middle + offsets[0] + low, largest, root_df, spacing, coef, converged)


def join_profiles(parts: list[DispersionProfile]) -> DispersionProfile:
    """Concatenate the profiles of blocks of genes, each continued in straight lines to the widest."""
    width = max(part.log_likelihood.shape[0] for part in parts)
    head = parts[0]
    return head._replace(
        log_likelihood=np.concatenate([_widen(part.log_likelihood, width) for part in parts], -1),
        first=np.concatenate([part.first for part in parts]),
        largest=np.concatenate([part.largest for part in parts]),
        coef=np.concatenate([part.coef for part in parts], -1),
        converged=np.concatenate([part.converged for part in parts]),
    )


def _widen(values: np.ndarray, width: int) -> np.ndarray:
    rows = list(values)
    while len(rows) < width:
        rows.append(np.clip(2 * rows[-1] - rows[-2], -LOWEST, None))
    return np.stack(rows)


def spline_bends(values: np.ndarray) -> np.ndarray:
    """Second differences of the cubic spline through evenly spaced rows (not-a-knot ends), rows x genes, at least four rows."""
    width = values.shape[0]
    second: list[Any] = [None] * width
    bend = values[:-2] - 2 * values[1:-1] + values[2:]
    second[1], second[width - 2] = bend[0], bend[-1]
    # interior: M[i-1] + 4 M[i] + M[i+1] = 6 bend[i], the ends M[1] and M[width - 2] known
    weight, rest = [0.0] * width, list(second)
    for i in range(2, width - 2):
        below = 4.0 - (weight[i - 1] if i > 2 else 0.0)
        weight[i] = 1.0 / below
        rest[i] = (6 * bend[i - 1] - rest[i - 1]) * weight[i]
    for i in range(width - 3, 1, -1):
        second[i] = rest[i] - weight[i] * second[i + 1]
    second[0] = 2 * second[1] - second[2]
    second[width - 1] = 2 * second[width - 2] - second[width - 3]
    return np.stack(second)


def most_likely_dispersion(profile: DispersionProfile) -> np.ndarray:
    """Dispersion at which each gene's profile is highest: the top of the parabola through the three highest places.

    0 for a gene whose counts vary no more than a Poisson distribution's.
    """
    values = profile.log_likelihood
    highest = np.argmax(values, 0)
    inner = np.clip(highest, 1, values.shape[0] - 2)
    left, middle, right = (np.take_along_axis(values, (inner + step)[None], 0)[0] for step in (-1, 0, 1))
    bend = np.clip(2 * middle - left - right, 1e-12, None)
    offset = np.clip((right - left) / (2 * bend), -1.0, 1.0)
    place = profile.first + np.where(highest == inner, inner + offset, highest)
    return np.expm1(np.clip(place, 0.0, None) * (profile.spacing / profile.root_df)) / profile.largest
