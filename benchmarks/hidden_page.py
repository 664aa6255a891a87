"""Hidden batches with a known answer: bulkvi, the oracle, and DESeq2, edgeR and limma with and without surrogate variables.

The data sets are those of `benchmarks.hidden`: the simulator's hidden factors, whose truth the oracle is told. Its sections, and
those of `benchmarks.hidden_real` on real cohorts, print more than the page shows.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.cache import ANSWER, package_code, remember
from benchmarks.hidden import SVA, judge, ours, simulations
from benchmarks.peers import CountData, content_key, run_peers

SIZES = (5, 10, 50)
LARGE = 30
"""From this group size on one data set a cell: surrogate variables take minutes on each."""
SHOWN = ("bulkvi", "bulkvi, no latent columns", "oracle", "deseq2", "voom", *SVA)
KEPT = ("FDR", "TPR", "TPR at 5 % FDP", "calls", "null p < 0.05", "coverage", "latent columns")


def rows(sets: int, *, ours_only: bool = False) -> pd.DataFrame:
    """A row for each data set and method (or bulkvi's alone)."""
    found = []
    for data, hidden in _chosen(sets):
        scenario, _, seed = data.name.split("/")
        behind = {"data": content_key(data, "hidden"), "judged": "1"}
        mine = remember("hidden", behind, lambda: _judged(data, hidden), code=package_code(*ANSWER))  # noqa: B023
        peers = () if ours_only else ("deseq2", "voom", *SVA)
        answers = run_peers([data], peers)
        mine += judge(data, {peer: answers[data.name, peer].table for peer in peers if (data.name, peer) in answers})
        for row in mine:
            about = {"scenario": scenario, "source": "simulated", "n": row["n"], "seed": int(seed)}
            found.append(about | {"method": row["method"]} | {key: row.get(key, np.nan) for key in KEPT})
    return pd.DataFrame(found)


def _judged(data: CountData, hidden: np.ndarray) -> list[dict]:
    return [{key: value for key, value in row.items() if value == value} for row in judge(data, ours(data, hidden))]


def _chosen(sets: int) -> Iterator[tuple[CountData, np.ndarray]]:
    for data, hidden in simulations(range(sets)):
        size, seed = len(data.group) // 2, int(data.name.rsplit("/", 1)[1])
        if size in SIZES and (size < LARGE or seed == 0):
            yield data, hidden
