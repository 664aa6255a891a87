"""Hostile inputs, by kind: the slow lane."""

from pathlib import Path
from typing import Any

import pytest

from tests.trust.verdict import counted

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the verdicts of a process of tests to the one that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["verdicts"] = dict(counted)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    counted.update(getattr(node, "workeroutput", {}).get("verdicts", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if counted:
        terminalreporter.section("hostile inputs")
        for verdict, n in counted.most_common():
            terminalreporter.line(f"{verdict}: {n}")
