import ast
from pathlib import Path

import pandas as pd
import pytest

from bulkvi.reporting._code import code_of
from bulkvi.reporting._methods import seeds_of
from bulkvi.reporting._query import Query, query_from_table
from tests.reference_cohorts import draw_study, model_of
from tests.reporting.study import GROUPS, Study


@pytest.mark.parametrize("options", [{}, {"latent_columns": 1, "delta": 0.5, "level": 0.9}], ids=["plain", "options"])
def test_the_code_gives_the_table(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict):
    de = study.model.differential_expression("arm", *GROUPS, **options)
    study.model.adata.write_h5ad(tmp_path / "adata.h5ad")
    monkeypatch.chdir(tmp_path)
    code = code_of(study.model, query_from_table(study.model, de))
    space: dict = {}
    exec(
        code.replace("model.train(", "model.train(progress_bar=False, "), space
    )  # what the page tells its readers to run
    pd.testing.assert_frame_equal(space["de"], de, rtol=1e-6)
    assert space["de"].attrs["query"] == de.attrs["query"]


def test_the_code_names_seeds_and_steps(study: Study):
    code = code_of(study.model, query_from_table(study.model, study.de))
    assert "bv.BulkVI(adata, n_latent=2, n_axes=9, seed=3)" in code
    assert "model.train(max_steps=20, seed=5)" in code
    assert seeds_of(study.model) == "start of the networks 3, training 5"


def test_what_is_not_known_is_not_made_up(study: Study, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(study.model, "train_params_", [])
    code = code_of(study.model, Query("arm: b vs a", {}, {}))
    ast.parse(code)
    assert "model.train()  # as you trained it: this model keeps no record" in code
    assert "differential_expression(...)  # the arguments were not kept with the table" in code
    assert seeds_of(study.model) == "start of the networks 3, training not kept with the model"
    groups = dict(zip(("groupby", "group1", "group2"), ("arm", *GROUPS), strict=True))
    code = code_of(study.model, Query("", groups, {}))
    ast.parse(code)
    assert f"differential_expression('arm', {GROUPS[0]!r}, {GROUPS[1]!r}, ...)  # the arguments" in code


def test_the_code_loads_a_reference(rng):
    drawn = draw_study(rng, 3, 300)
    model = model_of(drawn.adata, drawn.reference)
    de = model.differential_expression("group", "B", "A")
    code = code_of(model, query_from_table(model, de))
    ast.parse(code)
    assert "reference = bv.Reference.load(...)  # truth" in code
    assert "bv.BulkVI(adata, n_latent=2, n_axes=5, reference=reference)" in code
    assert "effect=" not in code
