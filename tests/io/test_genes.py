import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bulkvi import io
from bulkvi.io._genes import TOTAL, find_genes, refuse_sum_of_samples
from tests.io import files


def read(table: pd.DataFrame, folder: Path, **options):
    table.to_csv(folder / "counts.csv")
    return io.read_counts(folder / "counts.csv", files.sheet(), **options)


@pytest.mark.parametrize("name", ["__no_feature", "N_unmapped", "Unassigned_NoFeatures", "not_aligned"])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_that_summarise_are_left_out_with_a_warning(name: str, turned: bool, tmp_path: Path):
    table = files.counts(5)
    table.loc[name] = 999
    with pytest.warns(UserWarning, match=rf"1 rows count reads without a gene and were left out: \['{name}'\]"):
        adata = read(table.T if turned else table, tmp_path)
    assert adata.var_names.tolist() == files.counts(5).index.tolist()


def test_ids_that_repeat_are_refused_or_summed(tmp_path: Path):
    table = files.counts(6).rename(index={"G05": "G03"})
    with pytest.raises(ValueError, match=r"1 occur more than once: \['G03'\].*duplicate_genes='sum'"):
        read(table, tmp_path)
    summed = read(table, tmp_path, duplicate_genes="sum")
    assert summed.var_names.tolist() == ["G00", "G01", "G02", "G03", "G04"]
    assert summed.to_df()["G03"].tolist() == files.counts(6).loc[["G03", "G05"], files.SAMPLES].sum().tolist()
    with pytest.raises(ValueError, match="duplicate_genes='first' is unknown"):
        read(table, tmp_path, duplicate_genes="first")


def test_genes_without_an_id_are_refused_and_empty_lines_are_not(tmp_path: Path):
    table = files.counts(4).rename(index={"G02": ""})
    with pytest.raises(ValueError, match="1 genes have no id"):
        read(table, tmp_path)
    (tmp_path / "counts.csv").write_text(files.counts(3).to_csv() + ",,,,\n,,,,\n")
    assert io.read_counts(tmp_path / "counts.csv", files.sheet()).n_vars == 3


def test_genes_that_a_spreadsheet_made_dates_of_are_named(tmp_path: Path):
    table = files.counts(4).rename(index={"G01": "1-Mar", "G02": "2-Sep"})
    with pytest.warns(UserWarning, match=r"2 gene names look like dates .*\['1-Mar', '2-Sep'\]"):
        read(table, tmp_path)


def test_columns_of_the_sheet_beside_the_counts_are_left_out(tmp_path: Path):
    table = files.counts(4).T
    table.insert(0, "age", 30)
    table.insert(0, "note", "x")
    with pytest.warns(UserWarning, match=r"2 columns do not hold counts and were left out: \['note', 'age'\]"):
        adata = read(table, tmp_path)
    assert adata.n_vars == 4


NONE = np.zeros(5)


@pytest.fixture
def counts(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 1000, size=(30, 5))


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("name", ["Total", "gene30"])
def test_a_row_that_is_the_sum_of_the_others_is_no_gene(name: str, kind, counts: np.ndarray):
    table = kind(np.vstack([counts[:7], counts.sum(0), counts[7:]]))
    names = [*(f"gene{k}" for k in range(7)), name, *(f"gene{k}" for k in range(7, 30))]
    with pytest.warns(UserWarning, match=rf"\['{name}'\]"):
        kept = find_genes(table, names, NONE, "c.csv")
    assert np.flatnonzero(~kept).tolist() == [7]


def test_a_row_that_is_not_the_sum_in_one_sample_is_a_gene(counts: np.ndarray):
    near = counts.sum(0) + [0, 0, 0, 1, -1]
    with warnings.catch_warnings(action="error"):
        assert find_genes(np.vstack([counts, near]), [f"gene{k}" for k in range(31)], NONE, "c.csv").all()


def test_reads_that_were_left_out_before_may_be_in_the_total(counts: np.ndarray):
    left_out = np.array([5, 4, 3, 2, 1])
    with pytest.warns(UserWarning, match="all"):
        kept = find_genes(
            np.vstack([counts, counts.sum(0) + left_out]), [*(f"gene{k}" for k in range(30)), "all"], left_out, "c"
        )
    assert kept.sum() == 30


def test_few_genes_are_not_taken_for_totals():
    with warnings.catch_warnings(action="error"):
        assert find_genes(np.array([[1, 2], [3, 4], [4, 6]]), ["a", "b", "c"], np.zeros(2), "c").all()


@pytest.mark.parametrize(
    ("name", "is_total"),
    [("TOTAL_READS", True), ("Library size", True), ("Summe", True), ("Grand Total", True), ("SUMO1", False)]
    + [("TOTAL1", False), ("Sumf1", False), ("TOT", False)],
)
def test_names_of_totals_are_whole_words(name: str, is_total: bool):
    assert (TOTAL.fullmatch(name) is not None) == is_total


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_a_sample_that_is_the_sum_of_all_others_is_refused(kind, counts: np.ndarray):
    names = [f"s{k}" for k in range(6)]
    refuse_sum_of_samples(kind(counts), names[:5], "c.csv")
    with pytest.raises(ValueError, match="sample 's5' is the sum of all other samples"):
        refuse_sum_of_samples(kind(np.column_stack([counts, counts.sum(1)])), names, "c.csv")


def test_one_of_three_samples_may_be_the_sum_of_the_others(counts: np.ndarray):
    pair = counts[:, :2]
    refuse_sum_of_samples(np.column_stack([pair, pair.sum(1)]), ["a", "b", "c"], "c.csv")
