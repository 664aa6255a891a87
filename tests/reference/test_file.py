import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import bulkvi
from bulkvi.reference import _file


@pytest.fixture
def saved(reference: bulkvi.Reference, tmp_path: Path) -> Path:
    path = tmp_path / "cohort.ref"
    reference.save(path)
    return path


def forge(path: Path, change: dict[str, object] | None = None, **arrays: np.ndarray) -> None:
    """Write the file again with another header or other arrays, but its old hash."""
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files}
    header = json.loads(content.pop("header").tobytes()) | (change or {})
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with open(path, "wb") as file:
        np.savez_compressed(file, **{"header": text, **content, **arrays})


def test_nothing_half_written_is_left_and_an_older_file_stays(
    reference: bulkvi.Reference, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(file: object, **arrays: object) -> None:
        file.write(b"PK")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match=r"could not be written \(No space left on device; .* MB are free"):
        reference.save(saved, overwrite=True)
    with pytest.raises(OSError, match="Free space"):
        reference.save(saved.parent / "new.ref")
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_an_interruption_leaves_nothing(
    reference: bulkvi.Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reference.save(tmp_path / "new.ref")
    assert os.listdir(tmp_path) == []


def test_existing_files_and_folders(reference: bulkvi.Reference, saved: Path) -> None:
    with pytest.raises(ValueError, match="already exists.*overwrite=True"):
        reference.save(saved)
    reference.save(saved, overwrite=True)
    with pytest.raises(ValueError, match="is a folder"):
        reference.save(saved.parent)
    with pytest.raises(FileNotFoundError, match="no folder"):
        reference.save(saved.parent / "none" / "cohort.ref")
    with pytest.raises(ValueError, match="is a folder"):
        bulkvi.Reference.load(saved.parent)
    with pytest.raises(FileNotFoundError, match="no file"):
        bulkvi.Reference.load(saved.parent / "other.ref")


def test_truncated_and_damaged_files(saved: Path, rng: np.random.Generator) -> None:
    whole = saved.read_bytes()
    for length in (0, 1, 4, 100, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="empty|truncated or damaged|no reference"):
            bulkvi.Reference.load(saved)
    for at in rng.integers(4, len(whole), 60):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        saved.write_bytes(changed)
        try:
            found = bulkvi.Reference.load(saved)
        except ValueError as error:
            assert str(saved) in str(error)
        else:
            # a byte that no reader looks at, such as a date of the archive
            saved.write_bytes(whole)
            expected = bulkvi.Reference.load(saved)
            np.testing.assert_array_equal(found.values.level, expected.values.level)
            np.testing.assert_array_equal(found.values.loadings, expected.values.loadings)


def test_files_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "cohort.ref"
    path.write_text("gene\tcount\n")
    with pytest.raises(ValueError, match="is no reference of bulkvi: it is not in the format"):
        bulkvi.Reference.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    with pytest.raises(ValueError, match="an archive of something else"):
        bulkvi.Reference.load(path)
    np.savez(path.with_suffix(".npz"), header=np.frombuffer(b'{"a": 1}', np.uint8))
    with pytest.raises(ValueError, match="its header is of something else"):
        bulkvi.Reference.load(path.with_suffix(".npz"))


def test_other_versions_of_the_format(saved: Path) -> None:
    forge(saved, {"format_version": 99})
    with pytest.raises(ValueError, match=r"format version 99 .*reads version 1\. Update bulkvi"):
        bulkvi.Reference.load(saved)
    forge(saved, {"format_version": 0})
    with pytest.raises(ValueError, match=r"Build it again"):
        bulkvi.Reference.load(saved)


def test_changed_content_does_not_match_the_hash(reference: bulkvi.Reference, saved: Path) -> None:
    level = reference.values.level.astype(np.float32)
    forge(saved, level=level + 1)
    with pytest.raises(ValueError, match="does not match its hash"):
        bulkvi.Reference.load(saved)


def test_pickles_are_not_loaded(saved: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(ran),)

    forge(saved, level=np.array([Hostile()], dtype=object))
    with pytest.raises(ValueError, match="truncated or damaged"):
        bulkvi.Reference.load(saved)
    assert not ran.exists()


def test_archives_that_would_fill_the_memory_are_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file, "LARGEST", 1_000)
    with pytest.raises(ValueError, match="would take more"):
        bulkvi.Reference.load(saved)


def test_arrays_that_do_not_fit_the_genes_are_refused(saved: Path) -> None:
    header, arrays = _file.read(saved)
    arrays["level"] = arrays["level"][1:]
    _file.write(saved, header, arrays, overwrite=True)
    with pytest.raises(ValueError, match="no complete reference.*level"):
        bulkvi.Reference.load(saved)
