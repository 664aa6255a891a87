from pathlib import Path

import pandas as pd
import pytest

from bulkvi import io
from bulkvi.io._folders import Strandedness
from tests.io import files


def star(folder: Path, forward_share: dict[str, float]) -> Path:
    for name, column in files.counts().items():
        forward = (column * forward_share[str(name)]).round().astype(int)
        table = pd.DataFrame({"both": column, "forward": forward, "reverse": column - forward})
        (folder / str(name)).mkdir()
        table.to_csv(folder / str(name) / "ReadsPerGene.out.tab", sep="\t", header=False)
    return folder


@pytest.mark.parametrize(("share", "strand"), [(0.98, "forward"), (0.5, "unstranded"), (0.03, "reverse")])
def test_the_strand_is_told_from_the_reads(share: float, strand: Strandedness, tmp_path: Path):
    home = star(tmp_path, dict.fromkeys(files.SAMPLES, share))
    told, said = io.read_counts(home, files.sheet()), io.read_counts(home, files.sheet(), strandedness=strand)
    assert told.uns["counts_source"]["strandedness"] == strand
    pd.testing.assert_frame_equal(told.to_df(), said.to_df())


def test_samples_of_different_protocols_are_not_guessed(tmp_path: Path):
    home = star(tmp_path, {"ctrl-1": 0.02, "ctrl-2": 0.5, "drug-1": 0.02, "drug-2": 0.02})
    with pytest.raises(
        ValueError, match=r"strand of the reads is ambiguous.*0.50 \('ctrl-2'\).*strandedness='reverse'"
    ):
        io.read_counts(home, files.sheet())
    with pytest.raises(ValueError, match="strandedness='yes' is unknown"):
        io.read_counts(home, files.sheet(), strandedness="yes")  # type: ignore[arg-type]


def test_files_of_different_annotations_are_refused(tmp_path: Path):
    home = star(tmp_path, dict.fromkeys(files.SAMPLES, 0.5))
    path = home / "drug-2" / "ReadsPerGene.out.tab"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match="39 genes .* not the same 40 genes"):
        io.read_counts(home, files.sheet())


def test_a_single_file_asks_for_the_folder(tmp_path: Path):
    home = star(tmp_path, dict.fromkeys(files.SAMPLES, 0.5))
    with pytest.raises(ValueError, match="give the folder that holds such a file for each sample"):
        io.read_counts(home / "drug-2" / "ReadsPerGene.out.tab", files.sheet())


@pytest.mark.parametrize("content", ["", "G1\t1\t2\t3\nG2\t1\t2\t3\t4\n", "G\udce9\t1\t2\t3\n"])
def test_a_file_that_star_did_not_write_is_named(content: str, tmp_path: Path):
    home = star(tmp_path, dict.fromkeys(files.SAMPLES, 0.5))
    path = home / "drug-1" / "ReadsPerGene.out.tab"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="drug-1.ReadsPerGene.out.tab is not as STAR writes it"):
        io.read_counts(home, files.sheet())


def test_two_tools_need_a_word(tmp_path: Path):
    home = files.star(tmp_path)
    files.quantified(home, "quant.sf", ("Name", "Length", "EffectiveLength", "TPM", "NumReads"))
    with pytest.raises(ValueError, match="files of STAR and of salmon.*one tool, or transcripts=FILE"):
        io.read_counts(home, files.sheet())
