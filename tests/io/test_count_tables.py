from pathlib import Path

import pandas as pd
import pytest

from bulkvi import io
from tests.io import files

NUMBERED = ["100287102", "100287103", "7", "", "0012"]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("column", ["gene_id", "locus"])
def test_ids_that_are_numbers_keep_their_digits(column: str, separator: str, tmp_path: Path):
    """Behind a column with symbols they were read as numbers, and written with six digits: two genes became one."""
    table = files.counts(5)
    table.insert(0, "symbol", list("abcde"))
    table.insert(1, column, NUMBERED)
    table.iloc[3, 2:] = pd.NA
    table.to_csv(tmp_path / "counts.txt", sep=separator, index=False)
    asked = None if column == "gene_id" else column
    adata = io.read_counts(tmp_path / "counts.txt", files.sheet(), gene_column=asked)
    assert adata.var_names.tolist() == [name for name in NUMBERED if name]
    assert adata.to_df()["100287103"].tolist() == files.counts(5).loc["G01", files.SAMPLES].tolist()


def test_ids_that_are_numbers_keep_their_digits_in_a_spreadsheet(tmp_path: Path):
    pytest.importorskip("openpyxl")
    table = files.counts(3)
    table.insert(0, "gene_id", [100287102, 100287103, 7.0])
    table.insert(0, "symbol", list("abc"))
    table.to_excel(tmp_path / "counts.xlsx", index=False)
    adata = io.read_counts(tmp_path / "counts.xlsx", files.sheet())
    assert adata.var_names.tolist() == ["100287102", "100287103", "7"]


def test_columns_that_are_no_samples_are_named_once(tmp_path: Path):
    table = files.counts(4)
    table.insert(0, "length", [100, 200, 300, 400])
    table.insert(4, "note", "x")
    table.to_csv(tmp_path / "counts.csv")
    with pytest.warns(UserWarning, match=r"2 columns are no samples and were left out: \['length', 'note'\]") as said:
        adata = io.read_counts(tmp_path / "counts.csv", files.sheet())
    assert len([each for each in said if "left out" in str(each.message)]) == 1
    assert adata.to_df().T.equals(files.counts(4)[files.SAMPLES].astype("int32"))


def test_a_sample_may_be_called_as_an_annotation_is(tmp_path: Path):
    names = dict(zip(files.SAMPLES, ["start", "end", "width", "s4"], strict=True))
    files.counts(4).rename(columns=names).to_csv(tmp_path / "counts.csv")
    adata = io.read_counts(tmp_path / "counts.csv", files.sheet().rename(index=names))
    assert adata.obs_names.tolist() == [*names.values()]
