from pathlib import Path

import pytest

from bulkvi import io
from tests.io import files


def trailing(text: str, mark: str, *, header: bool = False) -> str:
    lines = text.splitlines()
    return "\n".join(line + mark if k or header else line for k, line in enumerate(lines)) + "\n"


@pytest.mark.parametrize("mark", [",", "\t", " "])
@pytest.mark.parametrize("label", ["gene", "gene_id", "probe", ""])
@pytest.mark.parametrize("header", [False, True])
def test_a_mark_at_the_end_of_the_rows_shifts_nothing(mark: str, label: str, header: bool, tmp_path: Path):
    """They were taken for R's rows, which begin with a name that has no header: every sample had another's counts."""
    if mark == " " and not label:
        pytest.skip("a blank cannot stand before a header")
    text = files.counts(5).to_csv(sep=mark, index_label=label or None)
    (tmp_path / "counts.txt").write_text(trailing(text, mark, header=header))
    adata = io.read_counts(tmp_path / "counts.txt", files.sheet())
    assert adata.to_df().T.equals(files.counts(5)[files.SAMPLES].astype("int32"))


def test_rows_of_r_may_have_a_column_of_ids(tmp_path: Path):
    """``write.table(df)`` numbers the rows, without a header for the numbers."""
    lines = files.counts(5).to_csv(index_label="gene_id").splitlines()
    numbered = [lines[0], *(f"{k},{line}" for k, line in enumerate(lines[1:], start=1))]
    (tmp_path / "counts.csv").write_text("\n".join(numbered) + "\n")
    adata = io.read_counts(tmp_path / "counts.csv", files.sheet())
    assert adata.to_df().T.equals(files.counts(5)[files.SAMPLES].astype("int32"))


def test_a_value_too_many_below_gene_ids_is_no_row_of_r(tmp_path: Path):
    lines = files.counts(5).to_csv(index_label="gene").splitlines()
    (tmp_path / "counts.csv").write_text("\n".join([lines[0], *(f"{line},7" for line in lines[1:])]) + "\n")
    with pytest.raises(ValueError, match=r"counts.csv is no table: line 2 has 6 values, and the header 5 names"):
        io.read_counts(tmp_path / "counts.csv", files.sheet())


@pytest.mark.parametrize("blank", ["\n\n", "\r\n \r\n", ",,,,\n", "\n# a note\n\n"])
def test_empty_lines_above_the_header_are_passed_over(blank: str, tmp_path: Path):
    (tmp_path / "counts.csv").write_text(blank + files.counts(5).to_csv())
    adata = io.read_counts(tmp_path / "counts.csv", files.sheet())
    assert adata.to_df().T.equals(files.counts(5)[files.SAMPLES].astype("int32"))


def test_empty_rows_above_a_table_in_a_spreadsheet_are_passed_over(tmp_path: Path):
    pytest.importorskip("openpyxl")
    files.counts(5).to_excel(tmp_path / "counts.xlsx", startrow=2)
    adata = io.read_counts(tmp_path / "counts.xlsx", files.sheet())
    assert adata.to_df().T.equals(files.counts(5)[files.SAMPLES].astype("int32"))


def test_lines_are_counted_as_the_file_has_them(tmp_path: Path):
    (tmp_path / "samples.csv").write_text("\n# note\n\nid,x\ns1,1\n,2\n")
    with pytest.raises(ValueError, match=r"no sample name in column 'id' of lines \[6\]"):
        io.read_samples(tmp_path / "samples.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,x\ns1,a\ns2,drug, high\n", "line 3 has 3 values, and those above have 2.*in double quotes"),
        ('id,x\ns1,a\ns2,"b\n', "a double quote is opened and not closed"),
        ("id,x\ns1,a,b,c\n", "line 2 has 4 values, and the header 2 names"),
    ],
)
def test_a_row_that_does_not_fit_is_named(text: str, said: str, tmp_path: Path):
    (tmp_path / "samples.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"samples.csv is no table: .*{said}"):
        io.read_samples(tmp_path / "samples.csv")


@pytest.mark.parametrize("label", ["gene_id", ""])
def test_a_header_that_begins_with_a_mark_of_comments_is_the_header(label: str, tmp_path: Path):
    (tmp_path / "counts.tsv").write_text("#" + files.counts(5).to_csv(sep="\t", index_label=label))
    adata = io.read_counts(tmp_path / "counts.tsv", files.sheet())
    assert adata.to_df().T.equals(files.counts(5)[files.SAMPLES].astype("int32"))


@pytest.mark.parametrize("size", ["5\t4", "5", "5\t5"])
def test_the_size_in_a_gct_file_is_compared_with_the_table(size: str, tmp_path: Path):
    table = files.counts(5)
    table.insert(0, "Description", table.index)
    (tmp_path / "counts.gct").write_text(f"#1.2\n{size}\n" + table.to_csv(sep="\t", index_label="Name"))
    if size == "5\t4":
        assert io.read_counts(tmp_path / "counts.gct", files.sheet()).n_vars == 5
    else:
        with pytest.raises(ValueError, match="its second line gives .* and the table holds 5 x 4"):
            io.read_counts(tmp_path / "counts.gct", files.sheet())


def test_a_last_row_that_is_cut_is_no_footnote(tmp_path: Path):
    text = files.counts(5).to_csv(index_label="gene_id")
    (tmp_path / "counts.csv").write_text(text[: text.rindex("G04") + 3] + ":")
    with pytest.raises(ValueError, match="line 6 has 1 values .*the file may be cut off"):
        io.read_counts(tmp_path / "counts.csv", files.sheet())
    (tmp_path / "counts.csv").write_text(text + "Counted twice: no.")
    with pytest.warns(UserWarning, match="1 lines below the table"):
        assert io.read_counts(tmp_path / "counts.csv", files.sheet()).n_vars == 5
