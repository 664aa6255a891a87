"""What the trained decoder says about a contrast."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bulkvi.model._contrast import Contrast
from bulkvi.model._features import Features
from bulkvi.model._groups import as_if_in_group
from bulkvi.model._registered import code_samples, covariate_columns, registered_columns

BLOCK = 256


@torch.inference_mode()
def decoded_difference(model: Any, features: Features, compared: Contrast) -> np.ndarray:
    """Difference of decoded log2 rates; genes.

    Of two groups it is that of their mean rates. Of a contrast of columns it is the mean over all samples of what half the
    contrast up and half of it down, from the mean of the covariates, make of a sample.
    """
    if compared.groups is None or compared.groupby is None:
        up, down = (_log_rates(model, None, _moved(model, features, half * compared.weights)) for half in (0.5, -0.5))
        difference = (up - down).mean(0)
    else:
        columns = covariate_columns(features.registry)
        parts = []
        for members in compared.groups:
            counterfactual = as_if_in_group(features.obs, compared.groups, compared.groupby, columns, members)
            coded = model.module.coding.code(code_samples(features.registry, counterfactual))
            log_rates = _log_rates(model, members, {kind: values.mean(0) for kind, values in coded.items()})
            parts.append(torch.logsumexp(log_rates, 0) - np.log(len(members)))
        difference = parts[0] - parts[1]
    return difference.cpu().numpy() / np.log(2)


def _moved(model: Any, features: Features, by: pd.Series) -> dict[str, Tensor]:
    """Mean covariates of all samples, moved by weights of columns."""
    coded = model.module.coding.code(code_samples(features.registry, features.obs))
    columns = registered_columns(features.registry)
    moved = {kind: by.reindex(columns[kind], fill_value=0.0).to_numpy(np.float32) for kind in coded}
    return {kind: values.mean(0) + torch.as_tensor(moved[kind]) for kind, values in coded.items()}


def _log_rates(model: Any, members: np.ndarray | None, covariates: dict[str, Tensor]) -> Tensor:
    """Natural log of the decoded rates of samples under one row of covariates, samples x genes."""
    z = torch.as_tensor(model.get_latent_representation(indices=members), device=model.device)
    one_row = {kind: values[None].to(model.device) for kind, values in covariates.items()}
    return torch.cat([model.module.decoder(block, one_row).double() for block in z.split(BLOCK)])
