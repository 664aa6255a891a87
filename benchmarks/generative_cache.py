"""Results kept on disk under all that they depend on."""

import ast
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name(".cache")
TOOLS = ("scvi-tools", "torch", "numpy", "scikit-learn")


def remember(
    name: str, settings: dict[str, Any], compute: Callable[[], list[dict[str, Any]]], *, code: Sequence[Path] = ()
) -> list[dict[str, Any]]:
    """Rows computed once for each choice of settings, source files and versions of the tools.

    Parameters
    ----------
    name
        Folder in ``benchmarks/.cache``.
    settings
        What the rows depend on, in values that JSON knows.
    compute
        Called if the rows are not there yet; its rows hold values that JSON knows.
    code
        Source files on which the rows depend.
    """
    key = {"settings": settings, "code": code_digest(code), "versions": {tool: version(tool) for tool in TOOLS}}
    text = json.dumps(key, sort_keys=True)
    file = FOLDER / name / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"
    if file.exists():
        return json.loads(file.read_text())["rows"]
    rows = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(key | {"rows": rows}))
    unfinished.replace(file)
    return rows


def code_digest(code: Sequence[Path]) -> str:
    """Digest of source files; their comments and layout do not count."""
    return hashlib.sha256(
        "\n".join(ast.unparse(ast.parse(path.read_text())) for path in sorted(code)).encode()
    ).hexdigest()[:12]
