"""Further tables of the fit, and the weights and columns of tests."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from bulkvi.model._calibration import CalibrationMixin


class GeneTablesMixin(CalibrationMixin):
    """Tables of :class:`~bulkvi.BulkVI` other than ``differential_expression``."""

    def omnibus_test(
        self, what: str | Sequence[str], *, latent_columns: int | Literal["auto"] = "auto"
    ) -> pd.DataFrame:
        """Test several columns of the design together. Does a factor with several levels matter at all?

        A likelihood ratio test of the design against the design without them, the dispersion integrated out
        (:func:`bulkvi.stats.omnibus_test`): what DESeq2 calls LRT and edgeR a test of several coefficients.

        Parameters
        ----------
        what
            Column of ``obs`` in the design: all columns of the design that change with it, interactions included,
            are tested together. Or a list of columns of :meth:`get_design_matrix`.
        latent_columns
            How many latent columns are held fixed in both designs, as in ``differential_expression``: with ``"auto"`` none, unless
            their association with every tested column can be estimated.

        Returns
        -------
        One row per gene in the order of ``var_names``: ``base_mean``; ``stat``, twice the log likelihood ratio averaged
        over the dispersion; ``df``, its degrees of freedom; ``p_value``; ``adj_p_value`` (Benjamini-Hochberg over the genes
        with counts); ``flag``; ``contrast``, the columns tested.

        Raises
        ------
        KeyError
            If a column is neither in ``obs`` nor in the design.
        ValueError
            If ``latent_columns`` is out of range; the design does not hold the factor; the tested columns contain the intercept; the
            samples do not separate them from the rest of the design; or no residual degrees of freedom are left.
        """
        return self.gene_fit().omnibus(what, latent_columns=latent_columns)

    def latent_report(self) -> pd.DataFrame:
        """Describe the latent columns. What hidden variation is there, and does a column of ``obs`` explain it?

        Returns
        -------
        One row per latent column, strongest first. ``singular_value`` of the residuals of the design and
        ``singular_value_by_chance``, what independent genes would give (parallel analysis); ``information``, the expected information
        about a contrast given this column and those before it, relative to none of them (NaN where no column is above chance or no
        degrees of freedom are left); ``enters``, whether comparisons use the column, if their association with it can be estimated;
        ``variance_share``, its share of the residuals' variance; ``strongest_with``, the column of ``obs`` that explains most of it,
        and ``strength``, the share of the latent column's variance explained (adjusted for the number of levels). Columns of ``obs``
        that are different in every sample and not numbers are left out.

        With a reference its directions come first (``reference_0``, ...), and ``scale`` is the standard deviation of the samples
        along each relative to the cohort: near 0 for a direction that the study does not have. Latent columns are then those of the
        study beyond the directions. How far a comparison goes along the directions is in its table
        (``attrs["reference"]["carried_p_value"]``) and in ``effect="latent"``.

        Raises
        ------
        ValueError
            If the model has no data attached, or no residual degrees of freedom are left.
        """
        return self.gene_fit().hidden()

    def get_dispersions(self) -> pd.DataFrame:
        """Estimate the dispersion of each gene. How much do replicates differ beyond counting noise?

        Returns
        -------
        One row per gene in the order of ``var_names``, alpha in variance = mean + alpha mean^2: ``base_mean``;
        ``dispersion_gene``, the maximum likelihood estimate of the gene alone (0 where counts vary no more than Poisson counts);
        ``dispersion_trend``, the prior's median at its mean; ``dispersion``, the posterior's; ``flag``. They are those of the
        regressions of ``differential_expression``; the network has other ones.
        """
        return self.gene_fit().dispersions()

    def get_outliers(self) -> pd.DataFrame:
        """List single counts that are more likely outlying than not; effects are averaged over leaving them out and keeping them.

        Returns
        -------
        One row per outlying count, indexed by gene: ``sample``, ``count``, and ``expected_count`` by the fit without them.
        ``attrs["structured_samples"]`` are samples that deviate in too many genes for single outliers
        (a batch, another condition, a failed library: inspect them),
        ``attrs["unjudged_samples"]`` those with too few similar samples to decide which one is outlying.
        """
        return self.gene_fit().outliers()

    def get_group_rates(
        self,
        genes: Sequence[str],
        groupby: str,
        *,
        within: str | Sequence[str] | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Estimate the rate of each group, with its interval, for :func:`bulkvi.pl.gene`.

        The rate of a group is at the mean of its samples' covariates: exp of the mean log rate. If a gene differs by orders of
        magnitude between levels of another column of the design, such as *XIST* between the sexes, no sample has that rate: give
        rates ``within`` that column.

        Parameters
        ----------
        genes
            Names of genes.
        groupby
            Column of ``obs``.
        within
            Columns of ``obs``: a rate for each group in each combination of their levels that has samples. ``"auto"`` takes the
            other categorical columns of the model, those with few levels first and at most 30 combinations. By default
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
        return self.gene_fit().group_rates(genes, groupby, within=within, level=level)

    def get_rate_curve(
        self, genes: Sequence[str], column: str, *, n_points: int = 50, level: float = 0.95
    ) -> pd.DataFrame:
        """Estimate the rate of genes along a numeric column, with its interval, for :func:`bulkvi.pl.gene_trend`.

        All other columns of the design are at their mean over the samples: exp of the mean log rate.

        Parameters
        ----------
        genes
            Names of genes.
        column
            Column of ``obs`` that is in the design as a number.
        n_points
            Number of values of the column, at equal distances over its range; at least 2.
        level
            Probability of the interval.

        Returns
        -------
        Indexed by gene: ``covariate``, the value of the column; ``rate``, ``rate_low``, ``rate_high``; expected counts per unit size factor.

        Raises
        ------
        KeyError
            If a gene or the column does not exist.
        TypeError
            If ``genes`` is one name and not a list.
        ValueError
            If the design does not hold the column as a number, or ``level`` or ``n_points`` is out of range.
        """
        return self.gene_fit().rate_curve(genes, column, n_points=n_points, level=level)

    def get_design_matrix(self) -> pd.DataFrame:
        """Return the columns that a contrast can weigh, and their values.

        Returns
        -------
        Samples x columns: the intercept, the terms of the design formula, batches and covariates.

        Raises
        ------
        ValueError
            If the model has no data attached.
        """
        return self.gene_fit().design_matrix

    def get_contrast_weights(
        self,
        groupby: str | None = None,
        group1: Any = None,
        group2: Any = None,
        *,
        contrast: Mapping[str, float] | Sequence[float] | np.ndarray | None = None,
    ) -> pd.Series:
        """Return the weights of the design's columns in a comparison, if these samples determine it.

        Parameters
        ----------
        groupby, group1, group2, contrast
            As in :meth:`differential_expression`.

        Returns
        -------
        Weight of each column of :meth:`get_design_matrix`; all zero if the design does not distinguish the groups.

        Raises
        ------
        KeyError
            If a column does not exist, of ``obs`` or of the design.
        ValueError
            If a group has no samples; a contrast is empty, of the wrong length or compares nothing; or the samples lack what
            the comparison needs.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.airway()
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ cell + dex")
        >>> weights = bulkvi.BulkVI(adata).get_contrast_weights("dex", "trt", "untrt")
        >>> weights[weights != 0].to_dict()
        {'dex[T.trt]': 1.0}
        """
        return self.gene_fit().contrast_weights(groupby, group1, group2, contrast=contrast)

    def get_slope_weights(self, column: str) -> pd.Series:
        """Return the contrast whose effect is the change of log2 expression per unit of a numeric column.

        Where the column is in an interaction, or behind a linear transform such as ``scale(age)``, the slope is the mean of
        those of all samples, per unit of the column itself.

        Parameters
        ----------
        column
            Column of ``obs`` that is in the design as a number.

        Returns
        -------
        Weight of each column of :meth:`get_design_matrix`, for ``contrast`` of :meth:`differential_expression`.

        Raises
        ------
        KeyError
            If the column does not exist.
        ValueError
            If the design does not hold it, or holds it as categories or along a curve; or the samples do not determine the
            slope.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=300)
        >>> adata.obs["age"] = [31, 40, 28, 55, 61, 33, 47, 52]
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group + age")
        >>> bulkvi.BulkVI(adata).get_slope_weights("age").to_dict()
        {'Intercept': 0.0, 'group[T.B]': 0.0, 'age': 1.0}
        """
        return self.gene_fit().slope_weights(column)

    def get_tested_columns(self, what: str | Sequence[str]) -> list[str]:
        """Return the columns of the design that :meth:`omnibus_test` tests together, if these samples determine them.

        Parameters
        ----------
        what
            As in :meth:`omnibus_test`.

        Returns
        -------
        Names of columns of :meth:`get_design_matrix`.

        Raises
        ------
        KeyError
            If a column is neither in ``obs`` nor in the design.
        ValueError
            If the design does not hold the factor, the tested columns contain the intercept, or the samples do not
            separate them from the rest of the design.
        """
        return self.gene_fit().tested_columns(what)
