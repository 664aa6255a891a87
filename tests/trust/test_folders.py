"""Folders of counting tools as users have them: nested, flat, zipped, cut, mixed, of another annotation."""

import bz2
import gzip
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner

from bulkvi import io, pp
from bulkvi.cli import app
from tests.trust.verdict import check_message, equal, refused

SAMPLES = ["s1", "s2", "s3", "s4"]
GENES = [f"ENSG{k:011d}" for k in (7, 3, 9, 1, 5, 4, 8, 2)]  # in no order, as in annotations
TAIL = "__no_feature\t100\n__ambiguous\t3\n__too_low_aQual\t0\n__not_aligned\t0\n__alignment_not_unique\t4\n"


def sheet(names: list[str] = SAMPLES) -> pd.DataFrame:
    return pd.DataFrame({"condition": ["a", "a", "b", "b"][: len(names)]}, index=names)


def table() -> pd.DataFrame:
    """Genes x samples."""
    drawn = np.random.default_rng(3).integers(50, 3000, (len(GENES), len(SAMPLES)))
    return pd.DataFrame(drawn, GENES, SAMPLES)


PLAIN = table().T


def read(path: Path, samples: pd.DataFrame | None = None, **options: object) -> pd.DataFrame:
    """Samples x genes, genes in the order of ``GENES``, without what is warned of."""
    return read_all(path, samples, **options).to_df()[GENES].astype(int)


def read_all(path: Path, samples: pd.DataFrame | None = None, **options: object) -> AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return io.read_counts(path, sheet() if samples is None else samples, **options)  # type: ignore[arg-type]


def notes(path: Path, **options: object) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        io.read_counts(path, sheet(), **options)  # type: ignore[arg-type]
    return " ".join(str(one.message) for one in caught if issubclass(one.category, UserWarning))


def two_columns(column: pd.Series, tail: str = TAIL) -> str:
    return column.to_csv(sep="\t", header=False) + tail


def htseq(home: Path, name: str = "{}.txt") -> Path:
    for sample, column in table().items():
        path = home / name.format(sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(two_columns(column))
    return home


def zipped(home: Path, how: Callable[[bytes], bytes], ending: str) -> Path:
    for path in sorted(home.iterdir()):
        path.with_name(path.name + ending).write_bytes(how(path.read_bytes()))
        path.unlink()
    return home


def with_clutter(home: Path) -> Path:
    (home / ".DS_Store").write_bytes(b"\0\1Bud1")
    (home / "._s1.txt").write_bytes(b"\0\5\26\7")
    (home / "multiqc_report.html").write_text("<html></html>")
    (home / "pipeline.log").write_text("done\t1\n")
    (home / "README.txt").write_text("Counts of the first run.\nAsk Ann.\n")
    (home / "multiqc_data").mkdir()
    (home / "multiqc_data" / "multiqc_general_stats.txt").write_text("Sample\tp\tq\tr\ns1\t1\t2\t3\n")
    (home / "tmp").mkdir()
    (home / "tmp" / "loop").symlink_to(home, target_is_directory=True)
    return home


def each(home: Path, change: Callable[[str], str]) -> Path:
    for path in home.iterdir():
        path.write_text(change(path.read_text()))
    return home


def fit_symbols(text: str) -> str:
    """A third column, as ``htseq-count --additional-attr gene_name`` writes."""
    return "".join(line.replace("\t", f"\tSYM{k}\t", 1) for k, line in enumerate(text.splitlines(keepends=True)))


def shuffled(home: Path) -> Path:
    path = home / "s3.txt"
    path.write_text(two_columns(table()["s3"].sample(frac=1, random_state=1)))
    return home


def linked(home: Path) -> Path:
    (home / "links").mkdir()
    for sample in SAMPLES:
        real = home.parent / f"real_{sample}"
        real.mkdir()
        (home / f"{sample}.txt").rename(real / "counts.txt")
        (home / "links" / sample).symlink_to(real, target_is_directory=True)
    return home / "links"


HTSEQ: dict[str, Callable[[Path], Path]] = {
    "txt": htseq,
    "counts": lambda home: htseq(home, "{}.counts"),
    "htseq_counts": lambda home: htseq(home, "{}.htseq.counts"),
    "_counts_tsv": lambda home: htseq(home, "{}_counts.tsv"),
    "no_ending": lambda home: htseq(home, "{}"),
    "subfolders": lambda home: htseq(home, "{}/counts.txt"),
    "two_levels": lambda home: htseq(home, "{}/htseq/counts.txt"),
    "gz": lambda home: zipped(htseq(home), gzip.compress, ".gz"),
    "bz2": lambda home: zipped(htseq(home), bz2.compress, ".bz2"),
    "clutter": lambda home: with_clutter(htseq(home)),
    "windows": lambda home: each(htseq(home), lambda text: text.replace("\n", "\r\n")),
    "mark": lambda home: each(htseq(home), lambda text: "\ufeff" + text),
    "utf16": lambda home: (
        [path.write_text(path.read_text(), encoding="utf-16") for path in htseq(home).iterdir()] and home
    ),
    "commas": lambda home: each(htseq(home), lambda text: text.replace("\t", ",")),
    "header": lambda home: each(htseq(home), lambda text: "gene_id\tcount\n" + text),
    "quoted_by_r": lambda home: each(htseq(home), lambda text: re.sub("(?m)^(.+)\t", '"\\1"\t', text)),
    "symbols": lambda home: each(htseq(home), fit_symbols),
    "no_tail": lambda home: each(htseq(home), lambda text: text.removesuffix(TAIL)),
    "no_last_break": lambda home: each(htseq(home), str.rstrip),
    "shuffled": lambda home: shuffled(htseq(home)),
    "linked": lambda home: linked(htseq(home)),
}


@pytest.mark.parametrize("write", HTSEQ.values(), ids=HTSEQ)
def test_two_columns_in_any_dress(write: Callable[[Path], Path], tmp_path: Path):
    equal(read(write(tmp_path / "in")), PLAIN)


def test_a_quotation_mark_in_a_name_swallows_nothing(tmp_path: Path):
    home = each(
        htseq(tmp_path / "in"), lambda text: text.replace(GENES[2], f'"{GENES[2]}').replace(GENES[5], f"{GENES[5]}'")
    )
    found = read_all(home).to_df().astype(int)
    equal(found, PLAIN.rename(columns={GENES[2]: f'"{GENES[2]}', GENES[5]: f"{GENES[5]}'"}))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_names_of_files_in_the_sheet_are_found(ending: str, tmp_path: Path):
    home = htseq(tmp_path / "in")
    home = zipped(home, gzip.compress, ending) if ending else home
    names = [f"{name}.txt{ending}" for name in SAMPLES]
    equal(read(home, sheet(names)), PLAIN.set_axis(names, axis=0))


def damage(path: Path, content: bytes | str) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty": (lambda home: damage(home / "s3.txt", ""), ("s3.txt", "empty", "copy it again")),
    "binary": (lambda home: damage(home / "s3.txt", b"\0\1\2\3" * 50), ("s3.txt", "NUL bytes", "copy it again")),
    "page_of_a_server": (
        lambda home: damage(home / "s3.txt", "<html>\n404 Not Found\n</html>"),
        ("s3.txt", "unlike the other"),
    ),
    "cut_in_the_middle": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"])[:70]),
        ("s3.txt", "cut short"),
    ),
    "cut_between_lines": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"][:5], "")),
        ("s3.txt", "__alignment_not_unique", "cut short"),
    ),
    "cut_in_the_last_number": (
        lambda home: (
            [damage(path, path.read_text().removesuffix(TAIL)) for path in home.iterdir()]
            and damage(home / "s3.txt", two_columns(table()["s3"], "").rstrip()[:-1])
        ),
        ("s3.txt", "without a line break", "cut short"),
    ),
    "cut_gz": (
        lambda home: damage(home / "s3.txt", gzip.compress(np.random.default_rng(0).bytes(9000).hex().encode())[:400]),
        ("s3.txt", "compressed", "copy it again"),
    ),
    "text_for_a_count": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"]).replace(str(table()["s3"].iloc[4]), "many", 1)),
        ("s3.txt", "unlike the other|is no number"),
    ),
    "another_annotation": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"].rename(lambda name: f"{name}.1"))),
        ("s3", "8 genes, not the same 8 genes", "same annotation"),
    ),
    "genes_left_out": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"].drop(GENES[4]))),
        ("s3.txt: 7 genes, not the same 8 genes", GENES[4], "missing='zero'"),
    ),
    "lacking": (lambda home: (home / "s3.txt").unlink(), ("1 of the 4 samples", "'s3'")),
    "twice": (lambda home: shutil.copy(home / "s3.txt", home / "s3.tsv"), ("more than one", "s3")),
    "broken_link": (
        lambda home: [(home / "s3.txt").unlink(), (home / "s3.txt").symlink_to(home / "nowhere")],
        ("s3.txt", "link to a file that does not exist"),
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_file_is_named_with_the_cure(case: str, tmp_path: Path):
    harm, words = DAMAGES[case]
    home = htseq(tmp_path / "in")
    harm(home)
    refused(lambda: read(home), *words)


def test_genes_without_reads_may_be_left_out_of_files_if_said(tmp_path: Path):
    home = htseq(tmp_path / "in")
    for sample, gene in zip(SAMPLES, GENES, strict=False):
        (home / f"{sample}.txt").write_text(two_columns(table()[sample].drop(gene)))
    expected = PLAIN.copy()
    for sample, gene in zip(SAMPLES, GENES, strict=False):
        expected.loc[sample, gene] = 0
    equal(read(home, missing="zero"), expected)


def feature_counts(home: Path, file: str = "{}.txt", column: str = "/x/{}.bam", batch: int = 1) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    place = pd.DataFrame({"Chr": "1;1", "Start": "1;5", "End": "2;9", "Strand": "+;+", "Length": 100}, index=GENES)
    for first in range(0, len(SAMPLES), batch):
        some = SAMPLES[first : first + batch]
        text = place.join(table()[some].rename(columns=column.format)).to_csv(sep="\t", index_label="Geneid")
        path = home / file.format(some[0])
        path.write_text(f'# Program:featureCounts v2.0.3; Command:"featureCounts" "-a" "x.gtf"\n{text}')
        path.with_name(f"{path.name}.summary").write_text(
            f"Status\t{column.format(some[0])}\nAssigned\t10\nUnassigned_Unmapped\t2\n"
        )
    return home


FEATURE_COUNTS: dict[str, Callable[[Path], Path]] = {
    "named_by_both": feature_counts,
    "named_by_the_file": lambda home: feature_counts(home, column="/x/Aligned.sortedByCoord.out.bam"),
    "named_by_the_column": lambda home: feature_counts(home, "run_{}_of_8.tabular", "bams/{}.sorted.bam"),
    "endings": lambda home: feature_counts(home, "{}.featureCounts.txt", "{}.markdup.sorted.bam"),
    "two_samples_in_each": lambda home: feature_counts(home, "part_{}.txt", batch=2),
    "gz": lambda home: zipped(feature_counts(home), gzip.compress, ".gz"),
    "clutter": lambda home: with_clutter(feature_counts(home)),
    "without_comment": lambda home: each(
        feature_counts(home), lambda text: text.partition("\n")[2] if "Geneid" in text else text
    ),
}


@pytest.mark.parametrize("write", FEATURE_COUNTS.values(), ids=FEATURE_COUNTS)
def test_tables_of_feature_counts(write: Callable[[Path], Path], tmp_path: Path):
    equal(read(write(tmp_path / "in")), PLAIN)


def test_two_tools_in_one_folder_are_not_guessed(tmp_path: Path):
    refused(lambda: read(feature_counts(htseq(tmp_path / "in", "{}.counts"))), "HTSeq and of featureCounts", "one tool")


def rsem(home: Path, name: str = "{}.genes.results", genes: list[str] = GENES) -> Path:
    for k, (sample, column) in enumerate(table().items()):
        path = home / name.format(sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        lengths = np.where(np.arange(len(genes)) == 2, 0.0 if k else 300.0, 800.0 + 10 * k)
        rows = {
            "gene_id": genes,
            "transcript_id(s)": "t1,t2",
            "length": 1000.0,
            "effective_length": lengths,
            "expected_count": column.to_numpy() + 0.25,
            "TPM": 1.0,
            "FPKM": 1.0,
        }
        pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    return home


@pytest.mark.parametrize(
    "name", ["{}.genes.results", "{}/rsem.genes.results", "{}/out/genes.results", "rsem/{}.genes.results.gz"]
)
def test_rsem_with_its_lengths(name: str, tmp_path: Path):
    adata = read_all(rsem(tmp_path / "in", name))
    equal(adata.to_df().astype(int), PLAIN)
    expected = np.repeat([[800.0], [810.0], [820.0], [830.0]], len(GENES), axis=1)
    expected[:, 2] = 300.0  # an effective length of 0 is that of the samples that have one
    equal(adata.layers["length"], expected, rtol=1e-12)


def test_rsem_with_names_appended(tmp_path: Path):
    adata = read_all(rsem(tmp_path / "in", genes=[f"{gene}.4_SYM_{k}" for k, gene in enumerate(GENES)]))
    equal(adata.var_names.tolist(), [f"{gene}.4" for gene in GENES])
    equal(adata.var["symbol"].tolist(), [f"SYM_{k}" for k in range(len(GENES))])


def test_isoforms_of_rsem_are_refused(tmp_path: Path):
    refused(lambda: read(rsem(tmp_path / "in", "{}.isoforms.results")), "isoforms.results", "Give RSEM's genes.results")


def test_rsem_cut_short(tmp_path: Path):
    home = rsem(tmp_path / "in")
    (home / "s2.genes.results").write_text((home / "s2.genes.results").read_text()[:-60])
    refused(lambda: read(home), r"s2.genes.results", "it is cut short", "Copy it again")


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
    "kallisto_h5_beside": lambda home: (
        [damage(path.with_suffix(".h5"), b"\x89HDF") for path in kallisto(home).glob("*/*")] and home
    ),
    "star_beside": lambda home: (
        [shutil.copy(p, p.with_name("ReadsPerGene.out.tab")) for p in salmon(home).glob("*/*")] and home
    ),
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
        ("8 transcripts, not the same 16", "cut short"),
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


@pytest.mark.parametrize(
    "name",
    [
        "{}_ReadsPerGene.out.tab",
        "{}/ReadsPerGene.out.tab",
        "{}/star/ReadsPerGene.out.tab",
        "out/{}.ReadsPerGene.out.tab",
    ],
)
def test_folders_of_star(name: str, tmp_path: Path):
    for sample, column in table().items():
        path = tmp_path / "in" / name.format(sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = pd.DataFrame({1: column, 2: column * 0 + 2, 3: column})
        path.write_text("N_unmapped\t9\t9\t9\n" + rows.to_csv(sep="\t", header=False))
        path.with_name(f"{sample}Log.final.out").write_text("Uniquely mapped reads number |\t10\n")
    equal(read(tmp_path / "in"), PLAIN)
