from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from bulkvi.stats.counts.counts import Offset
from bulkvi.study import counts as checks


def samples(n: int = 6) -> AnnData:
    rng = np.random.default_rng(0)
    adata = AnnData(rng.poisson(20, (n, 9)).astype(np.float32), layers={"length": rng.uniform(500, 2000, (n, 9))})
    adata.obs["size_factor"] = np.linspace(0.5, 2, n)
    adata.obs["site"] = pd.Categorical(list("xyxyxy"), categories=["x", "y", "z"])
    adata.obs["age"] = [30.0, 41, 52, 63, 74, np.nan]
    return adata


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_counts_and_their_totals(store: Callable[[Any], Any]) -> None:
    adata = samples()
    expected = adata.X.copy()
    adata.X = store(adata.X)
    found = checks.checked_counts(adata, None)
    block = found.matrix[1:3]
    np.testing.assert_array_equal(block.toarray() if sparse.issparse(block) else block, expected[1:3])
    np.testing.assert_array_equal(found.totals, expected.sum(1))


def test_the_factors_of_a_layer_are_relative_to_their_geometric_means() -> None:
    adata = samples()
    log_length = np.log(adata.layers["length"])
    np.testing.assert_allclose(checks.checked_offset(adata, "length").log_relative(), log_length - log_length.mean(0))


def set_values(name: str, values: Any) -> Callable[[AnnData], None]:
    return lambda adata: adata.obs.__setitem__(name, values)


Check = Callable[[AnnData], Any]
WRONG: dict[str, tuple[Callable[[AnnData], Any], Check, type[Exception], str]] = {
    "no X": (lambda a: setattr(a, "X", None), lambda a: checks.checked_counts(a, None), ValueError, r"adata.X is empty.*\['length'\]"),
    "no layer": (lambda a: None, lambda a: checks.checked_counts(a, "raw"), KeyError, "no layer 'raw'"),
    "fractions": (lambda a: None, lambda a: checks.checked_counts(a, "length"), ValueError, r"adata.layers\['length'\]"),
    "names": (lambda a: setattr(a, "obs_names", list("abcdea")), lambda a: checks.checked_counts(a, None), ValueError, r"1 occur more than once: \['a'\].*obs_names_make_unique"),
    "no AnnData": (lambda a: None, lambda a: checks.checked_counts(a.to_df(), None), TypeError, "not DataFrame"),
    "offset key": (lambda a: None, lambda a: checks.checked_offset(a, 3), TypeError, "not int"),  # type: ignore[arg-type]
    "no offset": (lambda a: None, lambda a: checks.checked_offset(a, "len"), KeyError, r"is not a layer of adata; it has \['length'\]"),
    "few samples": (lambda a: None, lambda a: checks.check_sample_number(a[:3]), ValueError, "3 samples; a model needs at least 4"),
    "no size factor": (lambda a: None, lambda a: checks.check_size_factor(a, "sf"), KeyError, "pp.size_factors"),
    "text": (lambda a: None, lambda a: checks.check_size_factor(a, "site"), ValueError, "must hold numbers"),
    "zero": (set_values("size_factor", [0.0, 1, 1, 1, 1, np.inf]), lambda a: checks.check_size_factor(a, "size_factor"), ValueError, "2 samples are not, for example {'0': 0.0, '5': inf}"),
    "far apart": (set_values("size_factor", [1e-4, 1, 1, 1, 1, 1e3]), lambda a: checks.check_size_factor_scale(a, "size_factor"), ValueError, "more than a million-fold"),
    "total counts": (set_values("size_factor", [1e6] * 6), lambda a: checks.check_size_factor_scale(a, "size_factor"), ValueError, "geometric mean of 1e[+]06"),
    "tiny": (set_values("size_factor", [1e-3] * 6), lambda a: checks.check_size_factor_scale(a, "size_factor"), ValueError, "geometric mean of 0.001"),
    "gap": (lambda a: None, lambda a: checks.check_columns(a, "keys", ["age"], continuous=True), ValueError, r"missing for 1 samples \(first: \['5'\]"),
    "absent": (lambda a: None, lambda a: checks.check_columns(a, "keys", ["bmi"], continuous=False), KeyError, "keys: 'bmi' is not a column"),
    "one text": (lambda a: None, lambda a: checks.check_columns(a, "keys", "site", continuous=False), TypeError, r"Write \['site'\]"),
    "no number": (lambda a: None, lambda a: checks.check_columns(a, "keys", ["site"], continuous=True), ValueError, "must hold finite numbers"),
    "slash": (set_values("a/b", 1), checks.check_column_names, ValueError, "column 'a/b': no .h5ad can hold"),
    "twice": (lambda a: setattr(a, "obs", pd.concat([a.obs, a.obs[["age"]]], axis=1)), checks.check_column_names, ValueError, "more than one column 'age'"),
    "empty level": (lambda a: None, lambda a: checks.check_no_empty_level(a, "batch_key", ["site"]), ValueError, r"levels without samples: \['z'\]"),
    "no intercept": (lambda a: None, lambda a: checks.check_joint_rank(a[:, :], "~ 0 + size_factor", "site", [], []), ValueError, "has no intercept"),
    "rank": (set_values("twin", list("uvuvuv")), lambda a: checks.check_joint_rank(a, None, "site", ["twin"], []), ValueError, "'twin_v' follows from"),
    "width": (set_values("many", list("abcdef")), lambda a: checks.check_joint_rank(a, None, "many", [], ["size_factor"]), ValueError, "7 columns for 6 samples"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    change, check, error, message = WRONG[case]
    adata = samples()
    change(adata)
    with pytest.raises(error, match=f"(?s){message}"):
        check(adata)


def test_sound_samples_pass() -> None:
    adata = samples()
    checks.check_sample_number(adata[:4])
    checks.check_size_factor(adata, "size_factor")
    checks.check_size_factor_scale(adata, "size_factor")
    checks.check_columns(adata, "keys", ["size_factor"], continuous=True)
    checks.check_column_names(adata)
    checks.check_no_empty_level(adata[:, :], "keys", ["age"])
    checks.check_joint_rank(adata, "~ size_factor", "site", [], [])


def test_equal_size_factors_need_equal_depths_or_offsets() -> None:
    adata = samples()
    adata.obs["size_factor"] = 1.0
    checks.check_size_factor_varies(adata, "size_factor", np.array([100, 140, 120, 100, 150, 149.0]))
    depth = np.array([100, 100, 100, 100, 100, 151.0])
    with pytest.raises(ValueError, match="is 1 in every sample although their total counts differ up to 1.5-fold"):
        checks.check_size_factor_varies(adata, "size_factor", depth)
    offset = Offset(np.tile(depth[:, None], (1, 9)), np.full(9, np.log(100.0)))
    checks.check_size_factor_varies(adata, "size_factor", depth, offset)
    adata.obs["size_factor"] = [1, 1, 1, 1, 1, 1.01]
    checks.check_size_factor_varies(adata, "size_factor", depth)
