"""CPU time of training on 12 x 18,418, against scVI's, and how close to its own long run a short training comes.

BULKVI_DATA_DIR=<folder> python -m benchmarks.training_cost

Mouse mammary gland (GSE60450), genes with at least 10 counts. ``BulkVI(adata, n_latent=2).train()`` and
``SCVI(adata).train()`` both with their defaults, taking turns in one process on one thread. Time is CPU time of the process
(user + system) around ``train`` alone. The ELBO is ``get_elbo()``, evidence lower bound per sample in nats, averaged over
draws of the latent state; the long run takes 5,000 steps and no early stop. A last run of ours with the same seed keeps
the parameters after every few steps: from when on is it within 0.1 % of the long run?
"""

import argparse
import time
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import scvi
import torch
from anndata import AnnData

import bulkvi as bv

LONG_RUN_STEPS = 5_000
NEAR = 1e-3
"""Relative distance from the long run's ELBO that counts as arrived."""
N_DRAWS = 100
PROMISED_SHARE = 0.25
"""Of scVI's CPU time."""


def mammary() -> AnnData:
    """The counts both models are trained on."""
    adata = bv.datasets.gse60450()
    bv.pp.filter_genes(adata, min_counts=10)
    bv.pp.size_factors(adata)
    adata.X = adata.X.astype(np.float32)
    return adata


def ours(adata: AnnData, decoder: Literal["linear", "deep"]) -> Any:
    """An untrained BulkVI."""
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    return bv.BulkVI(adata, n_latent=2, decoder=decoder)


def theirs(adata: AnnData) -> Any:
    """An untrained SCVI."""
    scvi.model.SCVI.setup_anndata(adata)
    return scvi.model.SCVI(adata)


def train(model: Any, **options: Any) -> float:
    """CPU seconds of training; ``options`` are passed to ``train``."""
    start = time.process_time()
    model.train(accelerator="cpu", **options)
    return time.process_time() - start


def elbo(model: Any) -> float:
    """ELBO per sample, mean over draws with a fixed seed; higher is better."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return float(np.mean([float(model.get_elbo()) for _ in range(N_DRAWS)]))


class Moment(NamedTuple):
    """Parameters at one moment of a training."""

    step: int
    cpu: float
    parameters: dict[str, torch.Tensor]


class Trace:
    """Hook that keeps the parameters before every ``every``-th step, and leaves its own time out of the CPU time."""

    def __init__(self, every: int):
        self.every = every
        self.start = time.process_time()
        self.step = 0
        self.moments: list[Moment] = []

    def __call__(self, module: torch.nn.Module, *_: object) -> None:
        if self.step % self.every == 0:
            now = time.process_time()
            state = {name: value.clone() for name, value in module.state_dict().items()}
            self.moments.append(Moment(self.step, now - self.start, state))
            self.start += time.process_time() - now
        self.step += 1


def arrival(model: Any, moments: list[Moment], target: float) -> pd.DataFrame:
    """How far each moment's ELBO is from the target, as a share of it, negative below."""
    rows = []
    for moment in moments:
        model.module.load_state_dict(moment.parameters)
        rows.append((moment.step, moment.cpu, (elbo(model) - target) / abs(target)))
    return pd.DataFrame(rows, columns=["step", "cpu_seconds", "from_long_run"])


def first_arrival(path: pd.DataFrame) -> int | None:
    """Row of `arrival` from which on the ELBO stays within `NEAR` of the long run's; None if it does not."""
    away = np.flatnonzero(path["from_long_run"].abs() > NEAR)
    first = int(away.max()) + 1 if away.size else 0
    return first if first < len(path) else None


def traced_training(adata: AnnData, decoder: Literal["linear", "deep"], every: int) -> tuple[Any, list[Moment]]:
    """A default training that keeps the parameters after every few steps."""
    model = ours(adata, decoder)
    trace = Trace(every)
    hook = model.module.register_forward_pre_hook(trace)
    trace.start = time.process_time()
    model.train(accelerator="cpu", progress_bar=False)
    hook.remove()
    return model, trace.moments


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--decoder", choices=["linear", "deep"], default="linear")
    parser.add_argument("--trace-every", type=int, default=5, help="steps between two looks at the parameters")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    adata = mammary()
    print(f"bulkvi {bv.__version__}, scvi-tools {scvi.__version__}, torch {torch.__version__}, {adata.shape}")

    times: dict[str, list[float]] = {"BulkVI": [], "SCVI": []}
    for _ in range(arguments.repeats):
        model = ours(adata, arguments.decoder)
        times["BulkVI"].append(train(model, progress_bar=False))
        times["SCVI"].append(train(theirs(adata.copy()), enable_progress_bar=False))
    for name, seconds in times.items():
        print(f"{name:7s} CPU seconds {', '.join(f'{s:.2f}' for s in seconds)}; median {np.median(seconds):.2f}")
    ratio = float(np.median(times["BulkVI"]) / np.median(times["SCVI"]))
    print(f"ratio of medians of whole trainings {ratio:.3f}")

    long_run = ours(adata, arguments.decoder)
    long_seconds = train(long_run, max_steps=LONG_RUN_STEPS, plateau_tolerance=None, progress_bar=False)
    target = elbo(long_run)
    distance = (elbo(model) - target) / abs(target)
    print(
        f"ELBO of {LONG_RUN_STEPS} steps ({long_seconds:.1f} s): {target:.2f}; of the default training {elbo(model):.2f}"
    )
    print(f"default training is {distance:+.4%} from the long run (promised: within {NEAR:.1%})")

    path = arrival(*traced_training(adata, arguments.decoder, arguments.trace_every), target)
    print(path.to_string(index=False, formatters={"cpu_seconds": "{:.2f}".format, "from_long_run": "{:+.4%}".format}))
    first = first_arrival(path)
    if first is None:
        print(f"not within {NEAR:.1%} before the last step")
    else:
        share = path.cpu_seconds[first] / np.median(times["SCVI"])
        print(f"within {NEAR:.1%} from step {path.step[first]} on, after {path.cpu_seconds[first]:.2f} CPU s:")
        print(f"{share:.3f} of the CPU time of SCVI's training (promised: at most {PROMISED_SHARE})")


if __name__ == "__main__":
    main()
