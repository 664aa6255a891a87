from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import names
from bulkvi.model._checked_counts import checked_counts
from bulkvi.model._checks import check_size_factor
from bulkvi.model._design import apply_design, make_design
from bulkvi.model._flags import join_flags
from bulkvi.model._formula_names import backticked
from bulkvi.model._offset import checked_offset
from bulkvi.stats.blocks import iter_row_blocks
from bulkvi.stats.gene_fit import effect_ridge, fit_genes
from bulkvi.stats.label_search import LabelSearch, search_labels
from bulkvi.stats.leave_one_out import stabilise
from bulkvi.tl._sexes import BOTH, UNCLEAR, called_sexes, known_sexes

MIN_MEAN = 5.0
MIN_GENES = 50
MIN_DISPERSION = 1e-4
WRONG = 0.05
PARTNER = 0.25
OUTLYING_DEVIATION = -6.0
MIN_SPREAD = 0.05


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
    """Is each sample what its label says? Find swapped labels, outlying samples, and samples of the wrong sex.

    Each sample is predicted from all others, under its own label and under every other one; a sample that another label
    predicts much better is mislabelled. Samples that were exchanged with each other hide each other, so single changes
    and exchanges of labels are tried as well. See :func:`~bulkvi.stats.leave_one_out.label_fit` and
    :func:`~bulkvi.stats.label_search.search_labels` for the arithmetic.

    Parameters
    ----------
    adata
        Samples x genes. It is not changed.
    groupby
        Column of ``obs`` with the labels to check.
    design
        Formula with ``groupby`` and what else is known to move the counts, for example ``"~ cell + dex"``; without one
        ``groupby`` alone. A known batch in the design makes the check sharper.
    size_factor_key
        Column of ``obs`` with the size factors (see :func:`bulkvi.pp.size_factors`).
    layer
        Layer that holds the raw counts; ``adata.X`` if None.
    offset_key
        Layer with a factor for each count, as in :meth:`bulkvi.BulkVI.setup_anndata`; None for none.
    female_genes, male_genes
        Names of genes that only one sex has on, such as Xist and genes of the Y chromosome; give both or none.
    sex_key
        Column of ``obs`` with the sex (female, male, or f, m), to be compared with the genes.

    Returns
    -------
    A row for each sample, in the order of ``obs_names``:

    - ``label``; ``likely_label``: the most probable one; ``prob_label``: posterior probability of the sample's own label
    - ``swapped_with``: samples that it may have been exchanged with
    - ``fit``: mean over the genes of the log density predicted for the sample under its own label (natural log)
    - ``fit_deviation``: the same under the likely label, against the other samples (robust standard deviations)
    - ``sex``: with ``female_genes`` and ``male_genes``, ``female``, ``male``, ``both`` or ``unclear``
    - ``flag``: ``swapped`` (``prob_label`` below 0.05, and the label has two other samples), ``doubtful`` (another label is
      more probable), ``outlying``
      (``fit_deviation`` below -6), ``sex_mismatch``, ``not_checked``; joined by commas, empty where all is well
    - ``prob_label_<label>``, ``fit_<label>``: probability and fit for each label

    ``attrs["prob_meaningless"]`` is the probability that the labels have nothing to do with the counts; where it is high,
    do not act on single samples.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData, or ``offset_key`` is not a name.
    KeyError
        If a column, a layer or a gene does not exist.
    ValueError
        If the counts are not raw counts, an offset is not finite and > 0, a label is missing, no label has two samples,
        the design does not hold ``groupby``, is not of full rank or leaves too few samples to leave one out, or only one
        of the two sexes' genes is given.

    Notes
    -----
    A swap between groups of two samples each, such as A1 with B1, cannot be told from A2 with B2: all four are then
    ``doubtful``. If the labels are made of two factors, check each with the other in the design.

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
    if (female_genes is None) != (male_genes is None):
        raise ValueError("Give both `female_genes` and `male_genes`, or none of them: one sex is told from the other.")
    if sex_key is not None and female_genes is None:
        raise ValueError(f"sex_key={sex_key!r} needs `female_genes` and `male_genes` to compare with.")
    obs = _labelled(adata.obs, groupby)
    counts = np.concatenate([block for _, block in iter_row_blocks(matrix)])
    size_factor = adata.obs[size_factor_key].to_numpy(float)
    exposure = size_factor if offset is None else size_factor[:, None] * np.exp(offset.log_relative())
    rates = counts / (size_factor[:, None] if offset is None else exposure)
    sexes = _sexes(adata, rates, female_genes, male_genes, sex_key)
    rows, labels = _design_rows(obs, groupby, f"~ {backticked(groupby)}" if design is None else design)
    enough = rates.mean(0) >= MIN_MEAN
    exposure = exposure if offset is None else exposure[:, enough]
    values = _values(counts[:, enough], exposure, rows[labels, np.arange(len(labels))])
    found = search_labels(values, rows, labels)
    return _table(found, obs[groupby], labels, sexes)


def _labelled(obs: pd.DataFrame, groupby: str) -> pd.DataFrame:
    if groupby not in obs.columns:
        raise KeyError(f"groupby={groupby!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    column = obs[groupby]
    if column.isna().any():
        raise ValueError(
            f"groupby={groupby!r}: the label is missing for {int(column.isna().sum())} samples (first: "
            f"{list(obs.index[column.isna()][:5])}). Fill it in or leave these samples out."
        )
    column = column.astype("category").cat.remove_unused_categories()
    sizes = column.value_counts()
    if len(sizes) < 2 or sizes.max() < 2:
        raise ValueError(
            f"groupby={groupby!r} has the labels {dict(sizes.iloc[:6])}: give a column with at least two labels, one of "
            "them with two samples or more."
        )
    return obs.assign(**{groupby: column})


def _design_rows(obs: pd.DataFrame, groupby: str, formula: str) -> tuple[np.ndarray, np.ndarray]:
    """Row of the design for each sample under each label (labels x samples x columns), and the labels as indices."""
    design, _ = make_design(formula, obs)
    if groupby not in design.variables:
        raise ValueError(
            f"The design {formula!r} does not hold groupby={groupby!r}: write for example '{formula} + {backticked(groupby)}'."
        )
    levels = obs[groupby].cat.categories
    rows = [apply_design(design, obs.assign(**{groupby: pd.Categorical([k] * len(obs), levels)})) for k in levels]
    return np.stack([table.to_numpy() for table in rows]), obs[groupby].cat.codes.to_numpy(int)


def _values(counts: np.ndarray, exposure: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Counts on a scale of about one variance; the dispersion is that of the trend, which no swap moves."""
    if counts.shape[1] < MIN_GENES:
        raise ValueError(
            f"{counts.shape[1]} genes have a mean of at least {MIN_MEAN:g} counts; {MIN_GENES} are needed to tell samples apart."
        )
    n, p = features.shape
    if n < p + 2:
        raise ValueError(
            f"{n} samples and {p} columns of the design: leaving a sample out leaves no residual degree of freedom. Add "
            "replicates or drop variables of the design."
        )
    fit = fit_genes(counts, features, offset=np.log(exposure), ridge=effect_ridge(features), n_nodes=3)
    return stabilise(counts, exposure, np.clip(np.exp(fit.prior.log_trend), MIN_DISPERSION, None))


def _sexes(
    adata: AnnData,
    rates: np.ndarray,
    female_genes: Sequence[str] | None,
    male_genes: Sequence[str] | None,
    sex_key: str | None,
) -> pd.DataFrame | None:
    """Columns ``called`` and ``known`` (missing without a ``sex_key``), or None without genes."""
    if female_genes is None or male_genes is None:
        return None
    for name, genes in {"female_genes": female_genes, "male_genes": male_genes}.items():
        if isinstance(genes, str):
            raise TypeError(f"`{name}` must be a list of gene names; it is the text {genes!r}. Write [{genes!r}].")
        missing = [gene for gene in genes if gene not in adata.var_names]
        if missing or not len(genes):
            raise KeyError(f"`{name}`: {missing or 'the list is empty; its genes'} are not in adata.var_names.")
    if sex_key is not None and sex_key not in adata.obs.columns:
        raise KeyError(f"sex_key={sex_key!r} is not a column of adata.obs; it has {list(adata.obs.columns)}.")
    chosen = [*dict.fromkeys([*female_genes, *male_genes])]
    places = adata.var_names.get_indexer(chosen)
    chosen_rates = pd.DataFrame(rates[:, places], adata.obs_names, chosen)
    known = pd.Series(None, index=adata.obs_names, dtype=object)
    if sex_key is not None:
        known = known_sexes(adata.obs[sex_key], sex_key)
    return pd.DataFrame({"called": called_sexes(chosen_rates, female_genes, male_genes), "known": known})


def _table(found: LabelSearch, column: pd.Series, labels: np.ndarray, sexes: pd.DataFrame | None) -> pd.DataFrame:
    n, levels = len(labels), column.cat.categories
    everyone = np.arange(n)
    own = found.prob[everyone, labels]
    judged = ~np.isnan(own)
    likely = np.where(judged, np.nan_to_num(found.prob, nan=-1).argmax(1), labels)
    best_fit = found.fit.log_density[everyone, np.where(judged, likely, found.labels)]
    deviation = _deviation(best_fit)
    # a label with one other sample is only as good as that sample
    supported = np.bincount(labels)[labels] > 2
    wrong = judged & (own < WRONG) & supported
    doubtful = judged & ~wrong & (likely != labels)
    flags = {
        names.SWAPPED: wrong,
        names.DOUBTFUL: doubtful,
        names.OUTLYING: np.nan_to_num(deviation) < OUTLYING_DEVIATION,
        names.NOT_CHECKED: ~judged,
    }
    columns: dict[str, object] = {
        names.LABEL: column.to_numpy(),
        names.LIKELY_LABEL: levels.to_numpy()[likely],
        names.PROB_LABEL: own,
        names.SWAPPED_WITH: _partners(found.prob, labels, wrong | doubtful, column.index),
        names.FIT: found.fit.log_density[everyone, labels],
        names.FIT_DEVIATION: deviation,
    }
    if sexes is not None:
        columns[names.SEX] = sexes["called"].to_numpy()
        told = sexes["called"].isin([BOTH]) | (
            sexes["known"].notna() & (sexes["called"] != sexes["known"]) & (sexes["called"] != UNCLEAR)
        )
        flags[names.SEX_MISMATCH] = told.to_numpy()
    columns[names.FLAG] = join_flags(flags)
    for k, level in enumerate(levels):
        columns[f"{names.PROB_LABEL}_{level}"] = found.prob[:, k]
    for k, level in enumerate(levels):
        columns[f"{names.FIT}_{level}"] = found.fit.log_density[:, k]
    table = pd.DataFrame(columns, index=column.index)
    table.attrs[names.PROB_MEANINGLESS] = found.prob_meaningless
    return table


def _deviation(fit: np.ndarray) -> np.ndarray:
    known = fit[~np.isnan(fit)]
    if not known.size:
        return fit
    centre = np.median(known)
    return (fit - centre) / max(1.4826 * np.median(np.abs(known - centre)), MIN_SPREAD)


def _partners(prob: np.ndarray, labels: np.ndarray, moved: np.ndarray, samples: pd.Index) -> list[str]:
    """For each moved sample the moved ones that may have its label and it theirs."""
    partners = []
    for sample in range(len(labels)):
        fits = (prob[sample, labels] > PARTNER) & (prob[:, labels[sample]] > PARTNER) & (labels != labels[sample])
        partners.append(",".join(map(str, samples[fits & moved])) if moved[sample] else "")
    return partners
