"""The file of a reference: arrays and a header of text in NumPy's zipped format, without pickles.

The file is a zip archive of ``.npy`` arrays, as :func:`numpy.savez_compressed` writes them, that :func:`numpy.load` reads with
``allow_pickle=False``. The array ``header`` holds UTF-8 JSON with the format's name and version, names, provenance, and a SHA-256
hash of all other arrays and of the header without it.
"""

import hashlib
import json
import os
import shutil
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

FORMAT: Final = "bulkvi reference"
FORMAT_VERSION: Final = 1
HEADER: Final = "header"
HASH: Final = "sha256"
KINDS: Final = "fiu"
"""Kinds of numbers in arrays."""
LARGEST: Final = 2**30
"""Bytes of all arrays, unpacked: a reference of 100,000 genes and 100 directions has fewer; more is an attack, or no reference."""
BUILD_AGAIN: Final = "Copy or download it again, or build it again: bulkvi.Reference.from_model(model, ...).save(path)."


def write(path: Path, header: dict[str, Any], arrays: dict[str, np.ndarray], *, overwrite: bool) -> None:
    """Write arrays and a header to a new name in the same folder, and rename the file when it is complete.

    Raises
    ------
    ValueError
        If the file exists and is not to be replaced.
    OSError
        If it cannot be written; an older file stays as it was.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file, such as {path / 'cohort.ref'}.")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} already exists. Give another name, or overwrite=True to replace it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} into. Make it first.")
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, **header}
    header[HASH] = _hash(header, arrays)
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    part = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    try:
        with open(part, "xb") as file:
            np.savez_compressed(file, allow_pickle=False, **{HEADER: text, **arrays})
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        free = shutil.disk_usage(path.parent).free
        raise OSError(
            f"{path} could not be written ({error.strerror or error}; {free / 1e6:,.0f} MB are free on that disk). Free space, or "
            "name a file on another disk."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read header and arrays.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is no reference, is truncated or damaged, or of another format version.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and a reference is one file.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    with open(path, "rb") as file:
        start = file.read(4)
    if not start:
        raise ValueError(f"{path} is empty. {BUILD_AGAIN}")
    if start != b"PK\x03\x04":
        raise ValueError(f"{path} is no reference of bulkvi: it is not in the format that Reference.save writes.")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError(f"{path} is no reference of bulkvi: it would take more than {LARGEST / 2**30:.0f} GB.")
            if f"{HEADER}.npy" not in archive.namelist():
                raise ValueError(f"{path} is no reference of bulkvi: it is an archive of something else.")
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise _damaged(path) from error
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(archive[HEADER].tobytes().decode())
            _check_header(path, header)
            arrays = {name: archive[name] for name in archive.files if name != HEADER}
    except _Foreign as error:
        raise ValueError(str(error)) from None
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise _damaged(path) from error
    given = header.pop(HASH, None)
    if any(array.dtype.kind not in KINDS for array in arrays.values()) or given != _hash(header, arrays):
        raise ValueError(
            f"{path} is damaged, or was changed after it was written: its content does not match its hash. {BUILD_AGAIN}"
        )
    return header, arrays


class _Foreign(Exception):
    """A header of another format, or of another version of it."""


def _check_header(path: Path, header: Any) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _Foreign(f"{path} is no reference of bulkvi: its header is of something else.")
    found = header.get("format_version")
    if found != FORMAT_VERSION:
        newer = isinstance(found, int) and found > FORMAT_VERSION
        remedy = (
            "Update bulkvi, or get a file of the older format"
            if newer
            else "Build it again with this version of bulkvi, or install the version that wrote it"
        )
        made_by = header.get("provenance", {}).get("bulkvi_version", "unknown")
        raise _Foreign(
            f"{path} has format version {found} (written by bulkvi {made_by}), and this bulkvi reads version {FORMAT_VERSION}. {remedy}."
        )


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path} is truncated or damaged: it cannot be read. {BUILD_AGAIN}")


def _hash(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
