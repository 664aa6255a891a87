from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from bulkvi import io, pp
from tests.io import files


@pytest.fixture
def expected() -> AnnData:
    """Made by hand: the samples in the order of the sheet, text that repeats as categories."""
    table = files.counts()[files.SAMPLES]
    obs = files.sheet().rename_axis(None).astype({"condition": "category"})
    return AnnData(table.to_numpy(np.int32).T, obs=obs, var=pd.DataFrame(index=table.index))


def test_effective_lengths_of_rsem_are_an_offset(tmp_path: Path):
    home = files.rsem_folder(tmp_path)
    path = home / "drug-1.genes.results"
    path.write_text(path.read_text().replace("800.0", "0.0", 1))  # G00, shorter than the fragments
    lengths = io.read_counts(home, files.sheet()).layers["length"]
    np.testing.assert_allclose(lengths, 800)


def test_isoforms_of_rsem_are_refused(tmp_path: Path):
    home = files.rsem_folder(tmp_path)
    for path in list(home.iterdir()):
        path.rename(home / path.name.replace("genes", "isoforms"))
    with pytest.raises(ValueError, match=r"isoforms.results of RSEM.*Give RSEM's genes.results"):
        io.read_counts(home, files.sheet())


def test_transcripts_in_another_order_go_to_their_own_genes(tmp_path: Path):
    """pytximport takes the names of the first file for those of all."""
    pytest.importorskip("pytximport")
    home = files.salmon(tmp_path)
    rows = pd.read_csv(home / "drug-1" / "quant.sf", sep="\t")
    rows.iloc[::-1].to_csv(home / "drug-1" / "quant.sf", sep="\t", index=False)
    adata = io.read_counts(home, files.sheet(), transcripts=files.transcripts(tmp_path))
    pd.testing.assert_frame_equal(
        adata.to_df(), files.counts().T.loc[files.SAMPLES, adata.var_names], check_dtype=False
    )


def test_lost_reads_are_said_and_most_are_refused(tmp_path: Path):
    pytest.importorskip("pytximport")
    home, path = files.salmon(tmp_path), files.transcripts(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[10:]))
    share = files.counts()[:10].to_numpy().sum() / files.counts().to_numpy().sum()
    with pytest.warns(
        UserWarning, match=f"{share:.2%} of the reads are lost .* 10 of 40 transcripts .* that are not in tx2gene.tsv"
    ):
        adata = io.read_counts(home, files.sheet(), transcripts=path)
    assert adata.uns["counts_source"]["lost_reads"] == pytest.approx(share, abs=1e-6)
    path.write_text("".join(lines[32:]))
    with pytest.raises(ValueError, match="of the reads are lost.*another release, or holds part of the annotation"):
        io.read_counts(home, files.sheet(), transcripts=path)


@pytest.mark.parametrize("write", [files.salmon, files.kallisto], ids=["salmon", "kallisto"])
def test_transcripts_sum_to_the_same_with_their_lengths(write: Callable, tmp_path: Path, expected: AnnData):
    pytest.importorskip("pytximport")
    adata = io.read_counts(write(tmp_path), files.write_sheet(tmp_path), transcripts=files.transcripts(tmp_path))
    counted = adata[:, expected.var_names]
    np.testing.assert_array_equal(counted.X, expected.X)
    lengths = pd.DataFrame(counted.layers["length"], index=adata.obs_names)
    seen = counted.X.sum(0) > 0
    by_column = dict(zip(files.counts().columns, [1000.0, 1100.0, 1200.0, 1300.0], strict=True))
    np.testing.assert_allclose(lengths.loc[:, seen].mean(axis=1), [by_column[name] for name in files.SAMPLES])
    pp.filter_genes(adata)
    pp.size_factors(adata, offset_key="length")
    assert adata.obs["size_factor"].gt(0).all()


def test_transcripts_need_their_genes(tmp_path: Path):
    with pytest.raises(ValueError, match="transcripts=FILE, a table with the transcript in the first column"):
        io.read_counts(files.salmon(tmp_path), files.sheet())


def test_transcripts_of_another_annotation_are_an_error(tmp_path: Path):
    pytest.importorskip("pytximport")
    (tmp_path / "wrong.tsv").write_text("transcript_id\tgene_id\nENST1\tG1\nENST2\tG2\n")
    with pytest.raises(ValueError, match="none of the transcripts is in .*ENST1"):
        io.read_counts(files.salmon(tmp_path), files.sheet(), transcripts=tmp_path / "wrong.tsv")


def test_a_length_of_zero_is_the_geometric_mean_of_the_others(tmp_path: Path):
    home = files.rsem_folder(tmp_path)
    for name, length in zip(files.SAMPLES, ["0.0", "100.0", "400.0", "200.0"], strict=True):
        path = home / f"{name}.genes.results"
        path.write_text(path.read_text().replace("800.0", length, 1))
    lengths = io.read_counts(home, files.sheet()).layers["length"][:, 0]
    np.testing.assert_allclose(lengths, [200, 100, 400, 200])
