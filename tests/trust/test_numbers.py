"""Hostile numbers: arguments, size factors, kinds of matrices, extremes of counts."""

import warnings
from collections.abc import Callable
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import bulkvi as bv
from tests.trust.verdict import EQUAL, counted, equal, refused

pytestmark = pytest.mark.filterwarnings(
    "ignore:Most effects lie around", "ignore:Unchanged genes have", "ignore:Training will be faster"
)


def cohort() -> AnnData:
    adata = bv.datasets.simulate(n_per_group=4, n_genes=60, de_share=0.2, seed=1)
    adata.X = np.minimum(adata.X, 60_000).astype(np.float32)
    bv.pp.filter_genes(adata, min_counts=10)
    bv.pp.size_factors(adata)
    return adata


@pytest.fixture(scope="module")
def model() -> bv.BulkVI:
    """A trained model with batches. Do not change it."""
    adata = cohort()
    adata.obs["lab"] = ["x", "y"] * 4
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group", batch_key="lab")
    trained = bv.BulkVI(adata, n_latent=2)
    trained.train(10, progress_bar=False)
    return trained


@pytest.fixture(scope="module")
def table(model: bv.BulkVI) -> pd.DataFrame:
    return model.differential_expression("group", "B", "A")


NO_NUMBER: tuple[Any, ...] = ("5", float("nan"), float("inf"), True, [1])
Call = Callable[[bv.BulkVI, pd.DataFrame, Any], Any]


def de(argument: str) -> Call:
    return lambda m, t, v: m.differential_expression("group", "B", "A", **{argument: v})


def train(argument: str) -> Call:
    return lambda m, t, v: bv.BulkVI(m.adata, n_latent=2).train(**{"progress_bar": False, argument: v})


def rates(argument: str) -> Call:
    return lambda m, t, v: m.get_normalized_expression(**{argument: v})


def built(argument: str) -> Call:
    return lambda m, t, v: bv.BulkVI(m.adata, **{argument: v})


def calibrated(argument: str) -> Call:
    return lambda m, t, v: m.calibrate("group", "B", "A", **{"progress_bar": False, argument: v})


def enriched(argument: str) -> Call:
    sets = {"set": [f"gene{k}" for k in range(20)]}
    return lambda m, t, v: bv.tl.enrichment(t, sets, **{argument: v})


ARGUMENTS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "BulkVI n_latent": (built("n_latent"), (0, 1.5)),
    "BulkVI n_hidden": (built("n_hidden"), (0, -3)),
    "BulkVI n_layers": (built("n_layers"), (0, 2.0)),
    "BulkVI n_axes": (built("n_axes"), (0, 2.5)),
    "BulkVI fixed_dispersion": (built("fixed_dispersion"), (0, -1, 1e9)),
    "BulkVI seed": (built("seed"), (-1, 1.5)),
    "train max_steps": (train("max_steps"), (0, 1.5)),
    "train max_epochs": (train("max_epochs"), (0, -1)),
    "train learning_rate": (train("learning_rate"), (0, -0.1)),
    "train batch_size": (train("batch_size"), (0, 2.5)),
    "train plateau_tolerance": (train("plateau_tolerance"), (-1,)),
    "train train_size": (train("train_size"), (0, 1.5)),
    "train seed": (train("seed"), (-1, 0.5)),
    "differential_expression delta": (de("delta"), (-1,)),
    "differential_expression level": (de("level"), (0, 1, 2)),
    "differential_expression latent_columns": (de("latent_columns"), (-1, 3, 1.0, "all")),
    "differential_expression composition_shift": (de("composition_shift"), ("no", 0)),
    "omnibus_test latent_columns": (lambda m, t, v: m.omnibus_test("group", latent_columns=v), (-1, 3, 1.0)),
    "get_group_rates level": (lambda m, t, v: m.get_group_rates(m.adata.var_names[:1], "group", level=v), (0, 1)),
    "calibrate n_permutations": (calibrated("n_permutations"), (0, 2.5)),
    "calibrate n_jobs": (calibrated("n_jobs"), (0, 1.5)),
    "calibrate seed": (calibrated("seed"), (-1, 1.5)),
    "get_normalized_expression library_size": (rates("library_size"), (0, -1, 1e300, "latent", None)),
    "get_normalized_expression n_samples": (rates("n_samples"), (-1, 1.5)),
    "get_normalized_expression batch_size": (rates("batch_size"), (0, 2.5)),
    "get_normalized_expression indices": (rates("indices"), ([99], [-99], [0.5], [], "s0")),
    "get_latent_representation batch_size": (lambda m, t, v: m.get_latent_representation(batch_size=v), (0, 1.5)),
    "get_top_loadings n_genes": (lambda m, t, v: m.get_top_loadings(v), (0, 1.5)),
    "get_top_loadings level": (lambda m, t, v: m.get_top_loadings(level=v), (0, 1)),
    "filter_genes min_counts": (lambda m, t, v: bv.pp.filter_genes(m.adata.copy(), min_counts=v), (-1,)),
    "filter_genes min_samples": (lambda m, t, v: bv.pp.filter_genes(m.adata.copy(), min_samples=v), (-1,)),
    "compare level": (lambda m, t, v: bv.tl.compare(t, t, level=v), (0, 1)),
    "compare low_counts": (lambda m, t, v: bv.tl.compare(t, t, low_counts=v), (-1,)),
    "compare tolerance": (lambda m, t, v: bv.tl.compare(t, t, tolerance=v), (-1,)),
    "enrichment level": (enriched("level"), (0, 1)),
    "enrichment min_size": (enriched("min_size"), (0, 1.5)),
    "enrichment n_draws": (enriched("n_draws"), (-1, 1.5)),
    "enrichment seed": (enriched("seed"), (-1, 1.5)),
    "ma level": (lambda m, t, v: bv.pl.ma(t, level=v), (0, 1)),
    "volcano level": (lambda m, t, v: bv.pl.volcano(t, level=v), (0, 1)),
    "volcano label": (lambda m, t, v: bv.pl.volcano(t, label=v), (-1, 1.5)),
    "shrinkage level": (lambda m, t, v: bv.pl.shrinkage(t, level=v), (0, 1)),
    "p_values n_bins": (lambda m, t, v: bv.pl.p_values(t, n_bins=v), (0, 2.5)),
    "heatmap genes": (lambda m, t, v: bv.pl.heatmap(m.adata, t, genes=v), (0, 2.5)),
    "heatmap limit": (lambda m, t, v: bv.pl.heatmap(m.adata, t, genes=3, limit=v), (0, -1)),
    "size_factors size": (lambda m, t, v: bv.pl.size_factors(m.adata, size=v), (0, -1)),
}
LISTS_ALLOWED = ("indices", "heatmap genes", "volcano label")


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_bad_values_of_every_numeric_argument_are_refused(argument: str, model: bv.BulkVI, table: pd.DataFrame) -> None:
    call, bad = ARGUMENTS[argument]
    values = [
        *bad,
        *(value for value in NO_NUMBER if not (argument.endswith(LISTS_ALLOWED) and not np.isscalar(value))),
    ]
    for value in values:
        if argument.endswith("composition_shift") and value is True:
            continue
        if argument.endswith(("label", "genes")) and isinstance(value, str):
            continue  # the name of a gene, which is not there
        refused(lambda value=value: call(model, table, value), argument.split()[-1])  # type: ignore[misc]


def test_numbers_of_numpy_are_numbers(model: bv.BulkVI, table: pd.DataFrame) -> None:
    given = {"delta": np.float32(0), "level": np.float64(0.95), "latent_columns": np.int64(0)}
    found = model.differential_expression("group", "B", "A", **given)  # type: ignore[arg-type]
    equal(found, model.differential_expression("group", "B", "A", latent_columns=0))
    rates = model.get_normalized_expression(library_size=np.int64(2), n_samples=np.int64(0), return_numpy=True)  # type: ignore[arg-type]
    equal(rates, 2 * model.get_normalized_expression(return_numpy=True), rtol=1e-6)


@pytest.mark.parametrize("batch", ["z", 0, ["x", "z"], [], True], ids=repr)
def test_unknown_batches_are_refused(batch: Any, model: bv.BulkVI) -> None:
    refused(lambda: model.get_normalized_expression(transform_batch=batch), "transform_batch", "'lab'", "'x', 'y'")


CONTRASTS: dict[str, Any] = {
    "text": "group[T.B]",
    "no number": {"group[T.B]": "one"},
    "nan": {"group[T.B]": np.nan},
    "infinite": {"group[T.B]": np.inf},
    "zero": {"group[T.B]": 0.0},
    "too long": [0, 1, 0, 0, 0],
    "table": [[0, 1, 0]],
    "missing": [0, None, 0],
    "unknown": {"dose": 1},
}


@pytest.mark.parametrize("contrast", CONTRASTS.values(), ids=CONTRASTS)
def test_contrasts_that_are_none_are_refused(contrast: Any, model: bv.BulkVI) -> None:
    refused(lambda: model.differential_expression(contrast=contrast), "contrast")


MATRICES: dict[str, Callable[[np.ndarray], Any]] = {
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr array": sparse.csr_array,
    "csc array": sparse.csc_array,
    "csr of int64": lambda x: sparse.csr_matrix(x.astype(np.int64)),
    "dask": lambda x: da.from_array(x, chunks=(3, 17)),
    "dask of csr": lambda x: da.from_array(x, chunks=(3, 60)).map_blocks(sparse.csr_matrix),
    "uint16": lambda x: x.astype(np.uint16),
    "int32": lambda x: x.astype(np.int32),
    "int64": lambda x: x.astype(np.int64),
    "uint64": lambda x: x.astype(np.uint64),
    "float64": lambda x: x.astype(np.float64),
    "columns first": np.asfortranarray,
    "other byte order": lambda x: x.astype(">f4"),
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "read only": lambda x: np.frombuffer(np.ascontiguousarray(x).tobytes(), x.dtype).reshape(x.shape),
    "unsorted csr": lambda x: _unsorted(sparse.csr_matrix(x)),
    "stored zeros": lambda x: _with_stored_zeros(sparse.csr_matrix(x)),
}


def _unsorted(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[start:end] = matrix.indices[start:end][::-1].copy()
        matrix.data[start:end] = matrix.data[start:end][::-1].copy()
    matrix.has_sorted_indices = False
    return matrix


def _with_stored_zeros(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    dense = matrix.toarray()
    full = sparse.csr_matrix(np.ones_like(dense))
    full.data = dense.ravel().copy()
    return full


def regressed(adata: AnnData, layer: str | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """Dispersions, which every count enters, and the size factors."""
    bv.pp.size_factors(adata, layer=layer)
    bv.BulkVI.setup_anndata(adata, layer=layer, size_factor_key="size_factor", design="~ group")
    return bv.BulkVI(adata, n_latent=2).get_dispersions(), adata.obs["size_factor"].to_numpy()


@pytest.fixture(scope="module")
def plain() -> tuple[pd.DataFrame, np.ndarray]:
    return regressed(cohort())


@pytest.mark.parametrize("kind", MATRICES)
def test_the_kind_of_the_matrix_changes_nothing(kind: str, plain: tuple[pd.DataFrame, np.ndarray]) -> None:
    adata = cohort()
    adata.X = MATRICES[kind](adata.X)
    dispersions, factors = regressed(adata)
    equal(factors, plain[1], rtol=1e-12)
    pd.testing.assert_frame_equal(dispersions, plain[0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["csr", "uint16", "dask"])
def test_a_layer_is_read_as_x_is(kind: str, plain: tuple[pd.DataFrame, np.ndarray]) -> None:
    adata = cohort()
    adata.layers["raw"], adata.X = MATRICES[kind](adata.X), np.log1p(adata.X)
    found = regressed(adata, layer="raw")[0]
    pd.testing.assert_frame_equal(found, plain[0], rtol=1e-6)
    counted[EQUAL] += 1


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float16", "bool"])
def test_narrow_numbers_count_as_wide_ones(dtype: str) -> None:
    adata = cohort()
    small = np.minimum(adata.X, 1 if dtype == "bool" else 100)
    adata.X, other = small.astype(dtype), AnnData(small.astype(np.float64))
    for each in (adata, other):
        bv.pp.size_factors(each, method="poscounts")
    equal(adata.obs["size_factor"].to_numpy(), other.obs["size_factor"].to_numpy())


BROKEN: dict[str, tuple[Callable[[np.ndarray], Any], tuple[str, ...]]] = {
    "2^60": (lambda x: _put(x, 2.0**60), ("1.15e.18", "gene0", "largest allowed")),
    "2^60 in csr": (lambda x: sparse.csr_matrix(_put(x, 2.0**60)), ("largest allowed",)),
    "2^63 as uint64": (lambda x: _put(x.astype(np.uint64), np.uint64(2**63)), ("largest allowed",)),
    "nan": (lambda x: _put(x, np.nan), ("nan", "gene0")),
    "infinite": (lambda x: _put(x, np.inf), ("inf", "gene0")),
    "float16 that overflowed": (lambda x: _put(x, 1e6).astype(np.float16), ("inf",)),
    "negative": (lambda x: _put(x, -1), ("-1", "gene0")),
    "int8 that wrapped round": (lambda x: np.full(x.shape, 200).astype(np.int8), ("-56",)),
    "half a read": (lambda x: _put(x, 0.5), ("0.5", "gene0")),
    "complex": (lambda x: x.astype(np.complex64), ("numbers", "complex")),
    "dates": (lambda x: x.astype("datetime64[s]"), ("numbers",)),
    "an empty sample": (lambda x: x * (np.arange(len(x)) > 0)[:, None], ("no counts at all", "'A1'")),
}


def _put(x: np.ndarray, value: Any) -> np.ndarray:
    x = x.copy()
    x[1, 0] = value
    return x


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_what_is_no_count_is_named(case: tuple[Callable[[np.ndarray], Any], tuple[str, ...]]) -> None:
    spoil, words = case
    adata = cohort()
    other = AnnData(spoil(adata.X), obs=adata.obs, var=adata.var)
    for call in (
        lambda: bv.pp.size_factors(other),
        lambda: bv.BulkVI.setup_anndata(other, size_factor_key="size_factor", design="~ group"),
    ):
        refused(call, *words)


FACTORS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "missing": (np.nan, ("finite and > 0",)),
    "infinite": (np.inf, ("finite and > 0",)),
    "zero": (0.0, ("finite and > 0",)),
    "negative": (-1.0, ("finite and > 0",)),
    "a million million": (1e12, ("million-fold",)),
}


@pytest.mark.parametrize("case", FACTORS.values(), ids=FACTORS)
def test_size_factors_that_are_none_are_refused(case: tuple[Any, tuple[str, ...]]) -> None:
    value, words = case
    adata = cohort()
    adata.obs.loc[adata.obs_names[2], "size_factor"] = value
    refused(lambda: bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group"), *words)


COLUMNS: dict[str, tuple[Callable[[pd.Series], Any], tuple[str, ...]]] = {
    "text": (lambda s: s.astype(str), ("must hold numbers",)),
    "categories": (lambda s: s.astype(str).astype("category"), ("must hold numbers",)),
    "objects": (lambda s: s.astype(object), ("must hold numbers",)),
    "total counts": (lambda s: s * 2e7, ("geometric mean", "relative")),
    "all one": (lambda s: s * 0 + 1, ("1 in every sample",)),
    "missing as pandas has it": (lambda s: s.astype("Float64").mask(np.arange(8) == 3), ("finite and > 0",)),
}


@pytest.mark.parametrize("case", COLUMNS.values(), ids=COLUMNS)
def test_columns_that_are_no_size_factors_are_refused(case: tuple[Callable[[pd.Series], Any], tuple[str, ...]]) -> None:
    make, words = case
    adata = bv.datasets.simulate(n_per_group=4, n_genes=60, depth_spread=4.0, seed=1)
    bv.pp.size_factors(adata)
    adata.obs["size_factor"] = make(adata.obs["size_factor"])
    refused(lambda: bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group"), *words)


@pytest.mark.parametrize("dtype", ["float32", "Float64", "float16"])
def test_the_dtype_of_size_factors_changes_nothing(dtype: Any, plain: tuple[pd.DataFrame, np.ndarray]) -> None:
    adata = cohort()
    adata.obs["size_factor"] = adata.obs["size_factor"].astype(dtype)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    found = bv.BulkVI(adata, n_latent=2).get_dispersions()
    equal(found["base_mean"].to_numpy(), plain[0]["base_mean"].to_numpy(), rtol=1e-2 if dtype == "float16" else 1e-6)


def _counts(n_genes: int, n: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(10, 10, (n, n_genes))).astype(float)


DEGENERATE: dict[str, Callable[[], np.ndarray]] = {
    "one gene": lambda: _counts(1),
    "two genes": lambda: _counts(2),
    "constant genes": lambda: np.full((8, 20), 7.0),
    "all ones": lambda: np.ones((8, 12)),
    "identical genes": lambda: np.repeat(_counts(1), 30, axis=1),
    "one gene for each sample": lambda: 50.0 * np.eye(8),
    "hardly any variance": lambda: np.rint(100 + np.random.default_rng(0).normal(0, 0.1, (8, 40))),
    "a silent group": lambda: _counts(20) * np.r_[np.zeros(4), np.ones(4)][:, None] + np.eye(8, 20),
    "a sample with one count": lambda: np.vstack([_counts(20)[:7], np.eye(1, 20)]),
    "four samples": lambda: _counts(30, 4),
    "four samples, one gene": lambda: _counts(1, 4),
    "from 1 to 1e11": lambda: _counts(30) * 10.0 ** (np.arange(30) % 10),
    "nothing against 1e12": lambda: np.hstack(
        [_counts(20), np.outer(np.r_[np.zeros(4), np.ones(4)], [1, 1e6, 1e12]), np.outer(np.eye(8)[0], [1e12, 1e3])]
    ),
}


@pytest.mark.parametrize("case", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_counts_have_an_answer_without_gaps(case: Callable[[], np.ndarray]) -> None:
    counts = case()
    n = len(counts) // 2
    adata = AnnData(counts, obs=pd.DataFrame({"group": ["A"] * n + ["B"] * n}, index=[f"s{k}" for k in range(2 * n)]))
    bv.pp.size_factors(adata, method="median_of_ratios" if counts.min(0).max() > 0 else "poscounts")
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = bv.BulkVI(adata, n_latent=1)
    model.train(10, progress_bar=False)
    tables = [
        model.differential_expression("group", "B", "A"),
        model.omnibus_test("group"),
        model.get_dispersions(),
        model.get_group_rates(list(adata.var_names), "group"),
        model.get_normalized_expression(),
    ]
    for found in tables:
        numbers = found.select_dtypes("number").to_numpy()
        assert np.isfinite(numbers).all(), found.columns[~np.isfinite(numbers).all(0)].tolist()
    equal(bool(tables[0]["p_value"].between(0, 1).all()), plain=True)


def test_views_backed_files_and_copies_are_read_alike(plain: tuple[pd.DataFrame, np.ndarray], tmp_path: Any) -> None:
    adata = cohort()
    adata.write_h5ad(tmp_path / "a.h5ad")
    view = AnnData(np.hstack([adata.X, adata.X[:, :5]]), obs=adata.obs[["group"]])[:, : adata.n_vars]
    with warnings.catch_warnings(action="ignore"):
        bv.pp.size_factors(view)
    equal(view.obs["size_factor"].to_numpy(), plain[1])
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    bv.pp.size_factors(backed)
    equal(backed.obs["size_factor"].to_numpy(), plain[1])
