"""Tables of counts and sample sheets as other people's programs write them."""

import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from bulkvi import io
from tests.trust import hostile_tables as tables
from tests.trust.hostile_tables import COUNTS, PLAIN, SHEET, Readable
from tests.trust.verdict import equal, refused


def put(content: str | bytes, path: Path) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, *words: str, **options: Any) -> AnnData:
    """Counts, with these words among the warnings, and no other left-out lines than they name."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        adata = io.read_counts(path, SHEET, **options)
    messages = " ".join(str(each.message) for each in said)
    for word in words:
        assert re.search(word, messages), f"{word!r} is not in: {messages}"
    return adata


@pytest.mark.parametrize("case", tables.READ.values(), ids=tables.READ)
def test_tables_that_are_read(case: Readable, tmp_path: Path) -> None:
    name, content, words = case
    equal(read(put(content(), tmp_path / name), *words).to_df(), PLAIN)


@pytest.mark.parametrize("case", tables.REFUSED.values(), ids=tables.REFUSED)
def test_tables_that_are_refused(case: Readable, tmp_path: Path) -> None:
    name, content, words = case
    path = put(content(), tmp_path / name)
    refused(lambda: read(path), *words)


def test_missing_cells_are_zero_only_where_that_is_said(tmp_path: Path) -> None:
    """A short row, or a formula without its value, is no empty cell."""
    for name in ("short_row", "all_rows_short", "spreadsheet_formula"):
        file, content, words = tables.REFUSED[name]
        path = put(content(), tmp_path / file)
        refused(partial(read, path, missing="zero"), *words)
    path = put(tables.text(",", table=COUNTS.replace(0, np.nan)), tmp_path / "c.csv")
    equal(read(path, missing="zero").to_df(), PLAIN)


def test_large_counts_are_exact(tmp_path: Path) -> None:
    for name, content in {"c.csv": tables.text(",", table=tables.BIG), "d.tsv": tables.text(table=tables.BIG)}.items():
        equal(read(put(content, tmp_path / name)).to_df(), tables.BIG[[*SHEET.index]].T)
    repeated = pd.concat([COUNTS, pd.DataFrame(2**31 - 1, ["G05"], COUNTS.columns)])
    summed = read(put(tables.text(",", table=repeated), tmp_path / "c.csv"), duplicate_genes="sum").to_df()
    equal(summed["G05"].to_numpy(), PLAIN["G05"].to_numpy(np.int64) + 2**31 - 1)


def test_sheets_of_a_workbook_are_chosen(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    content = tables.book(("raw", tables.cells()), ("tpm", tables.cells(COUNTS / 3)), ("key", tables.sheet_cells()))
    path = put(content, tmp_path / "c.xlsx")
    equal(read(path, sheet="raw").to_df(), PLAIN)
    equal(io.read_samples(path, sheet="key")["age"].to_numpy(), SHEET["age"].to_numpy())
    refused(lambda: read(path, sheet="Raw"), "raw.*tpm.*key")
    refused(lambda: read(path), "3 sheets", "raw", "tpm", "key")
    refused(lambda: io.read_samples(path), "3 sheets", "raw")
    refused(lambda: read(put(tables.text(","), tmp_path / "c.csv"), sheet="raw"), "spreadsheet")


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    notes=st.lists(st.text(st.sampled_from("ab \"',;#=\t\n"), max_size=6), min_size=1, max_size=6),
    quoting=st.sampled_from([0, 1, 2]),
    sep=st.sampled_from([",", "\t", ";"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_text_that_a_csv_writer_encloses_is_read(
    notes: list[str], quoting: int, sep: str, end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = COUNTS.copy()
    table.insert(0, "description", [*notes, *["x"] * (len(table) - len(notes))])
    path = tmp_path_factory.mktemp("any") / "c.txt"
    put(table.to_csv(sep=sep, index_label="gene_id", quoting=quoting, lineterminator=end), path)
    equal(read(path).to_df(), PLAIN)


# AnnData

DENSE = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
SMALL = COUNTS.clip(upper=100).T
PLAIN_SMALL = SMALL.loc[[*SHEET.index]].astype("int32")
"""Counts that every type holds, samples x genes in the order of the file."""


def h5ad(folder: Path, values: Any, *, obs: Any = SMALL.index, var: Any = COUNTS.index, **more: Any) -> Path:
    with warnings.catch_warnings(action="ignore"):
        adata = AnnData(values, obs=pd.DataFrame(index=obs), var=pd.DataFrame(index=var), **more)
        adata.write_h5ad(folder / "c.h5ad")
    return folder / "c.h5ad"


@pytest.mark.parametrize(
    "kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array], ids=lambda kind: kind.__name__
)
@pytest.mark.parametrize("dtype", DENSE)
def test_counts_of_every_type(dtype: str, kind: Callable, tmp_path: Path) -> None:
    if dtype == "float16" and kind is not np.asarray:
        pytest.skip("scipy has no sparse matrix of them")
    path = h5ad(tmp_path, kind(SMALL.to_numpy(dtype)))
    found = read(path).to_df()
    equal(found, PLAIN_SMALL)


def stored_twice() -> sparse.csr_matrix:
    """Each count stored as two of 100, whose sum is beyond the type."""
    n_samples, n_genes = SMALL.shape
    columns = np.tile(np.r_[np.arange(n_genes), np.arange(n_genes)[::-1]], n_samples)
    starts = np.arange(n_samples + 1) * 2 * n_genes
    return sparse.csr_matrix((np.full(columns.size, 100, np.int8), columns, starts), shape=SMALL.shape)


def test_entries_stored_twice_are_added_and_zeros_are_none(tmp_path: Path) -> None:
    equal(read(h5ad(tmp_path, stored_twice())).to_df().to_numpy(), np.full(SMALL.shape, 200, np.int32))
    zeros = sparse.csr_matrix(SMALL.to_numpy(float))
    zeros.data[:5] = 0
    zeros.indices[: zeros.indptr[1]] = zeros.indices[: zeros.indptr[1]][::-1].copy()
    zeros.data[: zeros.indptr[1]] = zeros.data[: zeros.indptr[1]][::-1].copy()
    zeros.has_sorted_indices = False
    plain = pd.DataFrame(zeros.toarray(), SMALL.index, SMALL.columns).loc[[*SHEET.index]].astype("int32")
    equal(read(h5ad(tmp_path, zeros)).to_df(), plain)


def big(value: float, kind: Callable) -> Any:
    values = SMALL.to_numpy(float).copy()
    values[2, 5] = value
    return kind(values)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix], ids=lambda kind: kind.__name__)
def test_values_that_wrapped_round_or_passed(kind: Callable, tmp_path: Path) -> None:
    path = h5ad(tmp_path, big(3e9, kind))
    equal(read(path).to_df().loc[SMALL.index[2], "G05"], 3_000_000_000)
    for value, words in {
        2.0**60: ("9,007,199,254,740,992",),
        2.0**63: ("9,007,199,254,740,992",),
        np.nan: ("missing",),
        np.inf: ("infinite",),
        -1.0: ("negative",),
        0.5: ("not raw counts",),
    }.items():
        path = h5ad(tmp_path, big(value, kind))
        refused(partial(read, path), *words)
    equal(read(h5ad(tmp_path, big(np.nan, kind)), missing="zero").to_df().loc[SMALL.index[2], "G05"], 0)
    for made in (big(1, kind) > 0, kind(np.log1p(SMALL.to_numpy(float)))):
        path = h5ad(tmp_path, made)
        refused(partial(read, path), "true and false|logarithms")
    tpm = (SMALL + 1.0).div((SMALL + 1.0).sum(axis=1), axis=0).to_numpy() * 1e6
    path = h5ad(tmp_path, kind(tpm))
    refused(lambda: read(path), "add up to a million")


def test_float32_says_what_it_cannot_hold(tmp_path: Path) -> None:
    values = SMALL.to_numpy("float32").copy()
    values[0, 0] = 20_000_001
    assert read(h5ad(tmp_path, values), "16,777,216, up to which float32").n_vars == 40
    values = SMALL.to_numpy("float16").copy()
    values[0, 0] = 3_000
    assert read(h5ad(tmp_path, values), "2,048, up to which float16").n_vars == 40


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix], ids=lambda kind: kind.__name__)
def test_an_h5ad_passes_the_checks_of_tables(kind: Callable, tmp_path: Path) -> None:
    values = SMALL.to_numpy(float)
    plain = PLAIN_SMALL
    extra = {"__no_feature": 7, "N_unmapped": 9, "Total": SMALL.sum(axis=1), "everything": SMALL.sum(axis=1)}
    for names in (["__no_feature", "N_unmapped"], ["Total"], ["everything"]):
        more = SMALL.assign(**{name: extra[name] for name in names})
        equal(read(h5ad(tmp_path, kind(more.to_numpy(float)), var=more.columns), *names).to_df(), plain)
    twice = pd.Index([f"g{k // 2}" for k in range(40)])
    path = h5ad(tmp_path, kind(values), var=twice)
    refused(lambda: read(path), "unique", "g0")
    summed = SMALL.set_axis(twice, axis=1).T.groupby(level=0, sort=False).sum().T
    equal(read(path, duplicate_genes="sum").to_df(), summed.loc[[*SHEET.index]].astype("int32"))
    dates = COUNTS.index.where(COUNTS.index != "G05", "1-Mar")
    assert "1-Mar" in read(h5ad(tmp_path, kind(values), var=dates), "look like dates").var_names
    path = h5ad(tmp_path, kind(values), var=COUNTS.index.where(COUNTS.index != "G05", ""))
    refused(lambda: read(path), "no id")
    path = h5ad(tmp_path, kind(values), obs=["ctrl-1", "ctrl-1", "drug-1", "drug-2"])
    refused(lambda: read(path), "ctrl-1|ctrl-2")
    equal(read(h5ad(tmp_path, kind(np.log1p(values)), layers={"raw": kind(values)}), layer="raw").to_df(), plain)
    turned = h5ad(tmp_path, kind(values.T), obs=COUNTS.index, var=SMALL.index)
    equal(read(turned).to_df(), plain)


def test_files_that_are_no_anndata(tmp_path: Path) -> None:
    path = h5ad(tmp_path, SMALL.to_numpy())
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:600]):
        refused(partial(read, put(damaged, path)), "cut off|damaged")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["counts"] = SMALL.to_numpy()
    refused(lambda: read(path), "AnnData|no X")
    AnnData(obs=pd.DataFrame(index=SMALL.index), var=pd.DataFrame(index=COUNTS.index)).write_h5ad(path)
    refused(lambda: read(path), "no X")


def test_a_sample_that_is_the_sum_of_the_others(tmp_path: Path) -> None:
    sheet = pd.concat([SHEET, pd.DataFrame({"condition": "ctrl", "age": 1}, index=["Total"])])
    path = put(tables.text(",", table=COUNTS.assign(Total=COUNTS.sum(axis=1))), tmp_path / "c.csv")
    refused(lambda: io.read_counts(path, sheet), "Total", "sum of all other samples")


@pytest.mark.parametrize("side", ["genes", "samples"])
def test_one_gene_or_one_sample(side: str, tmp_path: Path) -> None:
    table = COUNTS.iloc[[5]] if side == "genes" else COUNTS[["drug-1"]]
    sheet = SHEET.loc[table.columns]
    adata = io.read_counts(put(tables.text(",", table=table), tmp_path / "c.csv"), sheet)
    equal(adata.to_df(), table.T.astype("int32"))
