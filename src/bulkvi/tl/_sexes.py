"""Sex of samples, from genes that only one sex expresses."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import names

FEMALE, MALE, BOTH, UNCLEAR = "female", "male", "both", "unclear"
WORDS: Final = {
    "female": FEMALE, "f": FEMALE, "woman": FEMALE, "women": FEMALE, "xx": FEMALE,
    "male": MALE, "m": MALE, "man": MALE, "men": MALE, "xy": MALE,
}  # fmt: skip
SEX_NAMES: Final = frozenset({"sex", "gender"})
FEMALE_MARKERS: Final = frozenset({"XIST", "ENSG00000229807", "ENSMUSG00000086503"})
MALE_MARKERS: Final = frozenset(
    "RPS4Y1 DDX3Y KDM5D UTY USP9Y EIF1AY EIF2S3Y ZFY TXLNGY NLGN4Y ENSG00000129824 ENSG00000067048 ENSG00000012817 "
    "ENSG00000183878 ENSG00000114374 ENSG00000198692 ENSG00000067646 ENSG00000131002 ENSG00000165246 ENSMUSG00000069045 "
    "ENSMUSG00000056673 ENSMUSG00000068457 ENSMUSG00000069049".split()
)
"""Symbols in capitals, and Ensembl ids, of human and mouse."""
PRESENT = 10.0
PER_MILLION = 20.0
ON, OFF = 1 / 4, 1 / 16
HALVES = 1 / 8
ERROR = 1e-6


class Sexes(NamedTuple):
    """Sex of each sample by its genes and by the table of samples."""

    called: pd.Series
    """``female``, ``male``, ``both`` (genes of both are expressed) or ``unclear``."""
    known: pd.Series
    """From the table of samples; missing where it has none."""
    key: str | None
    """The column with the known sex."""
    genes: tuple[list[str], list[str]]
    """Names of the female and of the male genes."""
    remark: str
    """What could not be determined, and why; empty otherwise."""

    @property
    def mismatch(self) -> np.ndarray:
        """Samples whose genes differ from the table of samples, or are those of both sexes."""
        differs = self.known.notna() & (self.called != self.known) & (self.called != UNCLEAR)
        return ((self.called == BOTH) | differs).to_numpy()


def find_sexes(
    adata: AnnData,
    counts: np.ndarray,
    size_factor: np.ndarray,
    female_genes: Sequence[str] | None,
    male_genes: Sequence[str] | None,
    sex_key: str | None,
) -> Sexes | None:
    """Call the sex of each sample, or return None if nothing about it is given and no column or gene of it is found.

    ``counts`` (samples x genes) are corrected for offsets; the last three arguments are those of ``check_samples``.
    """
    if (female_genes is None) != (male_genes is None):
        raise ValueError(
            "Give both `female_genes` and `male_genes`, or none of them: each sex is defined by contrast with the other."
        )
    if sex_key is not None and sex_key not in adata.obs.columns:
        raise KeyError(f"sex_key={sex_key!r} is not a column of adata.obs; it has {list(adata.obs.columns)}.")
    key = _sex_column(adata.obs) if sex_key is None and female_genes is None else sex_key
    if female_genes is not None and male_genes is not None:
        females, males = _positions(adata, female_genes, "female_genes"), _positions(adata, male_genes, "male_genes")
    elif key is None:
        return None
    else:
        females, males = _marker_genes(adata)
    known = pd.Series(None, index=adata.obs_names, dtype=object)
    if key is not None:
        known = _known_sexes(adata.obs[key], key)
    if not len(females) and not len(males):
        if sex_key is None:
            return None
        raise ValueError(
            f"sex_key={sex_key!r}: neither XIST nor a gene of the Y chromosome is among the genes, by symbol or Ensembl id. Name "
            "`female_genes` and `male_genes` as adata.var_names has them."
        )
    # genes that are given count at any level
    per_million = float(np.median(counts.sum(1) / size_factor)) / 1e6 if female_genes is None else 0.0
    least = PER_MILLION * per_million
    called, remark = _call_sexes(counts[:, females].sum(1), counts[:, males].sum(1), size_factor, least)
    genes = (list(adata.var_names[females]), list(adata.var_names[males]))
    return Sexes(pd.Series(called, adata.obs_names), known, key, genes, remark)


def _call_sexes(
    female: np.ndarray, male: np.ndarray, size_factor: np.ndarray, least: float = 0.0
) -> tuple[np.ndarray, str]:
    """``female``, ``male``, ``both`` or ``unclear`` for each sample, and a remark on what cannot be determined.

    The expressed level is the median of the samples with more than an eighth of the largest rate. Genes are on above a fourth
    of that level, and off below a sixteenth if ten counts are expected. With Y genes on a sample is male, or both if XIST is
    on too (Klinefelter syndrome, or a mixture of two samples). With Y genes off it is female, unless XIST is known and off: a
    loss of Y or of XIST is unclear. ``female`` and ``male`` are counts summed over genes; the expressed level must have
    ``least`` counts per unit size factor, as fewer are misassigned reads.
    """
    x, y = _state(female, size_factor, least / 4), _state(male, size_factor, least)
    if y is None and x is None:
        return np.full(len(male), UNCLEAR, dtype=object), "neither the female nor the male genes have enough counts"
    if y is None:
        called = np.where(x == 1, FEMALE, UNCLEAR)
        return called.astype(object), "no sample has counts of genes of the Y chromosome: only XIST is used"
    if x is None:
        return np.select([y == 1, y == -1], [MALE, FEMALE], UNCLEAR).astype(object), ""
    called = np.select([(y == 1) & (x == 1), (y == 1) & (x == -1), (y == -1) & (x == 1)], [BOTH, MALE, FEMALE], UNCLEAR)
    return called.astype(object), ""


def _state(counts: np.ndarray, size_factor: np.ndarray, least: float) -> np.ndarray | None:
    """1 on, -1 off, 0 unclear, for each sample; None if the genes are on in none."""
    rates = counts / size_factor
    level = float(np.median(rates[rates > HALVES * rates.max()])) if rates.max() > 0 else 0.0
    if level < max(PRESENT, least):
        return None
    expected = level * size_factor
    return np.select(
        [(rates > ON * level) & (counts >= PRESENT / 4), (rates < OFF * level) & (expected >= PRESENT)], [1, -1], 0
    )


def _marker_genes(adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Positions of XIST and of genes of the Y chromosome, by symbol or Ensembl id, with or without version."""
    columns = [adata.var_names]
    if names.SYMBOL in adata.var:
        columns.append(pd.Index(adata.var[names.SYMBOL]))
    female, male = np.zeros((2, adata.n_vars), bool)
    for column in columns:
        parts = [
            {re.sub(r"^(ENS[A-Z]*G\d+)\.\d+$", r"\1", part) for part in re.split(r"[|:;_]", name)}
            for name in column.astype(str).str.upper()
        ]
        female |= [bool(part & FEMALE_MARKERS) for part in parts]
        male |= [bool(part & MALE_MARKERS) for part in parts]
    return np.flatnonzero(female), np.flatnonzero(male)


def _sex_column(obs: pd.DataFrame) -> str | None:
    """The column whose levels are all words for a sex, and that has both or the name of one; None without."""
    found = [
        name
        for name in obs.columns
        if isinstance(name, str)
        and isinstance(obs[name], pd.Series)
        and not pd.api.types.is_numeric_dtype(obs[name])
        and obs[name].notna().any()
        and _is_sex(name, obs[name])
    ]
    return min(found, key=lambda name: name.lower() not in SEX_NAMES) if found else None


def _is_sex(name: str, column: pd.Series) -> bool:
    words = column.dropna().astype(str).str.strip().str.lower().unique()
    sexes = {WORDS.get(word) for word in words}
    return None not in sexes and (len(sexes) == 2 or bool(SEX_NAMES & set(re.split(r"[^a-z]+", name.lower()))))


def _positions(adata: AnnData, genes: Sequence[str], name: str) -> np.ndarray:
    if isinstance(genes, str):
        raise TypeError(f"`{name}` must be a list of gene names; it is the text {genes!r}. Write [{genes!r}].")
    missing = [gene for gene in genes if gene not in adata.var_names]
    if missing or not len(genes):
        raise KeyError(f"`{name}`: {missing or 'the list is empty; its genes'} are not in adata.var_names.")
    return adata.var_names.get_indexer([*dict.fromkeys(genes)])


def _known_sexes(column: pd.Series, key: str) -> pd.Series:
    """``female`` or ``male`` for each sample from a column of obs; missing stays missing."""
    words = column.astype(object).map(lambda level: WORDS.get(str(level).strip().lower()), na_action="ignore")
    unknown = sorted({str(level) for level in column[column.notna() & words.isna()]})
    if unknown:
        raise ValueError(f"sex_key={key!r}: the levels {unknown} are no words for a sex; use 'female' and 'male'.")
    return words


def with_sexes(prob: np.ndarray, levels: pd.Index, called: pd.Series) -> np.ndarray:
    """Update the probabilities of labels that are sexes by the sex genes, which decide where they are clear."""
    likelihood = np.ones_like(prob)
    for place, level in enumerate(levels):
        sex = WORDS.get(str(level).strip().lower())
        if sex is not None:
            likelihood[(called.isin([FEMALE, MALE]) & (called != sex)).to_numpy(), place] = ERROR
    joint = prob * likelihood
    return joint / joint.sum(1, keepdims=True)
