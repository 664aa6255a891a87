"""Columns within which the rates of groups are given."""

from collections.abc import Sequence
from typing import Final

from bulkvi.model._features import Features
from bulkvi.model._registered import categorical_columns

AUTO: Final = "auto"
MAX_STRATA: Final = 30


def strata_columns(features: Features, groupby: str, within: str | Sequence[str] | None) -> list[str]:
    """Columns of ``obs`` that are asked for; by ``"auto"`` those of the model with few levels.

    Raises
    ------
    KeyError
        If a column does not exist.
    """
    obs = features.obs
    if within == AUTO:
        others = [name for name in categorical_columns(features.registry) if name in obs and name != groupby]
        chosen: list[str] = []
        for name in sorted(others, key=lambda other: obs[other].nunique()):
            if len(obs[[*chosen, name]].drop_duplicates()) <= MAX_STRATA:
                chosen.append(name)
        return chosen
    columns = [within] if isinstance(within, str) else list(within or ())
    absent = [name for name in columns if name not in obs]
    if absent:
        raise KeyError(f"within={absent} are not columns of adata.obs; it has {list(obs.columns)}.")
    return [name for name in columns if name != groupby]
