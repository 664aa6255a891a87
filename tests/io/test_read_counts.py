from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from bulkvi import io
from tests.io import files


def same(one: AnnData, other: AnnData) -> None:
    pd.testing.assert_frame_equal(one.to_df(), other.to_df(), check_dtype=True)
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)


@pytest.fixture
def expected() -> AnnData:
    """Made by hand: the samples in the order of the sheet, text that repeats as categories."""
    table = files.counts()[files.SAMPLES]
    obs = files.sheet().rename_axis(None).astype({"condition": "category"})
    return AnnData(table.to_numpy(np.int32).T, obs=obs, var=pd.DataFrame(index=table.index))


@pytest.mark.parametrize("write", files.TABLES.values(), ids=files.TABLES)
def test_every_format_of_the_same_counts_gives_the_same(write: Callable, tmp_path: Path, expected: AnnData):
    adata = io.read_counts(write(tmp_path), files.write_sheet(tmp_path))
    same(adata, expected)
    assert adata.uns["counts_source"]["format"] in {"table", "featureCounts", "STAR", "RSEM", "h5ad"}


def test_a_spreadsheet_gives_the_same(tmp_path: Path, expected: AnnData):
    pytest.importorskip("openpyxl")
    files.sheet().to_excel(tmp_path / "samples.xlsx")
    same(io.read_counts(files.xlsx(tmp_path), tmp_path / "samples.xlsx"), expected)


@pytest.mark.parametrize("seed", range(3))
def test_a_table_and_its_transpose_give_the_same(seed: int, tmp_path: Path):
    rng = np.random.default_rng(seed)
    n_genes, n_samples = rng.integers(1, 9, size=2)  # more samples than genes as well
    names = [f"s{k}" for k in rng.permutation(n_samples)]
    table = pd.DataFrame(rng.integers(1, 99, (n_genes, n_samples)), [f"g{k}" for k in range(n_genes)], names)
    sheet = pd.DataFrame({"x": range(n_samples)}, index=sorted(names))
    table.to_csv(tmp_path / "genes_in_rows.csv")
    table.T.to_csv(tmp_path / "samples_in_rows.csv")
    one, other = (io.read_counts(tmp_path / f"{side}_in_rows.csv", sheet) for side in ("genes", "samples"))
    same(one, other)
    assert (one.uns["counts_source"]["samples_in"], other.uns["counts_source"]["samples_in"]) == ("columns", "rows")


def test_symbols_are_kept_and_ids_stand_in_for_missing_ones(tmp_path: Path):
    table = files.counts(4)
    table.insert(0, "Gene Name", ["TP53", None, "MYC", "MYC"])
    table.insert(1, "Description", "a gene")
    table.to_csv(tmp_path / "counts.csv", index_label="id")
    with pytest.warns(UserWarning, match=r"1 columns are no samples and were left out: \['Description'\]"):
        adata = io.read_counts(tmp_path / "counts.csv", files.sheet())
    assert adata.var["symbol"].tolist() == ["TP53", "G01", "MYC", "MYC"]
    assert adata.var.columns.tolist() == ["symbol"]


def test_ids_may_stand_in_any_column(tmp_path: Path):
    table = files.counts(4).reset_index(names="gene_id")
    table.insert(0, "symbol", list("abcd"))
    table.to_csv(tmp_path / "counts.csv")  # a first column 0, 1, 2, 3
    adata = io.read_counts(tmp_path / "counts.csv", files.sheet())
    assert adata.var_names.tolist() == ["G00", "G01", "G02", "G03"]
    with pytest.warns(UserWarning, match=r"left out: \['gene_id'\]"):
        by_symbol = io.read_counts(tmp_path / "counts.csv", files.sheet(), gene_column="symbol")
    assert by_symbol.var_names.tolist() == list("abcd")
    with pytest.raises(KeyError, match="gene_column='entrez' is not a column"):
        io.read_counts(tmp_path / "counts.csv", files.sheet(), gene_column="entrez")


def test_a_gene_may_be_called_nan(tmp_path: Path):
    files.counts(3).rename(index={"G01": "nan", "G02": "NA"}).to_csv(tmp_path / "counts.csv")
    assert io.read_counts(tmp_path / "counts.csv", files.sheet()).var_names.tolist() == ["G00", "nan", "NA"]


def test_what_was_read_can_be_written(tmp_path: Path):
    adata = io.read_counts(files.tsv(tmp_path), files.write_sheet(tmp_path))
    adata.write_h5ad(tmp_path / "out.h5ad")
    assert dict(read_h5ad(tmp_path / "out.h5ad").uns["counts_source"]) == adata.uns["counts_source"]


def test_a_folder_without_known_counts_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no \*ReadsPerGene.out.tab of STAR, no quant.sf .* and no tables of HTSeq"):
        io.read_counts(tmp_path, files.sheet())


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no file or folder .*nowhere.csv"):
        io.read_counts(tmp_path / "nowhere.csv", files.sheet())
