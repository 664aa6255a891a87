import gzip
from pathlib import Path

import pytest

from bulkvi.io._tables import read_table


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
