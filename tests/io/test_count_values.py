from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from bulkvi import io
from bulkvi.io._count_values import describe_values
from tests.io import files


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    """Counts of a thousand genes and three million reads a sample, with ones among them."""
    rng = np.random.default_rng(2)
    mean = np.exp(rng.normal(5, 2.5, size=1000))
    drawn = rng.negative_binomial(5, 1 / (1 + mean[:, None] * np.array([0.5, 1, 1.5, 2]) / 5))
    drawn[0] = 1
    return pd.DataFrame(drawn, index=[f"G{k}" for k in range(1000)], columns=files.SAMPLES)


@pytest.fixture(scope="module")
def length() -> np.ndarray:
    return np.random.default_rng(4).uniform(200, 8000, size=(1000, 1))


def read(table: pd.DataFrame, folder: Path, **options):
    table.to_csv(folder / "counts.csv")
    return io.read_counts(folder / "counts.csv", files.sheet(), **options)


def per_million(table: pd.DataFrame) -> pd.DataFrame:
    return table / table.sum() * 1e6


WHAT = {
    "tpm": (lambda counts, length: per_million(counts / length), "TPM"),
    "tpm_rounded": (lambda counts, length: per_million(counts / length).round(2), "TPM"),
    "cpm": (lambda counts, length: per_million(counts), "CPM"),
    "deseq2_normalised": (lambda counts, length: counts / [0.52, 0.97, 1.43, 2.08], "divided by a size factor"),
    "fpkm": (lambda counts, length: counts / counts.sum() / length * 1e9 / 2, "FPKM, RPKM"),
    "log2": (lambda counts, length: np.log2(counts + 1), "logarithms"),
    "centred": (lambda counts, length: counts - counts.mean().mean() + 0.5, "log ratios, or centred"),
    "infinite": (lambda counts, length: counts.astype(float).replace(1.0, np.inf), "Infinite"),
}


@pytest.mark.parametrize("kind", WHAT)
def test_values_that_are_no_counts_are_recognised_and_never_rounded(kind: str, counts, length, tmp_path: Path):
    make, said = WHAT[kind]
    for options in ({}, {"round_counts": True}):
        with pytest.raises(ValueError, match=f"not raw counts.*{said}.*(featureCounts|Salmon)"):
            read(make(counts, length), tmp_path, **options)


def expected_counts(counts: pd.DataFrame) -> pd.DataFrame:
    """As RSEM writes them: reads of half of the genes are shared with others."""
    shared = np.arange(len(counts)) % 2 == 1
    return counts + np.where(shared, 0.37, 0.0)[:, None] * (counts > 0)


def test_expected_counts_can_be_rounded(counts, tmp_path: Path):
    table = expected_counts(counts)
    with pytest.raises(ValueError, match="expected counts .*round_counts=True rounds them"):
        read(table, tmp_path)
    np.testing.assert_array_equal(read(table, tmp_path, round_counts=True).X, counts.T)


def test_counts_scaled_by_abundance_can_be_rounded(counts, tmp_path: Path):
    table = 20 * counts * np.random.default_rng(0).uniform(0.9, 1.1, counts.shape)
    with pytest.raises(ValueError, match="tximport's counts scaled by abundance.*round_counts=True"):
        read(table, tmp_path)
    with pytest.warns(UserWarning, match="nearly all values have decimals, and were rounded"):
        found = read(table, tmp_path, round_counts=True)
    np.testing.assert_array_equal(found.X, table.round().T)


def test_raw_counts_in_floats_are_counts(counts, tmp_path: Path):
    adata = read(counts.astype(float), tmp_path)
    np.testing.assert_array_equal(adata.X, counts.T)
    assert adata.X.dtype == np.int32


@pytest.mark.parametrize("stored", [np.asarray, sparse.csr_matrix])
def test_whole_numbers_that_add_up_to_a_million_are_refused_until_told(counts, length, stored, tmp_path: Path):
    tpm = per_million(counts / length).round().astype(int)
    adata = AnnData(stored(tpm.to_numpy(np.float32).T), pd.DataFrame(index=tpm.columns), pd.DataFrame(index=tpm.index))
    adata.write_h5ad(tmp_path / "tpm.h5ad")
    tpm.to_csv(tmp_path / "tpm.csv")
    for name in ("tpm.csv", "tpm.h5ad"):
        with pytest.raises(ValueError, match="TPM or CPM do that were rounded.*featureCounts.*raw counts after all"):
            io.read_counts(tmp_path / name, files.sheet())
        with pytest.warns(UserWarning, match="wrong unless they are raw counts"):
            read = io.read_counts(tmp_path / name, files.sheet(), round_counts=True)
        np.testing.assert_array_equal(read.to_df(), tpm.T)


def test_counts_of_which_some_samples_add_up_to_a_million_are_counts(counts, tmp_path: Path):
    counts = counts.copy()
    counts.iloc[0, :2] += 1_000_000 - counts.sum().iloc[:2].clip(upper=1_000_000)
    np.testing.assert_array_equal(read(counts, tmp_path).X, counts.T)


def test_counts_beyond_32_bits_keep_their_value(counts, tmp_path: Path):
    large = counts.astype(np.int64)
    large.iloc[0, 0] = 3_000_000_000
    assert read(large, tmp_path).X.max() == 3_000_000_000


def test_missing_values_are_counted_and_may_be_zero(counts, tmp_path: Path):
    holes = counts.astype(float)
    holes.iloc[[3, 5], 1] = np.nan
    with pytest.raises(ValueError, match=r"2 counts are missing, in 2 genes \(first: gene 'G3', sample 'ctrl-2'\)"):
        read(holes, tmp_path)
    np.testing.assert_array_equal(read(holes, tmp_path, missing="zero").X, holes.fillna(0).T)
    with pytest.raises(ValueError, match="missing='drop' is unknown"):
        read(holes, tmp_path, missing="drop")


def test_numbers_with_marks_of_thousands_are_named(counts, tmp_path: Path):
    text = counts.astype(object)
    text.iloc[7, 0] = "1,234"
    with pytest.raises(ValueError, match="1 entries of sample 'ctrl-1' are not numbers, first '1,234' at gene 'G7'"):
        read(text, tmp_path)


def test_points_that_part_thousands_are_recognised_and_never_rounded(counts, tmp_path: Path):
    """A spreadsheet of some countries writes 4664 as 4.664, and 999 as 999."""
    text = counts.map(lambda count: f"{count:,}".replace(",", "."))
    assert text.map(lambda cell: "." in cell).any(axis=None)
    for options in ({}, {"round_counts": True}):
        with pytest.raises(ValueError, match=r"not raw counts.*points that separate thousands \(1.234 for 1234\)"):
            read(text, tmp_path, **options)


def with_commas(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    return table.map(lambda value: f"{value:.{digits}f}".replace(".", ","))


def test_decimal_commas_are_read_before_values_are_judged(counts, length, tmp_path: Path):
    """They were refused as text, so that whole counts written 260,0 could not be read."""
    with pytest.raises(ValueError, match=r"not raw counts.*they are TPM"):
        read(with_commas(per_million(counts / length), 4), tmp_path)
    adata = read(with_commas(counts, 1), tmp_path)
    assert adata.to_df().T.equals(counts[files.SAMPLES].astype("int32"))


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_comma_that_may_separate_thousands_is_refused(separator: str, counts, tmp_path: Path):
    thousands = counts.clip(1000, 999_999).map("{:,}".format)
    thousands.to_csv(tmp_path / "counts.csv", sep=separator)
    with pytest.raises(
        ValueError, match=r"holds no numbers, first '\d+,\d+'. Their comma may separate decimals or thousands"
    ):
        io.read_counts(tmp_path / "counts.csv", files.sheet())


def test_a_comma_is_a_decimal_one_where_a_number_shows_it(counts, tmp_path: Path):
    """0,000 and 4664,000 have no thousands."""
    for separator in ("\t", ",", ";"):
        with_commas(counts, 3).to_csv(tmp_path / "counts.csv", sep=separator)
        adata = io.read_counts(tmp_path / "counts.csv", files.sheet())
        assert adata.to_df().T.equals(counts[files.SAMPLES].astype("int32"))


def test_values_up_to_30_look_like_logarithms():
    below, at = ([[29.9], [0.5]], [[30.0], [0.5]])
    assert "logarithms" in describe_values(np.array(below))[0]
    assert "logarithms" not in describe_values(np.array(at))[0]
