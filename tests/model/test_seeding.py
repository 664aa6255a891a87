import torch

from bulkvi.model._seeding import seeded


def test_a_block_is_repeatable_and_the_caller_goes_on_undisturbed() -> None:
    torch.manual_seed(11)
    undisturbed = torch.rand(3)
    torch.manual_seed(11)
    draws = []
    for _ in range(2):
        with seeded(5):
            draws.append(torch.rand(2))
    assert torch.equal(*draws)
    assert torch.equal(torch.rand(3), undisturbed)


def test_no_seed_runs_on_the_callers_generator() -> None:
    torch.manual_seed(11)
    expected = torch.rand(2)
    torch.manual_seed(11)
    with seeded(None):
        assert torch.equal(torch.rand(2), expected)
