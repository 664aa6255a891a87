import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from tests.cohorts import fit, make_cohort


def test_omnibus_of_a_factor_takes_all_its_columns(model: bulkvi.BulkVI) -> None:
    table = model.omnibus_test("site")
    columns = [name for name in model.get_design_matrix().columns if "site" in name]
    assert len(columns) == 4
    assert table["contrast"].iloc[0] == ", ".join(columns)
    assert set(table["df"]) == {4}
    assert table.index.equals(model.adata.var_names)
    by_columns = model.omnibus_test(columns)
    np.testing.assert_allclose(by_columns["p_value"], table["p_value"])


def test_omnibus_finds_the_factor_that_matters_and_no_other() -> None:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ group + site")
    model = fit(adata, max_steps=10)
    assert (model.omnibus_test("site")["adj_p_value"] < 0.05).sum() <= 1
    group = model.omnibus_test("group")
    changed = (adata.var["true_log_fc"].abs() > 1) & (group["base_mean"] > 20)
    assert (group["adj_p_value"] < 0.05)[changed].mean() > 0.7
    wald = model.differential_expression("group", "B", "A")
    assert np.corrcoef(wald["stat"].abs(), np.sqrt(group["stat"]))[0, 1] > 0.95
    assert (model.omnibus_test("batch")["df"] == 1).all()


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("dose", KeyError, "'dose' is not a column of adata.obs"),
        ("size_factor", ValueError, "not in the design"),
        (["dose"], KeyError, r"no columns \['dose'\]"),
        ([], KeyError, "The design has no columns"),
        (["Intercept"], ValueError, "has no intercept left.*is no question"),
        (["Intercept", "site[T.site1]"], ValueError, "has no intercept left.*is no question"),
    ],
)
def test_omnibus_of_what_is_not_there(model: bulkvi.BulkVI, what: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        model.omnibus_test(what)


def test_levels_themselves_are_no_question(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ 0 + group")
    with pytest.raises(ValueError, match="Write the design with an intercept"):
        fit(cohort, max_steps=10).omnibus_test("group")
