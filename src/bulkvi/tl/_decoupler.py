"""decoupler without what its import does to matplotlib."""

from importlib import import_module
from typing import Any

from matplotlib import rc_context


def decoupler_method(name: str) -> Any:
    """A method of ``decoupler.mt``; the import would set the legends of all later figures (legendkit 0.5)."""
    with rc_context():
        return getattr(import_module("decoupler").mt, name)
