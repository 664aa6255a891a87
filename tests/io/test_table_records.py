import csv
from io import StringIO
from pathlib import Path

import pytest

from bulkvi.io._table_records import find_separator, split_text

HERE = Path("table.txt")


def values(text: str) -> list[list[str]]:
    records = split_text(text, HERE)
    return [records.values(k) for k in range(len(records.lines))]


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        (["gene,a,b", "x,1,2"], ","),
        (["gene;a;b", "x;1,5;2,5", "y;0,5;1,0"], ";"),  # decimal commas
        (["gene\ta\tb", "x\t1\t2;3"], "\t"),
        (["title, of two words", "gene\ta", "x\t1", "y\t2"], "\t"),
        (['"a" "b"', '"x" 1 2'], " "),
        (['gene,note', 'x,"a;b;c;d"', 'y,"e;f"'], ","),
    ],
)  # fmt: skip
def test_the_separator_is_what_most_lines_have_equally_often(lines: list[str], separator: str):
    assert find_separator(lines) == separator


def test_quotes_that_a_writer_made_are_read_as_the_reader_of_csv_does():
    rows = [["gene", "note", "s1"], ["a", 'say "x", y', "1"], ["b", "first\nsecond", "2"], ["c", "", "3"]]
    written = StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    assert values(written.getvalue()) == [[cell.replace("\n", " ") for cell in row] for row in rows]


def test_an_odd_quote_between_tabs_is_text():
    assert values('gene\tnote\na\t"open\nb\tx\nc\tend"\n') == [
        ["gene", "note"],
        ["a", '"open'],
        ["b", "x"],
        ["c", 'end"'],
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('g,n,s\na,"open,1\nb,x,2\nc,"and" more,3\n', 2),
        ('g,n,s\na,x,1\nb,"open,2\nc,close",3\n', 3),  # the two rows would be one
        ('g,n,s\na,x,1\nb,"open,2\n', 3),
    ],
)
def test_a_quote_that_would_swallow_rows_is_refused(text: str, line: int):
    with pytest.raises(ValueError, match=f"a double quote is opened and not closed in line {line}"):
        split_text(text, HERE)


def test_lines_are_numbered_as_in_the_file():
    assert split_text('\ng,n\n\na,"x\ny"\n\nb,z\n', HERE).numbers == [2, 4, 7]
