from pathlib import Path

import pandas as pd
import pytest

from bulkvi import io
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
