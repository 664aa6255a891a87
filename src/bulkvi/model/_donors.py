"""The donors of a model's samples: what must hold of them, and where they are read from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scvi.data import AnnDataManager

from bulkvi.model._design import make_design

DONOR_KEY = "donor_key"
FEWEST_FREE = 3


def donor_column(registry: dict[str, Any]) -> str | None:
    """Column of obs with the donors; None without any (or in a model saved before there were donors)."""
    return registry["setup_args"].get(DONOR_KEY)


def donor_of_samples(manager: AnnDataManager) -> np.ndarray | None:
    """Number of each sample's donor, or None without donors.

    Raises
    ------
    KeyError
        If the samples have no such column.
    ValueError
        If a donor is missing.
    """
    key = donor_column(manager.registry)
    return None if key is None else donor_codes(manager.adata.obs, key)


def donor_codes(obs: pd.DataFrame, key: str) -> np.ndarray:
    """Number of each sample's donor, in the order of first appearance.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a donor is missing.
    """
    if key not in obs.columns:
        raise KeyError(f"{DONOR_KEY}={key!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    absent = obs[key].isna()
    if absent.any():
        raise ValueError(
            f"{DONOR_KEY}: adata.obs[{key!r}] is missing for {int(absent.sum())} samples (first: "
            f"{list(obs.index[absent][:5])}). Fill it in (a sample of an unknown donor may be a donor of its own), or leave "
            "these samples out."
        )
    return pd.factorize(obs[key])[0]


def check_donor_key(obs: pd.DataFrame, key: str, design: str | None, held: Sequence[str]) -> None:
    """Raise unless a variance between donors can be learned beside the design.

    Parameters
    ----------
    obs
        The samples.
    key
        Column with the donors.
    design
        Formula of the design.
    held
        Columns besides: batch and covariates.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a donor is missing, the design holds the donors, no donor has two samples, or too few donors are left to learn
        from.
    """
    code = donor_codes(obs, key)
    variables, columns = ((), np.ones((len(obs), 1))) if design is None else _coded(obs, design)
    if key in variables or key in held:
        raise ValueError(
            f"{DONOR_KEY}={key!r} is in the design as well. A donor has either an effect of its own there, or a random one "
            f"here: leave {key!r} out of one of them."
        )
    n_donors = int(code.max()) + 1
    if n_donors == 1:
        raise ValueError(
            f"{DONOR_KEY}: all samples are of one donor, {obs[key].iloc[0]!r}; there is no difference between donors to "
            f"learn. Leave {DONOR_KEY} out, and read the results as those of this donor."
        )
    if n_donors == len(obs):
        raise ValueError(
            f"{DONOR_KEY}: every sample has a donor of its own in adata.obs[{key!r}], so what donors differ by is what "
            f"samples differ by, and the dispersion holds it already. Leave {DONOR_KEY} out."
        )
    of_donor = code[:, None] == np.arange(n_donors)
    known = np.linalg.matrix_rank(columns)
    free = int(np.linalg.matrix_rank(np.hstack([columns, of_donor])) - known)
    if free < FEWEST_FREE:
        raise ValueError(
            f"{DONOR_KEY}: {n_donors} donors leave {free} differences between donors that the design does not explain; "
            f"to learn a variance from them takes at least {FEWEST_FREE}. With so few donors whose samples are in several "
            f"groups, put them into the design instead ('~ {key} + ...'). If each donor is in one group only, such samples "
            "cannot tell groups from donors: more donors are needed."
        )


def _coded(obs: pd.DataFrame, design: str) -> tuple[tuple[str, ...], np.ndarray]:
    coded, matrix = make_design(design, obs)
    return coded.variables, matrix.to_numpy()
