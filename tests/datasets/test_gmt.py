import gzip
from pathlib import Path

import pytest

from bulkvi.datasets import GeneSet, read_gmt
from bulkvi.datasets._gmt import gmt_bytes

TEXT = (
    "GO:0006954\tinflammatory response\tIL6\tTNF\tIL6\n"
    "Cell Cycle\tR-HSA-1640170\tCDK1\n"
    "HALLMARK_HYPOXIA\thttp://www.gsea-msigdb.org/gsea/msigdb\tVEGFA\t\n"
)
SETS = [
    GeneSet("inflammatory response", "GO:0006954", ("IL6", "TNF")),
    GeneSet("Cell Cycle", "R-HSA-1640170", ("CDK1",)),
    GeneSet("HALLMARK_HYPOXIA", "", ("VEGFA",)),
]


def test_names_accessions_and_genes_are_told_apart(tmp_path: Path):
    (tmp_path / "sets.gmt").write_text(TEXT)
    (tmp_path / "sets.gmt.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert read_gmt(tmp_path / "sets.gmt") == SETS
    assert read_gmt(str(tmp_path / "sets.gmt.gz")) == SETS


def test_what_is_written_is_read_again(tmp_path: Path):
    (tmp_path / "sets.gmt.gz").write_bytes(gmt_bytes({"a b": ["X", "Y"]}))
    assert read_gmt(tmp_path / "sets.gmt.gz") == [GeneSet("a b", "", ("X", "Y"))]


def test_a_file_that_is_not_gmt_is_refused(tmp_path: Path):
    path = tmp_path / "counts.gmt"
    path.write_text("gene,count\nA,1\n")
    with pytest.raises(ValueError, match="line 1 of .* has 1 fields"):
        read_gmt(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="holds no gene set"):
        read_gmt(path)
    path.write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(ValueError, match="cannot be read"):
        read_gmt(path)
    with pytest.raises(FileNotFoundError, match=r"none\.gmt"):
        read_gmt(tmp_path / "none.gmt")


@pytest.mark.parametrize("name", ["TP53", "STAT3", "module1", "IL-6", "M1", "hsa-miR-155", "GO:0000001"])
@pytest.mark.parametrize("description", ["na", "N/A", "-", "", "https://example.org/x"])
def test_a_placeholder_is_no_name(name: str, description: str, tmp_path: Path):
    """Sets called as a gene is, with ``na`` beside them, were all called na."""
    (tmp_path / "sets.gmt").write_text(f"{name}\t{description}\tA\tB\n")
    (found,) = read_gmt(tmp_path / "sets.gmt")
    assert found == GeneSet(name, "", ("A", "B"))


@pytest.mark.parametrize("name", ["TP53", "STAT3", "module1", "IL-6", "M1", "hsa-miR-155"])
def test_a_name_that_ends_in_a_number_is_no_accession(name: str, tmp_path: Path):
    (tmp_path / "sets.gmt").write_text(f"{name}\ttargets in blood\tA\n")
    assert [each.name for each in read_gmt(tmp_path / "sets.gmt")] == [name]


@pytest.mark.parametrize("accession", ["GO:0006954", "R-HSA-73886", "hsa04110", "mmu04110", "WP254", "M5930", "MM3921"])
def test_accessions_are_known(accession: str, tmp_path: Path):
    (tmp_path / "sets.gmt").write_text(f"{accession}\tcell cycle\tA\n")
    assert read_gmt(tmp_path / "sets.gmt") == [GeneSet("cell cycle", accession, ("A",))]


def test_names_that_would_be_the_same_are_the_accessions(tmp_path: Path):
    (tmp_path / "sets.gmt").write_text("GO:1\tmine\tA\nGO:2\tmine\tB\nGO:3\tother\tC\n")
    assert [each.name for each in read_gmt(tmp_path / "sets.gmt")] == ["GO:1", "GO:2", "other"]
