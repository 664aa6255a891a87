import numpy as np
import pytest

import bulkvi
from bulkvi.regression import effect_table
from tests.cohorts import fit, make_cohort


@pytest.fixture(scope="module")
def with_design() -> bulkvi.BulkVI:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ group")
    return fit(adata, max_steps=10)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "Give either groupby, group1 and group2, or contrast"),
        ({"groupby": "group"}, ValueError, "Give either groupby"),
        ({"groupby": "group", "group1": "B", "group2": "A", "contrast": [1]}, ValueError, "Give either"),
        ({"groupby": "nothing", "group1": "B", "group2": "A"}, KeyError, "not a column of adata.obs"),
        ({"contrast": {"dose": 1}}, KeyError, r"no columns \['dose'\]; it has \['Intercept'"),
        ({"contrast": [1, 0]}, ValueError, "one weight for each of the 3 columns"),
        ({"contrast": [0, 0, 0]}, ValueError, "not all of them zero"),
        ({"contrast": {"group[T.B]": np.nan}}, ValueError, "finite weights"),
        ({"contrast": {"Intercept": 1}}, ValueError, "compares nothing"),
        ({"contrast": {"group[T.B]": 1}, "delta": -1}, ValueError, "delta is -1"),
        ({"contrast": {"group[T.B]": 1}, "level": 1.0}, ValueError, "level is 1.0"),
    ],
)
def test_a_wrong_question_is_answered_with_what_can_be_asked(
    with_design: bulkvi.BulkVI, arguments: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        with_design.differential_expression(**arguments)


def test_a_prior_that_has_not_settled_is_said(with_design: bulkvi.BulkVI, monkeypatch: pytest.MonkeyPatch) -> None:
    summarise = effect_table.summarise_effect
    monkeypatch.setattr(effect_table, "summarise_effect", lambda *a, **k: summarise(*a, **k)._replace(converged=False))
    with pytest.warns(UserWarning, match="still moving after its last round.*do not depend on it"):
        with_design.differential_expression("group", "B", "A")
