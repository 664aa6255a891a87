"""A saved model is whole or it is not there."""

import errno
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

import bulkvi
from bulkvi.model import _saving


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(trained: bulkvi.BulkVI, tmp_path: Path) -> Path:
    trained.save(tmp_path / "model")
    return tmp_path / "model"


def break_saving(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let torch write a part and fail."""

    def save(_: object, path: str, **__: Any) -> NoReturn:
        Path(path).write_bytes(b"PK half")
        raise error

    monkeypatch.setattr(torch, "save", save)


def test_a_save_that_breaks_off_keeps_the_older_model(
    trained: bulkvi.BulkVI, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "model.pt").read_bytes()
    break_saving(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        trained.save(folder, overwrite=True, save_anndata=True)
    assert names(folder) == ["model.pt"]
    assert (folder / "model.pt").read_bytes() == before


def test_a_first_save_that_breaks_off_leaves_nothing(
    trained: bulkvi.BulkVI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_saving(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        trained.save(tmp_path / "model")
    assert names(tmp_path) == []


def test_a_full_disk_is_named_in_place_of_the_words_of_torch(
    trained: bulkvi.BulkVI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_saving(monkeypatch, RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"))
    with pytest.raises(OSError, match=r"model.pt could not be written whole: .* MB are free.*Free space"):
        trained.save(tmp_path / "model")


def test_an_existing_folder_needs_overwrite(trained: bulkvi.BulkVI, folder: Path) -> None:
    with pytest.raises(ValueError, match="already exists.*overwrite=True"):
        trained.save(folder)
    trained.save(folder, overwrite=True, save_anndata=True)
    assert names(folder) == ["adata.h5ad", "model.pt"]
    trained.save(folder, prefix="second_", overwrite=True)
    assert names(folder) == ["adata.h5ad", "model.pt", "second_model.pt"]
    again = bulkvi.BulkVI.load(folder, trained.adata.copy(), prefix="second_")
    np.testing.assert_array_equal(again.get_latent_representation(), trained.get_latent_representation())


def test_the_model_is_the_last_file_that_comes(
    trained: bulkvi.BulkVI, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two no new samples lie beside an older model."""
    plain, there = _saving.os.replace, []

    def replace(source: Path, target: Path) -> None:
        there.append((target.name, (folder / "model.pt").exists()))
        plain(source, target)

    monkeypatch.setattr(_saving.os, "replace", replace)
    trained.save(folder, overwrite=True, save_anndata=True)
    assert there == [("adata.h5ad", False), ("model.pt", False)]


@pytest.mark.parametrize("kept", [0, 1, 30, 0.5, -1])
def test_a_cut_model_is_refused_with_file_and_remedy(kept: float, trained: bulkvi.BulkVI, folder: Path) -> None:
    """It was "Aborted!" on the command line, and words of zip files in Python."""
    data = (folder / "model.pt").read_bytes()
    (folder / "model.pt").write_bytes(data[: int(kept * len(data)) if kept == 0.5 else int(kept)])
    for call in (
        lambda: bulkvi.BulkVI.load(folder, adata=trained.adata),
        lambda: bulkvi.BulkVI.load_registry(folder),
        lambda: bulkvi.BulkVI.load_query_data(trained.adata, str(folder)),
        lambda: bulkvi.BulkVI.prepare_query_anndata(trained.adata, str(folder)),
    ):
        with pytest.raises(ValueError, match=r"model.pt is (empty|cut or damaged).*Copy the file again"):
            call()


def test_a_single_wrong_byte_is_found(trained: bulkvi.BulkVI, folder: Path) -> None:
    """torch reads it without a word."""
    data = bytearray((folder / "model.pt").read_bytes())
    place = data.rindex(b"data/") // 2
    data[place] ^= 1
    (folder / "model.pt").write_bytes(data)
    with pytest.raises(ValueError, match="cut or damaged"):
        bulkvi.BulkVI.load(folder, adata=trained.adata)


def test_what_is_no_model_is_refused(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no model.pt"):
        bulkvi.BulkVI.load(tmp_path, adata=trained.adata)
    torch.save(torch.zeros(3), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds no model of BulkVI.save"):
        bulkvi.BulkVI.load(tmp_path, adata=trained.adata)


def test_cut_samples_beside_the_model_are_refused(trained: bulkvi.BulkVI, folder: Path) -> None:
    trained.save(folder, overwrite=True, save_anndata=True)
    data = (folder / "adata.h5ad").read_bytes()
    (folder / "adata.h5ad").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"adata.h5ad.*cut or damaged.*load\(folder, adata=adata\)"):
        bulkvi.BulkVI.load(folder)
    assert bulkvi.BulkVI.load(folder, adata=trained.adata.copy()).is_trained_
