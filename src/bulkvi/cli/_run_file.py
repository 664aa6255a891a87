"""``run.json``: question, settings, findings and checksums of a run, for people and for programs."""

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any, Final

import typer

from bulkvi.cli._command import COMMAND

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LIBRARIES: Final = ("anndata", "numpy", "pandas", "scvi-tools", "torch")
CHECKSUMS: Final = "checksums"
SIZE: Final = "size"
SHA256: Final = "sha256"
KINDS: Final[dict[str, tuple[type, ...]]] = {
    "command": (str, type(None)),
    "level": (int, float),
    "warnings": (list,),
    "fit": (dict,),
    "enrichment": (dict, type(None)),
    CHECKSUMS: (dict,),
}
"""Entries of ``run.json`` that are read again, and what they may be."""
AGAIN: Final = "Run the analysis again, with --force into the same folder."


def describe_run(ctx: typer.Context) -> dict[str, Any]:
    """Describe the command, its time and its versions."""
    versions = {"bulkvi": version("bulkvi"), "python": python_version()}
    return {
        "command": ctx.meta[COMMAND],
        "directory": str(Path.cwd()),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": sys.platform,
        "versions": versions | {name: version(name) for name in LIBRARIES},
    }


def describe_result(
    adata: "AnnData",
    table: "pd.DataFrame",
    groups: tuple[str, Any, Any] | None,
    level: float,
    terms: "pd.DataFrame | None" = None,
) -> dict[str, Any]:
    """Describe the comparison and its findings; ``groups`` are a column, test and reference, ``terms`` scored gene sets."""
    from bulkvi.names import ADJ_P_VALUE, FLAG, LOG_FC

    compared: dict[str, Any] = {"contrast": None}
    if groups is not None:
        factor, test, reference = groups
        compared = {
            "contrast": {"column": factor, "test": test, "reference": reference},
            "n_samples_compared": {str(group): int((adata.obs[factor] == group).sum()) for group in (test, reference)},
        }
    called = table[table[ADJ_P_VALUE] < level]
    calls = {"all": len(called)}
    if LOG_FC in table:  # an omnibus test has no direction
        up = int((called[LOG_FC] > 0).sum())
        calls |= {"up": up, "down": len(called) - up}
    flags = table.loc[table[FLAG] != "", FLAG].str.split(",").explode().str.strip().value_counts()
    return compared | {
        "n_samples": adata.n_obs,
        "n_genes": adata.n_vars,
        "level": level,
        "calls": calls,
        "flags": {str(flag): int(n) for flag, n in flags.items()},
        "fit": {str(key): value for key, value in table.attrs.items()},
        "enrichment": None if terms is None else {str(key): value for key, value in terms.attrs.items()},
    }


def read_older(path: Path) -> dict[str, Any]:
    """Return the ``run.json`` of an older run; nothing if it cannot be read."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        questions = run.get("questions", [])
        whole = isinstance(questions, list) and all(isinstance(entry, dict) for entry in questions)
    except (OSError, ValueError, AttributeError):
        return {}
    return run if whole else {}


def as_json(summary: dict[str, Any]) -> str:
    """Write a summary as JSON: numbers of NumPy as plain ones, missing and infinite ones as null."""
    return json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    import pandas as pd

    if hasattr(value, "tolist"):
        value = value.tolist()
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float():
            return value if isfinite(value) else None
        case str() | int() | None:
            return value
        case _:
            return None if pd.isna(value) is True else str(value)


def checksums(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the size in bytes and the SHA-256 of each file."""
    found = {}
    for name in names:
        with open(folder / name, "rb") as file:
            digest = file_digest(file, SHA256).hexdigest()
        found[name] = {SIZE: (folder / name).stat().st_size, SHA256: digest}
    return found


def read_run(path: Path) -> dict[str, Any]:
    """Read ``run.json``, which a command writes last; ValueError if it is missing or damaged."""
    if not path.is_file():
        raise ValueError(
            f"{path.parent} has no {path.name}, which is written last: the run that left these files did not finish. {AGAIN}"
        )
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is cut or damaged: it is not JSON. {AGAIN}") from error
    if not isinstance(run, dict):
        raise ValueError(f"{path} must hold an object with names such as command and fit. {AGAIN}")
    for name, kinds in KINDS.items():
        if name in run and not isinstance(run[name], kinds):
            raise ValueError(f"{path} is damaged: its entry {name!r} is {type(run[name]).__name__}. {AGAIN}")
    if CHECKSUMS not in run:
        raise ValueError(f"{path} has no entry {CHECKSUMS!r}: it is of an older bulkvi, or was changed. {AGAIN}")
    return run


def check_whole(folder: Path, run: dict[str, Any], names: Iterable[str]) -> None:
    """Compare files with their checksums; ValueError if one is missing, cut, or not the one that the run wrote."""
    for name in names:
        path, written = folder / name, run[CHECKSUMS].get(name)
        if not path.is_file():
            raise ValueError(f"{folder} has no {name}. {AGAIN}")
        if not isinstance(written, dict):
            raise ValueError(f"{path} is not of the run that wrote run.json: it is not among its files. {AGAIN}")
        size = path.stat().st_size
        if size != written.get(SIZE):
            how = "is cut" if size < (written.get(SIZE) or 0) else "was changed, or is of another run"
            raise ValueError(f"{path} {how}: it has {size:,} bytes, and the run wrote {written.get(SIZE)}. {AGAIN}")
        if checksums(folder, [name])[name] != written:
            raise ValueError(
                f"{path} was changed since the run wrote it, is damaged, or is of another run: its checksum is not the one in "
                f"run.json. {AGAIN}"
            )
