"""A future study of the same system, drawn from the posterior of a fitted one."""

from typing import Any, Literal

from anndata import AnnData

from bulkvi.arguments import check_whole
from bulkvi.model._gene_tables import GeneTablesMixin
from bulkvi.regression.simulate_study import plan_study, simulate_study


class SimulateMixin(GeneTablesMixin):
    """Simulation of :class:`~bulkvi.BulkVI`."""

    def simulate(
        self,
        n_per_group: int | tuple[int, int],
        groupby: str,
        group1: Any,
        group2: Any,
        *,
        depth: float = 1.0,
        latent_columns: int | Literal["auto"] = "auto",
        seed: int = 0,
    ) -> AnnData:
        r"""Simulate a future study of two groups of the same system, from what these samples say about it.

        Everything that is uncertain is drawn from its posterior: the factor by which noise that genes share has widened or narrowed the
        effects of this study, the prior of the effects, each gene's effect given both (:doc:`/method/posterior`), its dispersion, its
        level, and the share of its variance that it shares with other genes. New samples have the covariates of these samples in turn,
        the same in both groups, so that batches are balanced; size factors are those of these samples, drawn at random. Counts are
        negative binomial with

        .. math::

            \log m_{ng} = \log(\mathrm{depth} \cdot s_n) + x_n^\top \theta_g + z_n^\top W_g, \quad z_n \sim N(0, I)

        where W are the loadings of the latent columns of the regressions, and of the directions of what is left. Offsets of single
        counts, such as transcript lengths, are those of an average sample. :func:`bulkvi.tl.power` analyses many such studies.

        Parameters
        ----------
        n_per_group
            Samples in each group, or in (group1, group2); at least 2.
        groupby
            Column of ``obs`` in the design, not a slope.
        group1, group2
            Levels of that column. Effects are group1 over group2.
        depth
            Factor on the size factors, relative to these samples.
        latent_columns
            As in :meth:`differential_expression`: which regression the study is drawn from.
        seed
            The same seed gives the same study; the caller's random state does not change.

        Returns
        -------
        AnnData, samples x genes, with raw counts as 32-bit integers in ``X``.

        - ``obs``: ``groupby``, the covariates of the design, and the size factors
        - ``var``: ``true_log_fc`` (log2, group1 over group2, 0 where unchanged), ``true_base_mean``, ``true_dispersion``
        - ``obsm["true_hidden"]``, ``varm["true_hidden_loading"]`` (log2): hidden states and loadings, where there are any

        Raises
        ------
        KeyError
            If ``groupby`` does not exist.
        TypeError
            If a number is not one.
        ValueError
            If a group has no samples, ``groupby`` is not in the design or is a slope, a number is out of range, the model has a
            ``donor_key``, no residual degrees of freedom are left, or latent columns are needed and the network is not trained.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=3, n_genes=300)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
        >>> future = bv.BulkVI(adata).simulate(10, "group", "B", "A", seed=1)
        >>> future.shape
        (20, 300)
        """
        sizes = n_per_group if isinstance(n_per_group, tuple | list) else (n_per_group, n_per_group)
        if len(sizes) != 2:
            raise ValueError(
                f"n_per_group is {n_per_group!r}: give one whole number, or one for each of the two groups."
            )
        for size in sizes:
            check_whole("n_per_group", size, least=2)
        check_whole("seed", seed, least=0)
        plan = plan_study(self.gene_fit(), groupby, group1, group2, latent_columns=latent_columns, depth=depth)
        return simulate_study(plan, (int(sizes[0]), int(sizes[1])), int(seed))
