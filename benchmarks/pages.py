"""The pages of the comparison: which data sets, which tables, which figure."""

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version

import pandas as pd

from benchmarks import cost as cost_rows
from benchmarks import hidden_page, two_groups
from benchmarks.page import Page, by_method, completed, means
from benchmarks.peers import CACHE
from benchmarks.pictures import dots, false_calls, lines
from benchmarks.two_groups import LARGEST_SLOW, OURS, SLOW

CALLING = (OURS, "deseq2", "edger_ql", "voom")
ESTIMATING = (OURS, "deseq2", "deseq2_shrink", "edger_ql", "voom")
DEEP = (OURS, *SLOW)
DRAWN_SIZE = 5
"""Of simulations, whose cells are many."""
ACCURACY = {"FDR": "FDR of calls at 5 %", "TPR at 5 % FDP": "TPR at 5 % FDP", "RMSE": "RMSE of log2 fold changes"}
PYTHON_PACKAGES = ("bulkvi", "numpy", "pydeseq2", "scvi-tools", "torch")


def thinning(sets: int | None, earlier: pd.DataFrame | None = None) -> Page:
    """Known effects on real noise: the main accuracy benchmark."""
    n_sets = 8 if sets is None else sets
    rows = two_groups.rows(two_groups.thinning(n_sets), 1, ours_only=earlier is not None)
    return _accuracy("thinning", rows, n_sets, 1, ("source", "n"), earlier)


def yeast(sets: int | None, earlier: pd.DataFrame | None = None) -> Page:
    """Snf2 over WT at five sizes."""
    n_sets = 5 if sets is None else sets
    rows = two_groups.rows(two_groups.yeast(n_sets), 1, ours_only=earlier is not None)
    return _accuracy("yeast", rows, n_sets, 1, ("n",), earlier)


def simulations(sets: int | None, earlier: pd.DataFrame | None = None) -> Page:
    """Scenarios of the simulator."""
    n_sets = 3 if sets is None else sets
    rows = two_groups.rows(two_groups.simulations(n_sets), 0, ours_only=earlier is not None)
    return _accuracy("simulations", rows, n_sets, 0, ("scenario", "n"), earlier)


def _accuracy(
    name: str,
    rows: pd.DataFrame,
    n_sets: int,
    n_slow: int,
    keys: Sequence[str],
    earlier: pd.DataFrame | None = None,
) -> Page:
    cells = means(rows[~rows["method"].isin(SLOW)])
    few = _beside_the_slow(rows, n_slow)
    if earlier is not None:
        cells, few = completed(cells, earlier, "all"), completed(few, earlier, "first") if n_slow else few
    first = "The first set of each cell" if n_slow == 1 else f"The first {n_slow} sets of each cell"
    tables = {
        "FDR of the calls at 5 % (nominal: .050)": by_method(cells, "FDR", CALLING, keys),
        "TPR at a false discovery proportion of 5 %": by_method(cells, "TPR at 5 % FDP", CALLING, keys),
        "RMSE of log2 fold changes, genes with a mean count of at least 10": by_method(cells, "RMSE", ESTIMATING, keys),
        "bulkvi by s-value, and how many of its 95 % intervals hold the truth": _own(cells, keys),
    }
    if n_slow:
        tables |= {
            f"{first}: TPR at 5 % FDP": by_method(few, "TPR at 5 % FDP", DEEP, keys),
            f"{first}: FDR of calls at 5 % (scVI: by s-value)": by_method(few, "FDR", DEEP, keys),
            f"{first}: RMSE": by_method(few, "RMSE", DEEP, keys),
        }
    all_cells = pd.concat([cells.assign(subset="all"), few.assign(subset="first")])
    few_cells = name != "simulations" or DRAWN_SIZE not in set(cells["n"])
    drawn = cells if few_cells else cells[cells["n"] == DRAWN_SIZE]
    figure = dots(drawn, ACCURACY, ESTIMATING, keys, nominal="FDR")
    return Page(all_cells, tables, figure, versions(), f"python -m benchmarks {name} --sets {n_sets}")


def _beside_the_slow(rows: pd.DataFrame, n_slow: int) -> pd.DataFrame:
    """Means over the sets that the slow methods have seen, of those and ours."""
    return means(rows[(rows["seed"] < n_slow) & (rows["n"] <= LARGEST_SLOW) & rows["method"].isin(DEEP)])


def _own(cells: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    own = cells[cells["method"] == OURS].set_index(list(keys))
    return own[["sets", "FDR", "TPR", "s FDR", "s TPR", "coverage", "null p < .05", "latent columns"]]


def null(sets: int | None) -> Page:
    """Groups that mean nothing."""
    n_sets = 12 if sets is None else sets
    cohorts = two_groups.rows(two_groups.null_cohorts(-(-n_sets // 2)), 0)
    rows = pd.concat([two_groups.rows(two_groups.null_yeast(n_sets), 1), cohorts])
    rows = rows[rows["method"] != "deseq2_shrink"]  # DESeq2's calls once more
    rows["any"] = (rows["calls"] > 0).astype(float)
    tested = rows[~rows["method"].isin(SLOW)]
    cells = means(tested)
    cells["median"] = tested.groupby(["scenario", "source", "n", "method"], sort=False)["calls"].median().to_numpy()
    few = _beside_the_slow(rows[rows["source"] == "yeast"], 1)
    keys = ("source", "n")
    tables = {
        "False calls, mean over data sets": by_method(cells, "calls", CALLING, keys),
        "False calls, median": by_method(cells, "median", CALLING, keys),
        "Share of the data sets with any call": by_method(cells, "any", CALLING, keys),
        "Share of p-values below .05": by_method(cells, "null p < .05", CALLING, keys),
        "The first set of each cell of yeast: false calls (scVI: by s-value)": by_method(few, "calls", DEEP, keys),
    }
    all_cells = pd.concat([cells.assign(subset="all"), few.assign(subset="first")])
    figure = false_calls(rows, CALLING)
    return Page(all_cells, tables, figure, versions(), f"python -m benchmarks null --sets {n_sets}")


def hidden(sets: int | None, earlier: pd.DataFrame | None = None) -> Page:
    """Hidden batches."""
    n_sets = 2 if sets is None else sets
    rows = hidden_page.rows(n_sets, ours_only=earlier is not None)
    cells, keys = means(rows), ("scenario", "n")
    if earlier is not None:
        cells = completed(cells, earlier, "all")
    tables = {
        "FDR of the calls at 5 % (nominal: .050)": by_method(cells, "FDR", hidden_page.SHOWN, keys),
        "TPR at a false discovery proportion of 5 %": by_method(cells, "TPR at 5 % FDP", hidden_page.SHOWN, keys),
    }
    metrics = {"FDR": ACCURACY["FDR"], "TPR at 5 % FDP": ACCURACY["TPR at 5 % FDP"]}
    figure = dots(cells[cells["n"] != 5], metrics, hidden_page.SHOWN, keys, nominal="FDR")
    return Page(cells.assign(subset="all"), tables, figure, versions(), f"python -m benchmarks hidden --sets {n_sets}")


def generative(sets: int | None, earlier: pd.DataFrame | None = None) -> Page:
    """Predictions for counts of held-out samples, and samples in latent space."""
    from benchmarks.generative_page import page

    return page(sets, versions(r=False), earlier)


def reference(sets: int | None, parts: Sequence[str] | None = None) -> Page:
    """Small studies without and with a reference cohort."""
    from benchmarks.reference_page import page

    return page(sets, versions(), parts)


def cost(sets: int | None) -> Page:
    """CPU seconds and memory against the number of samples."""
    n_sets = 1 if sets is None else sets
    cells = means(cost_rows.rows(n_sets))
    tables = {
        f"{title}, {cost_rows.N_GENES:,} genes": by_method(cells, metric, cost_rows.METHODS, ("n",))
        for metric, title in (("CPU s", "CPU seconds"), ("peak MiB", "Peak memory of the process, MiB"))
    }
    figure = lines(cells, {"CPU s": "CPU seconds", "peak MiB": "peak memory, MiB"}, cost_rows.METHODS)
    return Page(cells.assign(subset="all"), tables, figure, versions(), f"python -m benchmarks cost --sets {n_sets}")


def versions(*, r: bool = True) -> dict[str, str]:
    """Versions of what ran: of Python's packages here, of R's as the cached answers name them."""
    found = {name: version(name) for name in PYTHON_PACKAGES}
    return found | (_r_versions(CACHE.glob("*.npz")) if r else {})


def _r_versions(answers: Iterable) -> dict[str, str]:
    import numpy as np

    found: dict[str, set[str]] = {}
    for path in answers:
        with np.load(path) as stored:
            for name, number in json.loads(str(stored["about"]))["versions"].items():
                found.setdefault(name, set()).add(number)
    return {name: " and ".join(sorted(numbers)) for name, numbers in sorted(found.items())}
