"""How well a trained decoder describes samples it has never seen: bulkvi, scVI and a plain negative binomial on bottomly.

BULKVI_DATA_DIR=<folder> python -m benchmarks.heldout search     # which settings suit scVI best
BULKVI_DATA_DIR=<folder> python -m benchmarks.heldout compare    # the table

21 mouse samples (2 strains x 3 batches), genes with at least 10 counts. Each split takes 4 samples away at random, leaving
every strain x batch in training. A model is trained on the other 17. Then all of it is frozen, and for each sample taken
away only the latent state z is fitted, by the same routine for every model: the mode of log p(x | z) + log N(z; 0, I) over
several starts. No model is told strain or batch, but for the rows that say so.

- fit: sum of log p(x | z) over the entries (sample, gene) taken away / number of entries, z fitted on all genes.
- completion: the same, z fitted on one random half of the genes and the other half scored, both ways round.

A model gets the better score if z alone carries it to the new sample, whatever its encoder does. Size factors are fixed
before: median of ratios of the training samples, frozen for those taken away; scVI reads the total count of each sample.
Results are kept in ``benchmarks/.cache/heldout.jsonl``; a run that was stopped goes on where it was.
"""

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import scvi
from anndata import AnnData
from scipy.stats import nbinom
from torch import Tensor

import bulkvi as bv
from benchmarks.refit_latent import Score, score

CACHE = Path(__file__).with_name(".cache") / "heldout.jsonl"
N_HELD_OUT = 4
MIN_COUNTS = 10


@dataclass(frozen=True)
class Plain:
    """A negative binomial per gene, mean and dispersion by maximum likelihood, no z."""


@dataclass(frozen=True)
class Bulkvi:
    """BulkVI as it comes; ``n_latent`` None is its default."""

    decoder: Literal["linear", "deep"] = "linear"
    n_latent: int | None = None
    batch: bool = False


@dataclass(frozen=True)
class Scvi:
    """scVI with gene-wise dispersion and ``gene_likelihood="nb"``; without ``size_factor`` it uses the observed total."""

    n_latent: int = 10
    n_layers: int = 1
    n_hidden: int = 128
    dropout_rate: float = 0.1
    norm: Literal["batch", "layer", "none"] = "batch"
    learning_rate: float = 1e-3
    size_factor: bool = False
    batch: bool = False
    epochs: tuple[int, ...] = (400, 1000, 2000)
    """Scored after each of these."""


Config = Plain | Bulkvi | Scvi

# The search walks along one setting after the other and keeps what is best so far.
SEARCH = {
    "learning_rate": (5e-3, 1e-2, 1e-3),
    "norm": ("batch", "layer", "none"),
    "dropout_rate": (0.0, 0.1),
    "n_latent": (2, 5, 10),
    "n_hidden": (64, 128),
    "n_layers": (1, 2),
}


def bottomly() -> AnnData:
    """Counts of all genes with at least ``MIN_COUNTS`` counts, from ``$BULKVI_DATA_DIR/bottomly``."""
    folder = Path(os.environ["BULKVI_DATA_DIR"]) / "bottomly"
    samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0, dtype=str)
    counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)[samples.index].T
    counts = counts.loc[:, counts.sum() >= MIN_COUNTS]
    return AnnData(counts.astype(np.float32), obs=samples)


class Split(NamedTuple):
    """Positions of samples."""

    train: np.ndarray
    held_out: np.ndarray


def random_split(strata: np.ndarray, n_held_out: int, seed: int) -> Split:
    """Take samples away at random such that every stratum keeps one."""
    rng = np.random.default_rng(seed)
    while True:
        held_out = np.sort(rng.choice(strata.size, n_held_out, replace=False))
        train = np.setdiff1d(np.arange(strata.size), held_out)
        if set(strata[train]) == set(strata):
            return Split(train, held_out)


def score_plain(train: AnnData, held_out: AnnData) -> Score:
    """The same score for a negative binomial of which nothing is refitted."""
    x, s = np.asarray(train.X, dtype=float), train.obs["size_factor"].to_numpy()[:, None]
    start = ((x / s).mean(0)).clip(min=0.5 / len(x))
    best = np.full(x.shape[1], -np.inf)
    rate, dispersion = start.copy(), np.ones_like(start)
    for alpha in np.exp(np.linspace(-10, 3, 80)):
        mean = start.copy()
        for _ in range(20):
            weight = 1 / (1 + alpha * s * mean)
            mean = ((weight * x).sum(0) / (weight * s).sum(0)).clip(min=0.5 / len(x))
        height = nbinom.logpmf(x, 1 / alpha, 1 / (1 + alpha * s * mean)).sum(0)
        better = height > best
        best[better], rate[better], dispersion[better] = height[better], mean[better], alpha
    new = np.asarray(held_out.X, dtype=float)
    mean = held_out.obs["size_factor"].to_numpy()[:, None] * rate
    total = nbinom.logpmf(new, 1 / dispersion, 1 / (1 + dispersion * mean)).sum()
    return Score(total / new.size, total / new.size, total / new.sum())


class _Checkpoints(pl.Callback):
    """Keep the parameters after some epochs."""

    def __init__(self, epochs: tuple[int, ...]):
        self.epochs = epochs
        self.states: dict[int, dict[str, Tensor]] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 in self.epochs:
            self.states[trainer.current_epoch + 1] = copy.deepcopy(pl_module.module.state_dict())


def trained(config: Bulkvi | Scvi, train: AnnData, seed: int) -> Iterator[tuple[str, Any, float]]:
    """Trained models, with what to add to their name and the CPU seconds of the training."""
    train, start = train.copy(), time.process_time()
    batch_key = "batch" if config.batch else None
    if isinstance(config, Bulkvi):
        bv.BulkVI.setup_anndata(train, size_factor_key="size_factor", batch_key=batch_key)
        model = bv.BulkVI(train, n_latent=config.n_latent, decoder=config.decoder, seed=seed)
        model.train(seed=seed, progress_bar=False, accelerator="cpu")
        yield "", model, time.process_time() - start
        return
    scvi.settings.seed = seed
    size_factor_key = "size_factor" if config.size_factor else None
    scvi.model.SCVI.setup_anndata(train, size_factor_key=size_factor_key, batch_key=batch_key)
    options = {k: v for k, v in asdict(config).items() if k in ("n_latent", "n_layers", "n_hidden", "dropout_rate")}
    model = scvi.model.SCVI(
        train,
        gene_likelihood="nb",
        use_batch_norm="both" if config.norm == "batch" else "none",
        use_layer_norm="both" if config.norm == "layer" else "none",
        **options,
    )
    checkpoints = _Checkpoints(config.epochs)
    model.train(
        max_epochs=max(config.epochs),
        train_size=1.0,
        accelerator="cpu",
        enable_progress_bar=False,
        plan_kwargs={"lr": config.learning_rate},
        callbacks=[checkpoints],
    )
    seconds = time.process_time() - start
    for epochs, state in checkpoints.states.items():
        model.module.load_state_dict(state)
        yield f" {epochs} epochs", model, seconds * epochs / max(config.epochs)


def evaluate(config: Config, seed: int) -> list[dict[str, Any]]:
    """Scores of one configuration on one split, from the cache if they are there."""
    key = {"config": f"{config}", "seed": seed, "versions": f"bulkvi {bv.__version__}, scvi-tools {scvi.__version__}"}
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in CACHE.read_text().splitlines()] if CACHE.exists() else []
    found = [row for row in known if all(row[k] == v for k, v in key.items())]
    if found:
        return found
    adata = bottomly()
    strata = (adata.obs["strain"] + "/" + adata.obs["batch"]).to_numpy()
    split = random_split(strata, N_HELD_OUT, seed)
    train, held_out = adata[split.train].copy(), adata[split.held_out].copy()
    bv.pp.size_factors(train)
    bv.pp.size_factors(held_out, reference=train)
    if isinstance(config, Plain):
        found = [key | {"name": f"{config}"} | score_plain(train, held_out)._asdict()]
    else:
        for suffix, model, seconds in trained(config, train, seed):
            row = key | {"name": f"{config}{suffix}"} | score(model, held_out, seed)._asdict() | {"train_cpu": seconds}
            found.append(row)
    with CACHE.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in found)
    return found


def search(start: Scvi, seeds: list[int]) -> pd.DataFrame:
    """Coordinate search for the settings of scVI; every configuration tried, mean over the splits, best first."""
    best, best_fit, tried = start, -np.inf, []
    for setting, values in SEARCH.items():
        for value in values:
            config = replace(best, **{setting: value})
            if config in [c for c, _ in tried]:
                continue
            rows = pd.DataFrame([row for seed in seeds for row in evaluate(config, seed)])
            tried.append((config, rows.groupby("name")[["fit", "completion"]].mean()))
            print(tried[-1][1].round(4).to_string(header=False), flush=True)
        for config, scores in tried:
            if scores["fit"].max() > best_fit:
                best, best_fit = config, scores["fit"].max()
    return pd.concat([scores for _, scores in tried]).sort_values("fit", ascending=False)


def main() -> None:
    """Run a part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["search", "compare"])
    parser.add_argument("--seeds", type=int, default=None, help="number of splits; 2 for search and 6 for compare")
    arguments = parser.parse_args()
    if arguments.part == "search":
        print(search(Scvi(), list(range(arguments.seeds or 2))).round(4).to_string())


if __name__ == "__main__":
    main()
