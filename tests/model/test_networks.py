import math

import pytest
import torch
from scvi import REGISTRY_KEYS

from bulkvi.model._decoders import DeepDecoder
from bulkvi.model._networks import CovariateCoding, CovariateEffects, Encoder, Exposure, units_of
from bulkvi.names import DESIGN

CODING = CovariateCoding(n_design=2, n_continuous=1, n_categories=(3, 1), n_batch=2)


def tensors() -> dict[str, torch.Tensor]:
    return {
        REGISTRY_KEYS.X_KEY: torch.zeros(3, 4),
        DESIGN: torch.tensor([[1.0, 0], [0, 1], [0, 0]]),
        REGISTRY_KEYS.CONT_COVS_KEY: torch.tensor([[0.5], [1.0], [-1.0]]),
        REGISTRY_KEYS.CAT_COVS_KEY: torch.tensor([[0, 0], [1, 0], [2, 0]]),
        REGISTRY_KEYS.BATCH_KEY: torch.tensor([[0], [1], [0]]),
    }


def test_first_levels_are_the_reference_and_single_levels_have_no_column() -> None:
    coded = CODING.code(tensors())
    assert list(coded) == ["design", "continuous", "category_0", "batch"] == list(CODING.widths)
    torch.testing.assert_close(coded["category_0"], torch.tensor([[0.0, 0], [1, 0], [0, 1]]))
    torch.testing.assert_close(coded["batch"], torch.tensor([[0.0], [1], [0]]))


def test_effects_are_the_product_of_columns_and_weights() -> None:
    effects = CovariateEffects(CODING.widths, 5)
    stacked = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    effects.set_weights(stacked)
    coded = CODING.code(tensors())
    torch.testing.assert_close(effects(coded), torch.cat(list(coded.values()), 1) @ stacked)


def test_no_covariates_add_nothing() -> None:
    assert CovariateEffects({}, 5)({}) == 0


def test_putting_samples_into_a_batch_changes_only_the_batch() -> None:
    coded = CODING.code(tensors())
    moved = CODING.with_batch(coded, 1)
    assert moved["batch"].eq(1).all()
    assert all(moved[kind] is coded[kind] for kind in coded if kind != "batch")


def test_weights_of_unknown_batches_start_at_zero_when_a_state_is_loaded() -> None:
    """A reference with one batch has no batch weights to give."""
    query = CovariateEffects({"batch": 1}, 3)
    query.set_weights(torch.ones(1, 3))
    query.load_state_dict(CovariateEffects({}, 3).state_dict())
    torch.testing.assert_close(query.weight["batch"].detach(), torch.zeros(1, 3))


def test_measurements_are_standardised_and_codes_are_not() -> None:
    age = torch.tensor([10_000.0, 20_000.0, 24_000.0, 18_000.0])
    covariates = {"design": torch.stack([age, torch.tensor([0.0, 1, 0, 1]), torch.tensor([-1.0, 0, 1, 0])], 1)}
    units = units_of(covariates)
    torch.testing.assert_close(units["design"].centre, torch.tensor([18_000.0, 0, 0]).double())
    torch.testing.assert_close(units["design"].scale, torch.tensor([age.std(correction=0), 1, 1]).double())
    effects = CovariateEffects({"design": 3}, 2)
    effects.set_units(units)
    effects.set_weights(torch.tensor([[1.0, 2], [3, 4], [5, 6]]))
    torch.testing.assert_close(effects(covariates).mean(0), torch.tensor([1.5, 2.0]))
    torch.testing.assert_close(effects(covariates)[0, 0], -8_000 / age.std(correction=0) - 5)


def test_a_column_that_does_not_vary_among_the_samples_seen_keeps_its_unit() -> None:
    unit = units_of({"continuous": torch.full((3, 1), 7.0)})["continuous"]
    assert (unit.centre.item(), unit.scale.item()) == (0, 1)


def test_units_are_saved_and_models_without_them_have_units_of_one() -> None:
    effects = CovariateEffects({"continuous": 1}, 2)
    effects.set_units(units_of({"continuous": torch.tensor([[2.0], [4.0]])}))
    state = effects.state_dict()
    other = CovariateEffects({"continuous": 1}, 2)
    other.load_state_dict(state)
    assert (other.units["continuous"].centre.item(), other.units["continuous"].scale.item()) == (3, 1)
    other.load_state_dict({key: value for key, value in state.items() if key.startswith("weight")})
    assert other.units["continuous"].centre.item() == 3  # nothing known, nothing changed
    fresh = CovariateEffects({"continuous": 1}, 2)
    fresh.load_state_dict({key: value for key, value in state.items() if key.startswith("weight")})
    assert (fresh.units["continuous"].centre.item(), fresh.units["continuous"].scale.item()) == (0, 1)


def test_the_offset_is_relative_to_the_means_of_the_model() -> None:
    plain, offset = Exposure(0), Exposure(3)
    offset.offset_mean.copy_(torch.tensor([1.0, 2, 4]))
    tensors = {
        REGISTRY_KEYS.SIZE_FACTOR_KEY: torch.tensor([[0.5], [2]]),
        "offset": torch.tensor([[1.0, 2, 4], [2, 2, 2]]),
    }
    torch.testing.assert_close(plain(tensors), tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY])
    torch.testing.assert_close(offset(tensors), torch.tensor([[0.5, 0.5, 0.5], [4, 2, 1]]))
    with pytest.raises(KeyError, match="a minibatch holds only"):
        offset({REGISTRY_KEYS.SIZE_FACTOR_KEY: torch.ones(2, 1)})


def test_the_encoder_reads_no_depth_and_is_shifted_by_covariates() -> None:
    torch.manual_seed(0)
    effects = CovariateEffects({"batch": 1}, 4)
    encoder = Encoder(6, 2, 4, 5, 1, effects)
    encoder.offset.normal_()
    x, log_exposure = torch.poisson(torch.full((3, 6), 9.0)), torch.tensor([[0.0], [0.4], [-0.3]])
    none = {"batch": torch.zeros(3, 1)}
    expected = (torch.log1p(x / log_exposure.exp()) - encoder.offset) @ encoder.axes
    torch.testing.assert_close(encoder.project(x, log_exposure), expected)
    torch.testing.assert_close(encoder(x * 2, log_exposure + math.log(2), none).loc, encoder(x, log_exposure, none).loc)
    with torch.no_grad():
        effects.weight["batch"].fill_(0.5)
    found = encoder(x, log_exposure, {"batch": torch.ones(3, 1)})
    torch.testing.assert_close(found.loc, encoder.linear_mean(expected - 0.5))  # the network starts at zero
    torch.testing.assert_close(found.scale, torch.ones(3, 2))


def test_a_deep_decoder_starts_as_the_linear_one() -> None:
    torch.manual_seed(0)
    widths = {"batch": 2}
    deep = DeepDecoder(6, 2, CovariateEffects(widths, 6), CovariateEffects(widths, 5), 5, 2, zero_inflated=True)
    z, covariates = torch.randn(4, 3, 2), {"batch": torch.eye(3)[:, 1:]}
    linear = deep.intercept + deep.covariates(covariates) + z @ deep.loadings
    torch.testing.assert_close(deep(z, covariates), linear)
    with torch.no_grad():
        deep.output.normal_()
        deep.zero_loadings.normal_()
    hidden = torch.tanh(deep.hidden[1](torch.tanh(deep.first(z))))
    torch.testing.assert_close(deep(z, covariates), linear + hidden @ deep.output)
    torch.testing.assert_close(deep.zero_logits(z), -4 + z @ deep.zero_loadings)
    assert [weight.shape for weight in deep.network_weights()] == [(5, 2), (5, 5)]
    inner = deep.hidden[1].get_parameter("weight")
    torch.testing.assert_close(deep.network_weights()[1], inner * 5**0.5)
