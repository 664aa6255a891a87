"""Results are computed once for each thing that they depend on."""

import importlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        module = importlib.import_module("benchmarks.generative_cache")
        patch.setattr(module, "FOLDER", tmp_path / "cache")
        yield module


def test_rows_are_computed_once_until_settings_code_or_a_tool_change(cache, tmp_path, monkeypatch):
    source, calls = tmp_path / "source.py", count(1)

    def ask(**settings: int) -> list[dict]:
        return cache.remember("some", settings, lambda: [{"a": 0.1, "call": next(calls)}], code=[source])

    source.write_text("def f(x):\n    return x\n")
    assert ask(seed=0) == ask(seed=0) == [{"a": 0.1, "call": 1}]
    source.write_text("def f(x):  # the same\n    return x\n")
    assert ask(seed=0)[0]["call"] == 1
    assert ask(seed=1)[0]["call"] == 2
    source.write_text("def f(x):\n    return x + 1\n")
    assert ask(seed=0)[0]["call"] == 3
    monkeypatch.setattr(cache, "version", lambda tool: "another")
    assert ask(seed=0)[0]["call"] == 4


def test_a_failed_computation_leaves_nothing_behind(cache):
    def fail() -> list[dict]:
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        cache.remember("some", {}, fail)
    assert cache.remember("some", {}, lambda: [{"a": 1}]) == [{"a": 1}]
