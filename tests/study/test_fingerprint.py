from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi as bv
from tests.cohorts import fit


def registered(design: str = "~ age + group") -> AnnData:
    adata = bv.datasets.simulate(n_per_group=6, n_genes=100, seed=0)
    adata.obs["age"] = np.linspace(20, 60, adata.n_obs) ** 1.1
    adata.layers["length"] = np.random.default_rng(0).uniform(900, 1100, adata.shape)
    bv.pp.size_factors(adata, method="poscounts")
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design, offset_key="length")
    return adata


def swap(adata: AnnData) -> None:
    adata.obs["group"] = adata.obs["group"].map({"A": "B", "B": "A"}).astype("category")


CHANGES: dict[str, tuple[Callable[[AnnData], object], str]] = {
    "labels": (swap, r"adata.obs\['group'\] has other values"),
    "a number": (
        lambda a: setattr(a, "obs", a.obs.assign(age=a.obs["age"] + 1)),
        r"adata.obs\['age'\] has other values",
    ),
    "size factors": (
        lambda a: setattr(a, "obs", a.obs.assign(size_factor=2 * a.obs["size_factor"])),
        r"'size_factor'\] has other",
    ),
    "a column": (lambda a: setattr(a, "obs", a.obs.drop(columns="age")), r"'age'\] is gone"),
    "counts": (lambda a: setattr(a, "X", np.log1p(a.X)), "adata.X has other values.*normalisation in place"),
    "offsets": (lambda a: a.layers.__setitem__("length", a.layers["length"] ** 2), r"layers\['length'\] has other"),
    "genes": (lambda a: setattr(a, "var_names", a.var_names[::-1]), "genes of adata are not those"),
}


@pytest.fixture(scope="module")
def answers() -> tuple[bv.BulkVI, pd.DataFrame]:
    model = fit(registered())
    return model, model.differential_expression("group", "B", "A")


QUESTIONS: dict[str, Callable[[bv.BulkVI], object]] = {
    "differential_expression": lambda model: model.differential_expression("group", "B", "A"),
    "omnibus_test": lambda model: model.omnibus_test("group"),
    "calibrate": lambda model: model.calibrate("group", "B", "A"),
    "get_latent_representation": lambda model: model.get_latent_representation(),
    "get_normalized_expression": lambda model: model.get_normalized_expression(),
    "get_group_rates": lambda model: model.get_group_rates(model.adata.var_names[0], "group"),
    "get_dispersions": lambda model: model.get_dispersions(),
    "train": lambda model: model.train(max_steps=5, progress_bar=False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_registration_is_named(change: str, answers: tuple[bv.BulkVI, pd.DataFrame]) -> None:
    model, _ = answers
    before = model.adata.obs.copy(), model.adata.X.copy(), model.adata.layers["length"].copy(), model.adata.var_names
    CHANGES[change][0](model.adata)
    try:
        with pytest.raises(ValueError, match=CHANGES[change][1] + ".*setup_anndata again"):
            model.differential_expression("group", "B", "A")
    finally:
        model.adata.obs, model.adata.X, model.adata.layers["length"], model.adata.var_names = before


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_notices(question: str, answers: tuple[bv.BulkVI, pd.DataFrame]) -> None:
    """Effects had the other sign, without a word."""
    model, _ = answers
    before = model.adata.obs.copy()
    swap(model.adata)
    try:
        with pytest.raises(ValueError, match=r"adata.obs\['group'\] has other values since setup_anndata"):
            QUESTIONS[question](model)
    finally:
        model.adata.obs = before


def test_changes_between_registration_and_model_are_noticed() -> None:
    adata = registered()
    swap(adata)
    with pytest.raises(ValueError, match=r"adata.obs\['group'\] has other values"):
        bv.BulkVI(adata)


def test_another_model_on_the_same_samples_does_not_hide_a_change() -> None:
    """scvi-tools registers a model's own fields again after another model took the samples."""
    adata = registered()
    first = fit(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ age", offset_key="length")
    assert first.get_latent_representation().shape[0] == adata.n_obs
    swap(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ age", offset_key="length")
    with pytest.raises(ValueError, match=r"adata.obs\['group'\] has other values"):
        first.get_latent_representation()


def test_what_is_the_same_in_another_form_is_no_change(answers: tuple[bv.BulkVI, pd.DataFrame]) -> None:
    model, table = answers
    obs = model.adata.obs
    obs["group"] = obs["group"].astype(str)
    obs["note"] = "new"
    obs["age"] = obs["age"].astype(object).astype(float)
    pd.testing.assert_frame_equal(model.differential_expression("group", "B", "A"), table)


def test_samples_that_take_the_place_of_the_first_have_a_record_of_their_own(
    answers: tuple[bv.BulkVI, pd.DataFrame],
) -> None:
    model, table = answers
    first, other = model.adata, registered()[::-1].copy()
    try:
        model.adata = other
        again = model.differential_expression("group", "B", "A")
        np.testing.assert_allclose(again["log_fc_mle"], table["log_fc_mle"], rtol=1e-5, atol=1e-7)
        swap(other)
        with pytest.raises(ValueError, match=r"adata.obs\['group'\] has other values"):
            model.differential_expression("group", "B", "A")
    finally:
        model.adata = first


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, AnnData, pd.DataFrame]:
    adata = bv.datasets.simulate(n_per_group=6, n_genes=100, seed=0)
    bv.pp.size_factors(adata, method="poscounts")
    original = adata.copy()
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata)
    folder = str(tmp_path_factory.mktemp("model") / "model")
    model.save(folder)
    return folder, original, model.differential_expression("group", "B", "A")


def test_genes_in_another_order_are_put_in_order(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    """log_fc_decoded was that of other genes."""
    folder, adata, table = saved
    shuffled = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    with pytest.warns(UserWarning, match="genes of adata are in another order.*model.adata"):
        model = bv.BulkVI.load(folder, adata=shuffled)
    assert shuffled.var_names.tolist() != adata.var_names.tolist()  # the user's stay
    pd.testing.assert_frame_equal(model.differential_expression("group", "B", "A"), table)


def test_genes_of_no_concern_are_left_out(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, table = saved
    more = AnnData(
        np.hstack([np.ones((adata.n_obs, 3)), adata.X]),
        adata.obs,
        pd.DataFrame(index=["x", "y", "z", *adata.var_names]),
    )
    with pytest.warns(UserWarning, match="3 more than those of the model"):
        model = bv.BulkVI.load(folder, adata=more)
    pd.testing.assert_frame_equal(model.differential_expression("group", "B", "A"), table)


@pytest.mark.parametrize("change", ["missing", "renamed"])
def test_genes_that_are_not_there_are_named(change: str, saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, _ = saved
    other = adata[:, 1:].copy() if change == "missing" else adata.copy()
    if change == "renamed":
        other.var_names = ["other", *adata.var_names[1:]]
    with pytest.raises(ValueError, match=rf"lacks 1 of the 100 genes of the model \(first: \['{adata.var_names[0]}'\]"):
        bv.BulkVI.load(folder, adata=other)


def test_samples_in_another_order_have_the_same_answers(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, table = saved
    model = bv.BulkVI.load(folder, adata=adata[::-1].copy())
    again = model.differential_expression("group", "B", "A")
    numbers = table.select_dtypes("number").columns
    np.testing.assert_allclose(again[numbers], table[numbers], rtol=1e-5, atol=1e-7)


def test_new_samples_with_genes_in_another_order_are_refused(saved: tuple[str, AnnData, pd.DataFrame]) -> None:
    folder, adata, _ = saved
    model = bv.BulkVI.load(folder, adata=adata.copy())
    new = adata[:4, ::-1].copy()
    with pytest.raises(ValueError, match="not the 100 genes of the model in its order.*prepare_query_anndata"):
        model.get_latent_representation(new)
    with pytest.raises(ValueError, match="not the 100 genes of the model in its order"):
        bv.BulkVI.load_query_data(new, model)
    bv.BulkVI.prepare_query_anndata(new, model)
    np.testing.assert_allclose(
        model.get_latent_representation(new), model.get_latent_representation()[:4], rtol=1e-5, atol=1e-6
    )


def test_samples_with_other_labels_are_refused_by_level(
    saved: tuple[str, AnnData, pd.DataFrame], tmp_path: Path
) -> None:
    folder, adata, _ = saved
    other = adata.copy()
    other.obs["group"] = "C"
    with pytest.raises(ValueError, match=r"levels \['C'\]"):
        bv.BulkVI.load(folder, adata=other)
