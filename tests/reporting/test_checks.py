import numpy as np
import pandas as pd
import pytest

import bulkvi as bv
from bulkvi.reporting import _checks
from bulkvi.reporting._asked import Asked
from bulkvi.reporting._checks import design_check, sample_check
from bulkvi.reporting._fit_facts import fit_facts, to_watch
from bulkvi.reporting._picture import draw
from bulkvi.reporting._plain_table import number_text, plain_table
from tests.reporting.study import Study, make_study, simulated

FLAGS = pd.DataFrame({"flag": ["", "outlier,separated", "separated", "not_converged"]})


def test_swapped_samples_are_told_by_name():
    adata = simulated()
    arms = adata.obs["arm"].astype(str).to_numpy()
    arms[[0, 9]] = arms[[9, 0]]
    adata.obs["arm"] = pd.Categorical(arms)
    found = sample_check(make_study(adata).model, "arm")
    assert [text.split(" (")[0] for text in found.watch] == ["Sample s<0>", "Sample s<9>"]
    assert "another label fits far better" in found.watch[0]
    assert found.said == "2 of 10 samples stand out."


def test_samples_come_with_depth_and_size_factor(study: Study):
    adata = study.model.adata
    found = sample_check(study.model, None)
    assert not found.checked
    assert "not one of two groups" in found.said
    assert [row["total"] for row in found.rows] == np.asarray(adata.X.sum(1)).ravel().tolist()
    assert [row["size_factor"] for row in found.rows] == adata.obs["size_factor"].tolist()


def test_why_samples_were_not_checked_is_said(study: Study, monkeypatch: pytest.MonkeyPatch):
    assert "Labels could not be checked: " in sample_check(study.model, "age").said
    monkeypatch.setattr(_checks, "MANY_SAMPLES", 9)
    assert "more than 9 samples" in sample_check(study.model, "arm").said


def test_a_model_without_design_has_none_to_check():
    adata = simulated()
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    assert design_check(bv.BulkVI(adata)) is None


def test_what_to_watch_is_said_once():
    asked = Asked("a", {}, {"composition_shift": -0.5, "n_latent_columns": 2})
    said = to_watch(FLAGS, asked, None, ["Sample x."], ["Around: Sample x. And more.", "New."])
    assert said[0] == "Sample x."
    assert said[1].startswith("Most genes change, more of them up: unchanged genes had a log2 fold change of -0.50")
    assert said[2].startswith("2 hidden directions of the data entered")
    assert said[3] == "The fit of 25 % of the genes did not settle; their rows are flagged not_converged."
    assert said[4:] == ["New."]
    assert to_watch(FLAGS.head(1), Asked("a", {}, {}), None, [], []) == []


def test_flags_are_counted_and_what_is_not_known_is_said():
    facts = {fact.what: fact.value for fact in fit_facts(FLAGS, Asked("a", {}, {}))}
    assert facts["Genes flagged separated"] == "2"
    assert facts["Genes flagged outlier"] == "1"
    assert "Genes flagged constant" not in facts
    assert facts["Shift of all genes (log2)"] == "not kept with the table"


def test_pictures_that_would_be_large_are_pixels():
    x = np.random.default_rng(0).normal(size=(2, 10_000))
    few = draw(lambda ax: ax.plot(*x[:, :9]), title="t", says="s", alt="a", height=2)
    many = draw(lambda ax: ax.scatter(*x), title="t", says="s", alt="a", height=2)
    assert few.source.startswith("data:image/svg+xml;base64,")
    assert many.source.startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (-10.0, "−10"),
        (12_345.6, "12,346"),
        (0.012345, "0.0123"),
        (-1e-9, "−1e-09"),
        (np.nan, "–"),
        (np.inf, "–"),
    ],
)
def test_numbers_of_any_table_are_rounded_for_reading(value: float, text: str):
    assert number_text(value) == text


def test_rows_that_are_left_out_are_counted():
    shown = plain_table(
        pd.DataFrame({"gene_set": ["a", "b", "c"], "hit": [True, False, True]}), "id", "Sets", max_rows=2
    )
    assert shown.columns == [("gene set", False), ("hit", False)]
    assert [[cell.text for cell in row] for row in shown.rows] == [["a", "yes"], ["b", "no"]]
    assert shown.left_out == 1


def test_long_lists_are_cut_between_genes_and_nothing_is_lost():
    genes = [f"GENE{i}" for i in range(500)]
    cell = plain_table(pd.DataFrame({"genes": [";".join(genes)]}), "id", "Sets").rows[0][0]
    assert cell.text.startswith("GENE0, GENE1, ")
    assert cell.text.endswith(",")
    assert len(cell.text) < 60
    assert f"{cell.text} {cell.rest}".split(", ") == genes


def test_short_texts_are_whole():
    cell = plain_table(pd.DataFrame({"genes": ["A;B"]}), "id", "Sets").rows[0][0]
    assert (cell.text, cell.rest) == ("A, B", "")
