from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.baselines import zinb


def test_the_answer_is_the_decoder_of_a_zero_inflated_bulkvi(cohort: AnnData):
    table = zinb(cohort, "group", "b", "a", design="~ batch + group", n_latent=2, max_steps=40)
    own = cohort.copy()
    bulkvi.BulkVI.setup_anndata(own, size_factor_key="size_factor", design="~ batch + group")
    model = bulkvi.BulkVI(own, n_latent=2, gene_likelihood="zinb")
    model.train(40, progress_bar=False)
    expected = model.differential_expression("group", "b", "a", latent_columns=0)
    shift = expected.attrs["composition_shift"]
    np.testing.assert_allclose(table["log_fc"], expected["log_fc_decoded"] + shift, atol=1e-6)
    np.testing.assert_array_equal(table["log_fc"], table["log_fc_decoded"])
    np.testing.assert_allclose(table["base_mean"], expected["base_mean"], rtol=1e-6)
    assert table[["p_value", "adj_p_value", "lfsr", "log_fc_sd"]].isna().all(axis=None)
    assert (table["dispersion"] > 0).all()
    assert table.attrs["method"] == "ZINB"


def test_without_a_design_the_latent_state_tells_the_groups_apart(cohort: AnnData):
    table = zinb(cohort, "group", "b", "a", n_latent=2, max_steps=200)
    changed = cohort.var["log_fc"] != 0
    assert np.corrcoef(table["log_fc"][changed], cohort.var["log_fc"][changed])[0, 1] > 0.9
    assert table["contrast"].iloc[0] == "group: b vs a"


def test_the_data_stay_and_keep_their_own_registration(cohort: AnnData):
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    before = cohort.copy()
    zinb(cohort, "group", "b", "a", max_steps=10)
    pd.testing.assert_frame_equal(cohort.obs, before.obs)
    assert cohort.uns.keys() == before.uns.keys()
    assert list(bulkvi.BulkVI(cohort, n_latent=2).get_design_matrix()) == ["Intercept", "group[T.b]"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"group1": "c"}, ValueError, "no sample has this level"),
        ({"groupby": "dose"}, KeyError, "groupby='dose'"),
        ({"size_factor_key": "no"}, KeyError, "size_factor_key='no'"),
        ({"layer": "no"}, KeyError, "no layer 'no'"),
        ({"design": "~ dose"}, KeyError, "dose"),
    ],
)
def test_wrong_questions_are_named(cohort: AnnData, arguments: dict[str, Any], error: type[Exception], message: str):
    question: dict[str, Any] = {"groupby": "group", "group1": "b", "group2": "a", "max_steps": 10}
    with pytest.raises(error, match=message):
        zinb(cohort, **(question | arguments))
