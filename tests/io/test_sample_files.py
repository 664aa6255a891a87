import gzip
from pathlib import Path

import pandas as pd
import pytest

from bulkvi import io
from bulkvi.io._sample_files import sample_names
from tests.io import files


def star(folder: Path, forward_share: dict[str, float]) -> Path:
    for name, column in files.counts().items():
        forward = (column * forward_share[str(name)]).round().astype(int)
        table = pd.DataFrame({"both": column, "forward": forward, "reverse": column - forward})
        (folder / str(name)).mkdir()
        table.to_csv(folder / str(name) / "ReadsPerGene.out.tab", sep="\t", header=False)
    return folder


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


def test_two_files_of_one_sample_are_refused(tmp_path: Path):
    """Of several lanes the last was taken, without a word."""
    home = star(tmp_path, dict.fromkeys(files.SAMPLES, 0.5))
    twice = home / "ctrl-1_ReadsPerGene.out.tab"
    twice.write_text((home / "ctrl-1" / "ReadsPerGene.out.tab").read_text())
    with pytest.raises(
        ValueError, match=r"ctrl-1.ReadsPerGene.out.tab and ctrl-1_ReadsPerGene.out.tab are both of sample 'ctrl-1'"
    ):
        io.read_counts(home, files.sheet())


def test_a_file_and_its_packed_copy_are_one(tmp_path: Path):
    home = files.rsem_folder(tmp_path)
    path = home / "drug-1.genes.results"
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    adata = io.read_counts(home, files.sheet())
    pd.testing.assert_frame_equal(adata.to_df(), files.counts().T.loc[files.SAMPLES], check_dtype=False)


def test_a_last_line_without_an_end_is_a_cut_one_unless_all_files_have_it(tmp_path: Path):
    home = files.rsem_folder(tmp_path)
    for name in files.SAMPLES:
        path = home / f"{name}.genes.results"
        path.write_text(path.read_text().rstrip("\n"))
        if name != files.SAMPLES[-1]:
            with pytest.raises(ValueError, match=r"ctrl-1.genes.results ends without a line break.*it is cut short"):
                io.read_counts(home, files.sheet())
    assert io.read_counts(home, files.sheet()).n_vars == 40
