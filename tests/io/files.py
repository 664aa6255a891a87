"""The same counts in every format that is read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

SAMPLES = ["ctrl-1", "ctrl-2", "drug-1", "drug-2"]


def sheet() -> pd.DataFrame:
    return pd.DataFrame(
        {"condition": ["ctrl", "ctrl", "drug", "drug"], "age": [31, 40, 28, 55]}, index=pd.Index(SAMPLES, name="sample")
    )


def counts(n_genes: int = 40) -> pd.DataFrame:
    """Genes x samples, with zeros, some above 1,000, and columns in another order than the sheet."""
    drawn = np.random.default_rng(1).negative_binomial(1, 0.003, size=(n_genes, len(SAMPLES)))
    drawn[:3] = 0
    table = pd.DataFrame(drawn, index=[f"G{k:02d}" for k in range(n_genes)], columns=SAMPLES)
    return table[[SAMPLES[k] for k in (2, 0, 3, 1)]]


def write_sheet(folder: Path) -> Path:
    sheet().to_csv(folder / "samples.csv")
    return folder / "samples.csv"


def tsv(folder: Path) -> Path:
    counts().to_csv(folder / "counts.tsv", sep="\t", index_label="gene_id")
    return folder / "counts.tsv"


def csv_gz(folder: Path) -> Path:
    counts().to_csv(folder / "counts.csv.gz")
    return folder / "counts.csv.gz"


def semicolons_with_mark(folder: Path) -> Path:
    counts().to_csv(folder / "counts.csv", sep=";", encoding="utf-8-sig", lineterminator="\r\n")
    return folder / "counts.csv"


def as_r_writes(folder: Path) -> Path:
    """``write.table(counts, quote = TRUE)``: no header above the row names."""
    table = counts()
    lines = [" ".join(f'"{name}"' for name in table.columns)]
    lines += [f'"{gene}" ' + " ".join(map(str, row)) for gene, row in zip(table.index, table.to_numpy(), strict=True)]
    (folder / "counts.txt").write_text("\n".join(lines) + "\n")
    return folder / "counts.txt"


def samples_in_rows(folder: Path) -> Path:
    counts().T.to_csv(folder / "transposed.csv", index_label="sample")
    return folder / "transposed.csv"


def feature_counts(folder: Path) -> Path:
    table = counts().rename(columns=lambda name: f"/data/align/{name}.sorted.bam")
    place = pd.DataFrame({"Chr": "1;1", "Start": "5;9", "End": "7;12", "Strand": "+;+", "Length": 7}, index=table.index)
    text = place.join(table).to_csv(sep="\t", index_label="Geneid")
    (folder / "counts.txt").write_text('# Program:featureCounts v2.0.6; Command:"featureCounts" "-a" "x.gtf"\n' + text)
    return folder / "counts.txt"


def star(folder: Path) -> Path:
    home = folder / "star"
    home.mkdir()
    for name, column in counts().items():
        table = pd.DataFrame({"both": column // 2, "forward": column // 20, "reverse": column})
        above = pd.DataFrame(
            9, index=["N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous"], columns=table.columns
        )
        pd.concat([above, table]).to_csv(home / f"{name}_ReadsPerGene.out.tab", sep="\t", header=False)
    return home


def htseq_folder(folder: Path) -> Path:
    home = folder / "htseq"
    home.mkdir()
    for name, column in counts().items():
        (home / f"{name}.counts").write_text(
            column.to_csv(sep="\t", header=False) + "__no_feature\t9\n__ambiguous\t2\n"
        )
    return home


def feature_counts_folder(folder: Path) -> Path:
    home = folder / "counted"
    home.mkdir()
    for name, column in counts().items():
        place = pd.DataFrame({"Chr": 1, "Start": 5, "End": 9, "Strand": "+", "Length": 5}, index=column.index)
        table = place.assign(**{f"/data/{name}.bam": column})
        text = table.to_csv(sep="\t", index_label="Geneid")
        (home / f"{name}.txt").write_text(f"# Program:featureCounts v2.0.6\n{text}")
        (home / f"{name}.txt.summary").write_text(f"Status\t/data/{name}.bam\nAssigned\t7\n")
    return home


def rsem_folder(folder: Path) -> Path:
    home = folder / "rsem"
    home.mkdir()
    for name, column in counts().items():
        rows = {
            "transcript_id(s)": "t",
            "length": 900,
            "effective_length": 800.0,
            "expected_count": column + 0.25,
            "TPM": 1.0,
        }
        pd.DataFrame(rows).to_csv(home / f"{name}.genes.results", sep="\t", index_label="gene_id")
    return home


def h5ad(folder: Path) -> Path:
    table = counts()
    adata = AnnData(
        table.to_numpy(np.float32).T,
        obs=pd.DataFrame({"old": "x"}, index=table.columns),
        var=pd.DataFrame(index=table.index),
    )
    adata.write_h5ad(folder / "counts.h5ad")
    return folder / "counts.h5ad"


def xlsx(folder: Path) -> Path:
    counts().to_excel(folder / "counts.xlsx", index_label="gene")
    return folder / "counts.xlsx"


def salmon(folder: Path) -> Path:
    """One transcript a gene, so that counts of transcripts are counts of genes."""
    return quantified(folder / "salmon", "quant.sf", ("Name", "Length", "EffectiveLength", "TPM", "NumReads"))


def kallisto(folder: Path) -> Path:
    return quantified(folder / "kallisto", "abundance.tsv", ("target_id", "length", "eff_length", "tpm", "est_counts"))


def quantified(home: Path, file: str, header: tuple[str, ...]) -> Path:
    for k, (name, column) in enumerate(counts().items()):
        (home / str(name)).mkdir(parents=True)
        length = np.full(len(column), 1000.0 + 100 * k)
        rate = column / length
        values = ([f"T_{gene}.1" for gene in column.index], length + 200, length, 1e6 * rate / rate.sum(), column)
        pd.DataFrame(dict(zip(header, values, strict=True))).to_csv(home / str(name) / file, sep="\t", index=False)
    return home


def transcripts(folder: Path) -> Path:
    lines = [f"T_{gene}.1\t{gene}" for gene in counts().index]
    (folder / "tx2gene.tsv").write_text("\n".join(lines) + "\n")
    return folder / "tx2gene.tsv"


TABLES: dict[str, Callable[[Path], Path]] = {
    format.__name__: format
    for format in (
        tsv,
        csv_gz,
        semicolons_with_mark,
        as_r_writes,
        samples_in_rows,
        feature_counts,
        star,
        h5ad,
        feature_counts_folder,
        rsem_folder,
    )
}
