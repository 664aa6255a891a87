import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner, Result

from bulkvi import io
from bulkvi.cli import app
from bulkvi.cli._reading import add_size_factors, find_control_genes
from tests.cli.conftest import Files
from tests.cli.running import DESIGN, run


def adata(**columns: list) -> AnnData:
    counts = np.random.default_rng(0).poisson(50, size=(4, 20))
    return AnnData(counts, pd.DataFrame(columns, index=list("abcd")))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pd.Categorical(["high", "low", "high", "low"]), "has high for sample 'a'"),
        ([1.0, 2.0, np.nan, 1.0], "has nan for sample 'c'"),
        ([1.0, 0.0, 2.0, 1.0], "has 0.0 for sample 'b'"),
        ([1.0, 1.0, 2.0, np.inf], "has inf for sample 'd'"),
        ([True, True, True, True], "has True for sample 'a'"),
    ],
)
def test_a_column_that_holds_no_size_factors_is_refused_in_words(values: list, said: str):
    """A column of text ended in "Categorical is not ordered for operation min"."""
    with pytest.raises(ValueError, match=f"--size-factors depth: size factors are numbers above 0, .*{said}"):
        add_size_factors(adata(depth=values), "depth")


def test_size_factors_of_the_sheet_are_not_left_out_without_a_word():
    """They were written over."""
    given = [0.5, 1.0, 2.0, 1.0]
    with pytest.warns(UserWarning, match="'size_factor' of the sample sheet is not used.*--size-factors size_factor"):
        add_size_factors(adata(size_factor=given), "median_of_ratios")
    taken = adata(size_factor=given)
    add_size_factors(taken, "size_factor")
    assert taken.obs["size_factor"].tolist() == given


@pytest.mark.parametrize("level", ["0", "1"])
def test_a_level_of_nothing_or_all_is_refused_before_the_work(level: str, files: Files, tmp_path: Path):
    result = run(files, tmp_path / "out", "--level", level)
    assert result.exit_code == 2
    assert f"{level} is not between 0 and 1" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("design", "remedy"),
    [
        ("~ treatment", "No test is possible without replicates"),
        ("~ `library type` + treatment", "Take a variable out of the design"),
    ],
)
def test_one_sample_in_each_group_asks_for_replicates(design: str, remedy: str, files: Files, tmp_path: Path):
    sheet = pd.read_csv(files.samples).drop_duplicates(["treatment", "library type"])  # two of each, crossed
    sheet = sheet.iloc[:3] if "library" in design else sheet.drop_duplicates("treatment")
    sheet.to_csv(tmp_path / "few.csv", index=False)
    result = run(files, tmp_path / "out", samples=str(tmp_path / "few.csv"), **{"--design": design})
    assert result.exit_code == 2
    assert re.search(f"none is left to estimate how much replicates differ. {remedy}", result.stderr)


# control genes


@pytest.fixture
def genes() -> AnnData:
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
def test_names_and_beginnings_of_names(genes: AnnData, given: str, expected: list[str]) -> None:
    """A name that is a gene's is not the beginning of others."""
    assert genes.var_names[find_control_genes(genes, given)].tolist() == expected


@pytest.mark.parametrize(
    "text", ["g1\ng2\nh\n", "g1,g2,h", "# housekeeping\ng1\n\ng2\th\n", '"g1"\r\n"g2"\r\n"h"', "\ufeffg1;g2;h"]
)
def test_a_file_of_names(genes: AnnData, text: str, tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_bytes(text.encode())
    assert find_control_genes(genes, str(tmp_path / "genes.txt")) == ["g1", "g2", "h"]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [(b"\n\n", ValueError, "the file is empty"), (b"\xff\xfe\x00g", ValueError, "the file is no text")],
)
def test_files_that_hold_no_names(
    genes: AnnData, content: bytes, error: type[Exception], words: str, tmp_path: Path
) -> None:
    (tmp_path / "genes.txt").write_bytes(content)
    with pytest.raises(error, match=words):
        find_control_genes(genes, str(tmp_path / "genes.txt"))


@pytest.mark.usefixtures("plain")
def test_a_run_with_control_genes_leaves_zero_where_they_put_it(files: Files, tmp_path: Path) -> None:
    """Half of the unchanged genes, by a file."""
    truth = files.truth.var["true_log_fc"]
    depth = files.truth.X.sum(0)
    chosen = truth.index[(truth == 0) & (depth > 500)][:20]
    (tmp_path / "genes.txt").write_text("\n".join(chosen))
    result = run(files, tmp_path / "out", "--control-genes", str(tmp_path / "genes.txt"))
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "out" / "run.json").read_text())
    assert summary["size_factors"]["control_genes"] == str(tmp_path / "genes.txt")
    assert summary["fit"]["size_factors"]["n_control_genes"] == len(chosen)
    assert summary["fit"]["composition_shift"] == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"over {len(chosen)} control genes" in page and "size factors define zero" in page


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


# other files, and lanes that are summed


def check(counts: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", str(counts), *map(str, arguments), "--design", DESIGN])


@pytest.fixture(scope="module")
def plain(files: Files) -> dict:
    return json.loads(check(files.counts, files.samples, "--json").stdout)


def test_lanes_are_summed_to_the_libraries(files: Files, plain: dict, tmp_path: Path):
    counts, sheet = pd.read_csv(files.counts, index_col=0), pd.read_csv(files.samples, index_col=0)
    names = sheet.index
    first = np.random.default_rng(0).binomial(counts[names].to_numpy(), 0.4)
    lanes = pd.concat([counts[names] - first, pd.DataFrame(first, counts.index, names)], axis=1)
    lanes.columns = [f"{name}_L{lane}" for lane in (1, 2) for name in names]
    lanes.to_csv(tmp_path / "lanes.csv", index_label="gene_id")
    both = pd.concat([sheet.assign(library=names, run=run) for run in (1, 2)])
    both.set_axis(lanes.columns, axis=0).to_csv(tmp_path / "samples.csv", index_label="sample")
    result = check(tmp_path / "lanes.csv", tmp_path / "samples.csv", "--sum-replicates", "library", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    same = ("n_samples", "n_genes", "residual_df", "labels", "findings")
    assert {key: found[key] for key in same} == {key: plain[key] for key in same}
    assert any("'run'" in note for note in found["warnings"])


def test_a_library_in_two_groups_is_refused(files: Files, tmp_path: Path):
    sheet = pd.read_csv(files.samples, index_col=0)
    sheet["library"] = ["A", "B", "C", "D", "E"] * 2
    sheet.to_csv(tmp_path / "samples.csv")
    result = check(files.counts, tmp_path / "samples.csv", "--sum-replicates", "library")
    assert result.exit_code == 2
    assert "differs within 'A' of column 'library'" in result.stderr
    result = check(files.counts, tmp_path / "samples.csv", "--sum-replicates", "lib")
    assert result.exit_code == 2
    assert "--sum-replicates lib: the sample sheet has no such column" in result.stderr
    result = check(files.counts, files.samples, "--sum-replicates", "lane", "--size-factors", "depth")
    assert result.exit_code == 2
    assert "--size-factors depth: that column belongs to the single samples" in result.stderr


def test_an_h5ad_may_hold_the_sheet(files: Files, plain: dict, tmp_path: Path):
    adata = io.read_counts(files.counts, files.samples)
    adata.write_h5ad(tmp_path / "pb.h5ad")
    for given in ([], [tmp_path / "pb.h5ad"]):
        result = check(tmp_path / "pb.h5ad", *given, "--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["labels"] == plain["labels"]


def test_without_a_sheet_the_message_says_what_is_missing(files: Files):
    result = check(files.counts)
    assert result.exit_code == 2
    assert "SAMPLES is missing" in result.stderr
    assert "Traceback" not in result.stderr


def test_lengths_and_symbols_are_on_record(files: Files, tmp_path: Path):
    counts = pd.read_csv(files.counts, index_col=0).drop(columns="gene_name")
    lengths = counts * 0 + np.random.default_rng(0).uniform(500, 900, counts.shape)
    lengths.iloc[1:].to_csv(tmp_path / "lengths.tsv", sep="\t")
    pd.DataFrame({"gene_id": counts.index, "symbol": "S"}).iloc[2:].to_csv(tmp_path / "genes.csv", index=False)
    result = check(
        files.counts, files.samples, "--lengths", tmp_path / "lengths.tsv", "--genes", tmp_path / "genes.csv", "--json"
    )
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["read"]["n_symbols"] == len(counts) - 2
    assert 0 < found["read"]["reads_without_length"] < 0.1
    assert any("have no length" in note for note in found["warnings"])
    assert "symbols of 99% of the genes" in result.stderr


def test_lost_reads_are_on_record(files: Files, tmp_path: Path):
    pytest.importorskip("pytximport")
    counts = pd.read_csv(files.counts, index_col=0).drop(columns="gene_name")
    for sample, column in counts.items():
        (tmp_path / "salmon" / str(sample)).mkdir(parents=True)
        rows = {"Name": "T" + counts.index, "Length": 900, "EffectiveLength": 800.0, "TPM": 5.0, "NumReads": column}
        pd.DataFrame(rows).to_csv(tmp_path / "salmon" / str(sample) / "quant.sf", sep="\t", index=False)
    pd.DataFrame({"transcript_id": "T" + counts.index, "gene_id": counts.index})[9:].to_csv(
        tmp_path / "m.csv", index=False
    )
    result = check(tmp_path / "salmon", files.samples, "--transcripts", tmp_path / "m.csv", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    share = counts[:9].to_numpy().sum() / counts.to_numpy().sum()
    assert found["read"]["lost_reads"] == pytest.approx(share, abs=1e-6)
    assert any(f"{share:.2%} of the reads are lost" in note for note in found["warnings"])
