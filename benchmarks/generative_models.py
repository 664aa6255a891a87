"""The models of the generative benchmark, trained without labels."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anndata import AnnData

import bulkvi as bv
from benchmarks.cache import package_code
from benchmarks.scvi_checkpoints import Norm, trained_scvi

_HERE = Path(__file__).parent
_SCORING = ("generative_data", "generative_distributions", "generative_latent", "generative_scores", "heldout_split")
_NETWORK = ("generative_decoded", "refit_latent", "scvi_checkpoints")
_PLAIN = ("generative_plain", "plain_negative_binomial")
_OURS = ("generative_decoded", "refit_latent", "generative_last_layer", "generative_models")


@dataclass(frozen=True)
class Plain:
    """A negative binomial per gene, mean and dispersion by maximum likelihood, no latent state."""


@dataclass(frozen=True)
class Pca:
    """Principal components of log(1 + count / size factor), with negative binomial noise."""

    n_components: int = 5


@dataclass(frozen=True)
class Bulkvi:
    """BulkVI with its defaults but for what is named here."""

    likelihood: Literal["nb", "zinb", "poisson"] = "nb"
    decoder: Literal["linear", "deep"] = "linear"
    n_latent: int | None = None
    batch: bool = False
    last_layer: bool = True
    """Predict from the posterior of each gene given the latent state; from the decoder's point estimates if False."""


@dataclass(frozen=True)
class Scvi:
    """scVI; ``size_factor`` names the column that it takes for one, the total count of each sample if None."""

    likelihood: Literal["nb", "zinb"] = "nb"
    n_latent: int = 10
    n_layers: int = 1
    n_hidden: int = 128
    dropout_rate: float = 0.1
    norm: Norm = "batch"
    learning_rate: float = 1e-3
    size_factor: Literal["size_factor", "depth"] | None = None
    batch: bool = False
    epochs: tuple[int, ...] = (400,)
    """Evaluated after each of these."""


Network = Bulkvi | Scvi
Model = Plain | Pca | Network


def code_of(model: Model) -> tuple[Path, ...]:
    """Files that the scores of a model depend on; those of other methods do not depend on bulkvi's network."""
    rooms = _SCORING + (_OURS if isinstance(model, Bulkvi) else _NETWORK if isinstance(model, Scvi) else _PLAIN)
    size_factors = package_code("stats/counts/size_factors.py", "pp/_size_factors.py")
    ours = package_code("stats", "study", "regression", "model") if isinstance(model, Bulkvi) else []
    return (*(_HERE / f"{room}.py" for room in rooms), *size_factors, *ours)


def trained(model: Network, train: AnnData, seed: int) -> Iterator[tuple[int, Any, float]]:
    """Epochs (0 where there is no choice of them), trained model and CPU seconds, for each number of epochs."""
    train, start = train.copy(), time.process_time()
    batch_key = "batch" if model.batch else None
    if isinstance(model, Scvi):
        network = {name: getattr(model, name) for name in ("n_latent", "n_layers", "n_hidden", "dropout_rate")}
        yield from trained_scvi(
            train,
            model.epochs,
            network=network,
            norm=model.norm,
            learning_rate=model.learning_rate,
            seed=seed,
            likelihood=model.likelihood,
            size_factor_key=model.size_factor,
            batch_key=batch_key,
        )
        return
    bv.BulkVI.setup_anndata(train, size_factor_key="size_factor", batch_key=batch_key)
    ours = bv.BulkVI(train, gene_likelihood=model.likelihood, decoder=model.decoder, n_latent=model.n_latent, seed=seed)
    ours.train(seed=seed, progress_bar=False, accelerator="cpu")
    yield 0, ours, time.process_time() - start
