"""CPU seconds and peak memory against the number of samples, each run in a process of its own.

A worker process draws the counts (``datasets.simulate``, 10,000 genes, two groups, the human cohort's trend), asks one method for
a table, on one thread, and reports two numbers: CPU seconds (user and system) from counts to table, and the largest resident
memory of the process that computes, its libraries included (for R that of R, for Python that of Python with PyTorch loaded).
Runs beyond `LIMIT` seconds are stopped; larger sizes of that method are left out then.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.cache import ANSWER, package_code, remember

SIZES = (6, 12, 50, 100, 300, 1_000)
METHODS = ("bulkvi", "voom", "edger_ql", "deseq2", "pydeseq2", "scvi")
N_GENES = 10_000
LIMIT = 240
"""Wall-clock seconds after which a run is stopped."""


def rows(sets: int) -> pd.DataFrame:
    """A row for each method, size and seed; NaN where the limit was reached."""
    found = []
    for method in METHODS:
        stopped = False
        for size in SIZES:
            for seed in range(sets):
                numbers = {"CPU s": float("nan"), "peak MiB": float("nan")} if stopped else measured(method, size, seed)
                stopped |= not np.isfinite(numbers["CPU s"])
                about = {"scenario": "simulated", "source": "geuvadis", "n": size, "seed": seed, "method": method}
                found.append(about | numbers)
    return pd.DataFrame(found)


def measured(method: str, size: int, seed: int) -> dict[str, float]:
    """CPU seconds and peak memory of one run, from the cache if there."""
    ours = package_code(*ANSWER) if method == "bulkvi" else []
    packages = {name: version(name) for name in ("pydeseq2",)}
    settings = {"method": method, "size": size, "seed": seed, "genes": N_GENES, "limit": LIMIT} | packages
    return remember("cost", settings, lambda: _run(method, size, seed), code=ours)


def _run(method: str, size: int, seed: int) -> dict[str, float]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "benchmarks.cost", method, str(size), str(seed)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=LIMIT, env=os.environ | one_thread
        )
    except subprocess.TimeoutExpired:
        return {"CPU s": float("nan"), "peak MiB": float("nan")}
    return json.loads(done.stdout.splitlines()[-1])


def work(method: str, size: int, seed: int) -> dict[str, float]:
    """What the worker does: the counts, one table, two numbers."""
    import bulkvi as bv
    from benchmarks.calibration_scenarios import with_known_effects
    from benchmarks.peers import METHODS as IN_R
    from benchmarks.peers import CountData, run_peers
    from benchmarks.python_methods import RUN

    def counts_of(n: int) -> CountData:
        # integers to the method, whatever it makes of them
        half = (n // 2, n - n // 2)
        adata = bv.datasets.simulate(n_per_group=half, n_genes=N_GENES, trend="geuvadis", seed=seed)
        counts = pd.DataFrame(np.asarray(adata.X), index=adata.obs_names, columns=adata.var_names)
        in_b = (adata.obs["group"] == "B").to_numpy().astype(int)
        return with_known_effects(f"cost/geuvadis/n{n}/seed{seed}", counts, in_b, adata.var["true_log_fc"].to_numpy())

    data = counts_of(size)
    if method in IN_R:
        with tempfile.TemporaryDirectory() as empty:
            seconds = run_peers([data], [method], cache_dir=Path(empty))[data.name, method].cpu_seconds
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    else:
        if method == "bulkvi":
            RUN[method](counts_of(6))  # compiled, or loaded from numba's cache, before the clock runs
        start = time.process_time()
        RUN[method](data)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"CPU s": seconds, "peak MiB": peak / 1024}


def main() -> None:
    """The worker: prints its two numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("size", type=int)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    print(json.dumps(work(options.method, options.size, options.seed)))


if __name__ == "__main__":
    main()
