"""Exposure and encoder, and the coding and effects of covariates in networks."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from scvi import REGISTRY_KEYS
from torch import Tensor, nn
from torch.distributions import Normal

from bulkvi.names import DESIGN, OFFSET

Covariates = dict[str, Tensor]
"""Columns of each kind of covariate, shape ``(n, width)`` each; kinds without a column are absent."""

BATCH = "batch"
NUMERIC = ("design", "continuous")
"""Kinds with columns that may be measurements, in any unit."""


class Unit(NamedTuple):
    """Where a numeric column has its zero and how long its unit is, each of shape ``(width,)``."""

    centre: Tensor
    scale: Tensor


def units_of(covariates: Covariates) -> dict[str, Unit]:
    """Mean and standard deviation of columns that are measurements; 0 and 1 for columns of codes (0, 1, -1).

    A step of Adam has the same length in every parameter: without units, an effect per day of age would move thousands of times
    further than one per decade.
    """
    units = {}
    for kind in NUMERIC:
        if kind not in covariates:
            continue
        columns = covariates[kind].double()
        coded = ((columns.abs() == 1) | (columns == 0)).all(0)
        spread = columns.std(0, correction=0)
        measured = ~coded & (spread > 0)
        ones, zeros = torch.ones_like(spread), torch.zeros_like(spread)
        units[kind] = Unit(torch.where(measured, columns.mean(0), zeros), torch.where(measured, spread, ones))
    return units


def standardised(covariates: Covariates, units: dict[str, Unit]) -> Covariates:
    """Return the covariates in the given units."""
    return {
        kind: (values - units[kind].centre.to(values)) / units[kind].scale.to(values) if kind in units else values
        for kind, values in covariates.items()
    }


@dataclass(frozen=True)
class CovariateCoding:
    """Coding of all covariates as columns of numbers.

    Categories are coded against their first level, whose effect belongs to the intercept. Each kind has its own columns, so that
    new categories of a query only append columns to their kind. ``n_design`` leaves out the intercept; ``n_categories`` has the
    number of levels of each categorical covariate.
    """

    n_design: int
    n_continuous: int
    n_categories: tuple[int, ...]
    n_batch: int

    @property
    def widths(self) -> dict[str, int]:
        """Number of columns of each kind that has any."""
        widths = {"design": self.n_design, "continuous": self.n_continuous}
        widths |= {f"category_{k}": n - 1 for k, n in enumerate(self.n_categories)}
        widths |= {BATCH: self.n_batch - 1}
        return {kind: width for kind, width in widths.items() if width > 0}

    def code(self, tensors: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> Covariates:
        """Code the covariates of a minibatch, in the precision of the network by default."""
        coded: Covariates = {}
        for kind, width in self.widths.items():
            if kind == "design":
                coded[kind] = tensors[DESIGN].to(dtype)
            elif kind == "continuous":
                coded[kind] = tensors[REGISTRY_KEYS.CONT_COVS_KEY].to(dtype)
            elif kind == BATCH:
                coded[kind] = _one_hot(tensors[REGISTRY_KEYS.BATCH_KEY][:, 0], width).to(dtype)
            else:
                codes = tensors[REGISTRY_KEYS.CAT_COVS_KEY][:, int(kind.removeprefix("category_"))]
                coded[kind] = _one_hot(codes, width).to(dtype)
        return coded

    def with_batch(self, covariates: Covariates, batch: int) -> Covariates:
        """Return the covariates with every sample in one batch."""
        if BATCH not in covariates:
            return covariates
        codes = torch.full((covariates[BATCH].shape[0],), batch, device=covariates[BATCH].device)
        return covariates | {BATCH: _one_hot(codes, self.n_batch - 1)}


def _one_hot(codes: Tensor, width: int) -> Tensor:
    return F.one_hot(codes.long(), width + 1)[:, 1:].float()


class CovariateEffects(nn.Module):
    """Additive effects of all covariates on ``n_output`` quantities (genes, or units of a layer).

    Numeric columns are standardised by units that are set once from the data; the weights are effects per standard deviation.
    """

    def __init__(self, widths: dict[str, int], n_output: int):
        super().__init__()
        self.widths = widths
        self.weight = nn.ParameterDict(
            {kind: nn.Parameter(torch.zeros(width, n_output)) for kind, width in widths.items()}
        )
        for kind in self._numeric:
            self.register_buffer(f"{kind}_centre", torch.zeros(widths[kind]))
            self.register_buffer(f"{kind}_scale", torch.ones(widths[kind]))

    @property
    def _numeric(self) -> list[str]:
        return [kind for kind in NUMERIC if kind in self.widths]

    @property
    def units(self) -> dict[str, Unit]:
        """Units of the numeric kinds."""
        return {
            kind: Unit(self.get_buffer(f"{kind}_centre"), self.get_buffer(f"{kind}_scale")) for kind in self._numeric
        }

    @torch.no_grad()
    def set_units(self, units: dict[str, Unit]) -> None:
        """Set the units of numeric columns."""
        for kind, unit in units.items():
            self.get_buffer(f"{kind}_centre").copy_(unit.centre)
            self.get_buffer(f"{kind}_scale").copy_(unit.scale)

    def forward(self, covariates: Covariates) -> Tensor | float:
        """Sum of the effects, shape ``(n, n_output)``; 0 without covariates."""
        columns = standardised(covariates, self.units)
        return sum((columns[kind] @ self.weight[kind].to(columns[kind].dtype) for kind in self.widths), start=0.0)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # a query may have batches where its reference had none: those weights start at zero
        for kind, weight in self.weight.items():
            state_dict.setdefault(f"{prefix}weight.{kind}", torch.zeros_like(weight))
        # models saved before there were units
        for kind, unit in self.units.items():
            state_dict.setdefault(f"{prefix}{kind}_centre", unit.centre)
            state_dict.setdefault(f"{prefix}{kind}_scale", unit.scale)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def set_weights(self, stacked: Tensor) -> None:
        """Fill the weights from one matrix with a row for every column, kinds in order."""
        # a ParameterDict sorts its keys; ``widths`` has them in the order of the columns
        for kind, rows in zip(self.widths, stacked.split(list(self.widths.values())), strict=True):
            self.weight[kind].copy_(rows)


class Exposure(nn.Module):
    """Size factor, times the relative offset if ``n_genes``, the number of genes with offsets, is not 0."""

    offset_mean: Tensor

    def __init__(self, n_genes: int):
        super().__init__()
        self.has_offset = n_genes > 0
        if self.has_offset:
            # a buffer: saved with the model, so that new samples are relative to the training samples
            self.register_buffer("offset_mean", torch.ones(n_genes))

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return shape ``(n, 1)``, or with an offset ``(n, n_genes)``."""
        size_factor = tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY]
        if not self.has_offset:
            return size_factor
        if OFFSET not in tensors:
            raise KeyError(
                f"The model was set up with an offset, but a minibatch holds only {list(tensors)}: its source must give "
                f"the offsets of the samples as {OFFSET!r}, samples x genes."
            )
        offset = tensors[OFFSET]
        # minibatches come here before they are moved to the module's device
        return size_factor * (offset / self.offset_mean.to(offset.device)).to(size_factor.dtype)


class Encoder(nn.Module):
    """Normal posterior of the latent state from a sample's normalised counts and covariates.

    The input is ``log1p(x / s)``, with s the size factor (times the relative offset), so that the latent state does not depend on
    depth, centred per gene and projected on ``n_axes`` fixed principal axes of the training samples. With as many axes as
    samples the projection loses nothing, and the weights to learn shrink from genes x hidden to axes x hidden. Covariates shift
    the projected input. The mean is a linear map plus a network, so that training can start at the principal components.
    """

    offset: Tensor
    axes: Tensor

    def __init__(
        self, n_genes: int, n_latent: int, n_axes: int, n_hidden: int, n_layers: int, covariates: CovariateEffects
    ):
        super().__init__()
        self.register_buffer("offset", torch.zeros(n_genes))
        # random axes before the start from the data; nearly orthonormal at many genes
        self.register_buffer("axes", torch.randn(n_genes, n_axes) / n_genes**0.5)
        self.covariates = covariates
        self.linear_mean = nn.Linear(n_axes, n_latent)
        layers: list[nn.Module] = []
        for n_in in [n_axes] + [n_hidden] * (n_layers - 1):
            layers += [nn.Linear(n_in, n_hidden), nn.LayerNorm(n_hidden), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.mean = nn.Linear(n_hidden, n_latent)
        self.log_var = nn.Linear(n_hidden, n_latent)
        for head in (self.mean, self.log_var):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def project(self, x: Tensor, log_exposure: Tensor) -> Tensor:
        """Projected input before covariates, shape ``(n, n_axes)``."""
        return (torch.log1p(x * torch.exp(-log_exposure)) - self.offset) @ self.axes

    def forward(self, x: Tensor, log_exposure: Tensor, covariates: Covariates) -> Normal:
        """Posterior of the latent state, batch shape ``(n, n_latent)``."""
        h = self.project(x, log_exposure) - self.covariates(covariates)
        hidden = self.hidden(h)
        return Normal(self.linear_mean(h) + self.mean(hidden), torch.exp(0.5 * self.log_var(hidden)))
