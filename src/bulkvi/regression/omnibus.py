"""Likelihood ratio test of several columns of the design."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.arguments import warn_user
from bulkvi.regression.contrast import TREND_UNSETTLED, LatentColumns, gene_flags, join_flags
from bulkvi.regression.hidden import HiddenVariation, align_with
from bulkvi.regression.reference import CARRIED, ReferenceVariation, move
from bulkvi.regression.regression import GeneRegression
from bulkvi.stats.effects.effect import benjamini_hochberg
from bulkvi.stats.effects.likelihood_ratio import omnibus_test
from bulkvi.stats.effects.noise_inflation import null_inflation
from bulkvi.stats.effects.summary import composition_shift
from bulkvi.stats.rank import aliased_columns
from bulkvi.study.study import Study
from bulkvi.study.study_design import NEAR_ONE, StudyDesign, intercept_of


def omnibus_table(
    study: Study,
    hidden: HiddenVariation,
    columns: list[str],
    latent_columns: LatentColumns,
    beside: ReferenceVariation | None = None,
) -> pd.DataFrame:
    """Test columns of the design together (:meth:`bulkvi.BulkVI.omnibus_test`)."""
    if beside is None:
        regression, contrasts, variance = _aligned_contrasts(study, hidden, columns, latent_columns)
    else:
        regression, contrasts, variance = _beside_reference(study, beside, columns, latent_columns)
    test = omnibus_test(
        regression.counts,
        regression.features.to_numpy(),
        contrasts,
        regression.fit,
        offset=regression.offset,
        ridge=regression.ridge,
        weights=regression.weights,
        variance=variance,
        donors=regression.random,
    )
    tested = regression.counts.max(0) > 0
    p_value = np.where(tested, test.p_value, 1.0)
    if not regression.fit.prior.converged:
        warn_user(TREND_UNSETTLED)
    flags = gene_flags(regression)
    flags[names.NOT_CONVERGED] |= ~test.converged
    return pd.DataFrame(
        {
            names.BASE_MEAN: regression.base_mean,
            names.STAT: test.stat,
            names.DF: test.df,
            names.P_VALUE: p_value,
            names.ADJ_P_VALUE: np.where(tested, benjamini_hochberg(np.where(tested, p_value, np.nan)), 1.0),
            names.FLAG: join_flags(flags),
            names.CONTRAST: ", ".join(columns),
        },
        index=study.genes.copy(),
    )


def _aligned_contrasts(
    study: Study, hidden: HiddenVariation, columns: list[str], latent_columns: LatentColumns
) -> tuple[GeneRegression, np.ndarray, float]:
    """The regression to test in, a contrast for each column tested given the latent state, and their null variance."""
    plain = hidden.plain
    design = plain.features.columns
    contrasts = np.eye(len(design))[design.get_indexer(columns)]
    adjusted = hidden.regression(latent_columns)
    if adjusted is None:
        return plain, contrasts, 1.0
    regression = adjusted.regression
    common = not study.source.most_genes_unchanged
    alignments = [align_with(regression, pd.Series(row, design), common=common) for row in contrasts]
    accepted = all(alignment.accepted for alignment in alignments)
    if latent_columns == "auto" and not accepted:
        return plain, contrasts, 1.0
    # the design's columns come first, then the latent ones
    aligned = np.hstack([contrasts, -np.stack([alignment.delta for alignment in alignments])])
    if not accepted or adjusted.expected is None:
        return regression, aligned, 1.0
    effects = [regression.effect(pd.Series(row, regression.features.columns)) for row in aligned]
    centres = [composition_shift(effect, regression.informative).shift if common else 0.0 for effect in effects]
    inflations = [
        null_inflation((effect.mean() - centre) / effect.sd(), adjusted.expected)
        for effect, centre in zip(effects, centres, strict=True)
    ]
    return regression, aligned, float(np.mean([inflation.weight @ inflation.factor for inflation in inflations]))


def _beside_reference(
    study: Study, beside: ReferenceVariation, columns: list[str], latent_columns: LatentColumns
) -> tuple[GeneRegression, np.ndarray, float]:
    """The same given the directions of a reference: the design alone where one of the columns is carried by them."""
    design = beside.plain.features.columns
    rows = pd.DataFrame(np.eye(len(design))[design.get_indexer(columns)], columns=design)
    common = not study.source.most_genes_unchanged
    aligned = [beside.align(row, latent_columns, common=common) for _, row in rows.iterrows()]
    if any(one.carried < CARRIED or not one.alignment.accepted for one in aligned):
        return beside.plain, rows.to_numpy(), 1.0
    through = np.stack([one.delta for one in aligned]) @ beside.loadings
    moved = move(aligned[0].regression, rows, through, np.zeros_like(through))
    own = np.stack([one.alignment.delta[: len(one.own)] for one in aligned])
    return moved, np.hstack([rows.to_numpy(), -own]), 1.0


def tested_columns(design: StudyDesign, what: str | Sequence[str]) -> list[str]:
    """Resolve a column of obs, or a list of columns of the matrix, into the columns of the matrix to test."""
    matrix = design.matrix
    if not isinstance(what, str):
        columns = list(what)
        unknown = [name for name in columns if name not in matrix.columns]
        if unknown or not columns:
            raise KeyError(f"The design has no columns {unknown}; it has {list(matrix.columns)}.")
        _check_testable(design, columns, f"the columns {columns}")
        return columns
    if what not in design.obs.columns:
        raise KeyError(f"{what!r} is not a column of adata.obs; it has {list(design.obs.columns)}.")
    if what not in design.variables:
        raise ValueError(f"{what!r} is not in the design; it has {design.variables}. Add it in setup_anndata.")
    columns = design.columns_of(what)
    _check_testable(design, columns, repr(what))
    return [name for name in columns if name in matrix.columns]


def _check_testable(design: StudyDesign, columns: list[str], what: str) -> None:
    """Raise ValueError unless "all these columns have no effect" is a hypothesis that the samples can test."""
    everything = design.full_matrix
    rest = everything.drop(columns=columns)
    # the intercept goes with these columns, as with ``~ 0 + group``
    if np.abs(rest.to_numpy() @ intercept_of(rest) - 1).max() > NEAR_ONE:
        raise ValueError(
            f"Without {what} the design has no intercept left: the columns {columns} hold the level of expression itself, and that "
            "they are all zero is no question. Write the design with an intercept, and ask for columns other than that."
        )
    kept = design.matrix
    tested = [name for name in columns if name in kept.columns]
    n_left = rest.shape[1] - len(aliased_columns(rest.to_numpy()))
    if not tested or n_left > kept.shape[1] - len(tested):
        raise ValueError(
            f"These samples do not tell {what} from the rest of the design, or have one level of it: its columns are {columns}, "
            f"and what the samples tell apart is {list(kept.columns)}."
        )
