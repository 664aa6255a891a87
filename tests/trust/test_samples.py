"""Labels, designs and genes that are not as the check of samples would like them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from tests.trust.verdict import equal, refused

N = 12


def cohort() -> AnnData:
    """Six samples in each of two groups that differ, of two batches, women and men."""
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 6)
    effect = rng.normal(0, 1, 150) * (np.arange(150) % 3 == 0)
    mean = rng.lognormal(5, 1, 150) * np.exp(np.outer(group == "b", effect))
    counts = rng.poisson(rng.gamma(20, mean / 20)).astype(np.float32)
    female = np.arange(N) % 2 == 0
    counts[:, 0], counts[:, 1] = np.where(female, 3000, 1), np.where(female, 1, 3000)
    obs = pd.DataFrame(
        {"group": group, "batch": ["x", "x", "y"] * 4, "sex": np.where(female, "female", "male")},
        index=[f"s{k}" for k in range(N)],
    )
    adata = AnnData(counts, obs=obs)
    adata.var_names = ["XIST", "DDX3Y", *(f"g{k}" for k in range(148))]
    bulkvi.pp.size_factors(adata)
    return adata


def check(adata: AnnData, groupby: str = "group", **arguments: Any) -> pd.DataFrame:
    return bulkvi.tl.check_samples(adata, groupby, **arguments)


@pytest.fixture(scope="module")
def plain() -> pd.DataFrame:
    return check(cohort())


def numbers(table: pd.DataFrame) -> np.ndarray:
    return table[["prob_label", "fit", "fit_deviation"]].to_numpy(float)


def relabel(values: object) -> Callable[[AnnData], AnnData]:
    def change(adata: AnnData) -> AnnData:
        adata.obs["group"] = values
        return adata

    return change


HALVES = np.repeat([0, 1], 6)
SAME_LABELS: dict[str, object] = {
    "integers": HALVES,
    "floats": HALVES + 0.5,
    "large numbers": HALVES * 2**40 + 7,
    "truth values": HALVES.astype(bool),
    "dates": pd.to_datetime(["2024-01-31", "2024-02-29"])[HALVES],
    "categories, one of them empty": pd.Categorical(np.array(["a", "b"])[HALVES], ["c", "b", "a"]),
    "markup": np.array(["<b>&amp;", "$x_1$"])[HALVES],
    "not Latin": np.array(["対照", "処置"])[HALVES],
    "spaces and quotes": np.array([' "a" ', "b'`"])[HALVES],
    "text that looks missing": np.array(["NA", "null"])[HALVES],
    "mixed": np.array([1, "one"], dtype=object)[HALVES],
    "long": np.array(["a" * 5000, "b" * 5000])[HALVES],
}


@pytest.mark.parametrize("labels", SAME_LABELS.values(), ids=SAME_LABELS)
def test_what_the_labels_are_made_of_does_not_matter(labels: object, plain: pd.DataFrame) -> None:
    table = check(relabel(labels)(cohort()))
    found = numbers(table)
    equal(found, numbers(plain), rtol=1e-6, atol=1e-9)
    assert (table["flag"] == "").all()


NAMES = ["a b", "group.1", "`", "1", "__import__('os').system('false')", "C", "~ a + b", "{group}", "%s", "class"]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_column_is_called_does_not_matter(name: str, plain: pd.DataFrame) -> None:
    adata = cohort()
    adata.obs = adata.obs.rename(columns={"group": name})
    equal(numbers(check(adata, name)), numbers(plain))


COVARIATES: dict[str, np.ndarray] = {
    "date as a number": 20240101.0 + np.arange(N) % 5,
    "unix time": 1.7e9 + 86_400.0 * (np.arange(N) % 5),
    "mol per l": 1e-9 * (np.arange(N) % 5),
    "large": 1e12 * (np.arange(N) % 5),
    "offset without unit": 1e8 + (np.arange(N) % 5),
}


@pytest.mark.parametrize("values", COVARIATES.values(), ids=COVARIATES)
def test_the_unit_of_a_covariate_does_not_matter(values: np.ndarray) -> None:
    adata = cohort()
    adata.obs["age"] = (np.arange(N) % 5).astype(float)
    expected = numbers(check(adata, design="~ age + group"))
    adata.obs["age"] = values
    equal(numbers(check(adata, design="~ age + group")), expected, rtol=1e-3, atol=1e-4)


GENE_NAMES: dict[str, list[str]] = {
    "versions": ["ENSG00000229807.14", "ENSG00000067048.19"],
    "lower case": ["xist", "ddx3y"],
    "mouse": ["ENSMUSG00000086503", "ENSMUSG00000069045.4"],
    "both": ["XIST|ENSG00000229807", "ENSG00000067048_DDX3Y"],
    "other Y gene": ["Xist", "UTY"],
}


@pytest.mark.parametrize("genes", GENE_NAMES.values(), ids=GENE_NAMES)
def test_markers_of_the_sex_are_found_by_any_name(genes: list[str], plain: pd.DataFrame) -> None:
    adata = cohort()
    adata.var_names = [*genes, *adata.var_names[2:]]
    equal(check(adata)["sex"], plain["sex"])


def wrong(**changes: object) -> Callable[[], object]:
    """Check a cohort with changed columns of obs."""

    def call() -> object:
        adata = cohort()
        adata.obs = adata.obs.assign(
            **{name: value for name, value in changes.items() if name in {"group", "batch", "sex", "x"}}
        )
        arguments: dict[str, Any] = {
            name: value for name, value in changes.items() if name not in {"group", "batch", "sex", "x"}
        }
        return check(adata, **arguments)

    return call


REFUSED: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "one label": (wrong(group="a"), ("at least two labels",)),
    "a label for each sample": (wrong(group=[f"l{k}" for k in range(N)]), ("two samples or more",)),
    "a number for each sample": (wrong(group=np.arange(N) * 1.5), ("two samples or more",)),
    "missing labels": (wrong(group=[None, *"aaaaabbbbbb"]), ("missing for 1 samples", "s0")),
    "NaN as labels": (wrong(group=[np.nan] * 3 + [1.0] * 4 + [2.0] * 5), ("missing for 3 samples",)),
    "no such column": (wrong(groupby="treatment"), ("treatment", "is not a column")),
    "design without the labels": (wrong(design="~ batch"), ("does not hold groupby='group'",)),
    "design that uses all samples": (
        wrong(
            batch=[f"b{k % 6}" for k in range(N)],
            x=np.arange(N) ** 2.0,
            design="~ batch + group + x + I(x**2) + I(x**3) + I(x**4)",
        ),
        ("leav|rank",),
    ),
    "confounded batch": (wrong(batch=["x"] * 6 + ["y"] * 6, design="~ batch + group"), ("divide the samples alike",)),
    "missing batch": (wrong(batch=[None, *"xxxxxyyyyyy"], design="~ batch + group"), ("batch", "missing")),
    "sex of other words": (wrong(sex=["1", "2"] * 6, sex_key="sex"), ("no words for a sex", "'1'")),
    "sex of no column": (wrong(sex_key="gender"), ("gender", "is not a column")),
    "genes as text": (wrong(female_genes="XIST", male_genes="UTY"), ("list of gene names",)),
    "genes that are not there": (
        wrong(female_genes=["nope"], male_genes=["DDX3Y"]),
        ("nope", "not in adata.var_names"),
    ),
    "one sex only": (wrong(male_genes=["DDX3Y"]), ("Give both",)),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_checked_is_refused_in_a_sentence(case: tuple) -> None:
    call, words = case
    refused(call, *words)


def test_samples_without_replicates_in_the_design_are_marked_and_the_others_checked(plain: pd.DataFrame) -> None:
    adata = cohort()
    adata.obs["group"] = ["c", *adata.obs["group"][1:]]
    table = check(adata)
    equal(table["flag"].tolist(), ["not_checked", *plain["flag"][1:]])


def test_few_genes_are_refused() -> None:
    refused(lambda: check(cohort()[:, :30].copy()), "30 genes", "50 are needed")


def test_four_samples_are_answered_and_three_refused() -> None:
    adata = cohort()
    equal((check(adata[[0, 1, 6, 7]].copy())["flag"] == "").all(), True)
    refused(lambda: check(adata[[0, 1, 6]].copy()), "residual degree")
