"""Findings of the checks of design and samples, and those that need attention."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.model import BulkVI
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.study.design import make_design
from bulkvi.tl import DesignCheck, check_design, check_samples

MANY_SAMPLES = 1_000
SEX_WORDS = "its genes are those of another sex than the table of samples says, or of both"
SAMPLE_WORDS = {
    names.SWAPPED: "another label fits far better",
    names.DOUBTFUL: "some labels are wrong, and this one may be among them",
    names.OUTLYING: "an outlier whichever group it is assigned to",
    names.SEX_MISMATCH: SEX_WORDS,
    names.NOT_CHECKED: "no other sample to compare with",
}


class SampleCheck(NamedTuple):
    """The samples, one by one."""

    rows: list[dict[str, Any]]
    """``sample``, ``label``, ``total``, ``size_factor``, ``prob``, ``flag`` of each."""
    said: str
    """What the check found, in words, or why it was not made."""
    checked: bool
    """Whether it was made."""
    watch: list[str]
    """What deserves attention."""


def design_check(model: BulkVI, groupby: str | None = None) -> DesignCheck | None:
    """The check of the design formula for a comparison of groups, or None without a formula."""
    formula = model.registry["setup_args"]["design"]
    if formula is None:
        return None
    variables = make_design(formula, model.adata.obs)[0].variables
    return check_design(model.adata, formula, contrast=groupby if groupby in variables else None)


def sample_check(model: BulkVI, groupby: str | None) -> SampleCheck:
    """Each sample with its depth, and whether its counts go with its label."""
    adata, setup = model.adata, model.registry["setup_args"]
    table, said = _checked(model, groupby)
    size_factors = adata.obs[setup["size_factor_key"]].to_numpy(float)
    totals = _totals(adata.X if setup["layer"] is None else adata.layers[setup["layer"]])
    flags = [""] * adata.n_obs if table is None else table[names.FLAG].tolist()
    rows: list[dict[str, Any]] = [
        {
            "sample": str(adata.obs_names[i]),
            "label": "" if groupby is None else str(adata.obs[groupby].iloc[i]),
            "total": int(totals[i]),
            "size_factor": float(size_factors[i]),
            "prob": None if table is None else _known(table[names.PROB_LABEL].iloc[i]),
            "flag": flags[i],
        }
        for i in range(adata.n_obs)
    ]
    watch = [
        f"Sample {row['sample']} ({row['label']}): " + "; ".join(SAMPLE_WORDS.get(code, code) for code in codes) + "."
        for row in rows
        if (codes := [code for code in row["flag"].split(",") if code and code != names.NOT_CHECKED])
    ]
    if table is not None:
        said = (
            f"{len(watch)} of {len(rows)} samples stand out."
            if watch
            else f"None of the {len(rows)} samples stands out."
        )
        unchecked = sum(names.NOT_CHECKED in flag for flag in flags)
        said += f" {unchecked} could not be checked: no other sample is like them." if unchecked else ""
        meaningless = table.attrs[names.PROB_MEANINGLESS]
        if meaningless > 0.5:
            watch.append(
                f"The labels of {groupby} may have nothing to do with the counts (probability {meaningless:.2f})."
            )
    return SampleCheck(rows, said, table is not None, watch)


def _checked(model: BulkVI, groupby: str | None) -> tuple[pd.DataFrame | None, str]:
    """The table of the check, or None and why."""
    adata, setup = model.adata, model.registry["setup_args"]
    if groupby is None:
        return None, "Labels were not checked: the comparison is not one of two groups."
    if adata.n_obs > MANY_SAMPLES:
        return (
            None,
            f"Labels were not checked: with more than {MANY_SAMPLES:,} samples that takes its time. Call bulkvi.tl.check_samples.",
        )
    try:
        return check_samples(
            adata,
            groupby,
            design=setup["design"],
            size_factor_key=setup["size_factor_key"],
            layer=setup["layer"],
            offset_key=setup["offset_key"],
        ), ""
    except ValueError as error:
        return None, f"Labels could not be checked: {error}"


def _totals(counts: Any) -> np.ndarray:
    return np.concatenate([block.sum(1) for _, block in iter_row_blocks(counts)])


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
