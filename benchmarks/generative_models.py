"""The models of the generative benchmark, trained without labels."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anndata import AnnData

import bulkvi as bv
from benchmarks.scvi_checkpoints import Norm, trained_scvi

_MODEL = "_model _module _networks _likelihood _training _training_plan _start _decoders _factor_model _dispersion_steps _setup _restore".split()
_SOURCES = Path(bv.__file__).parent
_HERE = Path(__file__).parent
_OURS = tuple(_SOURCES / "model" / f"{name}.py" for name in _MODEL)
_SHARED = (
    _SOURCES / "stats" / "counts" / "size_factors.py",
    _SOURCES / "pp" / "_size_factors.py",
    *(_HERE / f"{name}.py" for name in ("generative_data", "generative_models", "scvi_checkpoints", "refit_latent")),
    _HERE / "plain_negative_binomial.py",
)


@dataclass(frozen=True)
class Plain:
    """A negative binomial per gene, mean and dispersion by maximum likelihood, no z."""


@dataclass(frozen=True)
class Bulkvi:
    """BulkVI as it comes but for what is named here."""

    likelihood: Literal["nb", "zinb", "poisson"] = "nb"
    decoder: Literal["linear", "deep"] = "linear"
    batch: bool = False


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
    """Looked at after each of these."""


Network = Bulkvi | Scvi
Model = Plain | Network


def code_of(model: Model | None) -> tuple[Path, ...]:
    """Files that decide what a model says, or principal components if None."""
    return (*_OURS, *_SHARED) if isinstance(model, Bulkvi) else _SHARED


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
    ours = bv.BulkVI(train, gene_likelihood=model.likelihood, decoder=model.decoder, seed=seed)
    ours.train(seed=seed, progress_bar=False, accelerator="cpu")
    yield 0, ours, time.process_time() - start
