import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import names
from bulkvi.baselines._table import baseline_table
from bulkvi.comparison_names import PYDESEQ2
from bulkvi.regression.contrast import numeric_contrast
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.study.counts import check_size_factor, checked_counts
from bulkvi.study.design import plain_design
from bulkvi.study.groups import find_groups


def pydeseq2(
    adata: AnnData,
    design: str,
    groupby: str | None = None,
    group1: Any = None,
    group2: Any = None,
    *,
    contrast: Mapping[str, float] | Sequence[float] | np.ndarray | None = None,
    layer: str | None = None,
    size_factor_key: str | None = None,
    level: float = 0.05,
    n_cpus: int = 1,
) -> pd.DataFrame:
    """Test differential expression with PyDESeq2: Wald test, Cook's outliers and independent filtering, as it does by default.

    Needs ``pip install "bulkvi[deseq2]"``. One core takes a minute or more for 20,000 genes. PyDESeq2's own warnings are
    shown.

    Parameters
    ----------
    adata
        Samples x genes. It is not changed.
    design
        Formula, for example ``"~ cell + dex"``.
    groupby, group1, group2
        Column of ``obs`` and two of its levels; the effect is group1 over group2, with the other factors of interactions at
        their reference level.
    contrast
        Instead of groups: weights of the columns of the design, as a dict by name or one per column.
    layer
        Layer that holds the raw counts; ``adata.X`` if None.
    size_factor_key
        Column of ``obs`` with the size factors to use; if None, PyDESeq2 estimates its own (median of ratios).
    level
        False discovery rate for which independent filtering is optimised.
    n_cpus
        Number of processes.

    Returns
    -------
    One row per gene in the order of ``var_names``, with the columns of ``model.differential_expression``: ``base_mean``,
    ``log_fc`` and ``log_fc_mle`` (the same: nothing is shrunk), ``log_fc_se``, ``stat``, ``p_value`` (NaN for genes with an
    outlier or without counts), ``adj_p_value`` (NaN for those filtered as well), ``dispersion``, ``contrast``. All others
    are NaN, ``flag`` is empty. ``attrs`` has ``method`` and ``version``.

    Raises
    ------
    ImportError
        If PyDESeq2 is not installed.
    TypeError
        If ``adata`` is not an AnnData.
    KeyError
        If a column or layer does not exist.
    ValueError
        If the counts are not raw counts, the design does not have full rank, a size factor is not positive, a level has no
        samples, a contrast compares nothing, or both groups and a contrast are given.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
    >>> table = bv.baselines.pydeseq2(adata, "~ group", "group", "B", "A")
    >>> table.attrs["method"], table["contrast"].iloc[0]
    ('PyDESeq2', 'group: B vs A')
    """
    n_given = sum(value is not None for value in (groupby, group1, group2))
    if n_given != (3 if contrast is None else 0):
        raise ValueError(
            "Give either groupby, group1 and group2, or contrast; given are "
            f"groupby={groupby!r}, group1={group1!r}, group2={group2!r}, contrast={contrast!r}."
        )
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: give a false discovery rate between 0 and 1.")
    matrix = checked_counts(adata, layer).matrix
    plain = plain_design(design, adata.obs)
    words = plain.word_of.get(str(groupby), [])
    if groupby is not None:
        find_groups(adata.obs, groupby, group1, group2)
        if len(words) > 1:
            raise ValueError(
                f"The design {design!r} has groupby={groupby!r} both as numbers and as groups: give contrast=."
            )
        if not words:
            raise ValueError(f"The design {design!r} does not hold groupby={groupby!r}: write '{design} + {groupby}'.")
    if size_factor_key is not None:
        check_size_factor(adata, size_factor_key)
    modules = _pydeseq2_modules()
    counts = pd.DataFrame(
        np.concatenate([block for _, block in iter_row_blocks(matrix)]).astype(np.int64),
        index=adata.obs_names,
        columns=adata.var_names,
    )
    inference = modules["pydeseq2.default_inference"].DefaultInference(n_cpus=n_cpus)
    arguments: dict[str, Any] = {
        "counts": counts,
        "metadata": plain.columns.copy(),
        "design": plain.formula,
        "inference": inference,
        "quiet": True,
    }
    fit = modules["pydeseq2.dds"].DeseqDataSet(**arguments)
    if size_factor_key is not None:
        _fix_size_factors(fit, adata.obs[size_factor_key].to_numpy(dtype=float))
    if contrast is None:
        weights: list[Any] | np.ndarray = [
            words[0],
            *(_level(plain.columns[words[0]], name) for name in (group1, group2)),
        ]
        label = f"{groupby}: {group1} vs {group2}"
    else:
        coded = fit.obsm["design_matrix"]
        numeric = numeric_contrast(coded.set_axis([plain.read.shown(str(name)) for name in coded], axis=1), contrast)
        weights, label = numeric.weights.to_numpy(dtype=float), numeric.label
    fit.deseq2()
    tested = modules["pydeseq2.ds"].DeseqStats(fit, contrast=weights, alpha=level, inference=inference, quiet=True)
    tested.summary()
    results = tested.results_df
    return baseline_table(
        adata.var_names,
        {
            names.BASE_MEAN: results["baseMean"].to_numpy(float),
            names.LOG_FC: results["log2FoldChange"].to_numpy(float),
            names.LOG_FC_MLE: results["log2FoldChange"].to_numpy(float),
            names.LOG_FC_SE: results["lfcSE"].to_numpy(float),
            names.STAT: results["stat"].to_numpy(float),
            names.P_VALUE: results["pvalue"].to_numpy(float),
            names.ADJ_P_VALUE: results["padj"].to_numpy(float),
            names.DISPERSION: fit.var["dispersions"].to_numpy(float),
        },
        contrast=label,
        method=PYDESEQ2,
        version=version("pydeseq2"),
    )


def _fix_size_factors(fit: Any, size_factor: np.ndarray) -> None:
    """Make PyDESeq2 use these size factors, and what it computes from them, instead of its own estimates."""

    def fit_size_factors(fit_type: str | None = None, control_genes: Any = None) -> None:
        fit.obs["size_factors"] = size_factor
        fit.layers["normed_counts"] = fit.X / size_factor[:, None]
        fit.var["_normed_means"] = fit.layers["normed_counts"].mean(axis=0)

    fit.fit_size_factors = fit_size_factors


def _level(column: pd.Series, level: Any) -> Any:
    """Return the level as it is written in the column: 1 for 1.0."""
    return next((known for known in column.unique() if known == level), level)


def _pydeseq2_modules() -> dict[str, Any]:
    """Import PyDESeq2 and put back the warning filters, which it changes for the whole process when it is imported."""
    names_of_modules = ("pydeseq2.dds", "pydeseq2.ds", "pydeseq2.default_inference")
    try:
        with warnings.catch_warnings():
            return {name: import_module(name) for name in names_of_modules}
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "pydeseq2":
            raise
        raise ImportError(
            'bulkvi.baselines.pydeseq2 needs PyDESeq2, which is not installed: pip install "bulkvi[deseq2]".'
        ) from error
