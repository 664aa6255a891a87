from collections.abc import Sequence

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
from bulkvi.stats.samples.leave_one_out import stabilise
from bulkvi.stats.samples.sample_noise import noise_deviation
from bulkvi.study.counts import check_size_factor, checked_counts, checked_offset
from bulkvi.tl._label_rows import LabelRows, label_rows
from bulkvi.tl._sexes import Sexes, find_sexes, with_sexes

MIN_MEAN = 5.0
MIN_GENES = 50
MIN_DISPERSION = 1e-4
WRONG = 0.05
DOUBT = 0.6
ALARM = 0.93
PARTNER = 0.25


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
    """Find swapped labels, outlying samples, and samples of the wrong sex. Is each sample what its label says?

    Each sample is predicted from all others, under its own label and under every other one; a sample that another label
    predicts much better is mislabelled. Samples that were exchanged with each other hide each other, so single changes
    and exchanges of labels are tried as well. See :func:`~bulkvi.stats.samples.leave_one_out.label_fit` and
    :func:`~bulkvi.stats.samples.label_search.search_labels` for the arithmetic.

    Parameters
    ----------
    adata
        Samples x genes. It is not changed.
    groupby
        Column of ``obs`` with the labels to check.
    design
        Formula with ``groupby`` and what else is known to move the counts, for example ``"~ cell + dex"``; without one
        ``groupby`` alone. A known batch in the design makes the check sharper, and a noisy batch does not make its samples
        outlying.
    size_factor_key
        Column of ``obs`` with the size factors (see :func:`bulkvi.pp.size_factors`).
    layer
        Layer that holds the raw counts; ``adata.X`` if None.
    offset_key
        Layer with a factor for each count, as in :meth:`bulkvi.BulkVI.setup_anndata`; None for none.
    female_genes, male_genes
        Names of genes that only one sex expresses; give both or none. By default XIST and genes of the Y chromosome
        (RPS4Y1, DDX3Y, KDM5D, UTY, USP9Y, EIF1AY, Eif2s3y, ...) of human or mouse, found in ``var_names`` or ``var["symbol"]``
        by symbol, in capitals or not, or by Ensembl id, with or without version.
    sex_key
        Column of ``obs`` with the sex (female, male, or f, m), to be compared with the genes. By default the column that is
        called sex or gender, or has these levels; without one the sex is not checked unless genes are named.

    Returns
    -------
    A row for each sample, in the order of ``obs_names``:

    - ``label``; ``likely_label``: the most probable one; ``prob_label``: posterior probability of the sample's own label
    - ``swapped_with``: samples that it may have been exchanged with
    - ``fit``: mean over the genes of the log density predicted for the sample under its own label (natural log)
    - ``fit_deviation``: log noise of the sample under the likely label against that of all samples, and of those with the
      same level in each variable of the design, whichever is less (robust standard deviations; below 0 is noisier)
    - ``sex``, where it is checked: ``female``, ``male``, ``both`` (XIST and Y are expressed: Klinefelter syndrome, or a mixture of
      samples) or ``unclear`` (neither, too few counts, or levels in between)
    - ``flag``: ``swapped`` (``prob_label`` below 0.05, some labels are wrong with a probability above 0.93, and the label has two
      other samples), ``doubtful`` (some labels are wrong with a probability above 0.95, and this one may be among them: ``prob_label`` below 0.6), ``outlying`` (``fit_deviation`` below
      ``attrs["outlying_below"]``, which depends on the number of samples), ``sex_mismatch``, ``not_checked``; joined by commas,
      empty where all is well
    - ``prob_label_<label>``, ``fit_<label>``: probability and fit for each label

    ``attrs["prob_meaningless"]`` is the probability that the labels have nothing to do with the counts; where it is high,
    do not act on single samples. With a check of the sex ``attrs`` has ``sex_key``, ``sex_genes`` and ``sex_remark`` (what
    could not be told). If ``groupby`` is the column of the sex, its genes decide where they are clear.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData, or ``offset_key`` is not a name.
    KeyError
        If a column, a layer or a gene does not exist.
    ValueError
        If the counts are not raw counts, an offset is not finite and > 0, a label is missing, no label has two samples, the
        labels are more than 12 different numbers, the design does not hold ``groupby``, is not of full rank or leaves too few
        samples to leave one out, only one of the two sexes' genes is given, or a level of ``sex_key`` is no word for a sex.

    Notes
    -----
    On clean data about one sample in 1,000 is flagged (:doc:`/method/samples`). A swap between groups of two samples each, such
    as A1 with B1, cannot be told from A2 with B2: all four are then ``doubtful``. Six samples in groups of three have ten
    divisions into groups, each one exchange from the others: no label is called wrong with fewer than 20. If the labels are made of two factors, check each with the other in the design.

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
    coded = label_rows(adata.obs, groupby, design)
    counts = np.concatenate([block for _, block in iter_row_blocks(matrix)])
    size_factor = adata.obs[size_factor_key].to_numpy(float)
    relative = np.ones((1, counts.shape[1])) if offset is None else np.exp(offset.log_relative())
    sexes = find_sexes(
        adata,
        counts / relative,
        size_factor,
        female_genes=female_genes,
        male_genes=male_genes,
        sex_key=sex_key,
    )
    enough = (counts / (size_factor[:, None] * relative)).mean(0) >= MIN_MEAN
    exposure = size_factor if offset is None else size_factor[:, None] * relative[:, enough]
    labels = coded.column.cat.codes.to_numpy(int)
    rows = well_conditioned(coded.rows)
    values = _values(counts[:, enough], exposure, rows[labels, np.arange(len(labels))])
    found = search_labels(values, rows, labels)
    return _table(found, coded, labels, sexes)


def _values(counts: np.ndarray, exposure: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Counts on a scale of about one variance; the dispersion is that of the trend, which no swap moves."""
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
    # with few arrangements of the labels, as of three against three, one of them looks right by chance
    decidable = judged & (_n_arrangements(np.bincount(labels)) > 1 / WRONG)
    # a label with one other sample is only as good as that sample
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
    """For each moved sample the moved ones that may have its label and it theirs."""
    partners = []
    for sample in range(len(labels)):
        fits = (prob[sample, labels] > PARTNER) & (prob[:, labels[sample]] > PARTNER) & (labels != labels[sample])
        partners.append(",".join(map(str, samples[fits & moved])) if moved[sample] else "")
    return partners
