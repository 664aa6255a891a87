from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from bulkvi.io._beside_counts import add_lengths, add_symbols
from bulkvi.io._count_tables import read_count_table
from bulkvi.io._count_values import Missing, add_up_to_a_million, to_counts
from bulkvi.io._folders import read_folder
from bulkvi.io._found import Found
from bulkvi.io._gene_names import Duplicates, merge_duplicates
from bulkvi.io._h5ad import read_anndata, read_obs
from bulkvi.io._orientation import SamplesIn
from bulkvi.io._read_samples import read_samples
from bulkvi.io._sample_names import Match
from bulkvi.io._star import Strandedness
from bulkvi.names import COUNTS_SOURCE, LENGTH, SYMBOL


def read_counts(
    path: str | Path,
    samples: str | Path | pd.DataFrame | None = None,
    *,
    match: Match = "exact",
    samples_in: SamplesIn | None = None,
    gene_column: str | None = None,
    layer: str | None = None,
    duplicate_genes: Duplicates = "error",
    missing: Missing = "error",
    round_counts: bool = False,
    strandedness: Strandedness | None = None,
    transcripts: str | Path | None = None,
    lengths: str | Path | None = None,
    genes: str | Path | None = None,
) -> AnnData:
    r"""Read raw counts from the files of a counting tool, with the sample sheet beside them.

    Read are

    - a table of genes x samples or of samples x genes, told apart by the names of the samples: text (tabs, commas,
      semicolons; ``.gz`` too), ``.xlsx``, and the table of featureCounts, whose names of alignment files are read without
      folder and ending;
    - ``.h5ad``;
    - a folder with a file for each sample, in it or in subfolders, named after the sample or in a subfolder named so: of STAR
      (``ReadsPerGene.out.tab``), HTSeq (two columns), featureCounts, RSEM (``genes.results``, expected counts are rounded),
      or of Salmon (``quant.sf``) or kallisto (``abundance.tsv``, ``abundance.h5``), summed to genes by pytximport as tximport
      does. Other files are ignored.

    Parameters
    ----------
    path
        The file, or the folder.
    samples
        Sample sheet (see :func:`read_samples`), or the table that it is read into: indexed by sample. An ``.h5ad`` is its own
        sample sheet: None, or its path, takes its ``obs``.
    match
        How names in the counts are compared with those in the sheet. ``"exact"``; ``"case"``: capitals are small letters;
        ``"r_names"``: as R's ``make.names`` writes them (a dot for each dash); ``"file_names"``: without folders and
        endings such as ``.bam``; ``"affix"``: without the same text before or after all of them; ``"numbers"``: without
        leading zeros and a ``.0`` at the end; ``"prefix"``: one begins with the other and with no third
        (``TCGA-A0-0001`` and ``TCGA-A0-0001-01A``); ``"letters"``: by letters and digits only. Where names do not match, the error says which of these would do.
    samples_in
        ``"columns"`` or ``"rows"``; None to tell by the names.
    gene_column
        Column with the gene ids; None for one that is called so (gene_id, Geneid, ensembl_gene_id, ...), else the first.
    layer
        Layer with the raw counts of an ``.h5ad``; None for ``X``.
    duplicate_genes
        What to do with gene ids that repeat: ``"error"``, or ``"sum"`` their counts.
    missing
        What to do with empty cells, and with genes that one file of a folder lacks: ``"error"``, or ``"zero"`` where they mean
        no read.
    round_counts
        Round expected counts (RSEM, tximport). Values that are plainly no counts (TPM, logarithms, counts divided by
        size factors) are refused all the same. Whole numbers of which every sample adds up to a million look like rounded
        TPM: they are let through only so, with a warning, for raw counts that were drawn down to a million.
    strandedness
        STAR's column: ``"unstranded"``, ``"forward"`` or ``"reverse"``; None to tell it from the reads on each strand.
    transcripts
        For Salmon and kallisto: table of transcripts and their genes (tx2gene), or a ``.gtf``. Reads of transcripts that it
        lacks are lost; a warning says their share.
    lengths
        Table of average transcript lengths (bases), genes x samples, for counts that come without: nf-core's
        ``salmon.merged.gene_lengths.tsv``, tximport's ``length``.
    genes
        Table of gene ids and symbols, or a ``.gtf``, for ``var["symbol"]``. Ids match without their version where they do not
        match with it.

    Returns
    -------
    AnnData, samples x genes, the samples in the order of the sheet.

    - ``X``: whole numbers (dense, or sparse from a sparse ``.h5ad``)
    - ``obs``: the sample sheet
    - ``var["symbol"]``: gene symbols, if ``genes`` is given or the counts come with them; the gene id where one is missing
    - ``layers["length"]``: from Salmon, kallisto, RSEM or ``lengths``, average lengths of transcripts: the ``offset_key`` of
      :func:`bulkvi.pp.size_factors` and :meth:`bulkvi.BulkVI.setup_anndata`
    - ``uns["counts_source"]``: ``path``, ``format``, ``samples_in`` (columns, rows, files), ``match``, ``strandedness``,
      ``lost_reads`` (share of reads whose transcripts have no gene), ``lengths``, ``reads_without_length``, ``genes``,
      ``n_symbols``

    A warning says what was left out: samples that are not in the sheet, columns that are no samples, and rows that are no
    genes (``__no_feature``, ``N_unmapped``). Of an ``.h5ad`` everything else is kept but ``obs``.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    KeyError
        If a column or a layer does not exist.
    ValueError
        If the file cannot be read, sample names do not match, samples cannot be told from genes, gene ids repeat, or the
        values are not raw counts; if most reads are of transcripts or genes that ``transcripts`` or ``lengths`` lacks. The message says what the values look like, and what to give instead.
    ImportError
        If openpyxl (extra ``excel``) or pytximport (extra ``tximport``) is needed and not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("samples.csv").write_text("sample,condition\nA,control\nB,treated\n")
    >>> _ = Path("counts.tsv").write_text("gene_id\tgene_name\tB\tA\nENSG1\tTP53\t7\t0\nENSG2\tMYC\t12\t30\n")
    >>> adata = read_counts("counts.tsv", "samples.csv")
    >>> adata.to_df()
       ENSG1  ENSG2
    A      0     30
    B      7     12
    >>> adata.var["symbol"].tolist()
    ['TP53', 'MYC']
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    sheet = _sheet(path, samples, samples_in)
    if not sheet.index.is_unique or sheet.empty and sheet.index.empty:
        raise ValueError("`samples` must have a row for each sample, and each sample one name.")
    sheet = sheet.set_axis(sheet.index.astype(str).rename(None), axis=0)
    facts: Mapping[str, str | float]
    if path.suffix.lower() == ".h5ad":
        adata, facts = read_anndata(path, sheet, match=match, given=samples_in, layer=layer)
        adata.X = _whole(adata, missing=missing, round_counts=round_counts, source=path.name)
    else:
        if layer is not None:
            raise ValueError(f"layer={layer!r} is for .h5ad files; {path} is none. Leave it out.")
        found = _find(path, sheet, match, samples_in, gene_column, strandedness, transcripts, missing)
        adata = _assemble(found, sheet, duplicate_genes, missing, round_counts=round_counts, source=path.name)
        facts = found.facts
    if SYMBOL in adata.var:
        symbols = adata.var[SYMBOL].astype(object)
        adata.var[SYMBOL] = symbols.where(symbols.notna() & (symbols != ""), adata.var_names.to_numpy(object)).astype(
            str
        )
    adata.uns[COUNTS_SOURCE] = {"path": str(path), **facts}
    if lengths is not None:
        add_lengths(adata, Path(lengths), sheet, match=match)
    if genes is not None:
        add_symbols(adata, Path(genes))
    return adata


def _sheet(path: Path, samples: str | Path | pd.DataFrame | None, samples_in: SamplesIn | None) -> pd.DataFrame:
    if isinstance(samples, pd.DataFrame):
        return samples
    home = path if samples is None else Path(samples)
    if home.suffix.lower() == ".h5ad":
        return read_obs(home, samples_in if home == path else None)
    if samples is None:
        raise ValueError(
            f"{path} needs a sample sheet: a table with a row for each sample, its name in the first column. Only an .h5ad may hold "
            "what is known about its samples."
        )
    return read_samples(home)


def _find(
    path: Path,
    sheet: pd.DataFrame,
    match: Match,
    samples_in: SamplesIn | None,
    gene_column: str | None,
    strandedness: Strandedness | None,
    transcripts: str | Path | None,
    missing: Missing,
) -> Found:
    if not path.is_dir():
        return read_count_table(path, sheet, match=match, given=samples_in, gene_column=gene_column)
    return read_folder(
        path,
        sheet,
        match=match,
        strandedness=strandedness,
        transcripts=None if transcripts is None else Path(transcripts),
        missing=missing,
    )


def _assemble(
    found: Found, sheet: pd.DataFrame, duplicates: Duplicates, missing: Missing, *, round_counts: bool, source: str
) -> AnnData:
    values = to_counts(found.counts, missing=missing, round_counts=round_counts, source=source)
    counts = merge_duplicates(pd.DataFrame(values, found.counts.index, found.counts.columns), duplicates, source)
    var = pd.DataFrame(index=counts.index)
    if found.symbols is not None:
        var[SYMBOL] = found.symbols[~found.symbols.index.duplicated()].reindex(counts.index)
    adata = AnnData(np.ascontiguousarray(counts.to_numpy().T), obs=sheet.copy(), var=var)
    if found.lengths is not None:
        adata.layers[LENGTH] = np.ascontiguousarray(found.lengths.to_numpy(float).T)
    return adata


def _whole(adata: AnnData, *, missing: Missing, round_counts: bool, source: str) -> np.ndarray | sparse.csr_matrix:
    if sparse.issparse(adata.X):
        counts = sparse.csr_matrix(adata.X)
        # all that is not a whole number shows in the stored values; only an offence needs the matrix in full
        whole = np.array_equal(counts.data, np.rint(counts.data)) and counts.data.min(initial=0) >= 0
        if whole and not add_up_to_a_million(counts.sum(axis=1)):
            return counts.astype(np.int32)
    table = adata.to_df().T
    return np.ascontiguousarray(to_counts(table, missing=missing, round_counts=round_counts, source=source).T)
