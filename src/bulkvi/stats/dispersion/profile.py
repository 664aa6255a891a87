"""The likelihood of each gene's dispersion, on a lattice that follows its own information."""

from typing import Any, NamedTuple

import numpy as np

from bulkvi.stats.nb.block import Array, Block, convert, full, kernels, namespace, sample_rows, take_rows
from bulkvi.stats.nb.regression import maximise, start_coef

MIN_DISPERSION = 1e-8
MAX_DISPERSION = 50.0
SPACING = 1.0
SPACING_FEW = 0.6
MIN_WIDTH = 8
DROP = 10.0
LOWEST = 1e4
MIN_LARGEST = 1e-3


class DispersionProfile(NamedTuple):
    """Adjusted profile log likelihood of the dispersions, genes last.

    Place ``j`` of a gene's lattice is the dispersion where ``sqrt(df / 2) log(1 + a largest) = j * spacing``.
    """

    log_likelihood: Array
    """Places x genes, zero at the highest; the places of a gene stand together and hold all that matters."""
    first: Array
    """Lattice place of the first row, genes."""
    largest: Array
    """Largest count of a gene, genes."""
    root_df: float
    """Square root of half the residual degrees of freedom."""
    spacing: float
    """Distance of the places."""
    coef: Array
    """Coefficients at the highest place, features x genes."""
    converged: Array
    """Whether every place was reached by its regression, genes."""

    def genes(self, part: slice) -> "DispersionProfile":
        """The profiles of some of the genes.

        Parameters
        ----------
        part
            Positions of the genes.

        Returns
        -------
        The same for those genes.
        """
        return self._replace(
            log_likelihood=self.log_likelihood[:, part],
            first=self.first[part],
            largest=self.largest[part],
            coef=self.coef[:, part],
            converged=self.converged[part],
        )


def lattice_dispersion(place: Array, largest: Array, root_df: float, spacing: float) -> Array:
    """Dispersion at a place of the lattice: ``(exp(place spacing / root_df) - 1) / largest``.

    Parameters
    ----------
    place
        Place on the lattice.
    largest
        Largest count of each gene.
    root_df
        Square root of half the residual degrees of freedom.
    spacing
        Distance of the places.

    Returns
    -------
    Dispersions, at least `MIN_DISPERSION`.

    Examples
    --------
    >>> lattice_dispersion(np.array([0.0, 2.0]), np.array([50.0, 50.0]), 2.0, 1.0).round(4).tolist()
    [0.0, 0.0344]
    """
    xp = namespace(largest)
    return xp.clip(xp.expm1(place * (spacing / root_df)) / largest, MIN_DISPERSION, None)


def moment_dispersion(block: Block, coef: Array, n_free: int) -> Array:
    """Moment estimate about the fitted means m: ``sum((y - m)^2 n / n_free - m) / sum(m^2)``, not below 0."""
    xp = namespace(coef)
    mean = block.exposure * sample_rows(xp.exp(block.layout.unique @ coef), block.layout)
    excess = (block.counts - mean) ** 2 * (mean.shape[0] / n_free) - mean
    square = mean * mean
    if block.weights.shape[0]:
        excess, square = block.weights * excess, block.weights * square
    return xp.clip(excess.sum(0) / xp.clip(square.sum(0), 1e-300, None), 0.0, None)


def dispersion_profile(block: Block, n_free: int, *, tol: float = 0.02) -> DispersionProfile:
    r"""Walk the lattice from the moment estimate, both ways, until the likelihood has fallen by `DROP`.

    The lattice is even in :math:`z = \sqrt{\nu / 2} \log(1 + \alpha \max y)`, :math:`\nu` the residual degrees of
    freedom. The information on :math:`\log \alpha` is about :math:`(\nu / 2) (\alpha m / (1 + \alpha m))^2`, so in z
    the likelihood has a curvature of about one everywhere and ends at z = 0, the Poisson distribution: some ten places
    hold it, for few samples and for thousands, with a cubic spline between them.

    Parameters
    ----------
    block
        Counts of the genes.
    n_free
        Residual degrees of freedom, samples less features, at least 1.
    tol
        Distance to the mode, in posterior standard deviations, at which the last Newton step is taken: an error of the
        order ``tol ** 3`` in the log likelihood.
    """
    xp = namespace(block.counts)
    n_genes = block.counts.shape[1]
    root_df = float(np.sqrt(n_free / 2))
    spacing = min(SPACING, SPACING_FEW * root_df)
    largest = xp.clip(xp.amax(block.counts, 0), MIN_LARGEST, None)
    coef = start_coef(block)
    moment = moment_dispersion(block, coef, n_free)
    top = xp.ceil(root_df * xp.log1p(MAX_DISPERSION * largest) / spacing)
    middle = xp.minimum(xp.round(root_df * xp.log1p(moment * largest) / spacing), top)

    everyone = convert(np.arange(n_genes), like=coef)
    converged = full((n_genes,), 1.0, like=coef) > 0
    evaluate = kernels(coef).evaluate
    no_covariance = full((0, n_genes), 0.0, like=coef)

    def visit(active, place, coef):
        dispersion = lattice_dispersion(place, largest, root_df, spacing)
        failed = maximise(block, dispersion, coef, index=active, tol=tol)
        converged[failed] = False
        value = full((n_genes,), -xp.inf, like=coef)
        evaluate(active, *block, dispersion, coef, value, no_covariance)
        return value

    centre = visit(everyone, middle, coef)
    best, best_coef = centre + 0.0, coef + 0.0
    line = {0: centre}
    middle_coef, right_coef = coef + 0.0, coef + 0.0
    for direction in (1, -1):
        last, before = middle_coef + 0.0, (middle_coef if direction == 1 else right_coef) + 0.0
        place = middle + direction
        active = everyone[(place <= top) & (place >= 0)]
        offset = direction
        while active.shape[0]:
            coef = 2 * last - before
            value = visit(active, place, coef)
            line[offset] = value
            if offset == 1:
                right_coef[:, active] = coef[:, active]
            before, last = last, coef
            better = value > best
            best = xp.where(better, value, best)
            best_coef = xp.where(better, coef, best_coef)
            place = place + direction
            go_on = (value >= best - DROP) & (place <= top) & (place >= 0)
            active = everyone[go_on]
            offset += direction
    return _window(line, middle, best, largest, root_df, spacing, best_coef, converged)


def _window(line, middle, best, largest, root_df, spacing, coef, converged) -> DispersionProfile:
    """Cut the rows that matter out of all that were visited, and continue them in straight lines where none was."""
    xp = namespace(best)
    offsets = sorted(line)
    values = xp.stack([line[offset] for offset in offsets]) - best
    count = values.shape[0]
    row = convert(np.arange(count), like=best)[:, None]
    low, high = xp.where(values >= -DROP, row, count), xp.where(values >= -DROP, row, -1)
    first_reached = xp.amin(xp.where(xp.isfinite(values), row, count), 0)
    low = xp.maximum(xp.amin(low, 0) - 1, first_reached)
    high = xp.amax(high, 0) + 1
    width = max(MIN_WIDTH, int((high - low).max()) + 1)
    window: list[Array] = []
    for k in range(width):
        value = take_rows(values, xp.clip(low + k, None, count - 1)[None])[0]
        value = xp.where((low + k < count) & (low + k <= high), value, -xp.inf)
        # a gene whose every likelihood underflows has no finite place to go on from
        onward = -LOWEST if k == 0 else xp.clip(2 * window[-1] - window[-2] if k > 1 else window[-1], -LOWEST, None)
        value = xp.where(xp.isfinite(value), value, onward)
        window.append(value)
    return DispersionProfile(xp.stack(window), middle + offsets[0] + low, largest, root_df, spacing, coef, converged)


def join_profiles(parts: list[DispersionProfile]) -> DispersionProfile:
    """Profiles of blocks of genes as one of all genes, windows continued in straight lines to the widest.

    Parameters
    ----------
    parts
        Profiles, all of the same samples and features.

    Returns
    -------
    One profile, genes in the order of the parts.

    Examples
    --------
    >>> def part(log_likelihood):
    ...     one = np.ones(1)
    ...     return DispersionProfile(np.array([log_likelihood]).T, one, one, 1.0, 1.0, np.ones((2, 1)), one > 0)
    >>> join_profiles([part([0.0, -1.0]), part([-1.0, 0.0, -1.5, -4.0])]).log_likelihood.T.tolist()
    [[0.0, -1.0, -2.0, -3.0], [-1.0, 0.0, -1.5, -4.0]]
    """
    width = max(part.log_likelihood.shape[0] for part in parts)
    head = parts[0]
    return head._replace(
        log_likelihood=_concatenate([_widen(part.log_likelihood, width) for part in parts]),
        first=_concatenate([part.first for part in parts]),
        largest=_concatenate([part.largest for part in parts]),
        coef=_concatenate([part.coef for part in parts]),
        converged=_concatenate([part.converged for part in parts]),
    )


def _concatenate(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else namespace(arrays[0]).concatenate(arrays, -1)


def _widen(values: Array, width: int) -> Array:
    xp = namespace(values)
    rows = list(values)
    while len(rows) < width:
        rows.append(xp.clip(2 * rows[-1] - rows[-2], -LOWEST, None))
    return xp.stack(rows)


def spline_bends(values: Array) -> Array:
    """Second differences of the cubic spline through evenly spaced rows (not-a-knot ends).

    Parameters
    ----------
    values
        Heights, rows x genes, at least four rows.

    Returns
    -------
    Second derivative of the spline at each row, per squared distance of the rows; rows x genes.

    Examples
    --------
    >>> cube = np.arange(6.0)[:, None] ** 3
    >>> spline_bends(cube).round(6).ravel().tolist()
    [0.0, 6.0, 12.0, 18.0, 24.0, 30.0]
    """
    xp = namespace(values)
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
    return xp.stack(second)


def most_likely_dispersion(profile: DispersionProfile) -> Array:
    """Dispersion at which each gene's profile is highest: the top of the parabola through the three highest places.

    0 for a gene whose counts vary no more than a Poisson distribution's.

    Parameters
    ----------
    profile
        Likelihood of the dispersions.

    Returns
    -------
    Dispersions, genes.

    Examples
    --------
    >>> place = np.arange(9.0)[:, None]
    >>> profile = DispersionProfile(-((place - [3.3, -1]) ** 2), np.zeros(2), np.full(2, 50.0), 1.0, 0.5, None, None)
    >>> most_likely_dispersion(profile).round(4).tolist()
    [0.0841, 0.0]
    """
    xp = namespace(profile.largest)
    values = profile.log_likelihood
    highest = xp.argmax(values, 0)
    inner = xp.clip(highest, 1, values.shape[0] - 2)
    left, middle, right = (take_rows(values, (inner + step)[None])[0] for step in (-1, 0, 1))
    bend = xp.clip(2 * middle - left - right, 1e-12, None)
    offset = xp.clip((right - left) / (2 * bend), -1.0, 1.0)
    place = profile.first + xp.where(highest == inner, inner + offset, highest)
    return xp.expm1(xp.clip(place, 0.0, None) * (profile.spacing / profile.root_df)) / profile.largest
