"""Folders of tables of genes as users have them: nested, flat, zipped, cut, mixed, of another annotation."""

import bz2
import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.trust.folders import (
    GENES,
    PLAIN,
    SAMPLES,
    TAIL,
    damage,
    each,
    htseq,
    read,
    read_all,
    sheet,
    table,
    two_columns,
    with_clutter,
    zipped,
)
from tests.trust.verdict import equal, refused


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
    "utf16": lambda home: zipped(htseq(home), lambda content: content.decode().encode("utf-16"), ""),
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


def cut_without_tails(home: Path) -> None:
    for path in home.iterdir():
        path.write_text(path.read_text().removesuffix(TAIL))
    damage(home / "s3.txt", two_columns(table()["s3"], "").rstrip()[:-1])


def unlinked(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty": (lambda home: damage(home / "s3.txt", ""), ("s3.txt", "empty", "copy it again")),
    "binary": (
        lambda home: damage(home / "s3.txt", b"\0\1\2\3" * 50),
        ("s3.txt", "control character 0x00", "copy it again"),
    ),
    "page_of_a_server": (
        lambda home: damage(home / "s3.txt", "<html>\n404 Not Found\n</html>"),
        ("s3.txt", "web page", "copy it again"),
    ),
    "a_note": (lambda home: damage(home / "s3.txt", "The counts of s3\nfollow.\n"), ("s3.txt", "unlike the other")),
    "cut_in_the_middle": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"])[:70]),
        ("s3.txt", "cut short"),
    ),
    "cut_between_lines": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"][:5], "")),
        ("s3.txt", "__alignment_not_unique", "cut short"),
    ),
    "cut_in_the_last_number": (lambda home: cut_without_tails(home), ("s3.txt", "without a line break", "cut short")),
    "cut_gz": (
        lambda home: damage(home / "s3.txt", gzip.compress(np.random.default_rng(0).bytes(9000).hex().encode())[:400]),
        ("s3.txt", "cut off", "gzip", "copy it again"),
    ),
    "text_for_a_count": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"]).replace(str(table()["s3"].iloc[4]), "many", 1)),
        ("s3.txt", "unlike the other|is no number"),
    ),
    "another_annotation": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"].rename(lambda name: f"{name}.1"))),
        ("s3", "8 genes in it, not the same 8 genes", "same annotation"),
    ),
    "genes_left_out": (
        lambda home: damage(home / "s3.txt", two_columns(table()["s3"].drop(GENES[4]))),
        ("s3.txt: 7 genes in it, not the same 8 genes", GENES[4], "missing='zero'"),
    ),
    "lacking": (lambda home: (home / "s3.txt").unlink(), ("1 of the 4 samples", "'s3'")),
    "twice": (lambda home: shutil.copy(home / "s3.txt", home / "s3.tsv"), ("more than one", "s3")),
    "broken_link": (lambda home: unlinked(home / "s3.txt"), ("s3.txt", "link to a file that does not exist")),
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
