"""A future study as AnnData: its samples, its counts, and what the analysis of it would find."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import power_names as names
from bulkvi.arguments import check_number
from bulkvi.regression.composition_shift import resolve_shift
from bulkvi.regression.contrast import Contrast, LatentColumns, check_latent, group_contrast
from bulkvi.regression.effect_table import estimate_contrast
from bulkvi.regression.fit import GeneFit
from bulkvi.regression.hidden import HiddenVariation, effect_given_latent
from bulkvi.regression.regression import regress_genes
from bulkvi.regression.simulate import Pilot, Truth, draw_counts, draw_truth, pilot_of
from bulkvi.stats.effects.summary import EffectSummary
from bulkvi.stats.hidden.hidden_factors import MAX_FACTORS
from bulkvi.study.columns import is_number
from bulkvi.study.groups import Groups, columns_nested_in_group, find_groups
from bulkvi.study.study import Study
from bulkvi.study.study_design import StudyDesign

LN2 = np.log(2)
PSEUDO_COUNT = 0.5
"""Added to counts before logs, which 0 has none of."""


class Plan(NamedTuple):
    """A comparison of the pilot that a future study repeats."""

    study: Study
    pilot: Pilot
    compared: Contrast
    groupby: str
    levels: tuple[Any, Any]
    subtract: bool
    latent_columns: LatentColumns
    depth: float
    """Factor on the size factors of the pilot."""

    @property
    def groups(self) -> Groups:
        """Samples of the pilot in both groups."""
        return find_groups(self.study.obs, self.groupby, *self.levels)


@dataclass(frozen=True, eq=False)
class ResidualNetwork:
    """In place of a trained network: the log rates of the samples themselves, of which regressions take leading directions."""

    log_rates: np.ndarray
    n_latent: int = MAX_FACTORS

    def rate_differences(self, design: StudyDesign) -> np.ndarray:
        """Log rates, samples x genes."""
        return self.log_rates

    def decoded_log_fc(self, design: StudyDesign, compared: Contrast) -> np.ndarray:
        """Nothing is decoded."""
        return np.zeros(self.log_rates.shape[1])


def plan_study(
    fit: GeneFit, groupby: str, group1: Any, group2: Any, *, latent_columns: LatentColumns, depth: float
) -> Plan:
    """Collect from the fit of a pilot what a future study needs; raise KeyError or ValueError where that is not possible."""
    check_number("depth", depth, above=0)
    check_latent(None, latent_columns, fit.network.n_latent)
    study = fit.study
    study.check_unchanged()
    if study.donor is not None:
        raise ValueError(
            "The model has a donor_key, and future donors are not simulated: plan with one sample of each donor, or with "
            "donors as a column of the design."
        )
    find_groups(study.obs, groupby, group1, group2)
    slopes = set(study.design.variables) - set(study.design.categorical)
    if groupby in slopes and is_number(study.obs[groupby]):
        raise ValueError(
            f"{groupby!r} is a slope in the design, and a future study is simulated for two groups. Plan with a column of two "
            f"groups, or write C({groupby}) in the design."
        )
    compared = group_contrast(study.design, groupby, group1, group2)
    if not compared.weights.any():
        raise ValueError(
            f"The design does not tell {compared.label} apart, so it says nothing about their difference in another study: put "
            f"{groupby!r} into the design of setup_anndata."
        )
    subtract = resolve_shift(study.source, given=None)
    try:
        pilot = pilot_of(fit.hidden_variation, compared, latent_columns, subtract=subtract)
    except RuntimeError as error:  # of scvi-tools, where the network has to be queried
        raise ValueError(
            "The residuals of this model show hidden variation, and its network is not trained: call model.train() first, or "
            "give latent_columns=0."
        ) from error
    return Plan(study, pilot, compared, groupby, (group1, group2), subtract, latent_columns, float(depth))


def future_obs(plan: Plan, n_per_group: tuple[int, int], rng: np.random.Generator) -> pd.DataFrame:
    """Covariates of the samples of a future study: those of the pilot in turn, the same in both groups."""
    obs, design = plan.study.obs, plan.study.design
    nested = list(dict.fromkeys([plan.groupby, *columns_nested_in_group(obs, plan.groupby, design.variables)]))
    others = [name for name in design.variables if name not in nested]
    groups = plan.groups
    pool = obs.iloc[np.concatenate(groups)][others]
    pool = pool.drop_duplicates() if others else pool.iloc[:1]
    order = rng.permutation(len(pool))
    rows = np.concatenate([order[np.arange(n) % len(pool)] for n in n_per_group])
    both = pool.iloc[rows].reset_index(drop=True)
    for name in nested:
        source = np.repeat([group[0] for group in groups], n_per_group)
        both[name] = obs[name].array.take(source)
    both.index = pd.Index(
        [f"{level}_{i + 1}" for level, n in zip(plan.levels, n_per_group, strict=True) for i in range(n)]
    )
    return both[[*nested, *others]]


def draw_study(
    plan: Plan,
    truth: Truth,
    n_per_group: tuple[int, int],
    rng: np.random.Generator,
    genes: pd.Index | None = None,
) -> AnnData:
    """Draw the samples and counts of a future study given the parameters of all genes; ``genes`` are their names."""
    study, pilot = plan.study, plan.pilot
    obs = future_obs(plan, n_per_group, rng)
    features = study.design.code(obs).to_numpy() - pilot.centre
    log_depth = np.log(study.adata.obs[study.size_factor_key].to_numpy(dtype=float))
    log_depth = rng.choice(log_depth, len(obs)) + np.log(plan.depth)
    states = rng.standard_normal((len(obs), len(truth.loading)))
    counts = draw_counts(truth, features, log_depth, states, rng)
    obs[study.size_factor_key] = np.exp(log_depth)
    var = pd.DataFrame(
        {
            names.TRUE_LOG_FC: truth.effect / LN2,
            names.TRUE_BASE_MEAN: np.exp(np.minimum(features @ truth.coef, truth.largest_log_rate)).mean(0),
            names.TRUE_DISPERSION: np.expm1(np.log1p(truth.dispersion) + (truth.loading**2).sum(0)),
        },
        index=study.genes.copy() if genes is None else genes,
    )
    adata = AnnData(counts.astype(np.int32), obs=obs, var=var)
    if len(truth.loading):
        adata.obsm[names.TRUE_HIDDEN] = states
        adata.varm[names.TRUE_HIDDEN_LOADING] = truth.loading.T / LN2
    return adata


def simulate_study(plan: Plan, n_per_group: tuple[int, int], seed: int) -> AnnData:
    """Draw parameters of all genes, and a study given them."""
    truth_stream, study_stream = np.random.SeedSequence(seed).spawn(2)
    truth = draw_truth(plan.pilot, np.random.default_rng(truth_stream))
    return draw_study(plan, truth, n_per_group, np.random.default_rng(study_stream))


def analyse(plan: Plan, adata: AnnData) -> EffectSummary:
    """Compare the groups of a simulated study as ``differential_expression`` does, residuals in place of a trained network."""
    design = replace(plan.study.design, adata=adata)
    study = Study(adata, design, plan.study.size_factor_key, plan.study.source)
    compared = group_contrast(design, plan.groupby, *plan.levels)
    regression = regress_genes(study, design.matrix)
    log_rates = np.log((study.counts + PSEUDO_COUNT) / np.exp(study.log_exposure)[:, None])
    hidden = HiddenVariation(study, regression, ResidualNetwork(log_rates))
    weighted = effect_given_latent(hidden, compared.weights, "direct", plan.latent_columns, common=not plan.subtract)
    return estimate_contrast(
        weighted.regression,
        weighted.weights,
        weighted.covariance,
        weighted.sides,
        subtract=plan.subtract,
        expected=weighted.expected,
        located=weighted.located,
        alone=weighted.alone,
    ).summary
