import time
from concurrent.futures import ThreadPoolExecutor

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


def test_blocks_of_two_threads_have_the_numbers_of_their_own_seeds() -> None:
    def draw(seed: int) -> list[float]:
        with seeded(seed):
            values = []
            for _ in range(20):
                values.append(float(torch.rand(1)))
                time.sleep(1e-3)  # the other thread gets its turn
            return values

    alone = [draw(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, (1, 2))) == alone


def test_a_block_within_a_block_does_not_wait_for_itself() -> None:
    with seeded(1), seeded(2):
        inner = torch.rand(1)
    with seeded(2):
        assert torch.equal(torch.rand(1), inner)
