"""bulkvi, PyDESeq2, scVI and ZINB on data sets of two groups, in the form in which `benchmarks.peers` answers for R.

Every method goes through its public door: counts in, table out, with size factors where it takes them. CPU seconds are those
of the process from counts to table on one thread.
"""

import json
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version

import numpy as np
import pandas as pd
from anndata import AnnData
from threadpoolctl import threadpool_limits

import bulkvi as bv
from benchmarks.cache import ANSWER, CACHE, code_digest, digest, package_code
from benchmarks.peers import CountData, PeerResult, content_key

COLUMNS = (
    "base_mean", "log_fc", "log_fc_low", "log_fc_high", "log_fc_mle", "log_fc_se", "p_value", "adj_p_value", "lfsr", "s_value"
)  # fmt: skip
COMPARED = ("group", "B", "A")
PROTOCOL = "1"
"""Part of every key: raise it when this file asks something else of a method."""


def _two_groups(data: CountData) -> tuple[AnnData, str]:
    """Counts with ``obs["group"]``, A or B, and the design."""
    obs = pd.DataFrame({"group": np.where(data.group == 1, "B", "A")}, index=[f"s{i}" for i in range(len(data.group))])
    terms = [] if data.covariates is None else list(data.covariates.columns)
    for name in terms:
        obs[name] = data.covariates[name].to_numpy()  # type: ignore[index]
    adata = AnnData(data.counts.to_numpy(np.float32), obs=obs, var=pd.DataFrame(index=data.counts.columns.astype(str)))
    return adata, "~ " + " + ".join([*terms, "group"])


def bulkvi(data: CountData) -> pd.DataFrame:
    """The default of ``differential_expression``."""
    adata, design = _two_groups(data)
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
    model = bv.BulkVI(adata)
    model.train(progress_bar=False, accelerator="cpu")
    return model.differential_expression(*COMPARED)


def zinb(data: CountData) -> pd.DataFrame:
    """The decoder of BulkVI with ``gene_likelihood="zinb"``: fold changes, no test."""
    adata, design = _two_groups(data)
    bv.pp.size_factors(adata)
    return bv.baselines.zinb(adata, *COMPARED, design=design, accelerator="cpu")


def pydeseq2(data: CountData) -> pd.DataFrame:
    """PyDESeq2's Wald test."""
    adata, design = _two_groups(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its notes on pandas and on trends
        return bv.baselines.pydeseq2(adata, design, *COMPARED)


def scvi(data: CountData) -> pd.DataFrame:
    """scVI, negative binomial, observed totals: the best settings of the search."""
    return bv.baselines.scvi(_two_groups(data)[0], *COMPARED, accelerator="cpu")


def scvi_zinb(data: CountData) -> pd.DataFrame:
    """The same with extra zeros."""
    return bv.baselines.scvi(_two_groups(data)[0], *COMPARED, gene_likelihood="zinb", accelerator="cpu")


def scvi_size_factors(data: CountData) -> pd.DataFrame:
    """scVI given DESeq2's size factors through ``size_factor_key``."""
    adata, _ = _two_groups(data)
    bv.pp.size_factors(adata)
    return bv.baselines.scvi(adata, *COMPARED, size_factor_key="size_factor", accelerator="cpu")


RUN: dict[str, Callable[[CountData], pd.DataFrame]] = {
    "bulkvi": bulkvi,
    "zinb": zinb,
    "pydeseq2": pydeseq2,
    "scvi": scvi,
    "scvi_zinb": scvi_zinb,
    "scvi_size_factors": scvi_size_factors,
}
WRAPPERS = {"pydeseq2": "_pydeseq2.py", "scvi": "_scvi.py", "scvi_zinb": "_scvi.py", "scvi_size_factors": "_scvi.py"}
PACKAGES = ("bulkvi", "numpy", "pydeseq2", "scvi-tools", "torch")


def run_python(datasets: Iterable[CountData], methods: Sequence[str]) -> dict[tuple[str, str], PeerResult]:
    """Answers by (data set, method), read from the cache where data, method, versions and code are the same."""
    return {(data.name, method): answer(data, method) for data in datasets for method in methods}


def answer(data: CountData, method: str) -> PeerResult:
    """Table and cost of one method on one data set."""
    path = CACHE / "python" / f"{_key(data, method)}.npz"
    if not path.exists():
        with threadpool_limits(1):
            start = time.process_time()
            table = RUN[method](data)
            seconds = time.process_time() - start
        values = np.column_stack([table[name] if name in table else np.full(len(table), np.nan) for name in COLUMNS])
        attrs = {
            name: float(table.attrs[name]) for name in ("n_latent_columns", "composition_shift") if name in table.attrs
        }
        about = {"cpu_seconds": seconds, "attrs": attrs, "data": data.name, "method": method}
        about["versions"] = {name: version(name) for name in PACKAGES}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, table=values, about=json.dumps(about))
        partial.replace(path)
    with np.load(path) as stored:
        table = pd.DataFrame(stored["table"], index=data.counts.columns, columns=list(COLUMNS))
        about = json.loads(str(stored["about"]))
    table.attrs |= about["attrs"]
    return PeerResult(table, about["cpu_seconds"], about["versions"])


def _key(data: CountData, method: str) -> str:
    if method in ("bulkvi", "zinb"):
        parts = [*ANSWER, "baselines/_zinb.py"] if method == "zinb" else list(ANSWER)
        behind = code_digest(tuple(package_code(*parts)))
    else:
        name = "pydeseq2" if method == "pydeseq2" else "scvi-tools"
        behind = f"{name} {version(name)} {code_digest(tuple(package_code('baselines/' + WRAPPERS[method])))}"
    return digest([PROTOCOL, content_key(data, method), behind])
