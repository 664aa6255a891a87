"""Decoded log rates of a trained model's samples, for the regressions."""

import copy
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bulkvi.model._decoders import Decoder
from bulkvi.model._posterior_mode import has_mode, posterior_mode
from bulkvi.model._restore import seeded
from bulkvi.model._scvi_private import MODULE_KEYS
from bulkvi.regression.contrast import Contrast
from bulkvi.study.groups import counterfactual_obs
from bulkvi.study.study_design import StudyDesign

if TYPE_CHECKING:
    from bulkvi.model._model import BulkVI

BLOCK = 256


class DecodedRates:
    """Decoded log rates of a trained model's samples: :class:`bulkvi.regression.hidden.Network`."""

    def __init__(self, model: "BulkVI"):
        self._model = model

    @property
    def n_latent(self) -> int:
        """Dimension of the latent state."""
        return self._model.module.n_latent

    def _latent_state(self, members: np.ndarray | None = None) -> Tensor:
        """Latent state in double precision: the mode of its posterior where that is concave, else what the encoder says."""
        self._model._check_if_trained(warn=False)
        module, adata = self._model.module, self._model.adata
        indices = np.arange(adata.n_obs) if members is None else members
        states = []
        with seeded(0), torch.inference_mode():
            for tensors in self._model._make_data_loader(adata=adata, indices=indices.tolist()):
                inputs = module._get_inference_input(tensors)
                z = module.inference(**inputs)[MODULE_KEYS.QZ_KEY].loc
                if has_mode(module):
                    x, exposure, covariates = (inputs[name] for name in ("x", "log_exposure", "covariates"))
                    on_device = {kind: values.to(z.device) for kind, values in covariates.items()}
                    z = posterior_mode(module, x.to(z.device), exposure.to(z.device), on_device, z)
                states.append(z.double())
        return torch.cat(states)

    @cached_property
    def _decoder(self) -> Decoder:
        """The decoder in double precision."""
        return copy.deepcopy(self._model.module.decoder).double()

    def rate_differences(self, design: StudyDesign) -> np.ndarray:
        """Return the log rate at a sample's latent state minus that at the mean latent state, samples x genes, natural log."""
        decoder, z = self._decoder, self._latent_state()
        covariates = {kind: values.to(self._model.device) for kind, values in _to_tensors(design.sample_blocks).items()}
        blocks = []
        with torch.inference_mode():
            for begin in range(0, len(z), BLOCK):
                part = slice(begin, begin + BLOCK)
                rows = {kind: values[part] for kind, values in covariates.items()}
                centre = z.mean(0, keepdim=True).expand(len(z[part]), -1)
                blocks.append((decoder(z[part], rows) - decoder(centre, rows)).cpu().numpy())
        return np.concatenate(blocks)

    @torch.inference_mode()
    def decoded_log_fc(self, design: StudyDesign, compared: Contrast) -> np.ndarray:
        """Return the difference of decoded log2 rates, one value per gene.

        For two groups: the difference of their mean rates. For weights of columns: the mean over all samples of the difference
        between half the contrast up and half of it down from the mean of the covariates.
        """
        if compared.groups is None or compared.groupby is None:
            up, down = (self._log_rates(None, _shifted(design, half * compared.weights)) for half in (0.5, -0.5))
            difference = (up - down).mean(0)
        else:
            parts = []
            for members in compared.groups:
                obs = counterfactual_obs(design.obs, compared.groups, compared.groupby, design.variables, members)
                means = {kind: values.mean(0) for kind, values in _to_tensors(design.blocks(obs)).items()}
                log_rates = self._log_rates(members, means)
                parts.append(torch.logsumexp(log_rates, 0) - np.log(len(members)))
            difference = parts[0] - parts[1]
        return difference.cpu().numpy() / np.log(2)

    def _log_rates(self, members: np.ndarray | None, covariates: dict[str, Tensor]) -> Tensor:
        """Natural log of the decoded rates of samples at one row of covariates, samples x genes."""
        z = self._latent_state(members)
        one_row = {kind: values[None].to(self._model.device) for kind, values in covariates.items()}
        return torch.cat([self._decoder(block, one_row) for block in z.split(BLOCK)])


def _to_tensors(blocks: dict[str, pd.DataFrame]) -> dict[str, Tensor]:
    """Covariates as the network takes them, in double precision."""
    return {kind: torch.as_tensor(np.ascontiguousarray(block.to_numpy(np.float64))) for kind, block in blocks.items()}


def _shifted(design: StudyDesign, by: pd.Series) -> dict[str, Tensor]:
    """Mean covariates of all samples, shifted by weights of columns."""
    blocks = design.sample_blocks
    shift = {kind: by.reindex(block.columns, fill_value=0.0).to_numpy(np.float64) for kind, block in blocks.items()}
    return {kind: values.mean(0) + torch.as_tensor(shift[kind]) for kind, values in _to_tensors(blocks).items()}
