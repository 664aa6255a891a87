"""Damaged files of results, and runs that die at the worst moment."""

import errno
import json
import os
import pickle
import resource
import shutil
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from anndata import AnnData
from matplotlib.figure import Figure
from typer.testing import CliRunner

import bulkvi
from bulkvi.cli import _de, _folder, app
from tests.trust.verdict import check_message, equal, refused

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """An analysis of 8 samples x 150 genes."""
    folder = tmp_path_factory.mktemp("given")
    truth = bulkvi.datasets.simulate(n_per_group=4, n_genes=150, effect_sd=2.0, seed=3)
    truth.to_df().T.to_csv(folder / "counts.csv", index_label="gene_id")
    truth.obs[["group"]].astype(str).to_csv(folder / "samples.csv", index_label="sample")
    given = ["de", str(folder / "counts.csv"), str(folder / "samples.csv"), "--design", "~ group"]
    return [*given, "--contrast", "group", "B", "A"]


@pytest.fixture(scope="module", autouse=True)
def short_results() -> Iterator[None]:
    """One small figure in place of nine large ones, and a page without content: the files matter, not what they show."""

    def page(_: object, __: object, path: Path, *, figures: Path | None = None, **___: object) -> Path:
        if figures is not None:
            figure = Figure(figsize=(3.3, 2))
            figure.subplots().plot([0, 1])
            for kind in ("png", "pdf"):
                figure.savefig(figures / f"ma.{kind}", dpi=300)
        path.write_text("<html>" + "x" * 300_000)
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulkvi, "report", page)
        yield


@pytest.fixture(scope="module")
def kept(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole result. Do not change it."""
    out = tmp_path_factory.mktemp("kept") / "out"
    result = CliRunner().invoke(app, [*arguments, "--out", str(out), "--seed", "1"])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def out(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "out"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def invoke(arguments: list[str], code: int) -> None:
    """Run a command; raise what it says if it ends with the code that is expected of it."""
    result = CliRunner().invoke(app, arguments)
    if result.exit_code == 0:
        return
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    said = result.stderr.split("Invalid value")[-1].replace("│", " ").splitlines()
    lines = [line for line in said if " s  " not in line and line.strip("╰─╯ ")]
    raise ValueError(" ".join(" ".join(lines).split()))


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def one_bit(data: bytes) -> bytes:
    place = len(data) // 3
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": cut,
    "without its end": lambda data: data[:-1],
    "one bit": one_bit,
    "text": lambda data: b"<html>404 Not Found</html>",
    "zeros": lambda data: bytes(len(data)),
}


# damaged files of a result


@pytest.mark.parametrize("damage", ["cut", "one bit", "zeros"])
@pytest.mark.parametrize("name", ["de.csv", "adata.h5ad", "model/model.pt"])
def test_a_damaged_file_of_a_result(name: str, damage: str, out: Path):
    (out / name).write_bytes(DAMAGE[damage]((out / name).read_bytes()))
    refused(lambda: invoke(["report", str(out)], 2), name, "cut|checksum", "run the analysis again")


@pytest.mark.parametrize("damage", ["empty", "cut", "without its end", "text", "zeros"])
def test_a_damaged_run_json(damage: str, out: Path):
    data = (out / "run.json").read_bytes().rstrip()
    (out / "run.json").write_bytes(DAMAGE[damage](data))
    refused(lambda: invoke(["report", str(out)], 2), "run.json", "cut or damaged", "run the analysis again")


@pytest.mark.parametrize("name", ["run.json", "de.csv", "model/model.pt"])
def test_a_missing_file_of_a_result(name: str, out: Path):
    (out / name).unlink()
    refused(lambda: invoke(["report", str(out)], 2), name, "run the analysis|bulkvi de")


def test_a_run_json_of_another_run(out: Path):
    run = json.loads((out / "run.json").read_text())
    run["checksums"]["de.csv"]["sha256"] = run["checksums"]["adata.h5ad"]["sha256"]
    (out / "run.json").write_text(json.dumps(run))
    refused(lambda: invoke(["report", str(out)], 2), "de.csv", "another run")


def test_a_table_that_was_sorted_in_a_spreadsheet(out: Path):
    lines = (out / "de.csv").read_text().splitlines(keepends=True)
    (out / "de.csv").write_text("".join([lines[0], *sorted(lines[1:], reverse=True)]))
    refused(lambda: invoke(["report", str(out)], 2), "de.csv", "changed")


def test_figures_that_were_thrown_away_do_not_matter(out: Path, kept: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.rmtree(out / "figures")
    (out / "notes.txt").write_text("mine")
    tables = []

    def page(_: object, table: Any, path: Path, **__: object) -> Path:
        tables.append(table)
        return path

    monkeypatch.setattr(bulkvi, "report", page)
    for folder in (out, kept):
        invoke(["report", str(folder)], 2)
    equal(*tables)


# damaged models


@pytest.fixture(scope="module")
def adata(kept: Path) -> AnnData:
    from anndata import read_h5ad

    return read_h5ad(kept / "adata.h5ad")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model(damage: str, out: Path, adata: AnnData):
    path = out / "model" / "model.pt"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    refused(
        lambda: bulkvi.BulkVI.load(out / "model", adata=adata), "model.pt", "empty|cut or damaged", "save the model"
    )


@pytest.mark.parametrize("other", ["zip", "tensor", "pickle", "dict", "folder", "none"])
def test_what_is_no_model(other: str, tmp_path: Path, adata: AnnData):
    path = tmp_path / "model.pt"
    if other == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "x")
    elif other == "pickle":
        path.write_bytes(pickle.dumps([1, 2]))
    elif other == "folder":
        path.mkdir()
    elif other != "none":
        torch.save({"weights": 1} if other == "dict" else torch.zeros(2), path)
    refused(lambda: bulkvi.BulkVI.load(tmp_path, adata=adata), "model.pt", "save|folder")


@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_damaged_samples_beside_a_model(damage: str, out: Path):
    shutil.copy(out / "adata.h5ad", out / "model")
    path = out / "model" / "adata.h5ad"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    refused(lambda: bulkvi.BulkVI.load(out / "model"), "adata.h5ad", "cut or damaged", "adata=adata")


# runs that die


MOMENTS: dict[str, tuple[Any, str]] = {
    "reading": (_de.reading, "read"),
    "setup": (bulkvi.BulkVI, "setup_anndata"),
    "training": (bulkvi.BulkVI, "_start_from_data"),
    "regression": (bulkvi.BulkVI, "differential_expression"),
    "figures": (Figure, "savefig"),
    "moving in": (_folder.shutil, "move"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal(
    moment: str,
    number: signal.Signals,
    arguments: list[str],
    kept: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    holder, name = MOMENTS[moment]
    plain = getattr(holder, name)

    def watched(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(holder, name, plain)
        signal.raise_signal(number)
        return plain(*given, **named)

    monkeypatch.setattr(holder, name, watched)
    with pytest.raises(ValueError) as ended:
        invoke([*arguments, "--out", str(out), "--force", "--seed", "2"], 128 + number)
    state = "The result in .* is whole" if moment == "moving in" else "The older result in .* is as it was"
    check_message(str(ended.value), f"Interrupted .{number.name}.*{state}")
    run = json.loads((out / "run.json").read_text())
    if moment == "moving in":
        equal((run["seed"], run["checksums"]), (2, _folder.checksums(out, run["checksums"])))
    else:
        equal(contents(out), contents(kept))


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let no file become larger; as on a full disk, libraries get an error in the middle of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n_bytes", [100, 30_000, 41_000, 200_000], ids=["de.csv", "adata.h5ad", "model.pt", "page"])
def test_a_file_that_cannot_be_written_whole(n_bytes: int, arguments: list[str], kept: Path, out: Path):
    def call() -> None:
        with largest_file(n_bytes):
            invoke([*arguments, "--out", str(out), "--force"], 1)

    refused(call, "Error: .*(larger than the system allows|could not be written whole).*older result.*as it was")
    equal(contents(out), contents(kept))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_when_files_are_moved(
    code: int, arguments: list[str], kept: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    plain, calls = shutil.move, []

    def move(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) == 9:
            raise OSError(code, os.strerror(code), str(source))
        plain(source, target)

    monkeypatch.setattr(_folder.shutil, "move", move)
    refused(lambda: invoke([*arguments, "--out", str(out), "--force"], 1), "disk|read-only", "as it was")
    equal(contents(out), contents(kept))


def test_two_runs_on_one_folder(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second one starts while the first one trains."""
    out, said, plain = tmp_path / "out", [], bulkvi.BulkVI.train

    def train(model: bulkvi.BulkVI, **named: Any) -> None:
        second = threading.Thread(
            target=lambda: said.append(CliRunner().invoke(app, [*arguments, "--out", str(out), "--force"]))
        )
        second.start()
        second.join()
        plain(model, **named)

    monkeypatch.setattr(bulkvi.BulkVI, "train", train)
    invoke([*arguments, "--out", str(out), "--seed", "2"], 2)
    assert [result.exit_code for result in said] == [2]
    run = json.loads((out / "run.json").read_text())
    equal((run["seed"], run["checksums"]), (2, _folder.checksums(out, run["checksums"])))
