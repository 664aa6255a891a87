"""Folders of Salmon or kallisto, one for each sample, summed from transcripts to genes by pytximport."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.io._found import Found
from bulkvi.io._gene_names import plain
from bulkvi.io._left_out import say_left_out
from bulkvi.io._sample_names import Match, matched
from bulkvi.io._tables import read_table

FILES: Final = {"quant.sf": "salmon", "quant.sf.gz": "salmon", "abundance.tsv": "kallisto", "abundance.h5": "kallisto"}
COLUMNS: Final = {
    "salmon": ("Name", "NumReads", "EffectiveLength", "TPM"),
    "kallisto": ("target_id", "est_counts", "eff_length", "tpm"),
}
"""Transcript, counts, effective length, abundance."""
TRANSCRIPT_COLUMNS: Final = frozenset(
    "transcript_id transcript tx_id txname tx target_id name transcript_stable_id".split()
)


def quantified(folder: Path) -> tuple[str, dict[str, Path]]:
    """The tool (``salmon``, ``kallisto``, or empty text if there is none) and its files by sample: the subfolder's name."""
    for name, tool in FILES.items():
        files = {path.parent.name: path for path in sorted(folder.glob(f"*/{name}"))}
        if files:
            return tool, files
    return "", {}


def read_quantified(
    folder: Path, tool: str, files: dict[str, Path], samples: pd.DataFrame, *, match: Match, transcripts: Path | None
) -> Found:
    """Find the counts and lengths of the samples of a sheet among the files of Salmon or kallisto.

    Raises
    ------
    ValueError
        If a sample has no folder, or it is not said which transcript belongs to which gene.
    ImportError
        If pytximport is not installed.
    """
    chosen = matched(list(files), samples, match, folder.name)
    say_left_out(sorted(set(files) - set(chosen)), folder.name)
    if transcripts is None:
        raise ValueError(
            f"{folder} holds transcripts counted by {tool}: say which gene each belongs to with transcripts=FILE, a table with "
            "the transcript in the first column and the gene in the second (tx2gene), or the annotation (.gtf)."
        )
    try:
        from pytximport import tximport
    except ImportError as error:
        raise ImportError(
            f"{folder} holds transcripts counted by {tool}; to read them, pip install 'bulkvi[tximport]' (pytximport)."
        ) from error
    genes = _gene_map(transcripts)
    # as text, or pytximport makes an AnnData that is named by objects
    paths = [str(files[name]) for name in chosen]
    importer = None if paths[0].endswith(".h5") else _importer(tool)
    try:
        summed = tximport(paths, data_type=tool, transcript_gene_map=genes, custom_importer=importer)
    except AssertionError as error:  # how pytximport says that nothing matches
        raise ValueError(
            f"{folder}: none of the transcripts is in {transcripts}, whose first are {genes['transcript_id'].tolist()[:3]}. Give "
            "the table or the annotation that belongs to the index the reads were counted with."
        ) from error
    index = pd.Index(list(map(str, summed.var_names)))
    counts = pd.DataFrame(summed.X.T, index=index, columns=samples.index).round()
    lengths = pd.DataFrame(summed.obsm["length"].T, index=index, columns=samples.index)
    return Found(counts, {"format": tool, "samples_in": "files", "match": match}, lengths=lengths)


def _importer(tool: str) -> Callable[..., dict[str, object]]:
    """What pytximport (0.13) does itself, save where pandas is 3 and pyarrow is installed."""
    columns = COLUMNS[tool]

    def one_sample(path: str, **_: object) -> dict[str, object]:
        table = pd.read_csv(path, sep="\t", dtype={columns[0]: str}, keep_default_na=False)
        counts, length, abundance = (table[name].to_numpy(float) for name in columns[1:])
        return {
            "transcript_id": table[columns[0]].tolist(),
            "counts": counts,
            "length": length,
            "abundance": abundance,
            "inferential_replicates": None,
        }

    return one_sample


def _gene_map(path: Path) -> pd.DataFrame:
    if path.name.lower().endswith((".gtf", ".gtf.gz")):
        from pytximport.utils import create_transcript_gene_map_from_annotation

        return create_transcript_gene_map_from_annotation(path)
    table = read_table(path, is_name=lambda _: True)
    rows = table.cells[[0, 1]].astype(object)
    if plain(table.labels[0]) not in TRANSCRIPT_COLUMNS:  # no header: Salmon's --geneMap has none
        rows = pd.concat([pd.DataFrame([table.labels[:2]], columns=[0, 1]), rows])
    return rows.set_axis(["transcript_id", "gene_id"], axis=1).astype(str).reset_index(drop=True)
