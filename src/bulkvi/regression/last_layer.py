"""The last layer of a trained model: predictions from the posterior of every gene given the samples' state."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bulkvi.names import LATENT_COLUMN
from bulkvi.stats.predictive.distribution import PredictedCounts
from bulkvi.stats.predictive.draws import draw_counts, draw_log_rates
from bulkvi.stats.predictive.layer import GeneLayer, fit_layer, state_of
from bulkvi.stats.predictive.noise import usual_noise
from bulkvi.stats.predictive.state import SampleStates, infer_states
from bulkvi.study.study import Study
from bulkvi.study.study_design import is_coded

NEAR_SPAN = 1e-6
"""Share of a column's largest value that rounding errors stay below."""


@dataclass(frozen=True, eq=False)
class LastLayer:
    """Posterior of each gene's level, effects, loadings and dispersion given the samples' state.

    Made by :meth:`bulkvi.BulkVI.last_layer`. Everything is in natural logs.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=300, n_hidden=1, hidden_share=0.8, hidden_sd=2.0)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    >>> model = bv.BulkVI(adata, n_latent=2)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> layer = model.last_layer()
    >>> mean, sd = layer.loadings()
    >>> mean.shape == sd.shape == (300, len(layer.directions))
    True
    """

    genes: pd.Index
    """Names of the genes."""
    state: pd.DataFrame
    """Training samples x directions: principal coordinates of the decoded variation, mean square 1, by falling variance."""
    posterior: GeneLayer
    """Of all genes."""
    centre: pd.Series
    """What is subtracted from each design column."""
    aliased: pd.DataFrame
    """Coefficients of columns that depend on those of the design in the training samples: design columns x such columns."""
    total: np.ndarray
    """Sum of the counts of each training sample, which identifies the samples."""

    @property
    def directions(self) -> list[str]:
        """Names of the directions."""
        return list(self.state.columns)

    @property
    def relevance(self) -> pd.Series:
        """Prior standard deviation of the loadings of each direction."""
        return pd.Series(self.posterior.relevance, self.directions)

    def loadings(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return posterior mean and standard deviation of the loadings, genes x directions, per unit of the state."""
        q, p = self.posterior.n_design, len(self.posterior.mean)
        diagonal = np.arange(q + 1, p + 1) * np.arange(q + 2, p + 2) // 2 - 1
        return tuple(
            pd.DataFrame(values.T, self.genes, self.directions)
            for values in (self.posterior.mean[q:], np.sqrt(self.posterior.covariance[diagonal]))
        )

    def is_of(self, study: Study) -> bool:
        """Whether the samples are those that the layer was fitted to."""
        return study.obs.index.equals(self.state.index) and np.array_equal(study.counts.sum(1), self.total)

    def design(self, study: Study, obs: pd.DataFrame | None = None) -> np.ndarray:
        """Code samples as rows of the layer's design.

        Raises
        ------
        ValueError
            If a sample has a level that the training samples lack.
        """
        coded = study.design.code_full(study.obs if obs is None else obs)
        others = coded.drop(columns=self.centre.index)
        expected = (coded[self.centre.index] @ self.aliased).reindex(columns=others.columns, fill_value=0.0)
        scale = np.abs(others).max().clip(lower=1.0)
        unknown = list(others.columns[(np.abs(others - expected) > NEAR_SPAN * scale).any()])
        if unknown:
            raise ValueError(
                f"samples differ in {unknown} as no training samples do: the model has no effect of these columns"
            )
        return (coded[self.centre.index] - self.centre).to_numpy()

    def infer(self, study: Study, which: np.ndarray | None = None) -> SampleStates:
        """Infer the state of samples from the genes at these positions, or from all."""
        which = np.arange(len(self.genes)) if which is None else which
        offset = study.log_exposure if study.log_exposure.ndim == 1 else study.log_exposure[:, which]
        return infer_states(study.counts[:, which], self.posterior.genes(which), self.design(study), offset=offset)

    def states_of(self, study: Study, which: np.ndarray | None = None) -> SampleStates:
        """Return the states of samples: as they were in training, or inferred if they are new or if genes are given."""
        if which is None and self.is_of(study):
            n, k = self.state.shape
            return SampleStates(self.state.to_numpy(), np.zeros((n, k, k)), usual_noise(n))
        return self.infer(study, which)

    def log_rates(self, states: SampleStates, design: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of log rates, samples x genes: uncertainty of coefficients and of the state."""
        part = self.posterior.genes(which)
        mean, variance = part.log_rate(np.hstack([design, states.mean]))
        loadings = part.mean[part.n_design :]
        return mean, variance + np.einsum("kg,nkl,lg->ng", loadings, states.covariance, loadings, optimize=True)

    def counts(self, study: Study, states: SampleStates, which: np.ndarray, rows: np.ndarray) -> PredictedCounts:
        """Predict the counts of samples at these positions."""
        states = SampleStates(*(each[rows] for each in states))
        mean, variance = self.log_rates(states, self.design(study)[rows], which)
        part = self.posterior.genes(which)
        return PredictedCounts(
            mean + _offset(study, rows, which), variance, part.log_dispersion, part.log_dispersion_sd, states.noise
        )

    def draw_rates(
        self, states: SampleStates, design: np.ndarray, which: np.ndarray, n_draws: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Draw log rates, samples x genes each."""
        return draw_log_rates(self.posterior.genes(which), design, states, n_draws, rng)

    def draw_counts(
        self,
        study: Study,
        states: SampleStates,
        design: np.ndarray,
        which: np.ndarray,
        rows: np.ndarray,
        n_draws: int,
        rng: np.random.Generator,
    ) -> Iterator[np.ndarray]:
        """Draw counts, samples x genes each."""
        part, offset = self.posterior.genes(which), _offset(study, rows, which)
        for log_rate in draw_log_rates(part, design, states, n_draws, rng):
            yield draw_counts(log_rate + offset, part, states.noise, rng)

    def to_record(self) -> dict[str, Any]:
        """Return plain arrays and lists, to be saved with a model."""
        return {
            "genes": self.genes.tolist(),
            "samples": self.state.index.tolist(),
            "directions": self.directions,
            "state": self.state.to_numpy(),
            "posterior": self.posterior._asdict(),
            "columns": self.centre.index.tolist(),
            "centre": self.centre.to_numpy(),
            "aliased": self.aliased.to_numpy(),
            "aliased_columns": self.aliased.columns.tolist(),
            "total": self.total,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "LastLayer":
        """Build the layer of :meth:`to_record`."""
        return cls(
            pd.Index(record["genes"]),
            pd.DataFrame(record["state"], record["samples"], record["directions"]),
            GeneLayer(**record["posterior"]),
            pd.Series(record["centre"], record["columns"], dtype=float),
            pd.DataFrame(record["aliased"], record["columns"], record["aliased_columns"]),
            record["total"],
        )


def last_layer(study: Study, difference: np.ndarray) -> LastLayer:
    """Fit the last layer to a study, with the decoded variation of its samples (samples x genes, natural log).

    Raises
    ------
    ValueError
        If no residual degrees of freedom are left beside the design.
    """
    matrix = study.design.matrix
    values = matrix.to_numpy()
    constant = np.ptp(values, axis=0) == 0
    # measurements far from 0 relative to their spread, such as years, would lose digits
    centre = pd.Series(np.where(is_coded(values) | constant, 0.0, values.mean(0)), matrix.columns)
    state, start = state_of(difference, values.shape[1])
    posterior = fit_layer(study.counts, values - centre.to_numpy(), state, start, offset=study.log_exposure)
    names = [f"{LATENT_COLUMN}_{k}" for k in range(state.shape[1])]
    table = pd.DataFrame(state, study.obs.index, names)
    others = study.design.full_matrix.drop(columns=matrix.columns)
    made_of = np.linalg.lstsq(values, others.to_numpy(), rcond=None)[0]
    aliased = pd.DataFrame(made_of, matrix.columns, others.columns)
    return LastLayer(study.genes, table, posterior, centre, aliased, study.counts.sum(1))


def _offset(study: Study, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
    offset = study.log_exposure[rows]
    return offset[:, None] if offset.ndim == 1 else offset[:, which]
