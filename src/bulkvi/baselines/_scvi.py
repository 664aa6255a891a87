from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.model import SCVI

from bulkvi import names
from bulkvi.baselines._table import baseline_table
from bulkvi.model._restore import seeded
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.stats.effects.effect import s_value
from bulkvi.study.counts import check_columns, check_size_factor, checked_counts
from bulkvi.study.groups import find_groups

# The best settings of a search on held-out samples (benchmarks/heldout.py); the number of epochs depends on the size factors.
NETWORK: Final = {"n_latent": 10, "n_layers": 1, "n_hidden": 64, "dropout_rate": 0.1}
LEARNING_RATE: Final = 5e-3
EPOCHS: Final = 1_000
EPOCHS_WITH_SIZE_FACTOR: Final = 2_000
INTERVAL: Final = 0.95


def scvi(
    adata: AnnData,
    groupby: str,
    group1: Any,
    group2: Any,
    *,
    layer: str | None = None,
    size_factor_key: str | None = None,
    batch_key: str | None = None,
    gene_likelihood: Literal["nb", "zinb"] = "nb",
    max_epochs: int | None = None,
    n_draws: int = 5_000,
    delta: float = 0.25,
    seed: int = 0,
    accelerator: str = "auto",
) -> pd.DataFrame:
    """Compare two groups with scVI's differential expression in ``change`` mode, with the best settings for bulk counts.

    scVI is trained on all samples without labels: 10 latent dimensions, one hidden layer of 64, layer norm, dropout 0.1,
    learning rate 0.005, 1,000 epochs (2,000 with ``size_factor_key``), the best of a search on held-out samples
    (:doc:`/method/heldout`). Two groups are then compared by decoding random pairs of their samples.

    This is no test: scVI's probability of a change is for two samples drawn from the groups, each with its latent state, and
    hardly depends on the number of replicates.

    Parameters
    ----------
    adata
        Samples x genes. It is not changed.
    groupby, group1, group2
        Column of ``obs`` and two of its levels; the effect is group1 over group2.
    layer
        Layer that holds the raw counts; ``adata.X`` if None.
    size_factor_key
        Column of ``obs`` with size factors for scVI to use, instead of the total count of each sample. They are multiplied by
        the mean total count: with size factors scVI's decoder uses a softplus, which hardly reaches bulk counts from factors
        near 1.
    batch_key
        Column of ``obs`` with a batch; both groups are then decoded in every batch.
    gene_likelihood
        ``"nb"``, or ``"zinb"`` for the zero-inflated negative binomial.
    max_epochs
        Number of passes through the samples; None for the numbers above.
    n_draws
        Number of pairs drawn; needs up to 40 bytes of memory per draw and gene.
    delta
        Smallest absolute effect that matters, log2, for ``prob_effect`` alone.
    seed
        Random seed; the caller's random state is restored.
    accelerator
        As in Lightning.

    Returns
    -------
    One row per gene in the order of ``var_names``, with the columns of ``model.differential_expression``. ``log_fc``,
    ``log_fc_sd``, ``log_fc_low`` and ``log_fc_high``: mean, standard deviation and narrowest 95 % interval of the log2 ratios of
    the pairs. ``lfsr``: one minus the larger of the shares of pairs that go up and down; ``s_value``: its mean over this gene and all
    more significant ones. ``prob_effect``: the share of pairs beyond ``delta``, scVI's ``proba_de``. ``log_fc_decoded``: log2 ratio of
    the mean decoded expression. ``base_mean``: mean of count / size factor, which without ``size_factor_key`` is the total
    count over the mean total count. ``p_value``, ``adj_p_value`` and ``stat`` are NaN: scVI has none. ``attrs`` has ``method``
    and ``version``.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData.
    KeyError
        If a column or layer does not exist.
    ValueError
        If the counts are not raw counts, a size factor is not positive, a level has no samples, a number is out of range,
        or the loss of scVI becomes NaN.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=100)
    >>> table = bv.baselines.scvi(adata, "group", "B", "A", max_epochs=5, n_draws=100, accelerator="cpu")
    >>> table.attrs["method"], int(table["p_value"].notna().sum())
    ('scVI (nb)', 0)
    """
    if gene_likelihood not in ("nb", "zinb"):
        raise ValueError(f"gene_likelihood must be 'nb' or 'zinb'; it is {gene_likelihood!r}.")
    if not (np.isfinite(delta) and delta >= 0):
        raise ValueError(f"delta is {delta}: give a smallest absolute effect, 0 or more (log2).")
    if max_epochs is None:
        max_epochs = EPOCHS if size_factor_key is None else EPOCHS_WITH_SIZE_FACTOR
    for name, number in (("max_epochs", max_epochs), ("n_draws", n_draws)):
        if number < 1:
            raise ValueError(f"{name} is {number}; give 1 or more.")
    checked = checked_counts(adata, layer)
    groups = find_groups(adata.obs, groupby, group1, group2)
    check_columns(adata, "batch_key", [] if batch_key is None else [batch_key], continuous=False)
    size_factor = checked.totals / checked.totals.mean()
    if size_factor_key is not None:
        check_size_factor(adata, size_factor_key)
        size_factor = adata.obs[size_factor_key].to_numpy(dtype=float)
    counts = np.concatenate([block for _, block in iter_row_blocks(checked.matrix)]).astype(np.float32)
    columns = [key for key in (size_factor_key, batch_key) if key is not None]
    copied = AnnData(
        counts, obs=adata.obs[columns].copy(), var=pd.DataFrame(index=adata.var_names)
    )  # scVI writes into it
    if size_factor_key is not None:
        copied.obs[size_factor_key] = size_factor * checked.totals.mean()
    up, down = np.zeros(adata.n_vars), np.zeros(adata.n_vars)

    def beyond_delta(log_ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        up[:], down[:] = (log_ratio > 0).mean(0), (log_ratio < 0).mean(0)
        return log_ratio >= delta, log_ratio < -delta

    with seeded_everywhere(seed):
        SCVI.setup_anndata(copied, size_factor_key=size_factor_key, batch_key=batch_key)
        model = SCVI(
            copied,
            gene_likelihood=gene_likelihood,
            use_batch_norm="none",
            use_layer_norm="both",
            **NETWORK,
        )
        model.train(
            max_epochs=max_epochs,
            train_size=1.0,
            shuffle_set_split=False,  # drawn from the system's entropy otherwise
            accelerator=accelerator,
            enable_progress_bar=False,
            log_every_n_steps=1,
            plan_kwargs={"lr": LEARNING_RATE},
        )
        result = model.differential_expression(
            idx1=groups.first,
            idx2=groups.second,
            mode="change",
            m1_domain_fn=beyond_delta,
            test_mode="two",
            batch_correction=batch_key is not None,
            n_samples_overall=n_draws,
            cred_interval_lvls=[INTERVAL],
            all_stats=False,
            silent=True,
        ).loc[adata.var_names]
    lfsr = np.minimum(1 - up, 1 - down)
    return baseline_table(
        adata.var_names,
        {
            names.BASE_MEAN: (counts / size_factor[:, None]).mean(0),
            names.LOG_FC: result["lfc_mean"].to_numpy(float),
            names.LOG_FC_SD: result["lfc_std"].to_numpy(float),
            names.LOG_FC_LOW: result[f"lfc_confidence_interval_{INTERVAL}_min"].to_numpy(float),
            names.LOG_FC_HIGH: result[f"lfc_confidence_interval_{INTERVAL}_max"].to_numpy(float),
            names.LOG_FC_DECODED: _log_ratio(result["scale1"].to_numpy(float), result["scale2"].to_numpy(float)),
            names.LFSR: lfsr,
            names.S_VALUE: s_value(lfsr),
            names.PROB_EFFECT: result["proba_de"].to_numpy(float),
        },
        contrast=f"{groupby}: {group1} vs {group2}",
        method=f"scVI ({gene_likelihood}{'' if size_factor_key is None else ', size factors'})",
        version=version("scvi-tools"),
    )


def _log_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return log2 first / second, NaN where one of them is 0 in floating point."""
    known = (first > 0) & (second > 0)
    return np.log2(np.divide(first, second, out=np.full(first.size, np.nan), where=known))


@contextmanager
def seeded_everywhere(seed: int) -> Iterator[None]:
    """Run a block with the generators of torch and NumPy at ``seed``, and restore the caller's state afterwards.

    scvi-tools draws the samples that it compares from NumPy's global generator. Other threads that use it at the same time
    disturb the block, and are disturbed by it.
    """
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        with seeded(seed):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
