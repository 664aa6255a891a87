"""Files beside COUNTS, a sheet inside it, and lanes that are summed, on the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bulkvi import io
from bulkvi.cli import app
from tests.cli.conftest import Files

DESIGN = "~ `library type` + treatment"


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
