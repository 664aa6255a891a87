"""DESeq2, edgeR QL and limma-voom on many data sets, through one R process, with a cache by content.

A peer's table has the column names of ours where the meaning is the same (log base 2, group 1 over group 0), is indexed by
gene in the order given, and holds NaN where the peer gives no answer.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

WORKER = Path(__file__).with_name("peers.R")
CACHE = Path(__file__).with_name(".cache") / "peers"
METHODS = ("deseq2", "deseq2_shrink", "edger_ql", "voom")
PACKAGES = {"deseq2": "DESeq2", "deseq2_shrink": "DESeq2", "edger_ql": "edgeR", "voom": "limma"}
COLUMNS = ("log_fc", "log_fc_se", "stat", "df", "p_value", "adj_p_value", "base_mean")
PROTOCOL = "1"  # part of every cache key: raise it when peers.R computes something else


@dataclass(frozen=True, eq=False)
class CountData:
    """Counts of two groups, with what is known about the effect.

    Attributes
    ----------
    name
        What it is; unique among the data sets of one run.
    counts
        Integers, samples x genes, columns are gene ids.
    group
        0 or 1 for each sample; effects are group 1 over group 0.
    covariates
        Further design columns, one row a sample.
    truth
        Indexed by gene: ``log_fc`` (log2, NaN if unknown) and ``status`` (1 changed, 0 null, -1 not to be judged).
    """

    name: str
    counts: pd.DataFrame
    group: np.ndarray
    covariates: pd.DataFrame | None = None
    truth: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class PeerResult:
    """What one method answered on one data set.

    Attributes
    ----------
    table
        Indexed by gene, columns ``COLUMNS``; ``df`` are the degrees of freedom of ``stat`` (NaN: normal).
    cpu_seconds
        User and system time in R, counts to table, one thread.
    versions
        R and its packages.
    """

    table: pd.DataFrame
    cpu_seconds: float
    versions: dict[str, str]


def run_peers(
    datasets: Iterable[CountData],
    methods: Sequence[str] = METHODS,
    cache_dir: Path = CACHE,
    batch: int = 8,
) -> dict[tuple[str, str], PeerResult]:
    """Answers of the peers by (data set, method); a peer that cannot run here is left out, and why is printed.

    Parameters
    ----------
    datasets
        Consumed in batches, so a generator of many data sets stays small in memory.
    methods
        Of ``METHODS``; with "+sva" after the name, surrogate variables join the design.
    cache_dir
        Results by content of data, method and ``PROTOCOL``: a second run reads them and needs no R.
    batch
        Data sets handed to one R process.
    """
    unknown = [m for m in methods if m.removesuffix("+sva") not in METHODS]
    if unknown:
        raise ValueError(f"Unknown methods {unknown}; known are {list(METHODS)}, each also with '+sva'.")
    cache_dir.mkdir(parents=True, exist_ok=True)
    results: dict[tuple[str, str], PeerResult] = {}
    waiting: list[tuple[CountData, list[str]]] = []
    usable: list[str] | None = None  # asked of R only when something is missing
    for data in datasets:
        absent = []
        for method in methods:
            cached = _read_cached(cache_dir, data, method)
            if cached is None:
                absent.append(method)
            else:
                results[data.name, method] = cached
        if absent and usable is None:
            usable = _usable(methods)
        absent = [m for m in absent if m in (usable or [])]
        if absent:
            waiting.append((data, absent))
        if len(waiting) == batch:
            results |= _run_r(waiting, cache_dir)
            waiting = []
    if waiting:
        results |= _run_r(waiting, cache_dir)
    return results


def content_key(data: CountData, method: str) -> str:
    """Hash of everything that the answer of ``method`` depends on; names of genes and data sets do not enter."""
    digest = hashlib.sha256(f"{PROTOCOL} {method} {data.counts.shape}".encode())
    digest.update(np.ascontiguousarray(data.counts.to_numpy(), dtype="<i4").tobytes())
    digest.update(_samples(data).to_csv(index=False).encode())
    return digest.hexdigest()[:32]


def _samples(data: CountData) -> pd.DataFrame:
    samples = pd.DataFrame({"group": np.asarray(data.group).astype(int)})
    if data.covariates is not None:
        samples = pd.concat([samples, data.covariates.reset_index(drop=True)], axis=1)
    return samples


def _read_cached(cache_dir: Path, data: CountData, method: str) -> PeerResult | None:
    path = cache_dir / f"{content_key(data, method)}.npz"
    if not path.exists():
        return None
    with np.load(path) as stored:
        table = pd.DataFrame(_quiet(stored["table"]), index=data.counts.columns, columns=list(COLUMNS))
        about = json.loads(str(stored["about"]))
    return PeerResult(table, about["cpu_seconds"], about["versions"])


def _quiet(values: np.ndarray) -> np.ndarray:
    """R's NA is a signalling NaN, of which NumPy warns at every operation: the usual NaN instead."""
    return np.where(np.isnan(values), np.nan, values)


def _usable(methods: Sequence[str]) -> list[str]:
    """The methods whose R packages are here; prints the reason for each of the others."""
    if shutil.which("Rscript") is None:
        print("peers skipped: no `Rscript` on the path. Debian: apt install r-bioc-deseq2 r-bioc-edger r-bioc-limma")
        return []
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["Rscript", str(WORKER), folder, "versions"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"peers skipped: Rscript failed with {done.stderr.strip()!r}")
            return []
        versions = _read_versions(Path(folder))
    usable = []
    for method in methods:
        needed = {PACKAGES[method.removesuffix("+sva")]}
        needed |= {"edgeR"} if method.startswith("voom") else set()
        needed |= {"sva", "DESeq2"} if method.endswith("+sva") else set()
        absent = sorted(name for name in needed if versions.get(name, "absent") == "absent")
        if absent:
            print(f"peer {method} skipped: no R package {', '.join(absent)} (Debian: r-bioc-{absent[0].lower()})")
        else:
            usable.append(method)
    return usable


def _read_versions(folder: Path) -> dict[str, str]:
    return dict(line.split("\t") for line in (folder / "versions.tsv").read_text().splitlines())


def _run_r(waiting: list[tuple[CountData, list[str]]], cache_dir: Path) -> dict[tuple[str, str], PeerResult]:
    results: dict[tuple[str, str], PeerResult] = {}
    wanted = {tuple(methods) for _, methods in waiting}
    for methods in wanted:
        together = [data for data, needs in waiting if tuple(needs) == methods]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for i, data in enumerate(together):
                here = folder / f"d{i}"
                here.mkdir()
                # samples x genes in C order is genes x samples with the gene index fastest
                np.ascontiguousarray(data.counts.to_numpy(), dtype="<i4").tofile(here / "counts.bin")
                _samples(data).to_csv(here / "samples.tsv", sep="\t", index=False)
            one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            done = subprocess.run(
                ["Rscript", str(WORKER), str(folder), ",".join(methods)],
                capture_output=True,
                text=True,
                check=False,
                env=one_thread,
            )
            if done.returncode != 0:
                print(f"peers {methods} failed: {done.stderr.strip()[-500:]}")
            for i, data in enumerate(together):
                results |= _collect(folder, f"d{i}", data, methods, cache_dir)
    return results


def _collect(
    folder: Path, name: str, data: CountData, methods: Sequence[str], cache_dir: Path
) -> dict[tuple[str, str], PeerResult]:
    found: dict[tuple[str, str], PeerResult] = {}
    if not (folder / name / "runs.tsv").exists():
        return found
    versions = _read_versions(folder)
    runs = pd.read_csv(folder / name / "runs.tsv", sep="\t", keep_default_na=False).set_index("method")
    for method in methods:
        if method not in runs.index or runs.loc[method, "error"]:
            reason = runs.loc[method, "error"] if method in runs.index else "R stopped before it"
            print(f"peer {method} gave no answer on {data.name}: {reason}")
            continue
        n_genes = data.counts.shape[1]
        values = np.fromfile(folder / name / f"{method}.bin", dtype="<f8").reshape(len(COLUMNS), n_genes).T
        seconds, n_surrogate = float(runs.loc[method, "cpu_seconds"]), int(runs.loc[method, "n_surrogate"])
        about = {"cpu_seconds": seconds, "n_surrogate": n_surrogate, "versions": versions, "data": data.name}
        target = cache_dir / f"{content_key(data, method)}.npz"
        partial = target.with_suffix(".partial.npz")  # a run that is stopped must not leave half a file behind
        np.savez_compressed(partial, table=values, about=json.dumps(about))
        partial.replace(target)
        table = pd.DataFrame(_quiet(values), index=data.counts.columns, columns=list(COLUMNS))
        found[data.name, method] = PeerResult(table, seconds, versions)
    return found
