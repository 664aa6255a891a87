"""Sample sheets as other people's programs write them."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bulkvi import io
from bulkvi.cli import app
from tests.io import files
from tests.trust.hostile_tables import book, cells, lines
from tests.trust.verdict import check_message, equal, refused

PLAIN = files.sheet().rename_axis(None).astype({"condition": "category"})
ROWS = files.sheet().to_csv().splitlines()
TEXT = lines(*ROWS)


def put(content: str | bytes, path: Path) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, *words: str, **options: str) -> pd.DataFrame:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        samples = io.read_samples(path, **options)
    messages = " ".join(str(each.message) for each in said)
    for word in words:
        assert re.search(word, messages), f"{word!r} is not in: {messages}"
    return samples


def with_column(name: str, *values: str) -> str:
    return lines(*(f"{line},{value}" for line, value in zip(ROWS, [name, *values], strict=True)))


READ: dict[str, tuple[str, Callable[[], str | bytes], tuple[str, ...]]] = {
    "quoted": ("s.csv", lambda: files.sheet().to_csv(quoting=1), ()),
    "r_row_names": ("s.txt", lambda: TEXT.replace("sample,", "", 1).replace(",", "\t"), ()),
    "byte_order_mark": ("s.csv", lambda: TEXT.encode("utf-8-sig"), ()),
    "utf_16": ("s.txt", lambda: TEXT.replace(",", "\t").encode("utf-16"), ()),
    "utf_16_without_mark": ("s.txt", lambda: TEXT.replace(",", "\t").encode("utf-16-le"), ()),
    "carriage_returns": ("s.csv", lambda: TEXT.replace("\n", "\r"), ()),
    "title": ("s.csv", lambda: "Samples of the study\n" + TEXT, ("Samples of the study",)),
    "title_and_blank_row": ("s.csv", lambda: "Samples,,\n,,\n" + TEXT, ("Samples",)),
    "footnote": ("s.csv", lambda: TEXT + "age in weeks,,\n", ("age in weeks",)),
    "separator_line": ("s.csv", lambda: "sep=;\n" + TEXT.replace(",", ";"), ("sep=",)),
    "empty_rows": ("s.csv", lambda: lines(*ROWS[:2], ",,", "", *ROWS[2:], ",,", ",,"), ()),
    "empty_columns": ("s.csv", lambda: lines(*(f"{row},," for row in ROWS)), ()),
    "blanks": ("s.csv", lambda: TEXT.replace(",", " , "), ()),
    "spreadsheet": ("s.xlsx", lambda: book(("a", cells(files.sheet(), "sample"))), ()),
    "spreadsheet_title": ("s.xlsx", lambda: book(("a", [["Samples"], [None], *cells(files.sheet(), "sample")])), ("Samples",)),
    "spreadsheet_text": ("s.xlsx", lambda: book(("a", cells(files.sheet().astype(str), "sample"))), ()),
}  # fmt: skip


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_sheets_that_are_read(case: tuple, tmp_path: Path) -> None:
    name, content, words = case
    equal(read(put(content(), tmp_path / name), *words), PLAIN)


REFUSED: dict[str, tuple[str, Callable[[], str | bytes], tuple[str, ...]]] = {
    "repeated_sample": ("s.csv", lambda: lines(*ROWS, ROWS[1]), ("ctrl-1", "unique")),
    "repeated_column": ("s.csv", lambda: with_column("age", *"1234"), ("age", "unique")),
    "column_without_name": ("s.csv", lambda: with_column("", *"1234"), ("no name", "4")),
    "short_row": ("s.csv", lambda: lines(*ROWS[:3], "drug-1,drug", ROWS[4]), ("line 4 has 2 values",)),
    "long_row": ("s.csv", lambda: lines(*ROWS[:3], "drug-1,drug,high,2", ROWS[4]), ("line 4 has 4 values",)),
    "open_quote": ("s.csv", lambda: lines(*ROWS[:2], 'ctrl-2,"ctrl,40', *ROWS[3:]), ("double quote", "line 3")),
    "swallowed_rows": ("s.csv", lambda: lines(*ROWS[:2], 'ctrl-2,"ctrl,40', 'drug-1,drug",28', ROWS[4]), ("double quote", "line 3")),
    "nul": ("s.csv", lambda: TEXT.replace("drug-1", "dr\x00ug-1"), ("control character",)),
    "empty": ("s.csv", lambda: "", ("empty",)),
    "no_samples": ("s.csv", lambda: ROWS[0] + "\n", ("0 rows",)),
    "only_names": ("s.csv", lambda: lines(*(row.split(",")[0] for row in ROWS)), ("1 columns",)),
    "formula": ("s.xlsx", lambda: book(("a", [*cells(files.sheet(), "sample")[:4], ["drug-2", "=B2", 55]])), ("formula", "B5")),
    "two_sheets": ("s.xlsx", lambda: book(*[(name, cells(files.sheet(), "sample")) for name in "ab"]), ("2 sheets", "sheet=")),
    "cut": ("s.xlsx", lambda: book(("a", cells(files.sheet(), "sample")))[:900], ("cut off",)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_sheets_that_are_refused(case: tuple, tmp_path: Path) -> None:
    name, content, words = case
    path = put(content(), tmp_path / name)
    refused(lambda: read(path), *words)


@pytest.mark.parametrize("level", ["null", "NULL", "None", "none", "NA", "N/A", "nan", "#N/A"])
def test_one_of_two_texts_is_a_level(level: str, tmp_path: Path) -> None:
    samples = read(put(with_column("genotype", "WT", "WT", level, level), tmp_path / "s.csv"))
    equal(samples["genotype"].tolist(), ["WT", "WT", level, level])


@pytest.mark.parametrize(
    ("values", "expected", "words"),
    [
        (["North", "NA", "South", "NA"], ["North", None, "South", None], ("'NA' of 2 samples was read as missing",)),
        (["WT", "null", "het", "het"], ["WT", "null", "het", "het"], ("'null' of 1 samples was read as a level",)),
        (["WT", "", "WT", "null"], ["WT", None, "WT", "null"], ()),
        (["WT", "null", "NA", "WT"], ["WT", "null", None, "WT"], ("'NA'.*missing", "'null'.*level")),
        (["1", "NA", "2.5", "null"], [1.0, None, 2.5, None], ()),
        (["NA", "NA", "NA", ""], [None] * 4, ()),
        (["null", "null", "NA", "NA"], ["null", "null", "NA", "NA"], ("'NA', 'null'|'NA' and 'null'",)),
        (["TRUE", "false", "True", "FALSE"], [True, False, True, False], ()),
        (["TRUE", "", "FALSE", "TRUE"], ["TRUE", None, "FALSE", "TRUE"], ()),
        (["20" * 15, "1", "2", "3"], ["20" * 15, "1", "2", "3"], ()),
    ],
)  # fmt: skip
def test_what_is_missing_is_decided_by_a_rule(values: list, expected: list, words: tuple, tmp_path: Path) -> None:
    column = read(put(with_column("x", *values), tmp_path / "s.csv"), *words)["x"]
    equal([None if pd.isna(value) else value for value in column], expected)


# on the command line, where results are written


def invoke(folder: Path, sheet: str | bytes, *options: str, name: str = "samples.csv") -> tuple[int, str, str]:
    files.counts().to_csv(folder / "counts.csv")
    path = put(sheet, folder / name)
    words = ["check", str(folder / "counts.csv"), str(path), "--design", "~ condition", *options]
    found = CliRunner().invoke(app, words)
    return found.exit_code, found.stdout, found.stderr


@pytest.mark.parametrize("column", ["_index", ".", "/dose"])
def test_columns_that_cannot_be_written_are_found_before_training(column: str, tmp_path: Path) -> None:
    code, _, error = invoke(tmp_path, with_column(column, *"abcd"))
    assert code == 2
    check_message(error.splitlines()[-1], re.escape(repr(column)), "rename")


def test_a_sheet_of_a_workbook_is_chosen_on_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    counts, sheet = cells(files.counts(), "gene"), cells(files.sheet(), "sample")
    both = book(("counts", counts), ("key", sheet), ("notes", [["x"]]))
    code, _, error = invoke(tmp_path, both, name="study.xlsx")
    assert code == 2
    check_message(error.splitlines()[-1], "counts", "key", "--sheet counts")
    code, out, error = invoke(tmp_path, both, "--sheet", "key", name="study.xlsx")
    assert code == 0, error
    assert "4 samples" in out
    put(both, tmp_path / "study.xlsx")
    path = str(tmp_path / "study.xlsx")
    words = ["check", path, path, "--design", "~ condition", "--sheet", "counts", "--sheet", "key"]
    assert CliRunner().invoke(app, words).exit_code == 0
    code, _, error = invoke(tmp_path, both, "--sheet", "Key", name="study.xlsx")
    assert code == 2
    check_message(error.splitlines()[-1], "--sheet 'Key'", "key", "notes")
