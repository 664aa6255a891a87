from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bulkvi import io
from bulkvi.io._sample_names import Match, file_name, match_samples, r_name
from tests.io import files


@pytest.mark.parametrize(
    ("name", "in_r"),
    # R 4.2.2: make.names(c("ctrl-1", "1A", "a b", ".1x", "_x", "if", "ok.1", "x_1", "a(b)"))
    [
        ("ctrl-1", "ctrl.1"),
        ("1A", "X1A"),
        ("a b", "a.b"),
        (".1x", "X.1x"),
        ("_x", "X_x"),
        ("if", "if."),
        ("ok.1", "ok.1"),
        ("x_1", "x_1"),
        ("a(b)", "a.b."),
    ],
)
def test_names_are_changed_as_r_does(name: str, in_r: str):
    assert r_name(name) == in_r


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/align/ctrl-1.sorted.bam", "ctrl-1"),
        ("C:\\data\\ctrl-1.bam", "ctrl-1"),
        ("ctrl-1Aligned.sortedByCoord.out.bam", "ctrl-1"),
        ("ctrl-1_counts.txt.gz", "ctrl-1"),
        ("./ctrl-1_quant/quant.sf", "quant.sf"),  # all of it is an ending: left as it is
        ("counts", "counts"),
        ("ctrl.1", "ctrl.1"),
    ],
)
def test_endings_of_files_are_taken_off(path: str, name: str):
    assert file_name(path) == name


def written(folder: Path, rename) -> Path:
    files.counts().rename(columns=rename).to_csv(folder / "counts.csv")
    return folder / "counts.csv"


CHANGES: dict[Match, Callable[[str], str]] = {
    "case": str.upper,
    "r_names": lambda name: name.replace("-", "."),
    "file_names": lambda name: f"bams/{name}.bam",
    "affix": lambda name: f"run7:{name}:L001",
    "prefix": lambda name: f"{name}_S{len(name) + int(name[-1])}_L001",
    "numbers": lambda name: name.replace("-", "-0"),
    "letters": lambda name: name.replace("-", "_").upper(),
}


@pytest.mark.parametrize("rule", CHANGES)
def test_a_systematic_change_of_names_is_explained_and_then_undone(rule: Match, tmp_path: Path):
    path = written(tmp_path, CHANGES[rule])
    changed = CHANGES[rule]("ctrl-1")
    with pytest.raises(ValueError, match=rf"'ctrl-1' in the sheet is '{changed}' in the counts.*match='{rule}'"):
        io.read_counts(path, files.sheet())
    adata = io.read_counts(path, files.sheet(), match=rule)
    pd.testing.assert_frame_equal(adata.to_df(), files.counts().T.loc[files.SAMPLES], check_dtype=False)


def test_the_same_text_may_stand_in_the_sheet(tmp_path: Path):
    path = files.tsv(tmp_path)
    sheet = files.sheet().rename(index=lambda name: f"GEO_{name}")
    with pytest.raises(ValueError, match="'GEO_ctrl-1' in the sheet is 'ctrl-1' in the counts.*match='affix'"):
        io.read_counts(path, sheet)
    assert io.read_counts(path, sheet, match="affix").obs_names.tolist() == sheet.index.tolist()


def test_nothing_is_renamed_where_two_names_would_become_one(tmp_path: Path):
    table = files.counts().assign(**{"CTRL-1": 1})
    table.columns = [name.upper() if name != "ctrl-1" else name for name in table.columns]  # ctrl-1 and CTRL-1
    table.to_csv(tmp_path / "counts.csv")
    with pytest.raises(ValueError, match="Near misses") as error:
        io.read_counts(tmp_path / "counts.csv", files.sheet())
    assert "match=" not in str(error.value)


def test_near_misses_of_single_names_are_shown(tmp_path: Path):
    path = written(tmp_path, {"drug-1": "drgu-1"})
    with pytest.raises(ValueError, match="1 of the 4 samples .*'drug-1'.* Near misses: 'drug-1' is near 'drgu-1'"):
        io.read_counts(path, files.sheet())


def test_a_typing_error_in_a_transposed_table_shows_its_rows(tmp_path: Path):
    files.counts().rename(columns={"drug-1": "drgu-1"}).T.to_csv(tmp_path / "counts.csv")
    with pytest.raises(ValueError, match="'drug-1' is near 'drgu-1'"):
        io.read_counts(tmp_path / "counts.csv", files.sheet())


def test_names_in_another_column_of_the_sheet_are_found(tmp_path: Path):
    sheet = files.sheet().reset_index(names="library").set_axis(["p", "q", "r", "s"], axis=0)
    sheet.to_csv(tmp_path / "samples.csv", index_label="patient")
    path = files.tsv(tmp_path)
    with pytest.raises(ValueError, match="column 'library' of the sample sheet holds .* sample_column='library'"):
        io.read_counts(path, tmp_path / "samples.csv")
    adata = io.read_counts(path, io.read_samples(tmp_path / "samples.csv", sample_column="library"))
    assert adata.obs["patient"].tolist() == ["p", "q", "r", "s"]


def with_names(sheet: list[str], counts: list[str]) -> tuple[pd.DataFrame, list[str]]:
    return pd.DataFrame({"x": range(len(sheet))}, index=sheet), counts


BARCODES = [f"TCGA-A{k}-000{k}-01A-11R-A{k}JJ-07" for k in range(4)]


@pytest.mark.parametrize(
    ("sheet", "counts", "rule", "pairs"),
    [
        ([name[:12] for name in BARCODES], BARCODES, "prefix", BARCODES),
        ([name[:15] for name in BARCODES], BARCODES, "prefix", BARCODES),  # 01 of 01A
        (BARCODES, [name[:12] for name in BARCODES], "prefix", [name[:12] for name in BARCODES]),
        ([name[:12] for name in BARCODES], [name.replace("-", ".") for name in BARCODES], "prefix", None),
        (["s1", "s10"], ["s10_S2_L001", "s1_S1_L001"], "prefix", ["s1_S1_L001", "s10_S2_L001"]),
        (["s1", "s10"], ["s1", "s10"], "prefix", ["s1", "s10"]),
        (["s_1", "s_1_b"], ["s_1", "s_1_b"], "prefix", ["s_1", "s_1_b"]),
        (["1A", "2A"], ["X1A.rep", "X2A.rep"], "prefix", ["X1A.rep", "X2A.rep"]),
        (["1.0", "2.0", "10.0"], ["10", "2", "1"], "numbers", ["1", "2", "10"]),
        (["001", "010"], ["1", "10"], "numbers", ["1", "10"]),
        (["s1", "s2"], ["s01", "s02"], "numbers", ["s01", "s02"]),
        (["1A", "2-b"], ["X1A", "X2.b"], "r_names", ["X1A", "X2.b"]),
        (["X1A", "X2.b"], ["1A", "2-b"], "r_names", ["1A", "2-b"]),
        (["a b", "c  d"], ["a_b", "c\u00a0d"], "letters", ["a_b", "c\u00a0d"]),
    ],
)
def test_names_are_paired(sheet: list[str], counts: list[str], rule: Match, pairs: list[str] | None):
    samples, given = with_names(sheet, counts)
    assert match_samples(given, samples, rule, "counts.csv") == (counts if pairs is None else pairs)
    if sheet != counts:  # the rule that is offered pairs the same
        with pytest.raises(ValueError, match="All .* match if") as error:
            match_samples(given, samples, "exact", "counts.csv")
        offered = str(error.value).partition("match='")[2].partition("'")[0]
        assert match_samples(given, samples, offered, "counts.csv") == (counts if pairs is None else pairs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sheet", "counts", "said"),
    [
        (
            ["TCGA-1", "TCGA-2"],
            ["TCGA-1-01A", "TCGA-1-11A", "TCGA-2-01A"],
            "'TCGA-1' begins 'TCGA-1-01A', 'TCGA-1-11A'",
        ),
        (["s1", "s2"], ["s1_L001", "s1_L002", "s2_L001"], "sum them with bulkvi.pp.sum_replicates"),
        (["s1", "s2"], ["s10_a", "s20_a"], "2 of the 2 samples"),
        (["s1_a", "s1_b"], ["s1"], "2 of the 2 samples"),
        (["ctrl", "drug"], ["ctrl1", "drug1"], "2 of the 2 samples"),
    ],
)
@pytest.mark.parametrize("rule", ["exact", "prefix"])
def test_a_beginning_of_two_names_is_refused(sheet: list[str], counts: list[str], said: str, rule: Match):
    samples, given = with_names(sheet, counts)
    with pytest.raises(ValueError, match=said):
        match_samples(given, samples, rule, "counts.csv")


def test_samples_beyond_the_sheet_are_left_out_with_a_warning(tmp_path: Path):
    path = files.tsv(tmp_path)
    with pytest.warns(UserWarning, match=r"1 samples are not in the sample sheet and were left out: \['ctrl-2'\]"):
        adata = io.read_counts(path, files.sheet().drop("ctrl-2"))
    assert adata.obs_names.tolist() == ["ctrl-1", "drug-1", "drug-2"]


def test_names_that_repeat_in_the_counts_are_refused(tmp_path: Path):
    path = written(tmp_path, {"ctrl-2": "ctrl-1"})
    with pytest.raises(ValueError, match=r"there is more than one \['ctrl-1'\]"):
        io.read_counts(path, files.sheet().drop("ctrl-2"))


def test_an_unknown_rule_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="match='fuzzy' is unknown; choose one of 'exact'"):
        io.read_counts(files.tsv(tmp_path), files.sheet(), match="fuzzy")  # type: ignore[arg-type]


def test_samples_and_genes_of_the_same_names_are_refused_until_told(tmp_path: Path):
    table = pd.DataFrame([[1, 2], [3, 4]], index=["a", "b"], columns=["b", "a"])
    sheet = pd.DataFrame({"x": [1, 2]}, index=["a", "b"])
    table.to_csv(tmp_path / "counts.csv")
    with pytest.raises(ValueError, match="samples cannot be told from genes.*samples_in='columns'"):
        io.read_counts(tmp_path / "counts.csv", sheet)
    assert io.read_counts(tmp_path / "counts.csv", sheet, samples_in="columns").X.tolist() == [[2, 4], [1, 3]]
    assert io.read_counts(tmp_path / "counts.csv", sheet, samples_in="rows").X.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="samples_in='cols' is unknown"):
        io.read_counts(tmp_path / "counts.csv", sheet, samples_in="cols")  # type: ignore[arg-type]


def test_row_numbers_in_place_of_names_are_told_from_names(tmp_path: Path):
    """A column of the sheet whose few values happen to be among the numbers is not offered."""
    sheet = files.sheet().assign(lanes=[1, 2, 2, 1])
    files.counts().T.reset_index(drop=True).to_csv(tmp_path / "counts.csv")
    with pytest.raises(
        ValueError, match=r"has numbers for names \('0', '1', '2', '3'\).*Save it with the names"
    ) as error:
        io.read_counts(tmp_path / "counts.csv", sheet)
    assert "lanes" not in str(error.value)


def test_files_that_were_exchanged_are_recognised(tmp_path: Path):
    counts, sheet = files.tsv(tmp_path), files.write_sheet(tmp_path)
    with pytest.raises(ValueError, match="samples.csv has a row for each sample.*the two files have been exchanged"):
        io.read_counts(sheet, counts)
