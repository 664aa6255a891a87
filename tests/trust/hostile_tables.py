"""Tables of the same counts as other people's programs write them."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pandas as pd

from tests.io import files

COUNTS = files.counts()
PLAIN = COUNTS[files.SAMPLES].T.astype("int32")
"""Samples x genes, as the plain table is read."""
SHEET = files.sheet()


def text(sep: str = "\t", label: str = "gene_id", table: pd.DataFrame = COUNTS, **options: Any) -> str:
    return table.to_csv(sep=sep, index_label=label, **options)


def rows(sep: str = "\t") -> list[str]:
    return text(sep).splitlines()


def lines(*parts: str, end: str = "\n") -> str:
    return end.join(parts) + end


def annotated(sep: str, *notes: str, quote: bool = False) -> str:
    """A column of descriptions before the counts, with these texts in some rows."""
    described = [*notes, *["plain"] * (len(COUNTS) - len(notes))]
    header, *body = rows(sep)
    mark = '"' if quote else ""
    made = [
        sep.join([line.split(sep)[0], f"{mark}{note}{mark}", *line.split(sep)[1:]])
        for line, note in zip(body, described, strict=True)
    ]
    return lines(sep.join([header.split(sep)[0], "description", *header.split(sep)[1:]]), *made)


def swap(lines_: list[str], k: int, new: str) -> str:
    return lines(*lines_[:k], new, *lines_[k + 1 :])


def with_row(name: str, values: Any) -> pd.DataFrame:
    table = COUNTS.astype(object)
    table.loc[name] = values
    return table


def zipped(**members: str) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def gct(n_genes: int = len(COUNTS), n_samples: int = 4, description: str = "na") -> str:
    table = COUNTS.copy()
    table.insert(0, "Description", description)
    return f"#1.2\n{n_genes}\t{n_samples}\n" + text(label="Name", table=table)


def gct_1_3() -> str:
    header, *body = rows()
    first, *names = header.split("\t")
    kinds = "\t".join(["treatment", "", *["x"] * 4])
    split = [line.split("\t", 1) for line in body]
    return lines(
        "#1.3",
        f"{len(body)}\t4\t1\t1",
        "\t".join(["id", "symbol", *names]),
        kinds,
        *(f"{g}\ts{g}\t{rest}" for g, rest in split),
    )


def book(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    import openpyxl

    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, cells in sheets:
        sheet = made.create_sheet(name)
        for row in cells:
            sheet.append(row)
    packed = BytesIO()
    made.save(packed)
    return packed.getvalue()


def cells(table: pd.DataFrame = COUNTS, label: str = "gene_id") -> list[list[Any]]:
    return [
        [label, *table.columns],
        *([name, *row] for name, row in zip(table.index, table.to_numpy().tolist(), strict=True)),
    ]


def changed(k: int, j: int, value: Any) -> list[list[Any]]:
    table = cells()
    table[k][j] = value
    return table


def sheet_cells() -> list[list[Any]]:
    return cells(SHEET, "sample")


def german(table: pd.DataFrame, digits: int = 0) -> str:
    """As a German spreadsheet saves it: semicolons, decimal commas."""
    return text(";", table=table.map(lambda value: f"{value:.{digits}f}".replace(".", ",")), lineterminator="\r\n")


BIG = COUNTS.copy()
BIG.iloc[5, 0] = 3_000_000_000

# name -> (file name, content, words of the warning)
Readable = tuple[str, Callable[[], str | bytes], tuple[str, ...]]
READ: dict[str, Readable] = {
    "odd_quotes_in_two_rows": ("c.tsv", lambda: annotated("\t", '"open quote', '"and" again'), ("description",)),
    "odd_quote_in_one_row": ("c.tsv", lambda: annotated("\t", '5" long'), ()),
    "odd_quote_at_the_end": ("c.tsv", lambda: annotated("\t", 'a"', 'b"'), ()),
    "quotes_within_quotes": ("c.csv", lambda: annotated(",", 'say ""x"", y', quote=True), ()),
    "separator_in_quotes": ("c.csv", lambda: annotated(",", "kinase, type 1", quote=True), ()),
    "line_end_in_quotes": ("c.csv", lambda: annotated(",", "first\nsecond", "first\r\n\r\nthird", quote=True), ()),
    "line_end_in_quotes_between_tabs": ("c.tsv", lambda: annotated("\t", "first\nsecond", quote=True), ()),
    "single_quotes": ("c.tsv", lambda: annotated("\t", "5'-nucleotidase", "3'", "'"), ()),
    "all_in_quotes": ("c.csv", lambda: text(",", quoting=1), ()),
    "all_in_quotes_between_tabs": ("c.tsv", lambda: text(quoting=1), ()),
    "header_with_line_ends": ("c.csv", lambda: text(",").replace("gene_id", '"gene\n\nid"', 1), ()),
    "header_of_samples_with_line_ends": (
        "c.csv",
        lambda: text(",", table=COUNTS.assign(a=1, b=2).rename(columns={"a": "other\none", "b": "other\n\ntwo"})),
        ("other one",),
    ),
    "carriage_returns_only": ("c.tsv", lambda: text().replace("\n", "\r"), ()),
    "mixed_line_ends": ("c.tsv", lambda: lines(*rows()[:9]) + lines(*rows()[9:20], end="\r\n") + lines(*rows()[20:], end="\r"), ()),
    "double_line_ends": ("c.tsv", lambda: text().replace("\n", "\r\r\n"), ()),
    "no_line_end": ("c.tsv", lambda: text().rstrip("\n"), ()),
    "blank_rows_inside": ("c.csv", lambda: lines(*rows(",")[:7], "", ",,,,", "  ", *rows(",")[7:]), ()),
    "separators_at_some_ends": ("c.csv", lambda: lines(*(line + "," * (k % 3) for k, line in enumerate(rows(",")))), ()),
    "separators_at_the_end_of_the_header": ("c.csv", lambda: swap(rows(","), 0, rows(",")[0] + ",,"), ()),
    "byte_order_mark": ("c.csv", lambda: text(",").encode("utf-8-sig"), ()),
    "byte_order_mark_before_quotes": ("c.csv", lambda: text(",", quoting=1).encode("utf-8-sig"), ()),
    "comment_in_the_middle": ("c.tsv", lambda: lines(*rows()[:9], "# lane 2 from here", *rows()[9:]), ("between the rows", "lane 2")),
    "title_above": ("c.csv", lambda: "Table S1. Raw counts\n\n" + text(","), ("above the header", "Table S1")),
    "title_padded": ("c.csv", lambda: "Table S1: counts,,,,\nGSE1,,,,\n,,,,\n" + text(","), ("2 lines above the header",)),
    "title_of_two_cells": ("c.tsv", lambda: "Counts\tproject 7\n" + text(), ("project 7",)),
    "title_of_one_word": ("c.csv", lambda: "Counts\n" + text(","), ("above the header",)),
    "footnote_below": ("c.csv", lambda: text(",") + "Counted with HTSeq 2.0.\n", ("below the table", "HTSeq")),
    "footnotes_padded": ("c.csv", lambda: text(",") + ",,,,\n* outlier removed,,,,\nSource: GEO,,,,\n", ("2 lines below the table",)),
    "utf_16": ("c.txt", lambda: text().encode("utf-16"), ()),
    "utf_16_big_endian_without_mark": ("c.txt", lambda: text().encode("utf-16-be"), ()),
    "utf_16_little_endian_without_mark": ("c.txt", lambda: text().encode("utf-16-le"), ()),
    "utf_32": ("c.txt", lambda: text().encode("utf-32"), ()),
    "windows_1252": ("c.tsv", lambda: annotated("\t", "Größe").encode("cp1252"), ("Windows-1252", "Größe")),
    "gzip_by_another_name": ("c.tsv", lambda: gzip.compress(text().encode()), ()),
    "bzip2": ("c.tsv.bz2", lambda: bz2.compress(text().encode()), ()),
    "xz": ("c.tsv.xz", lambda: lzma.compress(text().encode()), ()),
    "zip": ("c.zip", lambda: zipped(**{"c.csv": text(",")}), ()),
    "zip_of_a_mac": ("c.csv.zip", lambda: zipped(**{"c.csv": text(","), "__MACOSX/._c.csv": "x"}), ()),
    "packed_twice": ("c.tsv.gz", lambda: gzip.compress(gzip.compress(text().encode())), ()),
    "gct": ("c.gct", gct, ()),
    "gct_1_3": ("c.gct", gct_1_3, ("annotate samples", "treatment")),
    "gct_gz": ("c.gct.gz", lambda: gzip.compress(gct().encode()), ()),
    "biom_text": ("c.txt", lambda: "# Constructed from biom file\n#" + text(label="OTU ID"), ()),
    "total_row": ("c.csv", lambda: text(",", table=with_row("Total", COUNTS.sum())), ("Total",)),
    "total_row_by_value": ("c.csv", lambda: text(",", table=with_row("reads in all", COUNTS.sum())), ("reads in all", "sum of the other")),
    "library_size_row": ("c.csv", lambda: text(",", table=with_row("Library size", 999_999)), ("Library size",)),
    "total_with_unassigned": (
        "c.csv",
        lambda: text(",", table=pd.concat([with_row("all", COUNTS.sum() + 50), pd.DataFrame(50, ["__no_feature"], COUNTS.columns)])),
        ("all", "__no_feature"),
    ),
    "two_totals": ("c.csv", lambda: text(",", table=pd.concat([with_row("SUM", COUNTS.sum()), pd.DataFrame([COUNTS.sum()], ["Total reads"])])), ("2 rows",)),
    "total_column": ("c.csv", lambda: text(",", table=COUNTS.assign(Total=COUNTS.sum(axis=1))), ("Total",)),
    "total_of_transposed": ("c.csv", lambda: COUNTS.T.assign(Total=COUNTS.sum()).to_csv(index_label="sample"), ("Total",)),
    "idxstats_star": ("c.tsv", lambda: text(table=with_row("*", 12)), (r"\*",)),
    "decimal_commas": ("c.csv", lambda: german(COUNTS, 1), ()),
    "decimal_commas_between_tabs": ("c.txt", lambda: german(COUNTS, 2).replace(";", "\t").encode("utf-16"), ()),
    "decimal_points": ("c.tsv", lambda: text(table=COUNTS.astype(float)), ()),
    "scientific": ("c.tsv", lambda: text(table=COUNTS.map("{:.6e}".format)), ()),
    "blanks_around_numbers": ("c.csv", lambda: text(",", table=COUNTS.map("  {} ".format)), ()),
    "fixed_width": ("c.txt", lambda: COUNTS.to_string() + "\n", ()),
    "r_row_names": ("c.tsv", lambda: text().replace("gene_id\t", "", 1), ()),
    "r_row_names_quoted": ("c.txt", lambda: text(" ", quoting=2).replace('"gene_id" ', "", 1), ()),
    "galaxy_header": ("c.tabular", lambda: "#" + text(label="Geneid"), ()),
    "tsv_named_xls": ("c.xls", text, ()),
    "end_of_file_mark": ("c.csv", lambda: text(",") + "\x1a", ()),
    "an_unnamed_column": ("c.csv", lambda: lines(*(f"{line},{'' if not k else 'x'}" for k, line in enumerate(rows(",")))), ()),
    "spreadsheet_title_and_footnote": ("c.xlsx", lambda: book(("a", [["Table S1"], [], *cells(), [], ["Source: GEO"]])), ("Table S1", "GEO")),
    "spreadsheet_numbers_as_text": ("c.xlsx", lambda: book(("a", cells(COUNTS.astype(str)))), ()),
    "spreadsheet_total": ("c.xlsx", lambda: book(("a", cells(with_row("Summe", COUNTS.sum())))), ("Summe",)),
    "spreadsheet_named_csv": ("c.csv", lambda: book(("a", cells())), ()),
    "spreadsheet_in_a_zip": ("c.zip", lambda: _in_zip(book(("a", cells()))), ()),
    "spreadsheet_with_line_ends": ("c.xlsx", lambda: book(("a", changed(0, 0, "gene\nid"))), ()),
}  # fmt: skip


def _in_zip(content: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("c.xlsx", content)
    return packed.getvalue()


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


# name -> (file name, content, words of the error)
REFUSED: dict[str, Readable] = {
    "open_quote_swallows_rows": ("c.csv", lambda: annotated(",", '"open', 'close"'), ("double quote", "line 2")),
    "open_quote_to_the_end": ("c.csv", lambda: annotated(",", '"open'), ("double quote is opened and not closed", "line 2")),
    "text_behind_a_quote": ("c.csv", lambda: annotated(",", '"and" more'), ("double quote",)),
    "nul_byte": ("c.tsv", lambda: text().replace("G05", "G\x0005"), ("line 7", "control character")),
    "nul_bytes_at_the_end": ("c.tsv", lambda: text().encode() + bytes(600), ("control character",)),
    "short_row": ("c.csv", lambda: swap(rows(","), 5, rows(",")[5].rsplit(",", 1)[0]), ("line 6 has 4 values", "G04")),
    "short_last_row": ("c.csv", lambda: text(",").rstrip("\n")[:-len(rows(",")[-1]) + 2], ("line 41", "cut off")),
    "long_row": ("c.csv", lambda: swap(rows(","), 5, rows(",")[5] + ",7"), ("line 6 has 6 values",)),
    "all_rows_short": ("c.csv", lambda: lines(rows(",")[0], *(line.rsplit(",", 1)[0] for line in rows(",")[1:])), ("line 2 has 4 values", "5 names")),
    "a_line_end_in_a_value": ("c.tsv", lambda: swap(rows(), 3, rows()[3].replace("\t", "\n", 1)), ("line 4 has 1 values",)),
    "cut_gzip": ("c.tsv.gz", lambda: _half(gzip.compress(text().encode())), ("cut off", "gzip")),
    "cut_bzip2": ("c.tsv.bz2", lambda: _half(bz2.compress(text().encode())), ("cut off", "bzip2")),
    "cut_xz": ("c.tsv.xz", lambda: _half(lzma.compress(text().encode())), ("cut off", "xz")),
    "cut_zip": ("c.zip", lambda: _half(zipped(**{"c.csv": text(",")})), ("cut off", "zip")),
    "cut_spreadsheet": ("c.xlsx", lambda: _half(book(("a", cells()))), ("cut off", "xlsx")),
    "damaged_spreadsheet": ("c.xlsx", lambda: zipped(**{"xl/workbook.xml": "<"}), ("damaged", "xlsx")),
    "cut_utf_16": ("c.txt", lambda: text().encode("utf-16")[:-1], ("UTF-16", "cut off")),
    "several_in_a_zip": ("c.zip", lambda: zipped(**{"a.csv": "x", "b.csv": "y"}), ("2 files", r"a\.csv")),
    "nothing_in_a_zip": ("c.zip", lambda: zipped(), ("cut off|0 files",)),
    "web_page": ("c.csv", lambda: "<!DOCTYPE html><html><body>404</body></html>\n", ("web page",)),
    "pdf": ("c.csv", lambda: b"%PDF-1.4\n%\xe2\xe3\n", ("PDF",)),
    "old_spreadsheet": ("c.xls", lambda: b"\xd0\xcf\x11\xe0" + bytes(600), (r"\.xlsx",)),
    "protected_spreadsheet": ("c.xlsx", lambda: b"\xd0\xcf\x11\xe0" + bytes(600), ("password",)),
    "open_document": ("c.ods", lambda: zipped(**{"mimetype": "x", "content.xml": "<x/>"}), ("OpenDocument",)),
    "tar": ("c.tar.gz", lambda: gzip.compress(bytes(257) + b"ustar" + bytes(250)), ("tar archive",)),
    "empty": ("c.csv", lambda: "", ("empty",)),
    "only_blanks": ("c.csv", lambda: "\n ,,\n", ("empty",)),
    "only_a_header": ("c.csv", lambda: rows(",")[0] + "\n", ("0 rows",)),
    "gct_with_fewer_genes": ("c.gct", lambda: gct(50), ("50 x 4", "40 x 4")),
    "gct_with_fewer_samples": ("c.gct", lambda: gct(40, 6), ("40 x 6",)),
    "thousands_with_commas": ("c.tsv", lambda: text(table=(COUNTS + 1000).map("{:,}".format)), ("comma", "thousands")),
    "thousands_with_points": ("c.csv", lambda: text(";", table=(COUNTS * 90 + 1000).map(lambda n: f"{n:,}".replace(",", "."))), ("thousands",)),
    "truth_values": ("c.csv", lambda: text(",", table=COUNTS > 100), ("true and false",)),
    "negative": ("c.csv", lambda: text(",", table=COUNTS - 5), ("negative",)),
    "empty_cell": ("c.csv", lambda: text(",", table=COUNTS.where(COUNTS != COUNTS.max().max())), ("missing", "missing='zero'")),
    "missing_column": ("c.csv", lambda: text(",", table=COUNTS.drop(columns="drug-1")), ("drug-1",)),
    "repeated_sample": ("c.csv", lambda: text(",", table=COUNTS.rename(columns={"drug-2": "drug-1"})), ("drug-1|drug-2",)),
    "repeated_gene": ("c.csv", lambda: text(",", table=COUNTS.rename(index={"G05": "G06"})), ("unique", "G06")),
    "two_to_the_63": ("c.csv", lambda: text(",", table=with_row("big", 2**63)), ("9,007,199,254,740,992",)),
    "two_to_the_60": ("c.csv", lambda: text(",", table=with_row("big", 2**60)), ("9,007,199,254,740,992",)),
    "more_digits_than_any_integer": ("c.csv", lambda: text(",", table=with_row("big", 10**30)), ("9,007,199,254,740,992",)),
    "overflow_to_infinity": ("c.csv", lambda: text(",", table=with_row("big", "1e999")), ("infinite",)),
    "mean_row": ("c.csv", lambda: text(",", table=with_row("Mean", COUNTS.mean() + 0.25)), ("Mean",)),
    "spreadsheet_of_two_sheets": ("c.xlsx", lambda: book(("one", cells()), ("two", cells())), ("one", "two", "sheet=")),
    "spreadsheet_formula": ("c.xlsx", lambda: book(("a", changed(3, 2, "=SUM(A1:A2)"))), ("formula", "C4")),
    "spreadsheet_error": ("c.xlsx", lambda: book(("a", changed(3, 2, "#REF!"))), ("#REF!", "row 4")),
    "spreadsheet_date_among_counts": ("c.xlsx", lambda: book(("a", changed(3, 2, pd.Timestamp("2020-03-01")))), ("2020-03-01",)),
    "spreadsheet_truth_value": ("c.xlsx", lambda: book(("a", changed(3, 2, True))), ("True",)),
    "spreadsheet_without_cells": ("c.xlsx", lambda: book(("a", [])), ("empty",)),
    "header_of_groups": ("c.csv", lambda: ",ctrl,ctrl,drug,drug\n" + text(","), ("sample",)),
    "summary_only": ("c.tsv", lambda: text(table=pd.DataFrame(5, ["Assigned", "Unassigned_Unmapped"], COUNTS.columns)), ("no genes",)),
    "csv_named_h5ad": ("c.h5ad", lambda: text(","), (r"no \.h5ad",)),
}  # fmt: skip
