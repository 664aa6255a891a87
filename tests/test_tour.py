"""The contributor tour leads through rooms that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOUR = (ROOT / "docs" / "tour.md").read_text()
ROOMS = sorted(set(re.findall(r"`((?:\w+/)*\w+(?:\.py|/))`", TOUR)))


def test_the_rooms_on_the_tour_are_in_the_house() -> None:
    assert [room for room in ROOMS if not ((ROOT / "src" / "bulkvi" / room).exists() or (ROOT / room).exists())] == []


def test_the_tour_visits_every_floor() -> None:
    assert {room.split("/")[0] for room in ROOMS} >= {
        "stats",
        "study",
        "regression",
        "model",
        "pp",
        "tl",
        "pl",
        "cli",
        "datasets",
        "names.py",
    }
