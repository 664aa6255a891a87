from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from bulkvi import io, pp
from bulkvi.io._annotation import match_ids
from tests.io import files


def lengths() -> pd.DataFrame:
    """Genes x samples, rows and columns in another order than the counts."""
    drawn = np.random.default_rng(2).uniform(300, 5000, (40, 4))
    return pd.DataFrame(drawn, [f"G{k:02d}" for k in range(39, -1, -1)], files.SAMPLES)


def nf_core(folder: Path, table: pd.DataFrame) -> Path:
    named = table.copy()
    named.insert(0, "gene_name", [f"S{name}" for name in table.index])
    named.to_csv(folder / "salmon.merged.gene_lengths.tsv", sep="\t", index_label="gene_id")
    return folder / "salmon.merged.gene_lengths.tsv"


def annotation(folder: Path, ids: list[str]) -> Path:
    symbols = [f"SYM{k}" for k in range(len(ids))]
    pd.DataFrame({"symbol": symbols, "gene_id": ids}).to_csv(folder / "genes.csv", index=False)
    return folder / "genes.csv"


@pytest.mark.parametrize("write", [files.tsv, files.h5ad, files.star], ids=["tsv", "h5ad", "star"])
def test_lengths_are_matched_by_gene_and_sample(write, tmp_path: Path):
    adata = io.read_counts(write(tmp_path), files.sheet(), lengths=nf_core(tmp_path, lengths()))
    expected = lengths().T.loc[adata.obs_names, adata.var_names]
    np.testing.assert_allclose(adata.layers["length"], expected, rtol=1e-12)
    assert adata.uns["counts_source"]["reads_without_length"] == 0
    pp.size_factors(adata, offset_key="length", method="poscounts")
    adata.write_h5ad(tmp_path / "out.h5ad")
    assert dict(read_h5ad(tmp_path / "out.h5ad").uns["counts_source"]) == adata.uns["counts_source"]


def test_versions_of_genes_are_left_out_where_that_makes_the_match(tmp_path: Path):
    path = nf_core(tmp_path, lengths().rename(index=lambda name: f"{name}.7"))
    with pytest.warns(UserWarning) as caught:
        found = io.read_counts(
            files.tsv(tmp_path), files.sheet(), lengths=path, genes=annotation(tmp_path, ["G01.3", "G00.2"])
        )
    np.testing.assert_allclose(found.layers["length"], lengths().T.loc[found.obs_names, found.var_names], rtol=1e-12)
    assert found.var["symbol"].tolist()[:3] == ["SYM1", "SYM0", "G02"]
    said = [str(one.message) for one in caught]
    assert any(
        "symbols of 2 of the 40 genes (5%) were found (2 of them without versions); not of 'G02'" in text
        for text in said
    )


def test_genes_without_length_are_said_with_their_reads(tmp_path: Path):
    kept = lengths().drop("G10")
    share = files.counts().loc["G10"].sum() / files.counts().to_numpy().sum()
    with pytest.warns(UserWarning, match=rf"1 of the 40 genes, with {share:.2%} of the reads, have no length.*'G10'"):
        adata = io.read_counts(files.tsv(tmp_path), files.sheet(), lengths=nf_core(tmp_path, kept))
    assert (adata[:, "G10"].layers["length"] == 1).all()
    assert adata.uns["counts_source"]["reads_without_length"] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda table: table.replace(table.iloc[3, 1], 0.0),
            r"1 lengths are not finite .* first 0.0 of gene 'G36' in sample 'ctrl-2'",
        ),
        (lambda table: table.replace(table.iloc[3, 1], -4.0), "first -4.0 of gene 'G36'"),
        (lambda table: table.replace(table.iloc[3, 1], np.nan), "first nan of gene 'G36'"),
        (lambda table: table.replace(table.iloc[3, 1], np.inf), "first inf of gene 'G36'"),
        (lambda table: table.drop(columns="drug-1"), "1 of the 4 samples .*'drug-1'"),
        (
            lambda table: table.rename(index=lambda name: f"X{name}"),
            "40 of the 40 genes.*Give the table that belongs to these counts",
        ),
        (lambda table: pd.concat([table, table]), "40 genes occur more than once"),
        (
            lambda table: table.iloc[:, :1].set_axis(["Length"], axis=1),
            "one length for each gene is the same in all samples",
        ),
    ],
)
def test_lengths_that_do_not_fit_are_refused(change, said: str, tmp_path: Path):
    with pytest.raises(ValueError, match=said):
        io.read_counts(files.tsv(tmp_path), files.sheet(), lengths=nf_core(tmp_path, change(lengths())))


def test_lengths_are_not_given_twice(tmp_path: Path):
    pytest.importorskip("pytximport")
    with pytest.raises(ValueError, match="come with lengths. Leave"):
        io.read_counts(
            files.salmon(tmp_path),
            files.sheet(),
            transcripts=files.transcripts(tmp_path),
            lengths=nf_core(tmp_path, lengths()),
        )


def test_symbols_of_a_file_go_before_those_of_the_counts(tmp_path: Path):
    table = files.counts(4)
    table.insert(0, "symbol", ["A", "B", None, "D"])
    table.to_csv(tmp_path / "counts.csv", index_label="gene_id")
    with pytest.warns(UserWarning, match=r"2 of the 4 genes \(50%\).*not of 'G00', 'G02'"):
        adata = io.read_counts(
            tmp_path / "counts.csv", files.sheet(), genes=annotation(tmp_path, ["G03", "G01", "G99"])
        )
    assert adata.var["symbol"].tolist() == ["A", "SYM1", "G02", "SYM0"]
    assert adata.uns["counts_source"]["n_symbols"] == 2


def test_two_columns_need_no_header(tmp_path: Path):
    lines = [f"{name}\tSYM{k}" for k, name in enumerate(files.counts().index)]
    (tmp_path / "genes.tsv").write_text("\n".join(lines) + "\n")
    adata = io.read_counts(files.tsv(tmp_path), files.sheet(), genes=tmp_path / "genes.tsv")
    assert adata.var["symbol"].tolist() == [f"SYM{k}" for k in range(40)]


@pytest.mark.parametrize(
    "mark", ['gene_id "{}"; gene_version "3"; gene_name "{}";', "ID=gene:{0};gene_id={0};gene_name={1}"]
)
def test_symbols_of_an_annotation(mark: str, tmp_path: Path):
    lines = [f"1\tx\tgene\t1\t9\t.\t+\t.\t{mark.format(name, f'SYM{name}')}" for name in files.counts().index]
    (tmp_path / "genes.gtf").write_text("# made\n" + "\n".join(lines) + "\n")
    adata = io.read_counts(files.tsv(tmp_path), files.sheet(), genes=tmp_path / "genes.gtf")
    assert adata.var["symbol"].tolist() == [f"SYM{name}" for name in adata.var_names]


def test_an_annotation_of_other_genes_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"none of the 40 genes: the counts have \['G00', .* the file has \['ENSG1'"):
        io.read_counts(files.tsv(tmp_path), files.sheet(), genes=annotation(tmp_path, ["ENSG1", "ENSG2"]))


def test_other_files_need_a_sheet(tmp_path: Path):
    with pytest.raises(ValueError, match="counts.tsv needs a sample sheet.*Only an .h5ad"):
        io.read_counts(files.tsv(tmp_path))


@pytest.mark.parametrize(
    ("ids", "known", "found"),
    [
        (["A1", "B1"], {"A1": "a", "B1": "b"}, {"A1": "a", "B1": "b"}),
        (["A1.3", "B1"], {"A1": "a", "B1.2": "b"}, {"A1.3": "a", "B1": "b"}),
        (["A1.3", "A1.4"], {"A1.3": "a", "A1.4": "b"}, {"A1.3": "a", "A1.4": "b"}),
        (["A1.5"], {"A1.3": "a", "A1.4": "b"}, {}),  # either
        (["A1.5"], {"A1.3": "a", "A1.4": "a"}, {"A1.5": "a"}),
        (["A1.3|G1.1|x"], {"A1.3": "a"}, {"A1.3|G1.1|x": "a"}),
        (["A1.3|G1.1|x"], {"A1": "a"}, {"A1.3|G1.1|x": "a"}),
        (["A1.3_PAR_Y", "A1.3"], {"A1_PAR_Y": "y", "A1": "x"}, {"A1.3_PAR_Y": "y", "A1.3": "x"}),
        (["Y.a"], {"Y": "y"}, {}),
    ],
)
def test_ids_match_without_versions_only_where_that_is_plain(ids: list[str], known: dict, found: dict):
    assert match_ids(ids, known).values == found
