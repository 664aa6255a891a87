"""More that the regressions of a model's genes say: tests of several effects, dispersions, outlying counts, rates."""

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from bulkvi import names
from bulkvi.arguments import check_interval
from bulkvi.model._composition_shift import current_source
from bulkvi.model._differential import DifferentialMixin
from bulkvi.model._features import NEAR_ONE, Features, intercept_of
from bulkvi.model._flags import TREND_UNSETTLED, gene_flags, join_flags
from bulkvi.model._gene_positions import gene_positions
from bulkvi.model._hidden import align_with, check_latent, hidden_regression
from bulkvi.model._registered import columns_of, covariate_columns
from bulkvi.model._regression import GeneRegression
from bulkvi.model._strata import strata_columns
from bulkvi.stats.composition import composition_shift
from bulkvi.stats.empirical_null import null_inflation
from bulkvi.stats.multiplicity import benjamini_hochberg
from bulkvi.stats.omnibus import omnibus_test
from bulkvi.stats.rank import aliased_columns


class GeneTablesMixin(DifferentialMixin):
    """Tables of :class:`~bulkvi.BulkVI` by gene, next to ``differential_expression``."""

    def omnibus_test(
        self, what: str | Sequence[str], *, latent_columns: int | Literal["auto"] = "auto"
    ) -> pd.DataFrame:
        """Does a factor with several levels, or any of several columns, matter at all?

        A likelihood ratio test of the design against the design without them, the dispersion integrated out
        (:func:`bulkvi.stats.omnibus.omnibus_test`): what DESeq2 calls LRT and edgeR a test of several coefficients.

        Parameters
        ----------
        what
            Column of ``obs`` that is in the design: all columns of the design that change with it, interactions included,
            are tested together. Or a list of columns of :meth:`get_design_matrix`.
        latent_columns
            How many directions of the latent state are held fixed in both designs, as in ``differential_expression``: with
            ``"auto"`` none, unless the alignment with every column tested can be told.

        Returns
        -------
        A row for each gene in the order of ``var_names``: ``base_mean``; ``stat``, twice the log likelihood ratio averaged
        over the dispersion; ``df``, its degrees of freedom; ``p_value``; ``adj_p_value`` (Benjamini-Hochberg over the genes
        with counts); ``flag``; ``contrast``, the columns tested.

        Raises
        ------
        KeyError
            If a column is neither in ``obs`` nor in the design.
        ValueError
            If ``latent_columns`` is out of range; the design does not hold the factor; the intercept goes with what is tested; the samples do not tell it from the rest
            of the design; or no residual degrees of freedom are left.
        """
        check_latent(None, latent_columns, self.module.n_latent)
        features = self._features()
        columns = tested_columns(features, what)
        regression, contrasts, variance = _aligned_contrasts(self, self._regress(features), columns, latent_columns)
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
            warnings.warn(TREND_UNSETTLED, UserWarning, stacklevel=2)
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
            index=self.adata.var_names.copy(),
        )

    def get_dispersions(self) -> pd.DataFrame:
        """How much do replicates of each gene differ beyond counting noise?

        Returns
        -------
        A row for each gene in the order of ``var_names``, alpha in variance = mean + alpha mean^2: ``base_mean``;
        ``dispersion_gene``, most likely by the gene's own counts (0 where they vary no more than a Poisson count);
        ``dispersion_trend``, the prior's median at its mean; ``dispersion``, the posterior's; ``flag``. Those of the
        regressions that ``differential_expression`` reads; the network has its own.
        """
        regression = self._regress(self._features())
        prior = regression.fit.prior
        return pd.DataFrame(
            {
                names.BASE_MEAN: regression.base_mean,
                names.DISPERSION_GENE: regression.fit.gene_dispersion,
                names.DISPERSION_TREND: np.exp(prior.log_trend),
                names.DISPERSION: np.exp(prior.mean),
                names.FLAG: join_flags(gene_flags(regression)),
            },
            index=self.adata.var_names.copy(),
        )

    def get_outliers(self) -> pd.DataFrame:
        """Which single counts are far from the others like them, and were weighted down?

        Returns
        -------
        A row for each such count, indexed by gene: ``sample``, ``count``, and ``expected_count`` by the fit in which it
        hardly weighs. Of some samples no count can be listed: ``attrs["structured_samples"]`` are those that deviate in so many
        genes that it is no chance (a batch, another condition, a failed library: look at them),
        ``attrs["unjudged_samples"]`` those with too few others like them to say which one is wild.
        """
        regression = self._regress(self._features())
        sample, gene = np.nonzero(regression.outliers.called)
        middle = regression.fit.nodes.coef.shape[0] // 2
        log_rate = np.einsum(
            "sp,ps->s", regression.features.to_numpy()[sample], regression.fit.nodes.coef[middle][:, gene]
        )
        offset = regression.offset[sample] if regression.offset.ndim == 1 else regression.offset[sample, gene]
        table = pd.DataFrame(
            {
                names.SAMPLE: self.adata.obs_names[sample],
                names.COUNT: regression.counts[sample, gene],
                names.EXPECTED_COUNT: np.exp(offset + log_rate),
            },
            index=self.adata.var_names[gene],
        )
        table.attrs = {
            names.STRUCTURED_SAMPLES: list(self.adata.obs_names[regression.outliers.structured]),
            names.UNJUDGED_SAMPLES: list(self.adata.obs_names[~regression.outliers.judged]),
        }
        return table

    def get_group_rates(
        self,
        genes: Sequence[str],
        groupby: str,
        *,
        within: str | Sequence[str] | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Estimate the rate of each group, with its interval, for :func:`bulkvi.pl.gene`.

        The rate of a group is at the mean of its samples' covariates: exp of the mean log rate. Of a gene whose level differs between the levels of
        another column of the design by orders of magnitude, such as *XIST* between the sexes, that is a rate that no sample has: give
        rates ``within`` that column.

        Parameters
        ----------
        genes
            Names of genes.
        groupby
            Column of ``obs``.
        within
            Columns of ``obs``: a rate for each group in each combination of their levels that has samples. ``"auto"`` takes the
            categorical columns that the model has beside ``groupby``, those with few levels first and at most 30 combinations. By default
            one rate per group.
        level
            Probability of the interval.

        Returns
        -------
        Indexed by gene: ``group``, ``rate``, ``rate_low``, ``rate_high``; expected counts per unit size factor. With ``within`` also
        ``stratum``, the levels joined by a comma, and ``attrs["within"]``, the columns.

        Raises
        ------
        KeyError
            If a gene or a column does not exist.
        TypeError
            If ``genes`` is one name and not a list.
        ValueError
            If ``level`` is not between 0 and 1.
        """
        check_interval(level)
        features = self._features()
        position = gene_positions("genes", genes, self.adata.var_names)
        if groupby not in features.obs:
            raise KeyError(f"groupby={groupby!r} is not a column of adata.obs; it has {list(features.obs.columns)}.")
        columns = strata_columns(features, groupby, within)
        regression = self._regress(features)
        reach = norm.ppf(0.5 + level / 2)
        parts = []
        by = [features.obs[name] for name in (groupby, *columns)]
        for values, rows in regression.features.groupby(by, observed=True):
            effect = regression.effect(rows.mean())
            centre, spread = effect.mean()[position], effect.sd()[position]
            parts.append(
                pd.DataFrame(
                    {
                        names.GROUP: values[0],
                        **({names.STRATUM: ", ".join(map(str, values[1:]))} if columns else {}),
                        names.RATE: np.exp(centre),
                        names.RATE_LOW: np.exp(centre - reach * spread),
                        names.RATE_HIGH: np.exp(centre + reach * spread),
                    },
                    index=self.adata.var_names[position],
                )
            )
        rates = pd.concat(parts)
        if columns:
            rates.attrs[names.WITHIN] = columns
        return rates


def _aligned_contrasts(
    model: GeneTablesMixin, plain: GeneRegression, columns: list[str], latent_columns: int | Literal["auto"]
) -> tuple[GeneRegression, np.ndarray, float]:
    """The regression to test in, a contrast for each column tested with hidden variation held fixed, their null variance."""
    design = plain.features.columns
    contrasts = np.eye(len(design))[design.get_indexer(columns)]
    beside = hidden_regression(model, plain, latent_columns)
    if beside is None:
        return plain, contrasts, 1.0
    hidden = beside.regression
    common = not current_source(model.adata_manager).most_genes_unchanged
    alignments = [align_with(hidden, pd.Series(row, design), common=common) for row in contrasts]
    accepted = all(alignment.accepted for alignment in alignments)
    if latent_columns == "auto" and not accepted:
        return plain, contrasts, 1.0
    # the design's columns come first, then the latent ones
    aligned = np.hstack([contrasts, -np.stack([alignment.delta for alignment in alignments])])
    if not accepted or beside.expected is None:
        return hidden, aligned, 1.0
    effects = [hidden.effect(pd.Series(row, hidden.features.columns)) for row in aligned]
    centres = [composition_shift(effect, hidden.informative).shift if common else 0.0 for effect in effects]
    inflations = [
        null_inflation((effect.mean() - centre) / effect.sd(), beside.expected)
        for effect, centre in zip(effects, centres, strict=True)
    ]
    return hidden, aligned, float(np.mean([inflation.weight @ inflation.factor for inflation in inflations]))


def tested_columns(features: Features, what: str | Sequence[str]) -> list[str]:
    """Columns of the features that a test is about."""
    matrix = features.matrix()
    if not isinstance(what, str):
        columns = list(what)
        unknown = [name for name in columns if name not in matrix.columns]
        if unknown or not columns:
            raise KeyError(f"The design has no columns {unknown}; it has {list(matrix.columns)}.")
        _check_question(features, columns, f"the columns {columns}")
        return columns
    if what not in features.obs.columns:
        raise KeyError(f"{what!r} is not a column of adata.obs; it has {list(features.obs.columns)}.")
    if what not in covariate_columns(features.registry):
        raise ValueError(
            f"{what!r} is not in the design; it has {covariate_columns(features.registry)}. Add it in setup_anndata."
        )
    columns = columns_of(features.registry, features.obs, what)
    _check_question(features, columns, repr(what))
    return [name for name in columns if name in matrix.columns]


def _check_question(features: Features, columns: list[str], what: str) -> None:
    """Raise unless it is a question whether all these columns have no effect, and the samples can answer it."""
    everything = features.all_columns(features.obs)
    rest = everything.drop(columns=columns)
    # the intercept goes with these columns, as with ``~ 0 + group``
    if np.abs(rest.to_numpy() @ intercept_of(rest) - 1).max() > NEAR_ONE:
        raise ValueError(
            f"Without {what} the design has no intercept left: the columns {columns} hold the level of expression itself, and that "
            "they are all zero is no question. Write the design with an intercept, and ask for columns other than that."
        )
    kept = features.matrix()
    tested = [name for name in columns if name in kept.columns]
    n_left = rest.shape[1] - len(aliased_columns(rest.to_numpy()))
    if not tested or n_left > kept.shape[1] - len(tested):
        raise ValueError(
            f"These samples do not tell {what} from the rest of the design, or have one level of it: its columns are {columns}, "
            f"and what the samples tell apart is {list(kept.columns)}."
        )
