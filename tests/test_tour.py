"""The contributor tour leads through rooms that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOUR = (ROOT / "docs" / "tour.md").read_text()
ROOMS = sorted(set(re.findall(r"`((?:\w+/)*\w+(?:\.py|/))`", TOUR)))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_on_the_tour_is_in_the_house(room: str) -> None:
    assert (ROOT / "src" / "bulkvi" / room).exists() or (ROOT / room).exists()


def test_the_tour_visits_every_floor() -> None:
    assert {room.split("/")[0] for room in ROOMS} >= {"stats", "model", "pp", "tl", "pl", "cli", "datasets", "names.py"}
