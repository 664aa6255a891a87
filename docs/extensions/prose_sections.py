"""Let the Returns and Yields sections of numpydoc docstrings be prose.

Types stand in the signatures, so these sections only say what comes out. Napoleon would take each of their lines for the
name of a type. A section with entries of their own (a name, its description indented below) stays as it is.
"""

import itertools
import re

from sphinx.application import Sphinx

FIELDS = {"Returns": ":returns:", "Yields": ":yields:"}


def prose_to_fields(lines: list[str]) -> list[str]:
    """Rewrite prose sections of a docstring as fields."""
    heads = [i for i in range(len(lines) - 1) if lines[i].strip() and re.fullmatch(r"-{3,}", lines[i + 1])]
    ends = [*heads, len(lines)]
    result = lines[: ends[0]]
    for start, stop in itertools.pairwise(ends):
        title, body = lines[start].strip(), lines[start + 2 : stop]
        if title in FIELDS and not _has_entries(body):
            # two blank lines end the section before
            result += ["", "", FIELDS[title], *(f"    {line}".rstrip() for line in body)]
        else:
            result += lines[start:stop]
    return result


def _has_entries(body: list[str]) -> bool:
    pairs = itertools.pairwise(body)
    return any(re.match(r"[^\s*-]", line) and below.startswith("    ") for line, below in pairs)


def _process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = prose_to_fields(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before Napoleon, which has the default priority of 500."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    return {"parallel_read_safe": True}
