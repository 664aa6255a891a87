import anndata
import numpy as np
import pandas as pd
import pytest

from bulkvi.datasets import airway


@pytest.fixture(scope="module")
def adata():
    return airway()


def test_every_gene_and_sample_has_counts(adata):
    assert adata.shape == (8, 33_469)
    assert adata.X.dtype == np.int32
    assert adata.X.min() == 0
    assert adata.X.sum(0).min() >= 1
    # Library sizes published with the Bioconductor package.
    assert adata.X.sum(1).tolist()[:2] == [20_637_971, 18_809_481]


def test_donors_are_paired_and_untreated_is_the_reference(adata):
    assert pd.crosstab(adata.obs["cell"], adata.obs["dex"]).to_numpy().tolist() == [[1, 1]] * 4
    assert adata.obs["dex"].cat.categories.tolist() == ["untrt", "trt"]
    assert adata.obs["geo"].is_unique


def test_known_responders_to_dexamethasone_rise_in_every_donor(adata):
    share = adata.X / adata.X.sum(1, keepdims=True)
    for symbol in ["FKBP5", "PER1", "TSC22D3", "DUSP1", "KLF15", "CRISPLD2", "ZBTB16"]:
        level = pd.Series(share[:, (adata.var["symbol"] == symbol).to_numpy()].sum(1), index=adata.obs_names)
        by_donor = level.groupby([adata.obs["cell"], adata.obs["dex"]], observed=True).sum().unstack()
        assert (by_donor["trt"] > 1.5 * by_donor["untrt"]).all(), symbol


def test_symbols_stand_beside_their_ids_and_are_never_missing(adata):
    symbol = adata.var["symbol"]
    assert symbol["ENSG00000000003"] == "TSPAN6"
    assert symbol.notna().all()
    unknown = symbol == adata.var_names
    assert unknown.sum() == 10_902
    assert not symbol[~unknown].str.startswith("ENSG").any()


def test_the_packaged_file_is_what_the_source_says(adata, data_dir):
    folder = data_dir / "airway"
    counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)
    counts = counts[counts.sum(axis=1) > 0]
    assert counts.index.tolist() == adata.var_names.tolist()
    assert counts.columns.tolist() == adata.obs_names.tolist()
    np.testing.assert_array_equal(counts.to_numpy().T, adata.X)
    samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0)
    seen = adata.obs.rename(columns={"cell": "cell_line"})[samples.columns].astype(str)
    assert seen.to_dict() == samples.astype(str).to_dict()
    symbols = pd.read_csv(folder / "genes.tsv.gz", sep="\t", index_col=0)["symbol"].dropna()
    known = adata.var_names.intersection(symbols.index)
    assert adata.var["symbol"][known].tolist() == symbols[known].tolist()


def test_each_call_gives_data_of_its_own(adata):
    first = airway()
    first.X[:] = 0
    assert airway().X.sum() == adata.X.sum() > 0


@pytest.mark.filterwarnings("ignore:The .future.infer_string. option")  # anndata 0.13 writing with pandas 3.1
def test_a_file_keeps_ids_and_levels(adata, tmp_path):
    adata.copy().write_h5ad(tmp_path / "airway.h5ad")
    read = anndata.read_h5ad(tmp_path / "airway.h5ad")
    assert read.var_names.tolist() == adata.var_names.tolist()
    assert read.obs["dex"].cat.categories.tolist() == ["untrt", "trt"]
