"""Columns of the latent state that enter the regressions: what the model has learned and the design does not say."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from bulkvi.model._registered import code_samples
from bulkvi.names import LATENT_COLUMN

BLOCK = 256


@torch.inference_mode()
def latent_columns(model: Any, design: pd.DataFrame, number: int, precision: np.ndarray | None = None) -> pd.DataFrame:
    """Leading directions in which decoded expression varies beyond the design, strongest first.

    Each sample is decoded at its own latent state and at the mean of all; the difference of log rates, projected off the
    design, is taken apart by singular values. With a linear decoder that is a rotation of the latent state which does not
    depend on the one that training happened to end at.

    Parameters
    ----------
    model
        A trained model.
    design
        Matrix of the design, samples x columns.
    number
        Columns wanted; there are at most as many as latent dimensions, genes or samples.
    precision
        Weight of each gene: one over the standard deviation of the log of its counts. Without, all genes count alike, the
        noise of weak ones included; which columns are the strongest then says little, and all should be taken.

    Returns
    -------
    Samples x columns, orthogonal to each other and to the design, mean square 1; named ``latent_0`` and so on, with a longer
    stem where a column of the design has such a name.
    """
    difference = _decoded_differences(model)
    number = min(number, model.module.n_latent, *difference.shape)
    if precision is not None:
        difference = difference * precision
    basis = np.linalg.qr(design.to_numpy())[0]
    left, _, _ = np.linalg.svd(difference - basis @ (basis.T @ difference), full_matrices=False)
    columns = left[:, :number] * np.sqrt(len(design))
    # the sign of a singular vector is arbitrary: let the largest entry be positive, in whatever order samples come
    columns = columns * np.sign(columns[np.abs(columns).argmax(0), np.arange(number)])
    stem = LATENT_COLUMN
    while any(str(name).startswith(f"{stem}_") for name in design.columns):
        stem += "_state"
    return pd.DataFrame(columns, design.index, [f"{stem}_{k}" for k in range(number)])


def _decoded_differences(model: Any) -> np.ndarray:
    """Log rate at a sample's latent state less that at the mean latent state, samples x genes."""
    z = torch.as_tensor(model.get_latent_representation(), device=model.device)
    coded = model.module.coding.code(code_samples(model.registry, model.adata.obs))
    covariates = {kind: values.to(model.device) for kind, values in coded.items()}
    blocks = []
    for begin in range(0, len(z), BLOCK):
        part = slice(begin, begin + BLOCK)
        own = {kind: values[part] for kind, values in covariates.items()}
        centre = z.mean(0, keepdim=True).expand(len(z[part]), -1)
        blocks.append((model.module.decoder(z[part], own) - model.module.decoder(centre, own)).double().cpu().numpy())
    return np.concatenate(blocks)
