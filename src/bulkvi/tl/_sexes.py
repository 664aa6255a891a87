"""The sex of samples from the counts of genes that tell the sexes apart."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

FEMALE, MALE, BOTH, UNCLEAR = "female", "male", "both", "unclear"
CLEAR_RATIO = 4.0
PRESENT = 10.0
WORDS = {"female": FEMALE, "f": FEMALE, "woman": FEMALE, "xx": FEMALE, "male": MALE, "m": MALE, "man": MALE, "xy": MALE}


def called_sexes(rates: pd.DataFrame, female_genes: Sequence[str], male_genes: Sequence[str]) -> pd.Series:
    """``female``, ``male``, ``both`` (genes of both sexes are on) or ``unclear`` (too few counts) for each sample.

    A sex is clear where the mean rate of its genes, plus one, is more than 4 times that of the other's.

    Parameters
    ----------
    rates
        Counts per unit size factor, samples x genes.
    female_genes, male_genes
        Columns of ``rates``.
    """
    female, male = rates[list(female_genes)].mean(axis=1), rates[list(male_genes)].mean(axis=1)
    ratio = (female + 1) / (male + 1)
    sex = np.select(
        [ratio > CLEAR_RATIO, ratio < 1 / CLEAR_RATIO, (female >= PRESENT) & (male >= PRESENT)],
        [FEMALE, MALE, BOTH],
        UNCLEAR,
    )
    return pd.Series(sex, index=rates.index)


def known_sexes(column: pd.Series, key: str) -> pd.Series:
    """``female`` or ``male`` for each sample from a column of obs; missing stays missing.

    Raises
    ------
    ValueError
        If a level is no word for a sex.
    """
    words = column.astype(object).map(lambda level: WORDS.get(str(level).strip().lower()), na_action="ignore")
    unknown = sorted({str(level) for level in column[column.notna() & words.isna()]})
    if unknown:
        raise ValueError(f"sex_key={key!r}: the levels {unknown} are no words for a sex; use 'female' and 'male'.")
    return words
