"""The samples of an analysis as arrays: counts, exposure, design and donors, loaded once."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.stats.counts.blocks import by_rows, iter_row_blocks
from bulkvi.stats.counts.counts import Offset
from bulkvi.study.fingerprint import check_unchanged
from bulkvi.study.groups import donor_codes
from bulkvi.study.size_factors import SizeFactorSource
from bulkvi.study.study_design import StudyDesign


@dataclass(frozen=True, eq=False)
class Study:
    """Samples x genes, with all inputs of a regression of their counts."""

    adata: AnnData
    design: StudyDesign
    size_factor_key: str
    """Column of obs."""
    source: SizeFactorSource
    """Origin of the size factors."""
    layer: str | None = None
    """Layer with the counts; None for X."""
    offset_key: str | None = None
    """Layer with offsets."""
    log_offset_mean: np.ndarray | None = None
    """Natural log of each gene's factor that its offsets are relative to."""
    donor_key: str | None = None
    """Column of obs with the donor of each sample."""
    record: dict[str, Any] = field(default_factory=dict)
    """Fingerprint of what was registered (`bulkvi.study.fingerprint`); empty if there is none."""

    @property
    def obs(self) -> pd.DataFrame:
        """One row for each sample."""
        return self.design.obs

    @property
    def genes(self) -> pd.Index:
        """Names of the genes."""
        return self.adata.var_names

    @cached_property
    def counts(self) -> np.ndarray:
        """Samples x genes, float64."""
        stored = self.adata.X if self.layer is None else self.adata.layers[self.layer]
        return np.concatenate([block for _, block in iter_row_blocks(by_rows(stored))])

    @cached_property
    def log_exposure(self) -> np.ndarray:
        """Natural log of the exposure: size factors, one per sample; with offsets samples x genes."""
        size_factor = self.adata.obs[self.size_factor_key].to_numpy(dtype=float)
        if self.offset_key is None or self.log_offset_mean is None:
            return np.log(size_factor)
        offset = Offset(by_rows(self.adata.layers[self.offset_key]), self.log_offset_mean)
        return np.log(size_factor)[:, None] + offset.log_relative()

    def with_log_rates(self, log_rate: np.ndarray) -> "Study":
        """Return the study with a part of each rate (samples x genes, natural log) taken as known, as an offset is."""
        study = replace(self)
        exposure = self.log_exposure
        study.__dict__["counts"] = self.counts
        study.__dict__["log_exposure"] = (exposure[:, None] if exposure.ndim == 1 else exposure) + log_rate
        return study

    @cached_property
    def donor(self) -> np.ndarray | None:
        """Number of each sample's donor; None without donors."""
        return None if self.donor_key is None else donor_codes(self.obs, self.donor_key)

    def check_unchanged(self) -> None:
        """Raise ValueError if genes, labels, size factors, counts or offsets differ from what was registered."""
        check_unchanged(self.record, self.adata)
