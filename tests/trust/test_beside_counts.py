"""Sheets, lengths, symbols and replicates that go along with counts, in hostile dress."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkvi import io, pp
from bulkvi.io._sample_names import match_samples
from tests.trust.folders import GENES, PLAIN, SAMPLES, htseq, read_all, sheet
from tests.trust.verdict import equal, refused

LENGTHS = pd.DataFrame(np.random.default_rng(5).uniform(300, 4000, (len(GENES), len(SAMPLES))).round(3), GENES, SAMPLES)
DRESSES: dict[str, Callable[[Path, pd.DataFrame], Path]] = {
    "tsv": lambda home, made: made.to_csv(home / "l.tsv", sep="\t", index_label="gene_id") or home / "l.tsv",
    "csv_gz": lambda home, made: made.to_csv(home / "l.csv.gz") or home / "l.csv.gz",
    "nf_core": lambda home, made: (
        made.reset_index(names="gene_id")
        .assign(gene_name="x")[["gene_id", "gene_name", *made.columns]]
        .to_csv(home / "l.tsv", sep="\t", index=False)
        or home / "l.tsv"
    ),
    "turned": lambda home, made: made.T.to_csv(home / "l.csv") or home / "l.csv",
    "shuffled": lambda home, made: made.iloc[::-1, ::-1].to_csv(home / "l.csv") or home / "l.csv",
    "more_genes": lambda home, made: (
        pd.concat([made, made.rename(lambda name: f"{name}0")]).to_csv(home / "l.csv") or home / "l.csv"
    ),
    "more_samples": lambda home, made: made.assign(s9=1.0).to_csv(home / "l.csv") or home / "l.csv",
    "versions": lambda home, made: made.rename(lambda name: f"{name}.12").to_csv(home / "l.csv") or home / "l.csv",
}


@pytest.mark.parametrize("dress", DRESSES)
def test_lengths_in_any_dress(dress: str, tmp_path: Path):
    adata = read_all(htseq(tmp_path / "in"), lengths=DRESSES[dress](tmp_path, LENGTHS))
    equal(adata[:, GENES].layers["length"], LENGTHS.T.to_numpy(), rtol=1e-12)


WRONG: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], tuple[str, ...]]] = {
    "zero": (lambda made: made.replace(made.iloc[2, 1], 0), ("finite numbers above 0", "s2")),
    "text": (lambda made: made.astype(object).mask(made == made.iloc[2, 1], "long"), ("l.tsv",)),
    "empty_cell": (lambda made: made.replace(made.iloc[2, 1], np.nan), ("finite numbers above 0", "s2")),
    "other_species": (
        lambda made: made.rename(lambda name: name.replace("ENSG", "ENSMUSG")),
        ("Give the table that belongs",),
    ),
    "other_samples": (
        lambda made: made.rename(columns=lambda name: f"x{name}y{name}"),
        ("samples in the sample sheet are not in",),
    ),
    "twice": (lambda made: pd.concat([made, made]), ("occur more than once",)),
}


@pytest.mark.parametrize("case", WRONG)
def test_lengths_that_are_none(case: str, tmp_path: Path):
    change, words = WRONG[case]
    home, path = htseq(tmp_path / "in"), DRESSES["tsv"](tmp_path, change(LENGTHS))
    refused(lambda: read_all(home, lengths=path), *words)


def test_files_that_are_not_there(tmp_path: Path):
    home = htseq(tmp_path / "in")
    refused(lambda: read_all(home, lengths=tmp_path / "nowhere.tsv"), "nowhere.tsv")
    refused(lambda: read_all(home, genes=tmp_path / "nowhere.tsv"), "nowhere.tsv")
    refused(lambda: io.read_counts(home), "needs a sample sheet")


SYMBOLS = [f"SYM{k}" for k in range(len(GENES))]
ANNOTATIONS: dict[str, str] = {
    "table": "gene_id\tgene_name\n{}",
    "biomart": "Gene stable ID\tGene name\n{}",
    "no_header": "{}",
    "other_header": "ENSEMBL\tSYMBOL\n{}",
}


@pytest.mark.parametrize("version", ["", ".4"])
@pytest.mark.parametrize("dress", ANNOTATIONS)
def test_symbols_in_any_dress(dress: str, version: str, tmp_path: Path):
    rows = "".join(f"{gene}{version}\t{symbol}\n" for gene, symbol in zip(GENES, SYMBOLS, strict=True))
    (tmp_path / "genes.tsv").write_text(ANNOTATIONS[dress].format(rows))
    adata = read_all(htseq(tmp_path / "in"), genes=tmp_path / "genes.tsv")
    equal(adata[:, GENES].var["symbol"].tolist(), SYMBOLS)


def test_annotations_that_fit_no_gene(tmp_path: Path):
    home = htseq(tmp_path / "in")
    (tmp_path / "mouse.tsv").write_text("gene_id\tsymbol\nENSMUSG1\tTrp53\n")
    refused(lambda: read_all(home, genes=tmp_path / "mouse.tsv"), "none of the 8 genes", "ENSMUSG1")
    (tmp_path / "empty.gtf").write_text("# nothing\n")
    refused(lambda: read_all(home, genes=tmp_path / "empty.gtf"), "no lines of genes")


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.lists(st.text("ab1-_.X", min_size=1, max_size=6), min_size=2, max_size=5, unique=True), st.data())
def test_names_are_never_paired_with_two_or_with_the_wrong_one(names: list[str], data: st.DataObject):
    """Names go on by a barcode; whatever the names, each is paired with its own or the pairing is refused."""
    tails = data.draw(st.lists(st.sampled_from(["", "_S1", "-01A", ".x"]), min_size=len(names), max_size=len(names)))
    longer = [f"{name}{tail}" for name, tail in zip(names, tails, strict=True)]
    try:
        found = match_samples(longer, sheet(names), "prefix", "counts")
    except ValueError as error:
        assert "samples in the sample sheet are not in" in str(error) or "unique" in str(error)
    else:
        assert found == longer


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_sums_are_those_of_groupby(libraries: list[int]):
    adata = AnnData(
        PLAIN.to_numpy(),
        pd.DataFrame({"library": [f"L{k}" for k in libraries]}, index=SAMPLES),
        pd.DataFrame(index=GENES),
    )
    if len(set(libraries)) == 4:
        adata.obs["library"] = "one"
    expected = PLAIN.groupby(adata.obs["library"].to_numpy(), sort=False).sum()
    equal(pp.sum_replicates(adata, "library").to_df().astype(int), expected.astype(int))
    refused(lambda: pp.sum_replicates(adata, "flowcell"), "flowcell", "library")
