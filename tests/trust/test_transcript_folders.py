"""Folders of Salmon and kallisto, and maps of transcripts to genes, as users have them."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.trust.folders import GENES, PLAIN, damage, notes, read, read_all, table, with_clutter
from tests.trust.verdict import check_message, equal, refused

pytest.importorskip("pytximport")


def transcripts_of(column: pd.Series, names: Callable[[str, int], str]) -> pd.DataFrame:
    """Two transcripts for each gene, that of index 1 with a third of the reads."""
    share, rows = np.array([2, 1]) / 3, []
    for gene, count in column.items():
        for k in range(2):
            rows.append((names(str(gene), k), 900.0 + 600 * k, count * share[k]))
    made = pd.DataFrame(rows, columns=["Name", "EffectiveLength", "NumReads"])
    rate = made["NumReads"] / made["EffectiveLength"]
    return made.assign(Length=made["EffectiveLength"] + 100, TPM=1e6 * rate / rate.sum())


def ensembl(gene: str, k: int) -> str:
    return f"ENST{gene[4:]}{k}.3"


def salmon(home: Path, name: str = "{}/quant.sf", names: Callable[[str, int], str] = ensembl) -> Path:
    for sample, column in table().items():
        path = home / name.format(sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        transcripts_of(column, names)[["Name", "Length", "EffectiveLength", "TPM", "NumReads"]].to_csv(
            path, sep="\t", index=False
        )
    return home


def kallisto(home: Path, name: str = "{}/abundance.tsv") -> Path:
    columns = {
        "Name": "target_id",
        "Length": "length",
        "EffectiveLength": "eff_length",
        "NumReads": "est_counts",
        "TPM": "tpm",
    }
    for sample, column in table().items():
        path = home / name.format(sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        transcripts_of(column, ensembl)[list(columns)].rename(columns=columns).to_csv(path, sep="\t", index=False)
    return home


def map_of(genes: list[str] = GENES, names: Callable[[str, int], str] = ensembl) -> pd.DataFrame:
    return pd.DataFrame(
        [(names(gene, k), gene, f"SYM{gene[-1]}") for gene in genes for k in range(2)],
        columns=["transcript_id", "gene_id", "gene_name"],
    )


@pytest.fixture
def tx2gene(tmp_path: Path) -> Path:
    map_of().to_csv(tmp_path / "tx2gene.tsv", sep="\t", index=False)
    return tmp_path / "tx2gene.tsv"


def lengths_by_hand() -> np.ndarray:
    """Average of the lengths, weighted by abundance: a third of the reads at 1,500 bases, two at 900."""
    rate = np.array([2 / 900, 1 / 1500])
    return np.full(PLAIN.shape, (rate * [900, 1500]).sum() / rate.sum())


def beside(home: Path, name: str) -> Path:
    """The same folder with a file in each subfolder that is not to be read."""
    for path in list(home.glob("*/*")):
        shutil.copy(path, path.with_name(name))
    return home


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "salmon": salmon,
    "salmon_flat": lambda home: salmon(home, "{}_quant.sf"),
    "salmon_flat_dot": lambda home: salmon(home, "{}.quant.sf.gz"),
    "salmon_flat_sf": lambda home: salmon(home, "{}.sf"),
    "salmon_two_levels": lambda home: salmon(home, "{}/salmon/quant.sf"),
    "salmon_three_levels": lambda home: salmon(home, "run1/{}/salmon/quant.sf"),
    "salmon_clutter": lambda home: with_clutter(salmon(salmon(home), "{}/quant.genes.sf")),
    "kallisto": kallisto,
    "kallisto_flat": lambda home: kallisto(home, "{}_abundance.tsv"),
    "kallisto_two_levels": lambda home: kallisto(home, "batch/{}/abundance.tsv"),
    "kallisto_h5_beside": lambda home: beside(kallisto(home), "abundance.h5"),
    "star_beside": lambda home: beside(salmon(home), "ReadsPerGene.out.tab"),
}


@pytest.mark.parametrize("write", FOLDERS.values(), ids=FOLDERS)
def test_transcripts_in_any_folder(write: Callable[[Path], Path], tmp_path: Path, tx2gene: Path):
    """Genes are in no order, which shows where counts would go to another gene."""
    adata = read_all(write(tmp_path / "in"), transcripts=tx2gene)[:, GENES]
    equal(adata.to_df().astype(int), PLAIN)
    np.testing.assert_allclose(adata.layers["length"], lengths_by_hand(), rtol=1e-6)
    assert adata.var["symbol"].tolist() == [f"SYM{gene[-1]}" for gene in GENES]


def test_transcripts_in_another_order_in_one_file(tmp_path: Path, tx2gene: Path):
    home = salmon(tmp_path / "in")
    rows = pd.read_csv(home / "s3" / "quant.sf", sep="\t")
    rows.iloc[::-1].to_csv(home / "s3" / "quant.sf", sep="\t", index=False)
    equal(read(home, transcripts=tx2gene), PLAIN)


def gtf(path: Path) -> Path:
    lines = ["#!genome-build X"]
    for gene in GENES:
        lines.append(f'1\te\tgene\t1\t9\t.\t+\t.\tgene_id "{gene}"; gene_version "2"; gene_name "SYM{gene[-1]}";')
        for k in range(2):
            name = ensembl(gene, k).partition(".")[0]
            lines.append(
                f'1\te\ttranscript\t1\t9\t.\t+\t.\tgene_id "{gene}"; transcript_id "{name}"; gene_name "SYM{gene[-1]}"; tag "a";'
            )
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def biomart(path: Path) -> Path:
    named = map_of()[["gene_id", "transcript_id", "gene_name"]]
    named.set_axis(["Gene stable ID", "Transcript stable ID", "Gene name"], axis=1).to_csv(path, index=False)
    return path


MAPS: dict[str, tuple[Callable[[Path], Path], Callable[[str, int], str]]] = {
    "gtf": (lambda home: gtf(home / "a.gtf"), ensembl),
    "gtf_gz": (lambda home: gtf(home / "a.gtf.gz"), ensembl),
    "gene_first": (lambda home: biomart(home / "mart.csv"), ensembl),
    "no_header": (
        lambda home: (
            map_of()[["transcript_id", "gene_id"]].to_csv(home / "m", sep="\t", index=False, header=False) or home / "m"
        ),
        ensembl,
    ),
    "no_header_gene_first": (
        lambda home: (
            map_of()[["gene_id", "transcript_id"]].to_csv(home / "m", sep="\t", index=False, header=False) or home / "m"
        ),
        ensembl,
    ),
    "gencode_headers": (
        lambda home: map_of().to_csv(home / "m", sep="\t", index=False) or home / "m",
        lambda gene, k: f"{ensembl(gene, k)}|{gene}.5|OTT1|-|NAME-20{k}|NAME|900|protein_coding|",
    ),
    "other_versions": (
        lambda home: (
            map_of(names=lambda gene, k: ensembl(gene, k).replace(".3", ".7")).to_csv(home / "m", sep="\t", index=False)
            or home / "m"
        ),
        ensembl,
    ),
}


@pytest.mark.parametrize("case", MAPS)
def test_maps_of_transcripts_in_any_dress(case: str, tmp_path: Path):
    write, names = MAPS[case]
    equal(read(salmon(tmp_path / "in", names=names), transcripts=write(tmp_path)), PLAIN)


def test_names_with_dots_that_are_no_versions_keep_their_genes(tmp_path: Path):
    """Worm transcripts: 2L52.1 and 2L52.2 are of two genes."""
    place = {gene: k for k, gene in enumerate(GENES)}

    def worm(gene: str, k: int) -> str:
        return f"2L52.{2 * place[gene] + k}"

    map_of(names=worm).to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    equal(read(salmon(tmp_path / "in", names=worm), transcripts=tmp_path / "m.tsv"), PLAIN)


def test_a_few_lost_reads_are_said_and_on_record(tmp_path: Path):
    map_of(GENES[1:]).to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    home = salmon(tmp_path / "in")
    share = table().loc[GENES[0]].sum() / table().to_numpy().sum()
    said = notes(home, transcripts=tmp_path / "m.tsv")
    check_message(said, f"{share:.2%} of the reads are lost", "2 of 16 transcripts", ensembl(GENES[0], 0))
    adata = read_all(home, transcripts=tmp_path / "m.tsv")
    np.testing.assert_allclose(adata.uns["counts_source"]["lost_reads"], share, atol=1e-6)
    equal(adata.to_df().astype(int)[GENES[1:]], PLAIN[GENES[1:]])


WRONG_MAPS: dict[str, tuple[Callable[[], pd.DataFrame], tuple[str, ...]]] = {
    "most_lost": (lambda: map_of(GENES[:2]), ("% of the reads are lost", "12 of 16 transcripts", "another release")),
    "other_species": (
        lambda: map_of(names=lambda gene, k: ensembl(gene, k).replace("ENST", "ENSMUST")),
        ("none of the transcripts", "begin with ENST here and with ENSMUST there", "another species"),
    ),
    "two_genes": (
        lambda: pd.concat([map_of(), map_of().assign(gene_id="other")]),
        ("16 transcripts belong to more than one gene", "other"),
    ),
}


@pytest.mark.parametrize("case", WRONG_MAPS)
def test_wrong_maps_are_refused_with_the_cause(case: str, tmp_path: Path):
    make, words = WRONG_MAPS[case]
    make().to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    home = salmon(tmp_path / "in")
    refused(lambda: read(home, transcripts=tmp_path / "m.tsv"), *words)


SALMON_DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "cut": (lambda path: damage(path, path.read_bytes()[:-40]), ("quant.sf", "it is cut short", "Copy it again")),
    "cut_between_lines": (
        lambda path: damage(path, "".join(path.read_text().splitlines(keepends=True)[:9])),
        ("8 transcripts in it, not the same 16", "cut short"),
    ),
    "empty": (lambda path: damage(path, ""), ("quant.sf", "empty")),
    "header_only": (lambda path: damage(path, path.read_text().splitlines()[0] + "\n"), ("quant.sf", "no transcripts")),
    "other_columns": (
        lambda path: damage(path, path.read_text().replace("NumReads", "Reads")),
        ("no column NumReads",),
    ),
    "of_another_index": (
        lambda path: damage(path, path.read_text().replace("ENST", "ENSMUST")),
        ("same annotation", "it lacks"),
    ),
}


@pytest.mark.parametrize("case", SALMON_DAMAGES)
def test_damaged_files_of_salmon(case: str, tmp_path: Path, tx2gene: Path):
    harm, words = SALMON_DAMAGES[case]
    home = salmon(tmp_path / "in")
    harm(home / "s3" / "quant.sf")
    refused(lambda: read(home, transcripts=tx2gene), "s3", *words)
