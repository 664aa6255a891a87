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
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import scvi
from anndata import AnnData

import bulkvi as bv
from benchmarks.heldout_split import random_split
from benchmarks.plain_negative_binomial import score_plain
from benchmarks.refit_latent import Score, score
from benchmarks.scvi_checkpoints import Norm, trained_scvi

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
    norm: Norm = "batch"
    learning_rate: float = 1e-3
    size_factor: bool = False
    batch: bool = False
    epochs: tuple[int, ...] = (400, 1000, 2000)
    """Scored after each of these."""


Config = Plain | Bulkvi | Scvi

# The search walks along one setting after the other and keeps what is best so far.
SEARCH: dict[str, tuple[Any, ...]] = {
    "learning_rate": (5e-3, 1e-2, 1e-3),
    "norm": ("batch", "layer", "none"),
    "dropout_rate": (0.0, 0.1),
    "n_latent": (2, 5, 10),
    "n_hidden": (64, 128),
    "n_layers": (1, 2),
}


REFERENCE = "scVI, best found"
FINALISTS = [
    Scvi(norm="layer", n_hidden=64, learning_rate=5e-3, epochs=(700, 850, 1000, 1150, 1300)),
]
COMPARED: dict[str, list[Config]] = {
    "bulkvi linear, default n_latent": [Bulkvi()],
    "bulkvi linear, n_latent 2": [Bulkvi(n_latent=2)],
    "bulkvi linear, n_latent 5": [Bulkvi(n_latent=5)],
    "bulkvi deep, default n_latent": [Bulkvi("deep")],
    "bulkvi deep, n_latent 2": [Bulkvi("deep", 2)],
    "bulkvi deep, n_latent 5": [Bulkvi("deep", 5)],
    REFERENCE: [*FINALISTS],
    "scVI, defaults with nb": [Scvi(epochs=(400,))],
    "scVI with size_factor_key, best settings": [replace(FINALISTS[0], size_factor=True, epochs=(1000, 2000))],
    "scVI with size_factor_key, defaults with nb": [Scvi(size_factor=True, epochs=(400,))],
    "one negative binomial per gene, no z": [Plain()],
    "bulkvi linear, n_latent 2, batch given": [Bulkvi(n_latent=2, batch=True)],
    "scVI, best settings, batch given": [replace(FINALISTS[0], batch=True, epochs=(1000,))],
}


def bottomly() -> AnnData:
    """Counts of all genes with at least ``MIN_COUNTS`` counts, from ``$BULKVI_DATA_DIR/bottomly``."""
    folder = Path(os.environ["BULKVI_DATA_DIR"]) / "bottomly"
    samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0, dtype=str)
    counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)[samples.index].T
    counts = counts.loc[:, counts.sum() >= MIN_COUNTS]
    return AnnData(counts.astype(np.float32), obs=samples)


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
    network = {k: v for k, v in asdict(config).items() if k in ("n_latent", "n_layers", "n_hidden", "dropout_rate")}
    for epochs, model, seconds in trained_scvi(
        train,
        config.epochs,
        network=network,
        norm=config.norm,
        learning_rate=config.learning_rate,
        seed=seed,
        size_factor_key="size_factor" if config.size_factor else None,
        batch_key=batch_key,
    ):
        yield f" {epochs} epochs", model, seconds


def evaluate(config: Config, seed: int) -> list[dict[str, Any]]:
    """Scores of one configuration on one split, from the cache if they are there."""
    key = {"config": f"{config}", "seed": seed, "code": _code(config)}
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in CACHE.read_text().splitlines()] if CACHE.exists() else []
    found = [row for row in known if all(row.get(k) == v for k, v in key.items())]
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
    if not found:
        found = [key | {"name": f"{config} diverged"} | Score(-np.inf, -np.inf, -np.inf)._asdict()]
    with CACHE.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in found)
    return found


def _code(config: Config) -> str:
    """What the result depends on besides the configuration."""
    if isinstance(config, Bulkvi):
        sources = sorted(Path(bv.__file__).parent.rglob("*.py"))
        return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    return f"scvi-tools {scvi.__version__}" if isinstance(config, Scvi) else ""


def search(start: Scvi, seeds: list[int]) -> pd.DataFrame:
    """Coordinate search for the settings of scVI; every configuration tried, mean over the splits, best first."""
    best, best_fit = start, -np.inf
    tried: list[tuple[Scvi, pd.DataFrame]] = []
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


def compare(seeds: list[int]) -> pd.DataFrame:
    """The table: each row the best of its configurations and epochs on average, against the best of scVI split by split."""
    best = {}
    for label, configs in COMPARED.items():
        rows = pd.DataFrame([row for config in configs for seed in seeds for row in evaluate(config, seed)])
        by_name = rows.groupby("name")["fit"].agg(["mean", "size"])
        name = by_name.loc[by_name["size"] == len(seeds), "mean"].idxmax()  # not one that diverged in some split
        best[label] = rows[rows["name"] == name].set_index("seed")
        print(f"{label}: {name}", flush=True)
    table = {}
    for label, rows in best.items():
        ahead = rows["fit"] - best[REFERENCE]["fit"]
        table[label] = {
            "fit (mean, sd)": f"{rows['fit'].mean():.4f} ({rows['fit'].std():.4f})",
            "fit, best scVI = 0 (mean, sd)": f"{ahead.mean():+.4f} ({ahead.std():.4f})",
            "splits won": f"{(ahead > 0).sum()} of {len(ahead)}",
            "completion": f"{rows['completion'].mean():.4f}",
            "fit per count": f"{rows['fit_per_count'].mean():.6f}",
            "training CPU s": f"{rows['train_cpu'].mean():.0f}" if "train_cpu" in rows else "",
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("model")


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown, index first."""
    lines = [[table.index.name, *table.columns], ["---"] * (1 + table.shape[1]), *table.reset_index().to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Run a part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["search", "compare"])
    parser.add_argument("--splits", type=int, help="number of random splits; 1 for search, 6 for compare")
    arguments = parser.parse_args()
    if arguments.part == "search":
        print(markdown(search(Scvi(), list(range(arguments.splits or 1))).round(4)))
    else:
        print(markdown(compare(list(range(arguments.splits or 6)))))


if __name__ == "__main__":
    main()
