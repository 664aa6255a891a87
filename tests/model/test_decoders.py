import torch

from bulkvi.model._decoders import Decoder, DeepDecoder
from bulkvi.model._networks import CovariateEffects


def decoders() -> list[Decoder]:
    torch.manual_seed(0)
    linear = Decoder(6, 3, CovariateEffects({}, 6), zero_inflated=True)
    deep = DeepDecoder(6, 3, CovariateEffects({}, 6), CovariateEffects({}, 5), 5, 1, zero_inflated=True)
    for decoder in (linear, deep):
        for parameter in decoder.parameters():
            torch.nn.init.normal_(parameter)
    return [linear, deep]


def test_a_direction_without_relevance_is_neither_decoded_nor_learned() -> None:
    for decoder in decoders():
        decoder.relevance[1] = 0
        z = torch.randn(4, 3)
        other = z.clone()
        other[:, 1] = 5
        torch.testing.assert_close(decoder(z, {}), decoder(other, {}))
        torch.testing.assert_close(decoder.zero_logits(z), decoder.zero_logits(other))
        (decoder(z, {}).sum() + decoder.zero_logits(z).sum()).backward()
        assert decoder.loadings.grad is not None
        assert (decoder.loadings.grad[1] == 0).all()
        assert (decoder.loadings.grad[[0, 2]] != 0).all()


def test_models_saved_without_relevance_use_all_directions() -> None:
    for decoder in decoders():
        saved = {name: value for name, value in decoder.state_dict().items() if name not in ("relevance", "spread")}
        decoder.relevance.zero_()
        decoder.load_state_dict(saved)
        assert (decoder.relevance > 0).all()
        assert (decoder.spread == 1).all()
