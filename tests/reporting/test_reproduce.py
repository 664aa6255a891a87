import ast
from pathlib import Path

import pandas as pd
import pytest

import bulkvi as bv
from bulkvi.reporting._asked import Asked, asked_of
from bulkvi.reporting._reproduce import code_of, seeds_of, versions
from tests.reporting.study import GROUPS, Study


@pytest.mark.parametrize("options", [{}, {"latent_columns": 1, "delta": 0.5, "level": 0.9}], ids=["plain", "options"])
def test_the_code_gives_the_table(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict):
    de = study.model.differential_expression("arm", *GROUPS, **options)
    study.model.adata.write_h5ad(tmp_path / "adata.h5ad")
    monkeypatch.chdir(tmp_path)
    code = code_of(study.model, asked_of(study.model, de))
    space: dict = {}
    exec(
        code.replace("model.train(", "model.train(progress_bar=False, "), space
    )  # what the page tells its readers to run
    pd.testing.assert_frame_equal(space["de"], de, rtol=1e-6)
    assert space["de"].attrs["query"] == de.attrs["query"]


def test_the_code_names_seeds_and_steps(study: Study):
    code = code_of(study.model, asked_of(study.model, study.de))
    assert "bv.BulkVI(adata, n_latent=2, n_axes=9, seed=3)" in code
    assert "model.train(max_steps=20, seed=5)" in code
    assert seeds_of(study.model) == "start of the networks 3, training 5"


def test_what_is_not_known_is_not_made_up(study: Study, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(study.model, "train_params_", [])
    code = code_of(study.model, Asked("arm: b vs a", {}, {}))
    ast.parse(code)
    assert "model.train()  # as you trained it: this model keeps no record" in code
    assert "differential_expression(...)  # the arguments were not kept with the table" in code
    assert seeds_of(study.model) == "start of the networks 3, training not kept with the model"


def test_versions_are_those_that_ran():
    assert versions()["bulkvi"] == bv.__version__
    assert versions()["pandas"] == pd.__version__
