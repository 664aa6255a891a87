"""What was computed once is read, and computed anew when anything behind it changes."""

from pathlib import Path

import pytest

from benchmarks import cache


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    cache.code_digest.cache_clear()
    return []


def test_second_call_reads(calls: list[int]):
    def compute() -> list[int]:
        calls.append(1)
        return [len(calls)]

    assert cache.remember("x", {"seed": 1}, compute) == [1]
    assert cache.remember("x", {"seed": 1}, compute) == [1]
    assert cache.remember("x", {"seed": 2}, compute) == [2]
    assert cache.remember("y", {"seed": 1}, compute) == [3]


def test_a_changed_line_computes_anew_and_a_changed_comment_does_not(calls: list[int], tmp_path: Path):
    source = tmp_path / "source.py"

    def found() -> int:
        cache.code_digest.cache_clear()
        return cache.remember("x", {}, lambda: calls.append(1), code=[source]) or len(calls)

    source.write_text('"""Says."""\n\n\ndef f():\n    """Doc."""\n    return 1\n')
    assert found() == 1
    source.write_text('"""Says more."""\n\n\ndef f():  # why\n    """Other."""\n    return 1\n')
    assert found() == 1
    source.write_text('"""Says."""\n\n\ndef f():\n    """Doc."""\n    return 2\n')
    assert found() == 2


def test_another_version_of_a_tool_computes_anew(calls: list[int], monkeypatch: pytest.MonkeyPatch):
    assert cache.remember("x", {}, lambda: 1) == 1
    monkeypatch.setattr(cache, "version", lambda tool: "another")
    assert cache.remember("x", {}, lambda: 2) == 2


def test_an_interrupted_run_leaves_nothing(calls: list[int]):
    def fails() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.remember("x", {}, fails)
    assert cache.remember("x", {}, lambda: 7) == 7
