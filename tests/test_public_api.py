"""Everything public exists, explains itself in numpydoc, has a place in the documentation and an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import matplotlib.pyplot as plt
import pytest

import bulkvi
import bulkvi.stats

API_PAGES = Path(__file__).parents[1] / "docs" / "api"


def modules(package: ModuleType) -> list[str]:
    return [info.name for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]


def public_objects() -> Iterator[tuple[str, object]]:
    """What users import: the top level, its namespaces, and the public functions of ``stats``."""
    for name in bulkvi.__all__:
        thing = getattr(bulkvi, name)
        if inspect.ismodule(thing):
            yield from ((f"{name}.{inner}", getattr(thing, inner)) for inner in thing.__all__)
        elif not name.startswith("__"):
            yield name, thing
    yield from ((f"stats.{name}", getattr(bulkvi.stats, name)) for name in bulkvi.stats.__all__)


PUBLIC = dict(public_objects())
METHODS = {
    f"{name}.{method}": function
    for name, thing in PUBLIC.items()
    if inspect.isclass(thing)
    for parent in reversed(thing.__mro__)
    if parent.__module__.startswith("bulkvi.")
    for method, function in vars(parent).items()
    if not method.startswith("_") and (inspect.isfunction(function) or isinstance(function, classmethod))
}


def missing_sections(thing: object) -> list[str]:
    """Sections that the docstring of a function or class lacks, judged by its signature."""
    doc = inspect.cleandoc(thing.__doc__ or "")
    function = thing.__init__ if inspect.isclass(thing) else getattr(thing, "__func__", thing)
    needed = [] if doc else ["Summary"]
    if inspect.isfunction(function):
        signature = inspect.signature(function)
        named = [p.name for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if set(named) - {"self", "cls"}:
            needed.append("Parameters")
        if not inspect.isclass(thing) and signature.return_annotation not in (None, NoReturn, signature.empty):
            needed.append("Returns|Yields")
    return [section for section in needed if not re.search(rf"^({section})\n-+$", doc, re.MULTILINE)]


def test_the_top_level_is_small():
    assert {"BulkVI", "datasets", "pl", "pp", "tl"} <= set(bulkvi.__all__)
    assert [name for name in bulkvi.__all__ if not hasattr(bulkvi, name)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_object_has_a_numpydoc_docstring(name: str):
    assert missing_sections(PUBLIC[name]) == []


@pytest.mark.parametrize("name", METHODS)
def test_method_has_a_numpydoc_docstring(name: str):
    assert missing_sections(METHODS[name]) == []


@pytest.mark.parametrize("name", [name for name, thing in PUBLIC.items() if inspect.isroutine(thing)])
def test_public_function_has_an_example(name: str):
    assert ">>> " in inspect.cleandoc(PUBLIC[name].__doc__ or "")


def test_the_public_functions_of_stats_are_a_dozen_or_so_and_load_on_first_use():
    assert 10 <= len(bulkvi.stats.__all__) <= 15
    assert set(bulkvi.stats.__all__) <= set(dir(bulkvi.stats))
    with pytest.raises(AttributeError, match="module 'bulkvi.stats' has no attribute 'fit_gene'"):
        _ = bulkvi.stats.fit_gene
    command = "import sys, bulkvi.stats; sys.exit(bool({'numba', 'scipy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_docstring_check_sees_what_is_missing():
    def bare(x: int) -> int:
        return x

    def half(x: int) -> int:
        """Summary.

        Parameters
        ----------
        x
            A number.
        """
        return x

    assert missing_sections(bare) == ["Summary", "Parameters", "Returns|Yields"]
    assert missing_sections(half) == ["Returns|Yields"]


def test_api_pages_list_what_is_public_and_nothing_else():
    pages = "\n".join(page.read_text() for page in API_PAGES.glob("*.md"))
    listed = re.findall(r"^    ([A-Za-z_][\w.]*)$", pages, re.MULTILINE)
    assert sorted(listed) == sorted(PUBLIC)


def test_the_gallery_shows_every_picture():
    gallery = (API_PAGES.parent / "gallery.md").read_text()
    assert [name for name in bulkvi.pl.__all__ if f"bv.pl.{name}(" not in gallery] == []


@pytest.mark.parametrize("name", modules(bulkvi))
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("agg")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(example, out=report.append)
    plt.close("all")
    assert not report, "".join(report)
