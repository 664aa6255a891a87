"""Calibration of a comparison by permutation of the labels of its samples."""

from collections.abc import Sequence
from typing import Any

from bulkvi.model._differential import DifferentialMixin
from bulkvi.regression.calibrate import Method, calibrate
from bulkvi.regression.calibration_report import CalibrationReport


class CalibrationMixin(DifferentialMixin):
    """Empirical error rates of the comparisons of :class:`~bulkvi.BulkVI`."""

    def calibrate(
        self,
        groupby: str,
        group1: Any,
        group2: Any,
        *,
        within: str | Sequence[str] | None = None,
        n_permutations: int = 100,
        seed: int = 0,
        method: Method | None = None,
        composition_shift: bool | None = None,
        n_jobs: int = 1,
        progress_bar: bool = True,
    ) -> CalibrationReport:
        r"""Estimate the false discovery rate of the calls of a comparison by permutation of the labels of these samples.

        The labels of the two groups are exchanged between samples; counts, size factors, offsets (they do not depend on labels),
        other covariates and the samples of other groups stay. For each permutation all genes are fitted again, including outliers,
        dispersions, shared noise and prior, but without latent columns: the rate is that of
        ``differential_expression(..., latent_columns=0)``, and the network is not trained again. The directions of a reference stay: what it
        says does not depend on labels. Permuted groups do not differ by
        design, so every call is false. The empirical false discovery rate at a threshold is

        .. math:: \max(\pi_0 \overline{V}, \overline{W}) / R

        with R the calls on the data, :math:`\overline{V}` the mean number of permuted p-values that reach the p-value of
        the last of them (Tusher, Tibshirani & Chu 2001), and :math:`\overline{W}` the mean number of calls of the whole
        method on permuted samples. :math:`\pi_0` is 1 for ``adj_p_value``, which allows that no gene changes, and
        for ``s_value``, which does not, the share of genes without effect. The rate is 1 where more than 5 % of the
        permutations give at least as many calls: the data then do not differ from chance.

        Permutations are distinct, and neither the identity nor an exchange of the names of the groups is among them. Those
        that resemble the real labels still contain part of every real effect (column ``overlap``) and count only if there are
        too few others.

        Limits: the effects of genes that really change are noise once labels are permuted. Permuted p-values of all genes are
        therefore a little larger, and the empirical rate of data with many effects is too low: 0.03 to 0.04 for a true 0.05
        if a tenth of the genes change. Covariates that are associated with the group, such as an age, stay with their samples.
        Dependent samples (several of one donor) must not be exchanged one by one: name the donor as ``donor_key`` of
        ``setup_anndata``. Labels are then exchanged within donors that are in both groups, and whole donors
        among those that are in one.

        Parameters
        ----------
        groupby
            Column of ``obs``.
        group1, group2
            Levels of that column, as in :meth:`differential_expression`.
        within
            Columns of ``obs``: labels are exchanged between samples that are equal in all of them. By default the other
            categorical covariates of the design; ``[]`` for none.
        n_permutations
            Largest number of permutations; all of them if there are fewer.
        seed
            Seed of their choice; the caller's random state does not change.
        method
            Instead of the model: any function of raw counts (samples of the two groups x genes) and group (1 for group1, 0
            for group2) that returns one p-value per gene, NaN where it has none. It gets the same permutations, and no
            offset.
        composition_shift
            Whether the shift that most effects share is subtracted, as in :meth:`differential_expression`. Not used with
            ``method``.
        n_jobs
            Number of threads. ``method`` must be thread-safe if it is above 1.
        progress_bar
            Whether to show progress.

        Returns
        -------
        Tables and a verdict: ``print(report)``.

        Raises
        ------
        KeyError
            If a column does not exist.
        ValueError
            If a group has no samples, labels are missing, the design does not distinguish the groups, there are too few
            permutations, a number is below 1, or ``method`` does not return p-values.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=300)
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
        >>> report = bulkvi.BulkVI(adata).calibrate("group", "B", "A", n_permutations=10, progress_bar=False)
        >>> report.n_relabellings, report.n_distinct
        (10, 34)
        """
        return calibrate(
            self.gene_fit(),
            groupby,
            group1,
            group2,
            within=within,
            n_permutations=n_permutations,
            seed=seed,
            method=method,
            composition_shift=composition_shift,
            n_jobs=n_jobs,
            progress_bar=progress_bar,
        )
