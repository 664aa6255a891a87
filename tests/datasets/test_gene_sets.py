import gzip
from pathlib import Path
from typing import Any, NoReturn

import pooch
import pytest

from bulkvi.datasets import GeneSet, gene_sets, read_gmt
from bulkvi.datasets._gene_sets import gmt_bytes


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No folder of data and an empty cache."""
    monkeypatch.delenv("BULKVI_DATA_DIR", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    return tmp_path


def test_packaged_go_needs_no_network_and_has_10_to_500_genes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gseapy.Msigdb.get_gmt", refuse)
    sets = gene_sets("go_bp", "human")
    by_name = {one.name: one for one in sets}
    assert len(by_name) == len(sets) > 6_000
    assert {len(one.genes) for one in sets} <= set(range(10, 501))
    glucocorticoid = by_name["cellular response to glucocorticoid stimulus"]
    assert glucocorticoid.accession == "GO:0071385"
    assert "ZFP36L2" in glucocorticoid.genes


def test_folder_of_data_comes_before_the_packaged_file(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    folder = nowhere / "genesets"
    folder.mkdir()
    for name in (
        "go_bp_human_symbol",
        "go_bp_mouse_old_symbol",
        "go_bp_mouse_ortholog_symbol",
        "hallmark_v7_human_symbol",
    ):
        (folder / f"{name}.gmt").write_text(f"{name}\t\tA\n")
    monkeypatch.setenv("BULKVI_DATA_DIR", str(nowhere))
    assert gene_sets("go_bp")[0].name == "go_bp_human_symbol"
    assert gene_sets("go_bp", "mouse")[0].name == "go_bp_mouse_ortholog_symbol"
    assert gene_sets("hallmark")[0].name == "hallmark_v7_human_symbol"


def test_a_download_is_kept(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def answer(category: str, dbver: str) -> dict[str, list[str]]:
        asked.append((category, dbver))
        return {"HALLMARK_HYPOXIA": ["Vegfa", "Pgk1"]}

    monkeypatch.setattr("gseapy.Msigdb.get_gmt", answer)
    for _ in range(2):
        assert gene_sets("hallmark", "mouse")[0].genes == ("Vegfa", "Pgk1")
    assert asked == [("mh.all", "2023.1.Mm")]


def test_without_a_network_the_message_says_where_to_put_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gseapy.Msigdb.get_gmt", refuse)
    with pytest.raises(ConnectionError, match=r"put a GMT file reactome_human_symbol\.gmt\.gz into a folder genesets"):
        gene_sets("reactome")
    monkeypatch.setattr("gseapy.Msigdb.get_gmt", lambda **_: None)
    with pytest.raises(ConnectionError, match="MSigDB returned no"):
        gene_sets("kegg")


def test_unknown_sets_are_refused():
    with pytest.raises(ValueError, match="`name` must be one of 'hallmark'"):
        gene_sets("go")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`organism` must be one of 'human', 'mouse'; it is 'rat'"):
        gene_sets("go_bp", "rat")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no 'kegg' sets of the mouse"):
        gene_sets("kegg", "mouse")


def refuse(**_: Any) -> NoReturn:
    raise OSError("no network")


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
