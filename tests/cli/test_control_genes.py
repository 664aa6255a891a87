"""--control-genes and --composition-shift."""

import json
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

from bulkvi.cli._control_genes import find_control_genes
from tests.cli.conftest import Files
from tests.cli.running import run


@pytest.fixture
def adata() -> AnnData:
    adata = AnnData(np.ones((3, 7), dtype=np.float32))
    adata.var_names = ["ERCC-1", "ERCC-2", "ERCC-3", "g1", "g2", "g10", "h"]
    adata.var["symbol"] = ["a", "b", "c", "GAPDH", "ACTB", "TBP", "GAPDHS"]
    return adata


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ERCC-", ["ERCC-1", "ERCC-2", "ERCC-3"]),
        ("g1", ["g1"]),
        ("g1,h", ["g1", "h"]),
        (" g1 , ERCC- ,", ["ERCC-1", "ERCC-2", "ERCC-3", "g1"]),
        ("GAPDH,ACTB", ["g1", "g2"]),
        ("GAP", ["g1", "h"]),
    ],
)
def test_names_and_beginnings_of_names(adata: AnnData, given: str, expected: list[str]) -> None:
    """A name that is a gene's is not the beginning of others."""
    assert adata.var_names[find_control_genes(adata, given)].tolist() == expected


@pytest.mark.parametrize(
    "text", ["g1\ng2\nh\n", "g1,g2,h", "# housekeeping\ng1\n\ng2\th\n", '"g1"\r\n"g2"\r\n"h"', "\ufeffg1;g2;h"]
)
def test_a_file_of_names(adata: AnnData, text: str, tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_bytes(text.encode())
    assert find_control_genes(adata, str(tmp_path / "genes.txt")) == ["g1", "g2", "h"]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [(b"\n\n", ValueError, "the file is empty"), (b"\xff\xfe\x00g", ValueError, "the file is no text")],
)
def test_files_that_hold_no_names(
    adata: AnnData, content: bytes, error: type[Exception], words: str, tmp_path: Path
) -> None:
    (tmp_path / "genes.txt").write_bytes(content)
    with pytest.raises(error, match=words):
        find_control_genes(adata, str(tmp_path / "genes.txt"))


def test_a_run_with_control_genes_leaves_zero_where_they_put_it(files: Files, tmp_path: Path) -> None:
    """Half of the unchanged genes, by a file."""
    truth = files.truth.var["true_log_fc"]
    depth = files.truth.X.sum(0)
    genes = truth.index[(truth == 0) & (depth > 500)][:20]
    (tmp_path / "genes.txt").write_text("\n".join(genes))
    result = run(files, tmp_path / "out", "--control-genes", str(tmp_path / "genes.txt"))
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "out" / "run.json").read_text())
    assert summary["size_factors"]["control_genes"] == str(tmp_path / "genes.txt")
    assert summary["fit"]["size_factors"]["n_control_genes"] == len(genes)
    assert summary["fit"]["composition_shift"] == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"over {len(genes)} control genes" in page and "size factors decide where zero is" in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--control-genes", "ERCC-"], "no such file, and no gene has a name that is or begins with 'ERCC-'"),
        (["--control-genes", "Sym1,Sym2"], "--control-genes: 2 are among the genes, and at least 3 are needed"),
        (["--control-genes", "Sym", "--size-factors", "depth"], "--control-genes with --size-factors depth"),
    ],
)
def test_wrong_control_genes_are_explained_before_the_work(
    options: list[str], said: str, files: Files, tmp_path: Path
) -> None:
    result = run(files, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.slow
def test_the_shift_is_asked_for_by_an_option(files: Files, tmp_path: Path) -> None:
    for option, expected in (("--composition-shift", True), ("--no-composition-shift", False)):
        result = run(files, tmp_path / option.strip("-"), option)
        assert result.exit_code == 0, result.output
        summary = json.loads((tmp_path / option.strip("-") / "run.json").read_text())
        assert summary["fit"]["query"]["composition_shift"] is expected
