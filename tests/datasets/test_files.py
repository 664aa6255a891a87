import hashlib
import re
from importlib.resources import files

import pytest

from bulkvi.datasets._files import read_packaged

PACKAGED = files("bulkvi.datasets") / "packaged"


def test_every_packaged_file_is_described_with_its_checksum():
    data = {entry.name for entry in PACKAGED.iterdir() if entry.name.endswith(".gz")}
    sections = re.split(r"^## ", (PACKAGED / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    described = {section.split("\n")[0]: section for section in sections}
    assert described.keys() == data
    for name, section in described.items():
        assert hashlib.sha256((PACKAGED / name).read_bytes()).hexdigest() in section


@pytest.mark.parametrize("name", ["airway.tsv.gz", "gse60450_symbols.tsv.gz"])
def test_packaged_tables_have_unique_string_ids_and_a_symbol_for_each(name):
    table = read_packaged(name)
    assert table.index.is_unique
    assert all(isinstance(gene, str) for gene in table.index)
    assert table["symbol"].str.len().min() > 0
