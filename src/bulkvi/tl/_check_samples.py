from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import gammaln

from bulkvi import names
from bulkvi.regression.contrast import join_flags
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.rank import well_conditioned
from bulkvi.stats.samples.label_search import LabelSearch, search_labels
from bulkvi.stats.samples.leave_one_out import noise_deviation, stabilise
from bulkvi.study.columns import is_number
from bulkvi.study.counts import check_size_factor, checked_counts, checked_offset
from bulkvi.study.design import apply_design, make_design
from bulkvi.study.formula_names import backticked
from bulkvi.tl._sexes import Sexes, find_sexes, with_sexes

MIN_MEAN = 5.0
MIN_GENES = 50
MIN_DISPERSION = 1e-4
WRONG = 0.05
DOUBT = 0.6
ALARM = 0.93
PARTNER = 0.25
MOST_NUMBERS = 12


class LabelRows(NamedTuple):
    """Labels to check, and rows of the design under each label."""

    column: pd.Series
    """The labels, categories without empty levels."""
    rows: np.ndarray
    """Row of the design for each sample under each label, labels x samples x columns."""
    groups: list[np.ndarray]
    """Codes of each categorical variable of the design, the labels among them."""


def check_samples(
    adata: AnnData,
    groupby: str,
    *,
    design: str | None = None,
    size_factor_key: str = names.SIZE_FACTOR,
    layer: str | None = None,
    offset_key: str | None = None,
    female_genes: Sequence[str] | None = None,
    male_genes: Sequence[str] | None = None,
    sex_key: str | None = None,
) -> pd.DataFrame:
    """Find swapped labels, outlying samples, and samples of the wrong sex.

    Each sample is predicted from all others, under its own label and under every other one; a sample that another label
    predicts much better is mislabelled. Two exchanged samples mask each other, so single changes and exchanges of labels are
    compared as well. `search_labels` in `bulkvi.stats` has
    the arithmetic.

    Parameters
    ----------
    adata
        Samples x genes. It is not changed.
    groupby
        Column of ``obs`` with the labels to check.
    design
        Formula with ``groupby`` and other known effects, for example ``"~ cell + dex"``; by default ``groupby`` alone. A
        known batch in the design makes the check more powerful, and the samples of a noisy batch are not outlying.
    size_factor_key
        Column of ``obs`` with the size factors (see :func:`bulkvi.pp.size_factors`).
    layer
        Layer that holds the raw counts; ``adata.X`` if None.
    offset_key
        Layer with a factor for each count, as in :meth:`bulkvi.BulkVI.setup_anndata`; None for none.
    female_genes, male_genes
        Names of genes that only one sex expresses; give both or none. By default XIST and genes of the Y chromosome
        (RPS4Y1, DDX3Y, KDM5D, UTY, USP9Y, EIF1AY, Eif2s3y, ...) of human or mouse, found in ``var_names`` or ``var["symbol"]``
        by symbol in any case, or by Ensembl id, with or without version.
    sex_key
        Column of ``obs`` with the sex (female, male, or f, m), to compare with the genes. By default the column named sex or
        gender, or with these levels; without one the sex is not checked unless genes are given.

    Returns
    -------
    A row for each sample, in the order of ``obs_names``:

    - ``label``; ``likely_label``: the most probable one; ``prob_label``: posterior probability of the sample's own label
    - ``swapped_with``: samples with which it may have been exchanged
    - ``fit``: mean over the genes of the log density predicted for the sample under its own label (natural log)
    - ``fit_deviation``: log noise of the sample under the likely label against that of all samples, and of those with the
      same level in each variable of the design, whichever is less (robust standard deviations; below 0 is noisier)
    - ``sex``, where it is checked: ``female``, ``male``, ``both`` (XIST and Y are expressed: Klinefelter syndrome, or a mixture of
      samples) or ``unclear`` (neither, too few counts, or levels in between)
    - ``flag``: ``swapped`` (``prob_label`` below 0.05, some labels are wrong with a probability above 0.93, and the label has two
      other samples), ``doubtful`` (some labels are wrong with a probability above 0.95, and ``prob_label`` is below 0.6),
      ``outlying`` (``fit_deviation`` below ``attrs["outlying_below"]``, which depends on the number of samples),
      ``sex_mismatch``, ``not_checked``; joined by commas, empty without a finding
    - ``prob_label_<label>``, ``fit_<label>``: probability and fit for each label

    ``attrs["prob_meaningless"]`` is the probability that the labels are unrelated to the counts; if it is high, do not act on
    single samples. If the sex is checked, ``attrs`` has ``sex_key``, ``sex_genes`` and ``sex_remark`` (what could not be
    determined). If ``groupby`` is the column of the sex, its genes decide where they are clear.

    Raises
    ------
    TypeError, KeyError, ValueError
        If a column, a layer or a gene does not exist, the counts are not raw counts, an offset is not finite and > 0, a label
        is missing, no label has two samples, the labels are more than 12 different numbers, the design does not hold
        ``groupby``, is not of full rank or leaves no residual degree of freedom without one sample, only one of the two sexes'
        genes is given, or a level of ``sex_key`` is no word for a sex.

    Notes
    -----
    On clean data about one sample in 1,000 is flagged (:doc:`/method/samples`). A swap between groups of two samples each, such
    as A1 with B1, cannot be distinguished from A2 with B2: all four are then ``doubtful``. Six samples in groups of three have
    ten divisions into groups, each one exchange from the others: no label is flagged with fewer than 20 divisions. If the
    labels combine two factors, check each with the other in the design.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> bv.pp.size_factors(adata)
    >>> adata.obs.loc[["SRR1039508", "SRR1039513"], "dex"] = ["trt", "untrt"]  # a swap
    >>> table = bv.tl.check_samples(adata, "dex")
    >>> table.loc[table["flag"] == "swapped", ["label", "likely_label", "swapped_with"]]
               label likely_label swapped_with
    SRR1039508   trt        untrt   SRR1039513
    SRR1039513 untrt          trt   SRR1039508
    """
    matrix = checked_counts(adata, layer).matrix
    check_size_factor(adata, size_factor_key)
    offset = None if offset_key is None else checked_offset(adata, offset_key)
    coded = _label_rows(adata.obs, groupby, design)
    counts = np.concatenate([block for _, block in iter_row_blocks(matrix)])
    size_factor = adata.obs[size_factor_key].to_numpy(float)
    relative = np.ones((1, counts.shape[1])) if offset is None else np.exp(offset.log_relative())
    sexes = find_sexes(adata, counts / relative, size_factor, female_genes, male_genes, sex_key)
    enough = (counts / (size_factor[:, None] * relative)).mean(0) >= MIN_MEAN
    exposure = size_factor if offset is None else size_factor[:, None] * relative[:, enough]
    labels = coded.column.cat.codes.to_numpy(int)
    rows = well_conditioned(coded.rows)
    values = _values(counts[:, enough], exposure, rows[labels, np.arange(len(labels))])
    found = search_labels(values, rows, labels)
    return _table(found, coded, labels, sexes)


def _label_rows(obs: pd.DataFrame, groupby: str, formula: str | None) -> LabelRows:
    """Check the labels, and code each sample under every one of them."""
    column = _labels(obs, groupby)
    codes, levels = column.cat.codes.to_numpy(int), column.cat.categories
    if formula is None:
        rows = np.repeat(np.eye(len(levels))[:, None, :], len(obs), axis=1)
        return LabelRows(column, rows, [codes])
    table = obs.copy(deep=False)
    table[groupby] = column
    design, _ = make_design(formula, table)
    if groupby not in design.variables:
        raise ValueError(
            f"The design {formula!r} does not hold groupby={groupby!r}: write for example '{formula} + {backticked(groupby)}'."
        )
    coded = []
    for level in levels:
        table[groupby] = pd.Categorical([level] * len(obs), levels)
        coded.append(apply_design(design, table).to_numpy())
    others = [pd.factorize(obs[name])[0] for name in design.variables if name != groupby]
    groups = [other for other in others if other.max() < len(obs) / 2]
    return LabelRows(column, np.stack(coded), [codes, *groups])


def _labels(obs: pd.DataFrame, groupby: str) -> pd.Series:
    if groupby not in obs.columns:
        raise KeyError(f"groupby={groupby!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    column = obs[groupby]
    if isinstance(column, pd.DataFrame):
        raise ValueError(f"groupby={groupby!r}: adata.obs has {column.shape[1]} columns of that name. Rename them.")
    if column.isna().any():
        raise ValueError(
            f"groupby={groupby!r}: the label is missing for {int(column.isna().sum())} samples (first: "
            f"{list(obs.index[column.isna()][:5])}). Fill it in or leave these samples out."
        )
    if is_number(column) and column.nunique() > MOST_NUMBERS:
        raise ValueError(
            f"groupby={groupby!r} holds {column.nunique()} different numbers. Labels are groups of several samples: give a "
            "column of groups, or make one, for example with pandas.cut."
        )
    column = column.astype("category").cat.remove_unused_categories()
    sizes = column.value_counts()
    if len(sizes) < 2 or sizes.max() < 2:
        raise ValueError(
            f"groupby={groupby!r} has the labels {dict(sizes.iloc[:6])}: give a column with at least two labels, one of "
            "them with two samples or more."
        )
    return column


def _values(counts: np.ndarray, exposure: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Counts with about equal variance; the dispersion is that of the trend, which no swap changes."""
    if counts.shape[1] < MIN_GENES:
        raise ValueError(
            f"{counts.shape[1]} genes have a mean of at least {MIN_MEAN:g} counts; {MIN_GENES} are needed to check labels."
        )
    n, p = features.shape
    if n < p + 2:
        raise ValueError(
            f"{n} samples and {p} columns of the design: leaving a sample out leaves no residual degree of freedom. Add "
            "replicates or drop variables of the design."
        )
    fit = fit_genes(counts, features, offset=np.log(exposure), ridge=effect_ridge(features), n_nodes=3)
    return stabilise(counts, exposure, np.clip(np.exp(fit.prior.log_trend), MIN_DISPERSION, None))


def _table(found: LabelSearch, coded: LabelRows, labels: np.ndarray, sexes: Sexes | None) -> pd.DataFrame:
    column = coded.column
    n, levels = len(labels), column.cat.categories
    everyone = np.arange(n)
    is_sex = sexes is not None and sexes.key == column.name
    prob = with_sexes(found.prob, levels, sexes.called) if sexes is not None and is_sex else found.prob
    own = prob[everyone, labels]
    judged = ~np.isnan(own)
    likely = np.where(judged, np.nan_to_num(prob, nan=-1).argmax(1), labels)
    best_fit = found.fit.log_density[everyone, np.where(judged, likely, found.labels)]
    noise = noise_deviation(best_fit, coded.groups)
    # with few arrangements of the labels, such as three against three, one of them fits by chance
    decidable = judged & (_n_arrangements(np.bincount(labels)) > 1 / WRONG)
    # a label with one other sample depends on that sample alone
    wrong = decidable & (own < WRONG) & (found.prob_changed > ALARM) & (np.bincount(labels)[labels] > 2)
    doubtful = decidable & ~wrong & (own < DOUBT) & (found.prob_changed > 1 - WRONG)
    flags = {
        names.SWAPPED: wrong,
        names.DOUBTFUL: doubtful,
        names.OUTLYING: np.nan_to_num(noise.deviation) < noise.limit,
        names.NOT_CHECKED: ~judged,
    }
    columns: dict[str, object] = {
        names.LABEL: column.to_numpy(),
        names.LIKELY_LABEL: levels.to_numpy()[likely],
        names.PROB_LABEL: own,
        names.SWAPPED_WITH: _partners(prob, labels, wrong | doubtful, column.index),
        names.FIT: found.fit.log_density[everyone, labels],
        names.FIT_DEVIATION: noise.deviation,
    }
    if sexes is not None:
        columns[names.SEX] = sexes.called.to_numpy()
        flags[names.SEX_MISMATCH] = sexes.mismatch
    columns[names.FLAG] = join_flags(flags)
    for k, level in enumerate(levels):
        columns[f"{names.PROB_LABEL}_{level}"] = prob[:, k]
    for k, level in enumerate(levels):
        columns[f"{names.FIT}_{level}"] = found.fit.log_density[:, k]
    table = pd.DataFrame(columns, index=column.index)
    table.attrs[names.PROB_MEANINGLESS] = found.prob_meaningless
    table.attrs[names.OUTLYING_BELOW] = noise.limit
    if sexes is not None:
        table.attrs |= {
            names.SEX_KEY: sexes.key,
            names.SEX_GENES: [*map(str, [*sexes.genes[0], *sexes.genes[1]])],
            names.SEX_REMARK: sexes.remark,
        }
    return table


def _n_arrangements(sizes: np.ndarray) -> float:
    """Ways to divide samples into groups of these sizes, whatever the groups are called."""
    log_ways = gammaln(sizes.sum() + 1) - gammaln(sizes + 1).sum() - gammaln(np.bincount(sizes) + 1).sum()
    return float(np.exp(min(log_ways, 700)))


def _partners(prob: np.ndarray, labels: np.ndarray, moved: np.ndarray, samples: pd.Index) -> list[str]:
    """For each moved sample, the moved samples that may have exchanged labels with it."""
    partners = []
    for sample in range(len(labels)):
        fits = (prob[sample, labels] > PARTNER) & (prob[:, labels[sample]] > PARTNER) & (labels != labels[sample])
        partners.append(",".join(map(str, samples[fits & moved])) if moved[sample] else "")
    return partners
