"""The part of the design alone in contrasts that are adjusted for latent columns."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bulkvi
from bulkvi.regression.design_alone import alignment_ratio, design_alone
from bulkvi.stats.effects.effect import EffectLikelihood, log_p_value
from bulkvi.stats.effects.independent_genes import ExpectedInflation
from bulkvi.stats.effects.likelihood_ratio import ContrastedEffect
from bulkvi.stats.effects.summary import CompositionShift
from tests.cohorts import fit


@pytest.fixture(scope="module")
def model() -> bulkvi.BulkVI:
    """A weak hidden batch that is balanced over groups which differ in all genes by little."""
    adata = bulkvi.datasets.simulate(
        n_per_group=6, n_genes=1500, de_share=1.0, effect_sd=0.16, n_hidden=1, hidden_share=0.5, hidden_sd=0.4, seed=4
    )
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    return fit(adata, max_steps=60, n_latent=3)


def contrast(model: bulkvi.BulkVI, **choices) -> pd.DataFrame:
    return model.differential_expression("group", "B", "A", **choices)


def test_width_by_small_effects_gives_the_design_alone_a_part(model: bulkvi.BulkVI) -> None:
    table = contrast(model)
    assert table.attrs["n_latent_columns"] == 1
    assert 0.05 < table.attrs["design_alone"] < 0.6
    assert 1 <= table.attrs["null_variance"] < 1.3
    part = table.attrs["design_alone"]
    columns, alone = (contrast(model, latent_columns=number) for number in (1, 0))
    assert columns.attrs["design_alone"] == alone.attrs["design_alone"] == 0
    usual = ~table["flag"].str.contains("separated")
    average = (1 - part) * columns["log_fc_mle"] + part * alone["log_fc_mle"]
    np.testing.assert_allclose(table["log_fc_mle"][usual], average[usual], atol=1e-9)
    # p-values of the design alone are as they are
    assert (table["p_value"] >= part * alone["p_value"] * (1 - 1e-9)).all()
    assert table["p_value"].corr(columns["p_value"], method="spearman") > 0.98
    assert (table["log_fc"] * table["log_fc_mle"] >= 0).all()
    assert (table["log_fc"].abs() <= table["log_fc_mle"].abs() * (1 + 1e-9)).all()


def test_direct_and_latent_add_up_to_total_in_the_average(model: bulkvi.BulkVI) -> None:
    direct, latent, total = (contrast(model, effect=effect) for effect in ("direct", "latent", "total"))
    assert direct.attrs["design_alone"] == total.attrs["design_alone"] > 0
    usual = ~total["flag"].str.contains("separated")
    added = direct["log_fc_mle"] + direct.attrs["composition_shift"] + latent["log_fc_mle"]
    np.testing.assert_allclose(added[usual], total["log_fc_mle"][usual], atol=1e-8)


def test_the_order_of_samples_does_not_matter(model: bulkvi.BulkVI) -> None:
    swapped = model.differential_expression("group", "A", "B")
    table = contrast(model)
    assert swapped.attrs["design_alone"] == pytest.approx(table.attrs["design_alone"], rel=1e-6)
    np.testing.assert_allclose(swapped["log_fc_mle"], -table["log_fc_mle"], atol=1e-9)
    np.testing.assert_allclose(swapped["p_value"], table["p_value"], rtol=1e-6)


def decided(z: np.ndarray, *, along: float = 0.5, information: float = 1.2, log_sd: float = 0.2):
    effect = EffectLikelihood(z[None], np.ones((1, z.size)), np.ones((1, z.size)))
    located = ContrastedEffect(effect, np.zeros(z.size), np.zeros(z.size, bool)), CompositionShift()
    plain: Any = SimpleNamespace(informative=np.ones(z.size, bool))
    sides = np.zeros(2, bool), np.ones(2, bool)
    expected = ExpectedInflation(0.05, log_sd)
    return design_alone(plain, pd.Series({"b": 1.0}), sides, located, expected, information=information, along=along)


def test_it_has_a_part_only_where_it_is_honest(rng: np.random.Generator) -> None:
    shared, wide = rng.normal(0, 1.15, 5000), rng.normal(0, 1.7, 5000)
    assert decided(shared) is None
    assert decided(wide, log_sd=1.0) is None
    assert decided(wide, along=1.01) is None
    alone = decided(wide)
    assert alone is not None
    assert alone.inflation is not None
    assert 1 <= alone.factor < 1.2
    assert alone.inflation.factor[-1] == pytest.approx(1.7**2, rel=0.1)
    # the more latent columns tell, the smaller its part
    parts = [decided(wide, information=information).probability for information in (1.0, 1.2, 1.5, 2.0)]
    assert parts == sorted(parts, reverse=True)
    assert 0.4 < parts[0] < 0.65
    assert parts[-1] < 0.01


def test_p_values_are_averaged_over_both_models(rng: np.random.Generator) -> None:
    effect = EffectLikelihood(rng.normal(0, 3, (1, 50)), np.ones((1, 50)), np.ones((1, 50)))
    contrasted = ContrastedEffect(effect, log_p_value(effect), np.zeros(50, bool))
    other = ContrastedEffect(effect._replace(se=1.5 * effect.se), np.log(rng.random(50)), np.zeros(50, bool))
    alone = decided(rng.normal(0, 1.7, 5000))._replace(
        regression=SimpleNamespace(contrast=lambda *_: other),
        probability=0.4,
        factor=1.0,
    )
    averaged = alone.averaged(contrasted, 0.0)
    np.testing.assert_allclose(np.exp(averaged.log_p), 0.6 * np.exp(contrasted.log_p) + 0.4 * np.exp(other.log_p))
    wider = alone._replace(factor=4.0, probability=0.0).averaged(contrasted, 0.0)
    np.testing.assert_allclose(wider.log_p, log_p_value(effect._replace(se=2 * effect.se)), rtol=1e-6)


def test_alignment_by_chance_is_one_on_average_whatever_the_rotation(rng: np.random.Generator) -> None:
    loadings, se = rng.normal(size=(3, 400)) * [[3.0], [1.0], [0.5]], rng.uniform(0.5, 2, 400)
    delta = rng.normal(0, np.sqrt(0.4), (4000, 3))
    ratios = np.array([alignment_ratio(loadings, one, se, 0.4) for one in delta])
    assert ratios.mean() == pytest.approx(1, abs=4 * ratios.std() / np.sqrt(4000))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert alignment_ratio(rotation @ loadings, rotation @ delta[0], se, 0.4) == pytest.approx(ratios[0])
    assert alignment_ratio(loadings, np.zeros(3), se, 0.4) == 0
    assert alignment_ratio(0 * loadings, delta[0], se, 0.4) == 0
