from pathlib import Path

import pytest

from bulkvi import io


def read(text: str, folder: Path, **options):
    (folder / "samples.csv").write_text(text, encoding="utf-8-sig")
    return io.read_samples(folder / "samples.csv", **options)


def test_text_that_repeats_is_categorical_and_blanks_are_not_part_of_it(tmp_path: Path):
    sheet = read("id,dose, donor ,note\n s1 ,none ,1,a\ns2,high,2,b\ns3, none,1,\n", tmp_path)
    assert sheet.index.tolist() == ["s1", "s2", "s3"]
    assert sheet.columns.tolist() == ["dose", "donor", "note"]
    assert sheet["dose"].cat.categories.tolist() == ["high", "none"]  # no missing value: a level
    assert sheet["donor"].tolist() == [1, 2, 1]
    assert sheet["note"].isna().tolist() == [False, False, True]


def test_names_of_samples_are_text(tmp_path: Path):
    assert read("id,x\n001,1\n2,1\nNA,1\n", tmp_path).index.tolist() == ["001", "2", "NA"]
    assert read("x,id\n1,7\n1,8\n", tmp_path, sample_column="id").index.tolist() == ["7", "8"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,x\ns1,1\ns1,2\n", r"sample names must be unique; in column 'id' 1 occur more than once: \['s1'\]"),
        ("id,x\ns1,1\n,2\n", r"no sample name in column 'id' of lines \[3\]"),
        ("id,x,x\ns1,1,2\n", r"column names must be present and unique; \['x'\]"),
        ("id\ns1\n", "Give a table with a header"),
        ("", "is empty"),
    ],
)
def test_sheets_that_cannot_be_used_are_explained(text: str, said: str, tmp_path: Path):
    with pytest.raises(ValueError, match=said):
        read(text, tmp_path)


def test_a_missing_column_of_names_is_named(tmp_path: Path):
    with pytest.raises(KeyError, match=r"sample_column='run' is not a column .*\['id', 'x'\]"):
        read("id,x\ns1,1\n", tmp_path, sample_column="run")


def test_a_file_that_is_no_text_is_explained(tmp_path: Path):
    (tmp_path / "samples.csv").write_bytes(b"id,x\ns\x811,1\n")
    with pytest.raises(ValueError, match="not a text file in UTF-8.*CSV UTF-8"):
        io.read_samples(tmp_path / "samples.csv")
    (tmp_path / "samples.xls").write_bytes(b"\xd0\xcf")
    with pytest.raises(ValueError, match="Save it as .xlsx"):
        io.read_samples(tmp_path / "samples.xls")


def test_a_spreadsheet_with_two_tables_is_refused(tmp_path: Path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for sheet in (book.active, book.create_sheet("more")):
        sheet.append(["id", "x"])
        sheet.append(["s1", 1])
    book.save(tmp_path / "samples.xlsx")
    with pytest.raises(ValueError, match="2 sheets that are not empty: .*'more'"):
        io.read_samples(tmp_path / "samples.xlsx")


def test_a_decimal_comma_is_a_number_where_semicolons_part_the_columns(tmp_path: Path):
    """30,5 was taken for the name of a group."""
    sheet = read("id;age;dose\ns1;30,5;1,5\ns2;41;NA\ns3;-2,25;1,5\n", tmp_path)
    assert sheet["age"].tolist() == [30.5, 41, -2.25]
    assert sheet["dose"].dtype == float
    assert sheet["dose"].isna().tolist() == [False, True, False]


def test_a_comma_in_numbers_is_refused_where_it_may_part_thousands(tmp_path: Path):
    for text in ("id\tage\ns1\t30,5\ns2\t41\n", 'id,age\ns1,"30,5"\ns2,41\n'):
        with pytest.raises(ValueError, match="column 'age' holds numbers with a comma, such as '30,5'"):
            read(text, tmp_path)
    assert read("id\tpair\ns1\t1,2\ns2\ta\ns3\t1,2\n", tmp_path)["pair"].tolist() == ["1,2", "a", "1,2"]


def test_row_names_of_r_stand_beside_a_column_called_sample(tmp_path: Path):
    text = '"","sample","x"\n"1","s1","a"\n"2","s2","a"\n'
    assert read(text, tmp_path, sample_column="sample").index.tolist() == ["s1", "s2"]
    assert read(text, tmp_path)["sample"].tolist() == ["s1", "s2"]


def test_names_in_a_later_column_keep_their_digits(tmp_path: Path):
    assert read("x,id\n1,007\n1,1.10\n", tmp_path, sample_column="id").index.tolist() == ["007", "1.10"]


@pytest.mark.parametrize(
    ("header", "cells", "kept"),
    [
        ("clone", ["1E3", "2E1", "1E3"], ["1E3", "2E1", "1E3"]),
        ("cloneID", ["1e5", "10", "7"], ["1e5", "10", "7"]),
        ("barcode", ["001", "010", "001"], ["001", "010", "001"]),
        ("anything", ["007", "7", "07"], ["007", "7", "07"]),
        ("dose", ["1E3", "1E5", "0"], [1e3, 1e5, 0]),
        ("hours", ["00", "06", "12"], [0, 6, 12]),
        ("conc_line", ["1E3", "2E1", "1E3"], [1e3, 20, 1e3]),
        ("plate", ["1", "2", "10"], [1, 2, 10]),
    ],
)
def test_names_that_look_like_numbers_keep_their_digits(header: str, cells: list, kept: list, tmp_path: Path):
    sheet = read(f"id,x,{header}\n" + "".join(f"s{k},1,{cell}\n" for k, cell in enumerate(cells)), tmp_path)
    assert sheet[header].tolist() == kept
    assert sheet["x"].tolist() == [1, 1, 1]


def test_na_is_missing_beside_two_levels_and_a_level_beside_one(tmp_path: Path):
    with pytest.warns(UserWarning, match="'NA' of 1 samples was read as missing values"):
        two = read("id,x\ns1,WT\ns2,het\ns3,NA\n", tmp_path)
    assert two["x"].isna().tolist() == [False, False, True]
    with pytest.warns(UserWarning, match="'NA' of 1 samples was read as a level"):
        one = read("id,x\ns1,WT\ns2,WT\ns3,NA\n", tmp_path)
    assert one["x"].tolist() == ["WT", "WT", "NA"]


@pytest.mark.parametrize(("header", "kept"), [("timepoint", [6, 12]), ("patient_number", ["06", "12"])])
def test_a_leading_zero_makes_a_name_except_of_quantities(header: str, kept: list, tmp_path: Path):
    assert read(f"id,{header}\ns1,06\ns2,12\n", tmp_path)[header].tolist() == kept
