import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pooch
import pytest

from bulkvi.datasets import _gse60450, gse60450


@pytest.fixture(autouse=True)
def clean_room(monkeypatch, tmp_path):
    """No folder named, an empty cache, no proxy, and nothing on the network unless a test serves it."""
    monkeypatch.delenv("BULKVI_DATA_DIR", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(_gse60450, "_URL", "http://127.0.0.1:9/never.txt.gz")  # the discard port: refused at once


@pytest.fixture
def original(data_dir):
    """The file as GEO has it, from the folder of real data."""
    return data_dir / "gse60450_mammary" / _gse60450._FILE


@pytest.fixture
def small_table(monkeypatch):
    """A table of 3 genes that passes for the original: the expected size and checksums are set to its own."""
    columns = _gse60450._design()["original_column"]
    genes = pd.DataFrame({"EntrezGeneID": [497097, 12992, 99], "Length": [3634, 1200, 50]})
    counts = pd.DataFrame(np.arange(36).reshape(3, 12) ** 4, columns=columns)
    monkeypatch.setattr(_gse60450, "_N_GENES", 3)
    for name, part in (("_GENES_SHA256", genes), ("_COUNTS_SHA256", counts)):
        monkeypatch.setattr(_gse60450, name, hashlib.sha256(part.to_numpy("<i8").tobytes(order="C")).hexdigest())
    return pd.concat([genes, counts], axis=1)


def write(table, path):
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Serve a folder on 127.0.0.1 as if it were GEO; gives the folder and the list of paths asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    folder = tmp_path / "geo"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(_gse60450, "_URL", f"http://127.0.0.1:{server.server_port}/{_gse60450._FILE}")
    yield folder, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_counts_and_design_are_those_of_geo(original, data_dir):
    adata = gse60450(original)
    assert adata.shape == (12, 27_179)
    assert adata.X.dtype == np.int32
    counts = pd.read_csv(data_dir / "gse60450_mammary" / "counts.tsv.gz", sep="\t", index_col=0)
    np.testing.assert_array_equal(adata.X, counts.to_numpy().T)
    assert adata.var_names.tolist() == counts.index.astype(str).tolist()
    samples = pd.read_csv(data_dir / "gse60450_mammary" / "samples.tsv", sep="\t", index_col=0)
    assert adata.obs.columns.tolist() == samples.columns.tolist()
    assert adata.obs.astype(str).to_dict() == samples.astype(str).to_dict()
    assert adata.obs_names.tolist() == samples.index.tolist()


def test_symbols_and_lengths_belong_to_their_genes(original, data_dir):
    var = gse60450(original).var
    genes = pd.read_csv(data_dir / "gse60450_mammary" / "genes.tsv.gz", sep="\t", index_col=0, keep_default_na=False)
    genes.index = genes.index.astype(str)
    assert var["length_bp"].tolist() == genes["length_bp"].loc[var.index].tolist()
    known = genes.index[genes["symbol_source"] == "ncbi_gene_2016_02_22"]
    assert var["symbol"][known].tolist() == genes["symbol"][known].tolist()
    unknown = var.index.difference(known)
    assert len(unknown) == 7257
    assert var["symbol"][unknown].tolist() == unknown.tolist()


def test_milk_genes_rise_with_lactation_in_luminal_cells(original):
    adata = gse60450(original)
    share = adata.X[:, (adata.var["symbol"] == "Csn2").to_numpy()].ravel() / adata.X.sum(1)
    mean = pd.Series(share, index=adata.obs_names).groupby(adata.obs["group"], observed=True).mean()
    assert mean["luminal_lactation"] > 10 * mean["luminal_virgin"]
    assert mean["luminal_lactation"] > mean["basal_lactation"]


def test_levels_stand_in_their_natural_order_and_the_old_labels_are_the_cell_types():
    obs = _gse60450._design()
    assert obs["cell_type"].cat.categories.tolist() == ["basal", "luminal"]
    assert obs["stage"].cat.categories.tolist() == ["virgin", "pregnancy", "lactation"]
    assert obs["stage_detail"].cat.categories.tolist() == ["virgin", "18.5 day pregnant", "2 day lactation"]
    assert obs["group"].cat.categories.tolist()[:4] == [
        "basal_virgin",
        "basal_pregnancy",
        "basal_lactation",
        "luminal_virgin",
    ]
    assert obs["label_in_original_study"].cat.categories.tolist() == ["virgin", "lactation"]
    assert obs["group"].value_counts().tolist() == [2] * 6
    confounded = pd.crosstab(obs["cell_type"], [obs["lane"], obs["label_in_original_study"]])
    assert (confounded > 0).sum().tolist() == [1, 1]


@pytest.mark.parametrize("below", [".", "gse60450_mammary"])
def test_the_folder_named_in_the_environment_is_searched(below, small_table, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    write(small_table, folder / below / _gse60450._FILE)
    monkeypatch.setenv("BULKVI_DATA_DIR", str(folder))
    adata = gse60450()
    np.testing.assert_array_equal(adata.X, np.arange(36).reshape(3, 12).T ** 4)
    assert adata.var_names.tolist() == ["497097", "12992", "99"]
    assert adata.var["symbol"].tolist() == ["Xkr4", "Csn1s2b", "99"]
    assert adata.var["length_bp"].tolist() == [3634, 1200, 50]


def test_the_real_folder_works_through_the_environment(original, data_dir, monkeypatch):
    assert original.is_file()
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    assert gse60450().shape == (12, 27_179)


def test_the_file_is_downloaded_once_and_then_cached(serve, small_table, tmp_path):
    folder, asked = serve
    write(small_table, folder / _gse60450._FILE)
    first = gse60450()
    again = gse60450()
    np.testing.assert_array_equal(first.X, again.X)
    assert len(asked) == 1
    assert (tmp_path / "cache" / "bulkvi" / _gse60450._FILE).is_file()


def test_a_folder_without_the_file_leads_to_the_download(serve, small_table, tmp_path, monkeypatch):
    folder, asked = serve
    write(small_table, folder / _gse60450._FILE)
    monkeypatch.setenv("BULKVI_DATA_DIR", str(tmp_path))
    assert gse60450().n_obs == 12
    assert len(asked) == 1


def test_a_page_served_instead_of_the_file_is_refused_with_where_it_lies(serve):
    folder, _ = serve
    (folder / _gse60450._FILE).write_bytes(b"<html>log in to the network first</html>")
    with pytest.raises(ValueError, match=r"cache.*is not the table of counts.*cannot be read.*delete it and try again"):
        gse60450()


@pytest.mark.parametrize("named", [False, True])
def test_without_a_network_the_message_names_the_folder_variable_and_the_address(named, tmp_path, monkeypatch):
    if named:
        monkeypatch.setenv("BULKVI_DATA_DIR", str(tmp_path))
    found = "does not hold it" if named else "BULKVI_DATA_DIR is not set"
    with pytest.raises(
        ConnectionError, match=rf"could not be downloaded from http://127\.0\.0\.1:9/.*{found}.*set the"
    ):
        gse60450()


def test_a_file_missing_on_the_server_is_reported_the_same_way(serve):
    with pytest.raises(ConnectionError, match="404.*BULKVI_DATA_DIR"):
        gse60450()


def test_a_path_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a file; get GSE60450_Lactation"):
        gse60450(tmp_path / "nothing.txt.gz")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda t: t.drop(index=2), "found 2 x 12"),
        (lambda t: t.assign(extra=1), "found 3 x 13"),
        (lambda t: t.drop(columns="Length"), r"without \['Length'\]"),
        (lambda t: t.replace(14**4, 1), "the counts have SHA-256 .*, expected"),
        (lambda t: t.replace(14**4, 1.5), "the counts are not all integers"),
        (lambda t: t.replace(497097, 497098), "the gene ids and lengths have SHA-256"),
        (lambda t: t.iloc[::-1], "the gene ids and lengths have SHA-256"),
    ],
    ids=["gene lost", "column added", "column lost", "count changed", "count broken", "id changed", "genes reordered"],
)
def test_a_table_with_other_content_is_refused_with_what_was_found(spoil, found, small_table, tmp_path):
    path = write(spoil(small_table), tmp_path / "table.txt.gz")
    with pytest.raises(ValueError, match=rf"is not the table of counts of GSE60450 .*: .*{found}"):
        gse60450(path)


def test_a_file_cut_short_is_refused(small_table, tmp_path):
    whole = write(small_table, tmp_path / "whole.txt.gz").read_bytes()
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be read as a tab-separated table"):
        gse60450(cut)


def test_an_unpacked_copy_is_read_too(small_table, tmp_path):
    packed = write(small_table, tmp_path / "table.txt.gz")
    plain = tmp_path / "table.txt"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    assert gse60450(plain).shape == (12, 3)
