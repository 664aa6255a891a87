from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bulkvi import io
from bulkvi.io._annotation import match_ids
from bulkvi.io._sample_files import sample_names
from tests.io import files


def test_files_of_htseq_are_read_without_their_summaries(tmp_path: Path):
    with pytest.warns(UserWarning, match=r"htseq: 2 rows count reads without a gene .*'__ambiguous', '__no_feature'"):
        adata = io.read_counts(files.htseq_folder(tmp_path), files.sheet())
    pd.testing.assert_frame_equal(adata.to_df(), files.counts().T.loc[files.SAMPLES], check_dtype=False)
    assert adata.uns["counts_source"]["format"] == "HTSeq"


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


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["A/quant.sf", "B/quant.sf"], ["A", "B"]),
        (["A/out/quant.sf", "B/out/quant.sf"], ["A", "B"]),
        (["run/A/out/quant.sf", "run/B/out/quant.sf"], ["A", "B"]),
        (["x/A/quant.sf", "y/B/quant.sf"], ["A", "B"]),
        (["A.quant.sf", "b/B.quant.sf"], ["A", "B"]),
        (["quant.sf"], ["home"]),
        (["only/out/quant.sf"], ["out"]),
    ],
)
def test_samples_are_named_by_the_file_or_the_nearest_folder_that_tells(
    paths: list[str], names: list[str], tmp_path: Path
):
    home = tmp_path / "home"
    assert (
        sample_names([home / path for path in paths], home, lambda name: name[: -len("quant.sf")].rstrip(".")) == names
    )


def test_a_file_that_is_cut_short_is_named(tmp_path: Path):
    home = files.rsem_folder(tmp_path)
    path = home / "drug-1.genes.results"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(
        ValueError, match=r"drug-1.genes.results: 37 genes in it, not the same 40 .*it lacks 'G37', 'G38', 'G39'"
    ):
        io.read_counts(home, files.sheet())


def test_genes_in_another_order_go_to_their_own_rows(tmp_path: Path):
    home = files.feature_counts_folder(tmp_path)
    lines = (home / "drug-1.txt").read_text().splitlines(keepends=True)
    (home / "drug-1.txt").write_text("".join([*lines[:2], *reversed(lines[2:])]))
    adata = io.read_counts(home, files.sheet())
    pd.testing.assert_frame_equal(
        adata.to_df(), files.counts().T.loc[files.SAMPLES, adata.var_names], check_dtype=False
    )


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


def test_two_tools_need_a_word(tmp_path: Path):
    home = files.star(tmp_path)
    files.quantified(home, "quant.sf", ("Name", "Length", "EffectiveLength", "TPM", "NumReads"))
    with pytest.raises(ValueError, match="files of STAR and of salmon.*one tool, or transcripts=FILE"):
        io.read_counts(home, files.sheet())


@pytest.mark.parametrize(
    ("ids", "known", "found"),
    [
        (["A1", "B1"], {"A1": "a", "B1": "b"}, {"A1": "a", "B1": "b"}),
        (["A1.3", "B1"], {"A1": "a", "B1.2": "b"}, {"A1.3": "a", "B1": "b"}),
        (["A1.3", "A1.4"], {"A1.3": "a", "A1.4": "b"}, {"A1.3": "a", "A1.4": "b"}),
        (["A1.5"], {"A1.3": "a", "A1.4": "b"}, {}),  # either
        (["A1.5"], {"A1.3": "a", "A1.4": "a"}, {"A1.5": "a"}),
        (["A1.3|G1.1|x"], {"A1.3": "a"}, {"A1.3|G1.1|x": "a"}),
        (["A1.3|G1.1|x"], {"A1": "a"}, {"A1.3|G1.1|x": "a"}),
        (["A1.3_PAR_Y", "A1.3"], {"A1_PAR_Y": "y", "A1": "x"}, {"A1.3_PAR_Y": "y", "A1.3": "x"}),
        (["Y.a"], {"Y": "y"}, {}),
    ],
)
def test_ids_match_without_versions_only_where_that_is_plain(ids: list[str], known: dict, found: dict):
    assert match_ids(ids, known).values == found
