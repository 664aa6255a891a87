import numpy as np
import pandas as pd
import pytest

from bulkvi.reference._matching import check_match, kind_of, match_genes, without_version

HUMAN = pd.Index([f"ENSG{k:011d}.{1 + k % 7}" for k in range(80)])


def matched(names: list[str], genes: list[str], symbols: list[str] | None = None) -> list[int]:
    return match_genes(names, pd.Index(genes), None if symbols is None else pd.Index(symbols)).position.tolist()


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("ENSG00000223972.5", "ENSG00000223972"),
        ("ENSG00000223972.5_2", "ENSG00000223972"),
        ("ENSG00000182378.13_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000000003.14|TSPAN6", "ENSG00000000003"),
        ("ENSMUSG00000000001.4", "ENSMUSG00000000001"),
        ("SPAC212.11", "SPAC212.11"),
        ("YAL016C-B", "YAL016C-B"),
        ("AC004951.1", "AC004951.1"),
        ("RP11-34P13.7", "RP11-34P13.7"),
        ("HLA-A", "HLA-A"),
        ("FBgn0000003", "FBgn0000003"),
    ],
)
def test_only_versions_are_stripped(name: str, short: str) -> None:
    assert without_version(name) == short


def test_ids_match_with_and_without_versions_and_by_symbol() -> None:
    genes, symbols = ["ENSG00000000003.14", "ENSG00000000005.6", "ENSG00000000419.12"], ["TSPAN6", "TNMD", "DPM1"]
    assert matched(["ENSG00000000419", "X", "ENSG00000000003.9"], genes) == [2, -1, 0]
    assert matched(["TNMD", "ENSG00000000003.14", "dpm1"], genes, symbols) == [1, 0, -1]
    assert matched(["TNMD"], genes) == [-1]


def test_the_same_name_comes_before_the_name_without_version_and_ambiguous_names_are_counted() -> None:
    genes = ["ENSG00000000003.14", "ENSG00000000003.15"]
    match = match_genes(["ENSG00000000003.15", "ENSG00000000003"], pd.Index(genes))
    assert match.position.tolist() == [1, -1]
    assert match.n_ambiguous == 1
    assert "1 were left out because several genes have the same name without version" in match.describe()
    assert matched(["A", "B"], ["id1", "id2", "id3"], ["A", "A", "B"]) == [-1, 2]


def test_no_gene_of_the_reference_is_matched_twice() -> None:
    position = matched(["TSPAN6", "ENSG00000000003"], ["ENSG00000000003"], ["TSPAN6"])
    assert position == [-1, 0]


def test_order_of_the_genes_does_not_matter(rng: np.random.Generator) -> None:
    names = [gene.split(".")[0] for gene in HUMAN] + ["other"]
    order = rng.permutation(len(names))
    position = match_genes(names, HUMAN).position
    np.testing.assert_array_equal(match_genes([names[k] for k in order], HUMAN).position, position[order])
    turned = match_genes(names, HUMAN[::-1]).position
    np.testing.assert_array_equal(np.where(turned >= 0, len(HUMAN) - 1 - turned, -1), position)


def test_genes_without_counts_match_nothing() -> None:
    known = np.arange(len(HUMAN)) < 60
    match = match_genes(list(HUMAN), HUMAN, known=known)
    assert match.n_shared == match.n_reference == 60
    assert "60 of the 80 genes of the study (75%)" in match.describe()


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (list(HUMAN), "human Ensembl ids"),
        ([f"ENSMUSG{k:011d}" for k in range(9)], "mouse Ensembl ids"),
        ([f"ENSBTAG{k:011d}" for k in range(9)], "Ensembl ids ENSBTAG"),
        (["YAL001C", "YBR020W", "Q0045"], "baker's yeast ids"),
        (["SPAC212.11", "SPBC1709.01"], "fission yeast ids"),
        (["497097", "71872"], "numbers, as of NCBI Gene"),
        (["TP53", "HLA-A"], "gene symbols or other names"),
        ([], "gene symbols or other names"),
    ],
)
def test_kinds_of_names(names: list[str], kind: str) -> None:
    assert kind_of(names) == kind


SYMBOLS = [f"GENE{k}" for k in range(80)]


@pytest.mark.parametrize(
    ("names", "genes", "words"),
    [
        ([f"ENSMUSG{k:011d}" for k in range(80)], list(HUMAN), r"mouse Ensembl ids.*reference of another organism"),
        ([f"ENSBTAG{k:011d}" for k in range(80)], list(HUMAN), "ENSBTAG.*reference of another organism"),
        ([f"FBgn{k:07d}" for k in range(80)], list(HUMAN), "reference of another organism"),
        (SYMBOLS, list(HUMAN), r"Name the genes alike.*has no symbols|has no symbols.*Name the genes alike"),
        ([name.capitalize() for name in SYMBOLS], SYMBOLS, "upper and lower case"),
        (list(HUMAN[:20]), list(HUMAN), "has 20 of the 20 genes of the study, and at least 50 are needed.*panel"),
    ],
)
def test_too_few_shared_genes_are_refused_with_the_reason(names: list[str], genes: list[str], words: str) -> None:
    index = pd.Index(genes)
    with pytest.raises(ValueError, match=words):
        check_match(match_genes(names, index), names, index, None)
