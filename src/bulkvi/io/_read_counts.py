from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.io._annotation import add_lengths, add_symbols
from bulkvi.io._count_tables import read_count_table
from bulkvi.io._count_values import Missing
from bulkvi.io._folders import Strandedness, read_folder
from bulkvi.io._genes import Duplicates, GeneCounts, NamedMatrix, SampleCounts, check_genes
from bulkvi.io._h5ad import read_anndata, read_obs, with_counts
from bulkvi.io._read_samples import read_samples
from bulkvi.io._sample_names import Match, SamplesIn
from bulkvi.names import COUNTS_SOURCE, LENGTH, SYMBOL


def read_counts(
    path: str | Path,
    samples: str | Path | pd.DataFrame | None = None,
    *,
    match: Match = "exact",
    samples_in: SamplesIn | None = None,
    gene_column: str | None = None,
    layer: str | None = None,
    sheet: str | None = None,
    duplicate_genes: Duplicates = "error",
    missing: Missing = "error",
    round_counts: bool = False,
    strandedness: Strandedness | None = None,
    transcripts: str | Path | None = None,
    lengths: str | Path | None = None,
    genes: str | Path | None = None,
) -> AnnData:
    r"""Read raw counts from the files of a counting tool, with a sample sheet.

    Supported are

    - a table of genes x samples or samples x genes, recognised by the names of the samples: text (tabs, commas,
      semicolons), ``.xlsx``, ``.gct``, and the table of featureCounts, in which names of alignment files are read without
      folder and ending; also packed (``.gz``, ``.bz2``, ``.xz``, ``.zip`` with one file);
    - ``.h5ad``;
    - a folder, with subfolders, with one file per sample that is named after the sample or is in a subfolder of its name: of
      STAR (``ReadsPerGene.out.tab``), HTSeq (two columns), featureCounts, RSEM (``genes.results``, expected counts are
      rounded), Salmon (``quant.sf``) or kallisto (``abundance.tsv``, ``abundance.h5``). Counts of the last two are summed to
      genes by pytximport, as tximport does. Other files are ignored.

    Parameters
    ----------
    path
        The file, or the folder.
    samples
        Sample sheet (see :func:`read_samples`), or a table indexed by sample. For an ``.h5ad``, None or its path uses its
        ``obs``.
    match
        How names in the counts are compared with those in the sheet. ``"exact"``; ``"case"``: ignores capitals;
        ``"r_names"``: as R's ``make.names`` writes them (a dot for each dash); ``"file_names"``: without folders and
        endings such as ``.bam``; ``"affix"``: without the same text before or after all of them; ``"numbers"``: without
        leading zeros and a ``.0`` at the end; ``"prefix"``: one begins with the other and with no third
        (``TCGA-A0-0001`` and ``TCGA-A0-0001-01A``); ``"letters"``: by letters and digits only. If names do not match, the
        error names a rule that matches them.
    samples_in
        ``"columns"`` or ``"rows"``; None to decide by the names.
    gene_column
        Column with the gene ids; None for one with a usual name (gene_id, Geneid, ensembl_gene_id, ...), else the first.
    layer
        Layer with the raw counts of an ``.h5ad``; None for ``X``.
    sheet
        Sheet of an ``.xlsx`` with the counts; None for the only one that is not empty.
    duplicate_genes
        What to do with gene ids that repeat: ``"error"``, or ``"sum"`` their counts.
    missing
        What to do with empty cells, and with genes that one file of a folder lacks: ``"error"``, or ``"zero"`` if they mean
        no read.
    round_counts
        Round expected counts (RSEM, tximport). Values that are clearly no counts (TPM, logarithms, counts divided by size
        factors) are refused nevertheless. Whole numbers that add up to a million in every sample look like rounded TPM: they
        are accepted only with this argument, with a warning, for raw counts that were downsampled to a million.
    strandedness
        STAR's column: ``"unstranded"``, ``"forward"`` or ``"reverse"``; None to decide by the reads on each strand.
    transcripts
        For Salmon and kallisto: table of transcripts and their genes (tx2gene), or a ``.gtf``. Reads of transcripts that it
        lacks are lost; a warning gives their share.
    lengths
        Table of average transcript lengths (bases), genes x samples, for counts without lengths: nf-core's
        ``salmon.merged.gene_lengths.tsv``, tximport's ``length``.
    genes
        Table of gene ids and symbols, or a ``.gtf``, for ``var["symbol"]``. Ids that do not match are matched without their
        version.

    Returns
    -------
    AnnData, samples x genes, the samples in the order of the sheet.

    - ``X``: whole numbers (dense, or sparse from a sparse ``.h5ad``)
    - ``obs``: the sample sheet
    - ``var["symbol"]``: gene symbols, if ``genes`` or the counts have them; the gene id where one is missing
    - ``layers["length"]``: average transcript lengths from Salmon, kallisto, RSEM or ``lengths``: the ``offset_key`` of
      :func:`bulkvi.pp.size_factors` and :meth:`bulkvi.BulkVI.setup_anndata`
    - ``uns["counts_source"]``: ``path``, ``format``, ``samples_in`` (columns, rows, files), ``match``, ``strandedness``,
      ``lost_reads`` (share of reads whose transcripts have no gene), ``lengths``, ``reads_without_length``, ``genes``,
      ``n_symbols``

    Warnings list what was left out: samples that are not in the sheet, columns that are no samples, rows that are no genes
    (``__no_feature``, ``N_unmapped``, a row of totals, by its name or its values), titles above the header and footnotes.
    Except ``obs``, all other content of an ``.h5ad`` is kept.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    KeyError
        If there is no such column, layer or sheet.
    ValueError
        If the file cannot be read, sample names do not match, samples and genes have the same names, gene ids repeat, or the
        values are not raw counts; if most reads are of transcripts or genes that ``transcripts`` or ``lengths`` lacks. The
        message describes the values, and what to give instead.
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
    if samples_in not in (None, "columns", "rows"):
        raise ValueError(
            f"samples_in={samples_in!r} is unknown; choose 'columns' or 'rows', or None to decide by the names."
        )
    table = _sample_table(path, samples, samples_in)
    if not table.index.is_unique or table.empty and table.index.empty:
        raise ValueError("`samples` must have one row per sample, and a different name for each sample.")
    table = table.set_axis(table.index.astype(str).rename(None), axis=0)
    is_h5ad = path.suffix.lower() == ".h5ad"
    if sheet is not None and (is_h5ad or path.is_dir()):
        kind = "a folder" if path.is_dir() else "none"
        raise ValueError(f"sheet={sheet!r} is for spreadsheets (.xlsx); {path} is {kind}. Leave it out.")
    if layer is not None and not is_h5ad:
        raise ValueError(f"layer={layer!r} is for .h5ad files; {path} is none. Leave it out.")
    facts: Mapping[str, str | float]
    if is_h5ad:
        adata, numbers, facts = read_anndata(path, table, match=match, given=samples_in, layer=layer)
    else:
        if path.is_dir():
            tx2gene = None if transcripts is None else Path(transcripts)
            read = read_folder(
                path, table, match=match, strandedness=strandedness, transcripts=tx2gene, missing=missing
            )
        else:
            read = read_count_table(path, table, match=match, given=samples_in, gene_column=gene_column, sheet=sheet)
        numbers = NamedMatrix(read.counts, list(map(str, read.counts.index)), list(map(str, read.counts.columns)))
        facts = read.facts
    counts = check_genes(
        numbers, duplicate_genes=duplicate_genes, missing=missing, round_counts=round_counts, source=path.name
    )
    adata = with_counts(adata, counts, path.name) if is_h5ad else _assemble(read, counts, table)
    if SYMBOL in adata.var:
        symbols = adata.var[SYMBOL].astype(object)
        known = symbols.notna() & (symbols != "")
        adata.var[SYMBOL] = symbols.where(known, adata.var_names.to_numpy(object)).astype(str)
    adata.uns[COUNTS_SOURCE] = {"path": str(path), **facts}
    if lengths is not None:
        add_lengths(adata, Path(lengths), table, match=match)
    if genes is not None:
        add_symbols(adata, Path(genes))
    return adata


def _sample_table(path: Path, samples: str | Path | pd.DataFrame | None, samples_in: SamplesIn | None) -> pd.DataFrame:
    if isinstance(samples, pd.DataFrame):
        return samples
    home = path if samples is None else Path(samples)
    if home.suffix.lower() == ".h5ad":
        return read_obs(home, samples_in if home == path else None)
    if samples is None:
        raise ValueError(
            f"{path} needs a sample sheet: a table with one row per sample, its name in the first column. Only an .h5ad may contain "
            "the variables of its samples."
        )
    return read_samples(home)


def _assemble(read: SampleCounts, genes: GeneCounts, samples: pd.DataFrame) -> AnnData:
    var = pd.DataFrame(index=pd.Index(genes.names))
    if read.symbols is not None:
        var[SYMBOL] = read.symbols.to_numpy(object)[genes.rows]
    adata = AnnData(np.ascontiguousarray(genes.counts.T), obs=samples.copy(), var=var)
    if read.lengths is not None:
        adata.layers[LENGTH] = np.ascontiguousarray(read.lengths.to_numpy(float)[genes.rows].T)
    return adata
