"""Results of a trained network as arrays, for the regressions."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bulkvi.regression.contrast import Contrast
from bulkvi.study.groups import counterfactual_obs
from bulkvi.study.study_design import StudyDesign

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI

BLOCK = 256


class DecodedRates:
    """Decoded log rates of a trained model's samples.

    Implements :class:`bulkvi.regression.hidden.Network`.
    """

    def __init__(self, model: "BulkVI"):
        self._model = model

    @property
    def n_latent(self) -> int:
        """Dimension of the latent state."""
        return self._model.module.n_latent

    def _latent_state(self, members: np.ndarray | None = None) -> Tensor:
        # single precision depends on which samples are encoded together: always the same ones for one result
        z = self._model.get_latent_representation(indices=members)
        return torch.as_tensor(z, device=self._model.device)

    def rate_differences(self, design: StudyDesign) -> np.ndarray:
        """Log rate at a sample's latent state less that at the mean latent state, samples x genes, natural log."""
        decoder, z = self._model.module.decoder, self._latent_state()
        covariates = {kind: values.to(self._model.device) for kind, values in _coded(design, design.obs).items()}
        blocks = []
        with torch.inference_mode():
            for begin in range(0, len(z), BLOCK):
                part = slice(begin, begin + BLOCK)
                own = {kind: values[part] for kind, values in covariates.items()}
                centre = z.mean(0, keepdim=True).expand(len(z[part]), -1)
                blocks.append((decoder(z[part], own) - decoder(centre, own)).double().cpu().numpy())
        return np.concatenate(blocks)

    @torch.inference_mode()
    def decoded_log_fc(self, design: StudyDesign, compared: Contrast) -> np.ndarray:
        """Difference of decoded log2 rates, one value per gene.

        Of two groups: the difference of their mean rates. Of weights of columns: the mean over all samples of the
        difference between half the contrast up and half of it down from the mean of the covariates.
        """
        if compared.groups is None or compared.groupby is None:
            up, down = (self._log_rates(None, _moved(design, half * compared.weights)) for half in (0.5, -0.5))
            difference = (up - down).mean(0)
        else:
            parts = []
            for members in compared.groups:
                obs = counterfactual_obs(design.obs, compared.groups, compared.groupby, design.variables, members)
                means = {kind: values.mean(0) for kind, values in _coded(design, obs).items()}
                log_rates = self._log_rates(members, means)
                parts.append(torch.logsumexp(log_rates, 0) - np.log(len(members)))
            difference = parts[0] - parts[1]
        return difference.cpu().numpy() / np.log(2)

    def _log_rates(self, members: np.ndarray | None, covariates: dict[str, Tensor]) -> Tensor:
        """Natural log of the decoded rates of samples under one row of covariates, samples x genes."""
        z = self._latent_state(members)
        one_row = {kind: values[None].to(self._model.device) for kind, values in covariates.items()}
        return torch.cat([self._model.module.decoder(block, one_row).double() for block in z.split(BLOCK)])


def _coded(design: StudyDesign, obs: pd.DataFrame) -> dict[str, Tensor]:
    """Covariates as the network reads them."""
    return {
        kind: torch.as_tensor(np.ascontiguousarray(block.to_numpy(np.float32)))
        for kind, block in design.blocks(obs).items()
    }


def _moved(design: StudyDesign, by: pd.Series) -> dict[str, Tensor]:
    """Mean covariates of all samples, moved by weights of columns."""
    blocks = design.blocks(design.obs)
    moved = {kind: by.reindex(block.columns, fill_value=0.0).to_numpy(np.float32) for kind, block in blocks.items()}
    return {kind: values.mean(0) + torch.as_tensor(moved[kind]) for kind, values in _coded(design, design.obs).items()}
