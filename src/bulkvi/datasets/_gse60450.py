"""Mouse mammary gland, basal and luminal cells at three stages."""

import hashlib
import os
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pooch
from anndata import AnnData

from bulkvi import names
from bulkvi.datasets._files import FOLDER_VARIABLE, find_in_data_folder, read_packaged

_FILE: Final = "GSE60450_Lactation-GenewiseCounts.txt.gz"
_URL: Final = f"https://ftp.ncbi.nlm.nih.gov/geo/series/GSE60nnn/GSE60450/suppl/{_FILE}"

_FLOWCELL: Final = "BC2CTUACXX"
_SAMPLES: Final = {
    "MCL1-DG": ("basal", "virgin", "GSM1480297", "SRR1552450", "ACTTGA"),
    "MCL1-DH": ("basal", "virgin", "GSM1480298", "SRR1552451", "CAGATC"),
    "MCL1-DI": ("basal", "pregnancy", "GSM1480299", "SRR1552452", "ACAGTG"),
    "MCL1-DJ": ("basal", "pregnancy", "GSM1480300", "SRR1552453", "CGATGT"),
    "MCL1-DK": ("basal", "lactation", "GSM1480301", "SRR1552454", "TTAGGC"),
    "MCL1-DL": ("basal", "lactation", "GSM1480302", "SRR1552455", "ATCACG"),
    "MCL1-LA": ("luminal", "virgin", "GSM1480291", "SRR1552444", "GATCAG"),
    "MCL1-LB": ("luminal", "virgin", "GSM1480292", "SRR1552445", "TGACCA"),
    "MCL1-LC": ("luminal", "pregnancy", "GSM1480293", "SRR1552446", "GCCAAT"),
    "MCL1-LD": ("luminal", "pregnancy", "GSM1480294", "SRR1552447", "GGCTAC"),
    "MCL1-LE": ("luminal", "lactation", "GSM1480295", "SRR1552448", "TAGCTT"),
    "MCL1-LF": ("luminal", "lactation", "GSM1480296", "SRR1552449", "CTTGTA"),
}
_STAGE_DETAIL: Final = {"virgin": "virgin", "pregnancy": "18.5 day pregnant", "lactation": "2 day lactation"}
_LANE: Final = {"basal": "L002", "luminal": "L001"}
_LABEL_IN_ORIGINAL_STUDY: Final = {"basal": "virgin", "luminal": "lactation"}

_N_GENES: Final = 27_179
_GENE_COLUMNS: Final = ["EntrezGeneID", "Length"]
# SHA-256 of 64-bit little-endian integers, genes x columns in C order: ids and lengths, then the counts.
_GENES_SHA256: Final = "8a36a913d1dfb7f13bbd58eacfee4fce6e22e1809da3587ecaf28fb52d430a7a"
_COUNTS_SHA256: Final = "caae15888f38d1bb6612f847d1245abe3ee1909dc02a817c16bdd210036697f2"


def gse60450(path: str | os.PathLike[str] | None = None) -> AnnData:
    """Mouse mammary gland: basal and luminal cells of virgin, pregnant and lactating mice, 2 x 3 x 2 = 12 samples.

    Reads the authors' table of counts from GEO, verifies its content, and adds the published design. The table is read from
    ``path`` if given; else from the folder named by the environment variable ``BULKVI_DATA_DIR``, or ``gse60450_mammary`` in
    it; else it is downloaded from GEO (0.5 MB) and kept in pooch's cache folder ``bulkvi``.

    Parameters
    ----------
    path
        Path of ``GSE60450_Lactation-GenewiseCounts.txt.gz``.

    Returns
    -------
    AnnData, 12 samples x 27,179 genes, raw counts in ``X`` (dense, 32-bit integers).

    - ``obs``: ``cell_type`` (basal, luminal), ``stage`` (virgin, pregnancy, lactation), ``stage_detail``, ``group`` (the
      six combinations), ``geo``, ``sra``, ``flowcell``, ``lane``, ``barcode``, ``label_in_original_study``,
      ``original_column``
    - ``var_names``: Entrez ids as strings; ``var``: ``symbol`` (NCBI Gene of 2016-02-22, packaged with bulkvi; the
      Entrez id for the 7,257 genes without one), ``length_bp`` (as in the file)

    Raises
    ------
    FileNotFoundError
        There is no file at ``path``.
    ValueError
        The file is not the table of GSE60450; the message names the difference. The 27,179 x 12 counts, and the ids and
        lengths, must have the SHA-256 in the source of this module.
    ConnectionError
        The file is not found locally and cannot be downloaded.

    Notes
    -----
    A previous analysis of these data labelled DG to DL "virgin" and LA to LF "lactation". These labels are wrong;
    ``label_in_original_study`` keeps them so that it can be reproduced. DG to DL are basal and LA to LF luminal cells, each
    with a pair of virgin, of pregnant and of lactating mice. Its "lactation against virgin" is luminal against basal: the log
    fold changes correlate 0.98 with those between the cell types and 0.09 with those between the true stages. Lane and cell
    type coincide (L001 luminal, L002 basal), so no analysis can separate them.

    Fu et al. 2015 [1]_; design from Chen, Lun and Smyth 2016 [2]_.

    References
    ----------
    .. [1] Fu NY et al. EGF-mediated induction of Mcl-1 at the switch to lactation is essential for alveolar cell
       survival. Nat Cell Biol 2015;17:365.
    .. [2] Chen Y, Lun ATL, Smyth GK. From reads to genes to pathways. F1000Research 2016;5:1438.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.gse60450()  # doctest: +SKIP
    >>> adata.obs["group"].value_counts().tolist()  # doctest: +SKIP
    [2, 2, 2, 2, 2, 2]
    """
    obs = _design()
    table = _read(_find(path), obs["original_column"].tolist())
    table.index = pd.Index(table["EntrezGeneID"].astype(str).to_numpy())
    symbol = read_packaged("gse60450_symbols.tsv.gz")["symbol"].reindex(table.index)
    var = pd.DataFrame({names.SYMBOL: symbol.fillna(table.index.to_series()), "length_bp": table["Length"]})
    counts = np.ascontiguousarray(table[obs["original_column"]].to_numpy(dtype=np.int32).T)
    return AnnData(counts, obs=obs, var=var)


def _design() -> pd.DataFrame:
    """Return the published design, levels in their natural order."""
    obs = pd.DataFrame.from_dict(_SAMPLES, orient="index", columns=["cell_type", "stage", "geo", "sra", "barcode"])
    cell_type = pd.Categorical(obs["cell_type"], categories=["basal", "luminal"])
    stage = pd.Categorical(obs["stage"], categories=list(_STAGE_DETAIL))
    groups = [f"{c}_{s}" for c in cell_type.categories for s in stage.categories]
    lane = obs["cell_type"].map(_LANE)
    label = obs["cell_type"].map(_LABEL_IN_ORIGINAL_STUDY)
    return pd.DataFrame(
        {
            "cell_type": cell_type,
            "stage": stage,
            "stage_detail": stage.rename_categories(_STAGE_DETAIL),
            "group": pd.Categorical(obs["cell_type"] + "_" + obs["stage"], categories=groups),
            "geo": obs["geo"],
            "sra": obs["sra"],
            "flowcell": pd.Categorical([_FLOWCELL] * len(obs)),
            "lane": pd.Categorical(lane),
            "barcode": obs["barcode"],
            "label_in_original_study": pd.Categorical(label, categories=["virgin", "lactation"]),
            "original_column": obs.index + f"_{_FLOWCELL}_" + obs["barcode"] + "_" + lane + "_R1",
        },
        index=obs.index,
    )


def _find(path: str | os.PathLike[str] | None) -> Path:
    """Return the path of the file; download it if it is not found locally."""
    if path is not None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"`path` = {os.fspath(path)!r} is not a file; get {_FILE} from {_URL}.")
        return Path(path)
    local = find_in_data_folder((_FILE, f"gse60450_mammary/{_FILE}"))
    if local is not None:
        return local
    # No hash of the file: the server may compress it differently, and the content is verified after reading.
    store = pooch.create(path=pooch.os_cache("bulkvi"), base_url="", registry={_FILE: None}, urls={_FILE: _URL})
    try:
        return Path(store.fetch(_FILE))
    except OSError as error:  # every error of requests is one
        folder = os.environ.get(FOLDER_VARIABLE)
        searched = f"{FOLDER_VARIABLE} = {folder!r} does not hold it" if folder else f"{FOLDER_VARIABLE} is not set"
        raise ConnectionError(
            f"{_FILE} could not be downloaded from {_URL} ({type(error).__name__}: {error}), and {searched}. Without a "
            f"network, put the file into a folder and set the environment variable {FOLDER_VARIABLE} to that folder."
        ) from error


def _read(path: Path, count_columns: list[str]) -> pd.DataFrame:
    """Read the table at ``path`` and verify that it is the one of GEO."""

    def refuse(found: str) -> ValueError:
        return ValueError(
            f"{path} is not the table of counts of GSE60450 ({_N_GENES:,} genes x {len(count_columns)} samples): {found}. "
            f"If it was downloaded, delete it and try again; the original is at {_URL}."
        )

    try:
        table = pd.read_csv(path, sep="\t")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise refuse(f"it cannot be read as a tab-separated table ({type(error).__name__}: {error})") from error
    missing = [column for column in [*_GENE_COLUMNS, *count_columns] if column not in table]
    if missing:
        raise refuse(f"found columns {list(table.columns)[:14]}, without {missing}")
    n_samples = table.shape[1] - len(_GENE_COLUMNS)
    if (len(table), n_samples) != (_N_GENES, len(count_columns)):
        raise refuse(f"found {len(table):,} x {n_samples}")
    for content, columns, expected in (
        ("gene ids and lengths", _GENE_COLUMNS, _GENES_SHA256),
        ("counts", count_columns, _COUNTS_SHA256),
    ):
        kinds = {table[column].dtype.kind for column in columns}
        if kinds != {"i"}:
            raise refuse(f"the {content} are not all integers")
        found = hashlib.sha256(table[columns].to_numpy(dtype="<i8").tobytes(order="C")).hexdigest()
        if found != expected:
            raise refuse(f"the {content} have SHA-256 {found}, expected {expected}")
    return table
