import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from bulkvi.io._tables import read_table
from bulkvi.io._text_files import UnreadableError, read_beginning, read_text


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_letter_that_is_not_in_utf_8_is_found_wherever_it_is(pack, tmp_path: Path):
    """It is read as Windows-1252, as spreadsheets write, with a warning that shows the word."""
    rows = [f"s{k},x" for k in range(5000)]
    rows[4000] = "s4000,Jos\xe9"
    (tmp_path / "samples.csv").write_bytes(pack("\n".join(["id,name", *rows]).encode("latin-1")))
    with pytest.warns(UserWarning, match=r"not in UTF-8 and was read as Windows-1252.*'José' in line 4002.*CSV UTF-8"):
        assert read_table(tmp_path / "samples.csv").cells.iloc[4000, 1] == "José"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_that_are_no_text_are_refused(pack, tmp_path: Path):
    content = "\n".join(["id,name", *(f"s{k},x" for k in range(4000))]).encode() + b"\ns4000,\x81\n"
    (tmp_path / "samples.csv").write_bytes(pack(content))
    with pytest.raises(ValueError, match=r"samples.csv is not a text file in UTF-8 \(line 4002\).*CSV UTF-8"):
        read_table(tmp_path / "samples.csv")


TEXT = "gene\ts1\nA\t1\n"
WRITTEN: dict[str, bytes] = {
    "utf_8": TEXT.encode(),
    "byte_order_mark": TEXT.encode("utf-8-sig"),
    "windows": TEXT.replace("\n", "\r\n").encode(),
    "utf_16": TEXT.encode("utf-16"),
    "utf_16_without_mark": TEXT.encode("utf-16-le"),
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "twice": gzip.compress(bz2.compress(TEXT.encode("utf-16"))),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_one_text_in_every_encoding_and_compression(content: bytes, tmp_path: Path):
    (tmp_path / "t.tsv").write_bytes(content)
    assert read_text(tmp_path / "t.tsv", only_utf=True) == TEXT


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_a_cut_file_is_named_with_its_compression(name: str, tmp_path: Path):
    (tmp_path / "t.tsv").write_bytes(WRITTEN[name][:-12])
    with pytest.raises(UnreadableError, match=f"t.tsv is cut off or damaged: it cannot be read as {name} to its end"):
        read_text(tmp_path / "t.tsv")
    assert read_beginning(tmp_path / "t.tsv", 100) == ""


def test_the_beginning_of_a_text_is_that_of_the_unpacked_file(tmp_path: Path):
    (tmp_path / "t.tsv").write_bytes(gzip.compress(b"\xef\xbb\xbf" + b"abcd" * 1000))
    assert read_beginning(tmp_path / "t.tsv", 11) == "abcdabcd"
    (tmp_path / "t.tsv").write_bytes(b"abc\0def")
    assert read_beginning(tmp_path / "t.tsv", 11) == ""


def test_files_of_tools_are_not_read_as_windows_1252(tmp_path: Path):
    (tmp_path / "t.tsv").write_bytes("Größe\t1\n".encode("cp1252"))
    with pytest.raises(UnreadableError, match=r"not a text file in UTF-8 \(line 1\)"):
        read_text(tmp_path / "t.tsv", only_utf=True)
    with pytest.warns(UserWarning, match="read as Windows-1252"):
        assert read_text(tmp_path / "t.tsv") == "Größe\t1\n"


def test_a_file_that_is_not_there_differs_from_a_broken_link(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnreadableError, match="link to a file that does not exist"):
        read_text(tmp_path / "link")
