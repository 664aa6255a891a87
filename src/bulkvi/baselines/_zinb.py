from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from bulkvi import names
from bulkvi.baselines._table import baseline_table
from bulkvi.model import BulkVI
from bulkvi.model._decoded_rates import DecodedRates
from bulkvi.regression.contrast import group_contrast
from bulkvi.stats.counts.blocks import iter_row_blocks
from bulkvi.study.counts import checked_counts


def zinb(
    adata: AnnData,
    groupby: str,
    group1: Any,
    group2: Any,
    *,
    size_factor_key: str = names.SIZE_FACTOR,
    design: str | None = None,
    layer: str | None = None,
    n_latent: int | None = None,
    max_steps: int | None = None,
    seed: int = 0,
    accelerator: str = "auto",
) -> pd.DataFrame:
    """Compare two groups by the decoder of ``BulkVI`` with ``gene_likelihood="zinb"``.

    The p-values and intervals of ``model.differential_expression`` come from negative binomial regressions, whatever the
    likelihood of the network, so they are not results of a ZINB and are left out. The result of the ZINB is the difference of
    the decoded log2 rates, without extra zeros, as ``log_fc_decoded`` elsewhere.

    Parameters
    ----------
    adata
        Samples x genes. It is not changed.
    groupby, group1, group2
        Column of ``obs`` and two of its levels; the effect is group1 over group2.
    size_factor_key
        Column of ``obs`` with the size factors.
    design
        Formula; none by default, so that the latent state distinguishes the groups.
    layer
        Layer that holds the raw counts; ``adata.X`` if None.
    n_latent, max_steps
        As in :class:`~bulkvi.BulkVI` and :meth:`bulkvi.BulkVI.train`.
    seed
        Seed of the networks and of the training; the caller's random state does not change.
    accelerator
        As in Lightning.

    Returns
    -------
    One row per gene in the order of ``var_names``, with the columns of ``model.differential_expression``:
    ``base_mean``, ``log_fc`` and ``log_fc_decoded`` (the same), ``dispersion`` (the network's), ``contrast``. All others are NaN,
    ``flag`` is empty. ``attrs`` has ``method`` and ``version``.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData.
    KeyError
        If a column or layer does not exist.
    ValueError
        As :meth:`bulkvi.BulkVI.setup_anndata`, or if a level has no samples.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=100)
    >>> bv.pp.size_factors(adata)
    >>> table = bv.baselines.zinb(adata, "group", "B", "A", design="~ group", max_steps=20)
    >>> table.attrs["method"], int(table["log_fc"].isna().sum())
    ('ZINB', 0)
    """
    matrix = checked_counts(adata, layer).matrix
    counts = np.concatenate([block for _, block in iter_row_blocks(matrix)]).astype(np.float32)
    # registration writes into it, and adata.copy() would keep the identity of an earlier registration
    copied = AnnData(counts, obs=adata.obs.copy(), var=pd.DataFrame(index=adata.var_names))
    BulkVI.setup_anndata(copied, size_factor_key=size_factor_key, design=design)
    model = BulkVI(copied, n_latent=n_latent, gene_likelihood="zinb", seed=seed)
    study_design = model.gene_fit().study.design
    compared = group_contrast(study_design, groupby, group1, group2)
    model.train(max_steps=max_steps, seed=seed, accelerator=accelerator, progress_bar=False)
    decoded = DecodedRates(model).decoded_log_fc(study_design, compared)
    with torch.inference_mode():
        dispersion = model.module.log_dispersion_of({}).exp().cpu().numpy()
    return baseline_table(
        adata.var_names,
        {
            names.BASE_MEAN: (counts / copied.obs[size_factor_key].to_numpy(dtype=float)[:, None]).mean(0),
            names.LOG_FC: decoded,
            names.LOG_FC_DECODED: decoded,
            names.DISPERSION: dispersion.astype(np.float64),
        },
        contrast=compared.label,
        method="ZINB",
        version=version("bulkvi"),
    )
