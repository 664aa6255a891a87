"""Whether the files of a result are whole, and of one run."""

import json
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

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


def checksums(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of each file."""
    found = {}
    for name in names:
        with open(folder / name, "rb") as file:
            digest = file_digest(file, SHA256).hexdigest()
        found[name] = {SIZE: (folder / name).stat().st_size, SHA256: digest}
    return found


def read_run(path: Path) -> dict[str, Any]:
    """What a command wrote down about its run, at its very end.

    Raises
    ------
    ValueError
        If there is no such file, or it is damaged.
    """
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
    """Compare files with what their run wrote down about them.

    Raises
    ------
    ValueError
        If one is not there, cut, or not the one that the run wrote.
    """
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
