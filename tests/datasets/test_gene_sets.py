from pathlib import Path
from typing import Any, NoReturn

import pooch
import pytest

from bulkvi.datasets import gene_sets


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
    with pytest.raises(ConnectionError, match="MSigDB did not give"):
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
