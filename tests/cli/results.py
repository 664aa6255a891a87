"""Results that hold no analysis: what lies where after a command is what matters."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bulkvi.cli._folder import RESULTS, NewResult, new_result
from bulkvi.cli._progress import STATE
from bulkvi.cli._run_file import check_whole, read_run

NAMES = ("de.csv", "report.html", "figures/ma.png", "adata.h5ad", "model/model.pt")


def context() -> Any:
    return SimpleNamespace(meta={STATE: "Nothing was written."})


def write(out: Path, text: str, *, names: tuple[str, ...] = NAMES, ctx: Any = None) -> None:
    """A result whose files all hold one text."""
    with new_result(ctx or context(), out, RESULTS, force=True, what="it") as result:
        fill(result, text, names)


def fill(result: NewResult, text: str, names: tuple[str, ...] = NAMES) -> None:
    for name in names:
        (result.new / name).parent.mkdir(exist_ok=True)
        (result.new / name).write_text(f"{text} {name}")
    result.move_in({"text": text})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_whole(folder: Path) -> str | None:
    """The text of the result, or None where it is refused."""
    try:
        run = read_run(folder / "run.json")
        check_whole(folder, run, run["checksums"])
    except ValueError:
        return None
    return run["text"]
