"""Save a model completely or not at all, and refuse a damaged file."""

import os
import shutil
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from anndata import AnnData, read_h5ad
from scvi.model.base import BaseModelClass

from bulkvi.model._differential import DifferentialMixin
from bulkvi.model._fields import recorded
from bulkvi.study.fingerprint import GENES, check_genes, with_genes

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI

MODEL_FILE: Final = "model.pt"
SAMPLES_FILE: Final = "adata.h5ad"
PARTS: Final = ("model_state_dict", "var_names", "attr_dict")
"""What a saved model holds."""


class SavingMixin(DifferentialMixin):
    """``save`` and ``load`` that never leave or accept an incomplete model, or other samples than those of the model."""

    def save(
        self,
        dir_path: str | Path,
        prefix: str | None = None,
        *,
        overwrite: bool = False,
        save_anndata: bool = False,
        save_kwargs: dict[str, Any] | None = None,
        datamodule: Any = None,
        **anndata_write_kwargs: Any,
    ) -> None:
        """Write the model into a folder, for :meth:`load`.

        The files are written under other names first and renamed when they are complete: an interruption or a full
        disk leaves an older model as it was.

        Parameters
        ----------
        dir_path
            Folder; made if it does not exist.
        prefix
            Put before the names of the files.
        overwrite
            Whether the folder may exist; the files of an older model in it are replaced.
        save_anndata
            Whether to write the samples too.
        save_kwargs
            Arguments of :func:`torch.save`.
        datamodule
            Source of minibatches of a model without AnnData.
        anndata_write_kwargs
            Arguments of ``AnnData.write_h5ad``.

        Raises
        ------
        ValueError
            If the folder exists and ``overwrite`` is not set.
        OSError
            If the files cannot be written.
        """
        if self.is_trained_:
            self._axes_for_saving()
        folder = Path(dir_path)
        if folder.exists() and not overwrite:
            raise ValueError(
                f"{folder} already exists. Name another folder, or set overwrite=True to replace a model in it."
            )
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        parts = folder / f".bulkvi-{uuid.uuid4().hex[:8]}"
        try:
            super().save(
                str(parts),
                prefix=prefix,
                save_anndata=save_anndata,
                save_kwargs=save_kwargs,
                datamodule=datamodule,
                **anndata_write_kwargs,
            )
            _move(parts, folder, prefix or "")
        except RuntimeError as error:
            if not _is_half_written(error):
                raise
            free = shutil.disk_usage(folder).free
            raise OSError(
                f"{folder / MODEL_FILE} could not be written whole: {free / 1e6:,.0f} MB are free on that disk, or a quota is used "
                "up. Free space, or name a folder on another disk."
            ) from error
        finally:
            shutil.rmtree(parts, ignore_errors=True)
            if is_new and not any(folder.iterdir()):
                folder.rmdir()

    @classmethod
    def load(
        cls,
        dir_path: str | Path,
        adata: AnnData | Literal[False] | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        backup_url: str | None = None,
        datamodule: Any = None,
        allowed_classes_names_list: list[str] | None = None,
    ) -> "BulkVI":
        """Load a model that :meth:`save` wrote.

        Parameters
        ----------
        dir_path
            Folder. Its ``model.pt`` is unpickled: load only what you trust.
        adata
            The samples that it was trained on, or others with all its genes, in any order; ``None`` takes those that were saved
            with it, ``False`` none.
        accelerator, device
            Where to put the model.
        prefix
            Text before the names of the files.
        backup_url
            Address to download the files from if they are not in the folder.
        datamodule
            Source of minibatches of a model without AnnData.
        allowed_classes_names_list
            Names of further classes whose saved models may be loaded.

        Returns
        -------
        The model. Where the genes of ``adata`` are more than the model's, or in another order, ``model.adata`` is a copy with
        the model's genes in its order, and there is a warning.

        Raises
        ------
        ValueError
            If there is no model in the folder, or its files are truncated or damaged; or ``adata`` lacks genes of the model, or has
            levels that are unknown to the model.
        """
        samples = Path(dir_path) / f"{prefix or ''}{SAMPLES_FILE}"
        if backup_url is None:
            check_saved(dir_path, prefix or "")
        if adata is None and samples.is_file():
            adata = _saved_samples(samples)
        if isinstance(adata, AnnData) and backup_url is None:
            adata = with_genes(adata, recorded(cls.load_registry(dir_path, prefix)).get(GENES, []))
        return super().load(
            str(dir_path),
            adata,
            accelerator=accelerator,
            device=device,
            prefix=prefix,
            backup_url=backup_url,
            datamodule=datamodule,
            allowed_classes_names_list=allowed_classes_names_list,
        )

    @staticmethod
    def load_registry(dir_path: str | Path, prefix: str | None = None) -> dict[str, Any]:
        """Return how the samples of a saved model were set up.

        Parameters
        ----------
        dir_path
            Folder. Its ``model.pt`` is unpickled: load only what you trust.
        prefix
            Text before the names of the files.

        Raises
        ------
        ValueError
            If there is no model in the folder, or its file is truncated or damaged.
        """
        check_saved(dir_path, prefix or "")
        return BaseModelClass.load_registry(str(dir_path), prefix=prefix)

    def _validate_anndata(self, adata: AnnData | None = None, *, copy_if_view: bool = True) -> AnnData:
        """Raise ValueError if the samples are not the registered ones any more, or new ones have other genes."""
        record = recorded(self.registry)
        if record and adata is not None and adata is not self.adata:
            check_genes(adata, record[GENES])
        elif self.adata is not None:
            self._check_unchanged()
        was_empty = self.adata is None
        validated = super()._validate_anndata(adata, copy_if_view=copy_if_view)
        if was_empty and self.adata is not None:
            # scvi-tools attaches the first samples that a model without any is given: they are compared with themselves later
            registry = self.get_anndata_manager(self.adata, required=True).registry
            self._recorded, self._record = self.adata, recorded(registry)
        return validated


def check_saved(folder: str | Path, prefix: str = "") -> None:
    """Raise ValueError unless a folder holds a complete saved model; it is read once."""
    path = Path(folder) / f"{prefix}{MODEL_FILE}"
    if not path.is_file():
        raise ValueError(f"{folder} holds no {path.name}: name the folder that BulkVI.save wrote.")
    cure = "Copy the file again, or save the model again; if neither is possible, train it again."
    with open(path, "rb") as file:
        if not file.read(1):
            raise ValueError(f"{path} is empty. {cure}")
    damage = f"{path} is cut or damaged: it cannot be read as a saved model. {cure}"
    try:
        # torch does not check every byte
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(damage)
        content = torch.load(path, map_location="cpu", weights_only=False)
    except MemoryError:
        raise
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path} was saved with a library that is not installed here ({error.name}). Install it, or save the model again."
        ) from error
    except Exception as error:
        raise ValueError(damage) from error
    if not isinstance(content, dict) or any(part not in content for part in PARTS):
        raise ValueError(f"{path} holds no model of BulkVI.save. Name the folder of one.")


def _saved_samples(path: Path) -> AnnData:
    try:
        return read_h5ad(path)
    except PermissionError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path}, the samples that were saved with the model, is cut or damaged. Copy it again, or give the samples: "
            "BulkVI.load(folder, adata=adata)."
        ) from error


def _move(parts: Path, folder: Path, prefix: str) -> None:
    """Rename the files into the folder, the model last: a folder without it is not loaded."""
    names = [path.name for path in parts.iterdir()]
    last = f"{prefix}{MODEL_FILE}"
    if len(names) > 1:
        (folder / last).unlink(missing_ok=True)
    for name in sorted(names, key=lambda name: name == last):
        os.replace(parts / name, folder / name)


def _is_half_written(error: RuntimeError) -> bool:
    """Whether torch or HDF5 could not finish a file; both raise a RuntimeError."""
    return any(word in str(error) for word in ("inline_container", "PytorchStreamWriter", "iostream", "errno = "))
