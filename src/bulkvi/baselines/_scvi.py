from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.model import SCVI

from bulkvi import names
from bulkvi.baselines._seeding import seeded_everywhere
from bulkvi.baselines._table import baseline_table
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.stats.effects.effect import s_value
from bulkvi.study.counts import check_columns, check_size_factor, checked_counts
from bulkvi.study.groups import find_groups

# The best of a search on held-out samples (benchmarks/heldout.py); the last depends on where the depth comes from.
NETWORK = {"n_latent": 10, "n_layers": 1, "n_hidden": 64, "dropout_rate": 0.1}
LEARNING_RATE = 5e-3
EPOCHS = 1_000
EPOCHS_WITH_SIZE_FACTOR = 2_000
INTERVAL = 0.95


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
    """What does scVI say? Its own differential expression in ``change`` mode, from the settings that suit bulk counts best.

    scVI is trained on all samples without labels: 10 latent dimensions, one hidden layer of 64, layer norm, dropout 0.1,
    learning rate 0.005, 1,000 epochs (2,000 with ``size_factor_key``), the best of a search on held-out samples
    (:doc:`/method/heldout`). Then two groups are compared by decoding random pairs of their samples.

    None of this is a test. What scVI calls the probability of a change is that of two samples drawn from the groups, each
    with its latent state, and hardly depends on how many replicates there are.

    Parameters
    ----------
    adata
        Samples x genes. It is not changed.
    groupby, group1, group2
        Column of ``obs`` and two of its levels; the effect is group1 over group2.
    layer
        Layer that holds the raw counts; ``adata.X`` if None.
    size_factor_key
        Column of ``obs`` with size factors for scVI to use, instead of the total count of each sample. They are handed on times
        the mean total count: scVI's decoder then has a softplus, which hardly reaches bulk counts from factors near 1.
    batch_key
        Column of ``obs`` with a batch; both groups are then decoded in every batch.
    gene_likelihood
        ``"nb"``, or ``"zinb"`` for one with extra zeros.
    max_epochs
        Passes through the samples, instead of those above.
    n_draws
        Number of pairs drawn; the memory needed is up to 40 bytes for each draw and gene.
    delta
        Smallest absolute effect that matters, log2, for ``prob_effect`` alone.
    seed
        Seed of all that is random; the caller's random state is put back.
    accelerator
        As in Lightning.

    Returns
    -------
    A row for each gene in the order of ``var_names``, with the columns of ``model.differential_expression``. ``log_fc``,
    ``log_fc_sd``, ``log_fc_low`` and ``log_fc_high``: mean, standard deviation and narrowest 95 % interval of the log2 ratios of
    the pairs. ``lfsr``: the smaller of the shares of pairs that go up and down; ``s_value``: its mean over this gene and all
    surer ones. ``prob_effect``: the share of pairs beyond ``delta``, scVI's ``proba_de``. ``log_fc_decoded``: log2 ratio of
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
        or the training of scVI ends in NaN.

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
    own = AnnData(counts, obs=adata.obs[columns].copy(), var=pd.DataFrame(index=adata.var_names))  # scVI writes into it
    if size_factor_key is not None:
        own.obs[size_factor_key] = size_factor * checked.totals.mean()
    up, down = np.zeros(adata.n_vars), np.zeros(adata.n_vars)

    def beyond_delta(log_ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        up[:], down[:] = (log_ratio > 0).mean(0), (log_ratio < 0).mean(0)
        return log_ratio >= delta, log_ratio < -delta

    with seeded_everywhere(seed):
        SCVI.setup_anndata(own, size_factor_key=size_factor_key, batch_key=batch_key)
        model = SCVI(
            own,
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
        found = model.differential_expression(
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
            names.LOG_FC: found["lfc_mean"].to_numpy(float),
            names.LOG_FC_SD: found["lfc_std"].to_numpy(float),
            names.LOG_FC_LOW: found[f"lfc_confidence_interval_{INTERVAL}_min"].to_numpy(float),
            names.LOG_FC_HIGH: found[f"lfc_confidence_interval_{INTERVAL}_max"].to_numpy(float),
            names.LOG_FC_DECODED: _log_ratio(found["scale1"].to_numpy(float), found["scale2"].to_numpy(float)),
            names.LFSR: lfsr,
            names.S_VALUE: s_value(lfsr),
            names.PROB_EFFECT: found["proba_de"].to_numpy(float),
        },
        contrast=f"{groupby}: {group1} vs {group2}",
        method=f"scVI ({gene_likelihood}{'' if size_factor_key is None else ', size factors'})",
        version=version("scvi-tools"),
    )


def _log_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """log2 first / second, NaN where one of them is 0 in floating point."""
    known = (first > 0) & (second > 0)
    return np.log2(np.divide(first, second, out=np.full(first.size, np.nan), where=known))
