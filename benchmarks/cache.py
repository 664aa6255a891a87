"""What was computed once: kept by its settings and by the code behind it, so that a second run reads it.

The code enters as what Python makes of it: a changed comment or docstring computes nothing anew, a changed line does.
"""

import ast
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bulkvi

CACHE = Path(__file__).with_name(".cache")
PACKAGE = Path(bulkvi.__file__).parent
TOOLS = ("numpy", "scikit-learn", "scvi-tools", "torch")
ANSWER = ("stats", "study", "regression", "model", "pp/_size_factors.py")
"""What the table of ``differential_expression`` comes from."""


def remember(name: str, settings: Mapping[str, Any], compute: Callable[[], Any], *, code: Sequence[Path] = ()) -> Any:
    """What ``compute`` returns, read from the cache if it was computed from the same settings, code and versions before.

    Parameters
    ----------
    name
        Folder in the cache.
    settings
        Everything besides code and versions that the result depends on, in values that JSON knows.
    compute
        Called if the result is not there yet; returns what JSON knows.
    code
        Files of Python that the result depends on.
    """
    key = {
        "settings": dict(settings),
        "code": code_digest(tuple(code)),
        "versions": {tool: version(tool) for tool in TOOLS},
    }
    path = CACHE / name / f"{digest(key)}.json"
    if path.exists():
        return json.loads(path.read_text())["result"]
    found = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")  # a run that is stopped must not leave half a file behind
    partial.write_text(json.dumps(key | {"result": found}))
    partial.replace(path)
    return found


def package_code(*parts: str) -> list[Path]:
    """Files of the package under these folders or of these names, for ``code``."""
    files: list[Path] = []
    for part in parts:
        path = PACKAGE / part
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return files


@cache
def code_digest(files: tuple[Path, ...]) -> str:
    """Digest of the syntax trees of Python files, docstrings left out."""
    return digest([ast.dump(_without_docstrings(ast.parse(path.read_text()))) for path in files])


def digest(value: Any) -> str:
    """Digest of anything JSON holds."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree
