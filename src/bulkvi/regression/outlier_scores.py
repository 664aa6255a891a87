"""Scores of all counts of some samples, as tables."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import names
from bulkvi import outlier_names as on
from bulkvi.arguments import check_number
from bulkvi.regression.outliers import Scores, adjusted

Adjustment = Literal["by", "bh"]
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class OutlierScores:
    """How far the count of every gene in every sample is from what is expected of it.

    Made by :func:`bulkvi.tl.outliers` and by a reference's ``score``.

    Parameters
    ----------
    samples, genes
        Names of the samples and genes.
    scores, adj_p_value
        Arrays, samples x genes; see the attributes.
    adjustment, compared_with
        How p-values were adjusted, and what the samples are compared with.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=200)
    >>> adata.X[0, 3] = 60 * adata.X[:, 3].mean()
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    >>> model = bv.BulkVI(adata, n_latent=2)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> scores = bv.tl.outliers(model, progress_bar=False)
    >>> scores.calls()[["sample", "gene"]].to_numpy().tolist() == [[adata.obs_names[0], adata.var_names[3]]]
    True
    >>> scores.table("p_value").shape
    (12, 200)
    """

    samples: pd.Index
    """Names of the samples."""
    genes: pd.Index
    """Names of the genes."""
    scores: Scores
    """Arrays, samples x genes."""
    adj_p_value: np.ndarray
    """Tail probabilities adjusted over the genes of each sample, samples x genes."""
    adjustment: Adjustment
    """How they were adjusted: ``"by"`` or ``"bh"``."""
    compared_with: str
    """What the samples are compared with, in words."""

    def table(self, quantity: str) -> pd.DataFrame:
        """Return one quantity of all samples and genes.

        Parameters
        ----------
        quantity
            ``"count"``, ``"expected_count"``, ``"log_fc"``, ``"log_fc_low"``, ``"log_fc_high"`` (log2), ``"p_value"`` or
            ``"adj_p_value"``.

        Returns
        -------
        Samples x genes.

        Raises
        ------
        KeyError
            If there is no such quantity.
        """
        arrays = self._arrays()
        if quantity not in arrays:
            raise KeyError(f"no quantity {quantity!r}: give one of {list(arrays)}.")
        return pd.DataFrame(arrays[quantity], self.samples, self.genes)

    def calls(self, alpha: float = ALPHA) -> pd.DataFrame:
        """Return the outliers: counts whose adjusted tail probability is below ``alpha``.

        Parameters
        ----------
        alpha
            False discovery rate within a sample; 1 returns all counts.

        Returns
        -------
        One row for each outlier, most significant first: ``sample``, ``gene``, ``count``, ``expected_count``, ``log_fc`` with its 95 %
        interval ``log_fc_low`` to ``log_fc_high`` (log2), ``p_value`` and ``adj_p_value``.

        Raises
        ------
        TypeError, ValueError
            If ``alpha`` is not a number above 0 and at most 1.
        """
        check_number("alpha", alpha, above=0, most=1)
        called = self.adj_p_value < alpha if alpha < 1 else np.ones(self.adj_p_value.shape, bool)
        sample, gene = np.nonzero(called)
        order = np.argsort(self.scores.p_value[called], kind="stable")
        columns = {names.SAMPLE: self.samples[sample], on.GENE: self.genes[gene]}
        columns |= {name: values[called] for name, values in self._arrays().items()}
        return pd.DataFrame(columns).iloc[order].reset_index(drop=True)

    def per_sample(self, alpha: float = ALPHA) -> pd.DataFrame:
        """Count the outliers of each sample.

        Parameters
        ----------
        alpha
            False discovery rate within a sample.

        Returns
        -------
        One row for each sample: ``n_outliers``, ``n_up`` (more reads than expected) and ``n_down``.

        Raises
        ------
        TypeError, ValueError
            If ``alpha`` is not a number above 0 and at most 1.
        """
        check_number("alpha", alpha, above=0, most=1)
        called, above = self.adj_p_value < alpha, self.scores.observed > self.scores.expected
        numbers = {on.N_OUTLIERS: called.sum(1), on.N_UP: (called & above).sum(1), on.N_DOWN: (called & ~above).sum(1)}
        return pd.DataFrame(numbers, self.samples)

    def to_adata(self) -> AnnData:
        """Return all quantities as layers of an AnnData, with the counts in ``X`` and the numbers of outliers in ``obs``.

        Returns
        -------
        AnnData, samples x genes.
        """
        arrays = self._arrays()
        layers = {name: values for name, values in arrays.items() if name != names.COUNT}
        return AnnData(arrays[names.COUNT], obs=self.per_sample(), var=pd.DataFrame(index=self.genes), layers=layers)

    def __repr__(self) -> str:
        numbers = self.per_sample()
        return (
            f"OutlierScores: {len(self.samples)} samples x {len(self.genes):,} genes against {self.compared_with}; "
            f"{numbers[on.N_OUTLIERS].sum():,} outliers at adj_p_value < {ALPHA} in {(numbers[on.N_OUTLIERS] > 0).sum()} samples"
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        """All quantities by their names, in order."""
        one = self.scores
        arrays = (
            one.observed,
            one.expected,
            one.log_fc,
            one.log_fc_low,
            one.log_fc_high,
            one.p_value,
            self.adj_p_value,
        )
        return dict(zip(on.QUANTITIES, arrays, strict=True))


def as_scores(
    scores: Scores, samples: pd.Index, genes: pd.Index, adjustment: Adjustment, compared_with: str
) -> OutlierScores:
    """Name samples and genes of scores, and adjust their p-values.

    Raises
    ------
    ValueError
        If the adjustment is not ``"by"`` or ``"bh"``.
    """
    check_adjustment(adjustment)
    return OutlierScores(samples, genes, scores, adjusted(scores.p_value, adjustment), adjustment, compared_with)


def check_adjustment(adjustment: str) -> None:
    """Raise ValueError unless the adjustment is one that there is."""
    if adjustment not in get_args(Adjustment):
        raise ValueError(
            f"adjust={adjustment!r}: give 'by' (Benjamini and Yekutieli: holds whatever the dependence of the genes) or 'bh' "
            "(Benjamini and Hochberg)."
        )
