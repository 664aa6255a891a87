from pathlib import Path

import pandas as pd
import pytest

from bulkvi import io
from tests.io import files


def test_files_of_htseq_are_read_without_their_summaries(tmp_path: Path):
    with pytest.warns(UserWarning, match=r"htseq: 2 rows count reads without a gene .*'__ambiguous', '__no_feature'"):
        adata = io.read_counts(files.htseq_folder(tmp_path), files.sheet())
    pd.testing.assert_frame_equal(adata.to_df(), files.counts().T.loc[files.SAMPLES], check_dtype=False)
    assert adata.uns["counts_source"]["format"] == "HTSeq"


def test_genes_in_another_order_go_to_their_own_rows(tmp_path: Path):
    home = files.feature_counts_folder(tmp_path)
    lines = (home / "drug-1.txt").read_text().splitlines(keepends=True)
    (home / "drug-1.txt").write_text("".join([*lines[:2], *reversed(lines[2:])]))
    adata = io.read_counts(home, files.sheet())
    pd.testing.assert_frame_equal(
        adata.to_df(), files.counts().T.loc[files.SAMPLES, adata.var_names], check_dtype=False
    )


def test_a_file_without_the_summary_of_the_others_is_cut(tmp_path: Path):
    path = files.htseq_folder(tmp_path) / "drug-1.counts"
    path.write_text(path.read_text().partition("__")[0])
    with pytest.raises(ValueError, match=r"drug-1.counts lacks the lines __ambiguous, __no_feature .*it is cut short"):
        io.read_counts(path.parent, files.sheet())
