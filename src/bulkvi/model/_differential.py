"""Differential expression: two groups of samples through the decoder."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from scvi.model.base import BaseModelClass
from torch import Tensor

from bulkvi.model._groups import as_if_in_group, find_groups
from bulkvi.model._registered import code_samples, covariate_columns
from bulkvi.names import BASE_MEAN, CONTRAST, LOG_FC_DECODED
from bulkvi.stats.blocks import iter_row_blocks


class DifferentialMixin(BaseModelClass):
    """``differential_expression`` of :class:`~bulkvi.BulkVI`."""

    @torch.inference_mode()
    def differential_expression(self, groupby: str, group1: Any, group2: Any) -> pd.DataFrame:
        r"""Compare the mean rates that the decoder gives to two groups of samples.

        .. math::

            \log_2 \frac{1}{n_1} \sum_{n \in G_1} \rho_g(z_n, \bar c_1)
            - \log_2 \frac{1}{n_2} \sum_{n \in G_2} \rho_g(z_n, \bar c_2)

        with :math:`\rho` the decoded rate per unit size factor (depth removed), :math:`z_n` the posterior mean of the
        latent state, and :math:`\bar c` the covariates of the group. Covariates that differ between the groups only
        because the groups do go with the group; all others are held at the mixture of both groups, so that an unbalanced
        batch does not count as an effect.

        Parameters
        ----------
        groupby
            Column of ``obs``; it need not be in the design.
        group1, group2
            Levels of that column. The sign is group1 over group2: up in group1 is positive.

        Returns
        -------
        A row for each gene in the order of ``var_names``, with the columns

        ``base_mean``
            Mean over all samples of count / size factor.
        ``log_fc_decoded``
            The difference above, log base 2.
        ``contrast``
            What was compared, in words.

        It is an estimate without uncertainty.

        Raises
        ------
        KeyError
            If the column does not exist.
        ValueError
            If a group has no samples, or the model has no data attached.
        """
        self._check_if_trained(warn=False)
        if self.adata is None:
            raise ValueError("The model has no samples attached; load it with BulkVI.load(folder, adata=adata).")
        obs = self.adata.obs
        groups = find_groups(obs, groupby, group1, group2)
        log_rates = []
        for members in groups:
            counterfactual = as_if_in_group(obs, groups, covariate_columns(self.registry), members)
            log_rates.append(self._log_mean_rate(members, counterfactual))
        difference = (log_rates[0] - log_rates[1]) / np.log(2)
        return pd.DataFrame(
            {
                BASE_MEAN: self._base_mean(),
                LOG_FC_DECODED: difference.cpu().double().numpy(),
                CONTRAST: f"{groupby}: {group1} vs {group2}",
            },
            index=self.adata.var_names.copy(),
        )

    def _log_mean_rate(self, members: np.ndarray, counterfactual: pd.DataFrame) -> Tensor:
        """Natural log of the mean decoded rate of some samples under averaged covariates, shape ``(n_genes,)``."""
        coded = self.module.coding.code(code_samples(self.registry, counterfactual))
        averaged = {kind: columns.mean(0, keepdim=True).to(self.device) for kind, columns in coded.items()}
        z = torch.as_tensor(self.get_latent_representation(indices=members), device=self.device)
        parts = [self.module.decoder(block, averaged).double() for block in z.split(256)]
        return torch.logsumexp(torch.cat(parts), 0) - np.log(len(members))

    def _base_mean(self) -> np.ndarray:
        counts = self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
        size_factor = np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.SIZE_FACTOR_KEY)).reshape(-1, 1)
        total = np.zeros(self.adata.n_vars)
        for rows, block in iter_row_blocks(counts):
            total += (block / size_factor[rows]).sum(0)
        return total / self.adata.n_obs
