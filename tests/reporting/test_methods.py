import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bulkvi as bv
from bulkvi import enrichment_names as en
from bulkvi.reporting._methods import Methods, methods_of, versions
from bulkvi.reporting._query import Query, query_from_table
from tests.reference_cohorts import draw_study, model_of
from tests.reporting.study import GROUPS, Study, simulated


def methods(study: Study, **changes: Any) -> Methods:
    de = changes.pop("de", study.de)
    query = changes.pop("query", None) or query_from_table(study.model, de)
    given: dict[str, Any] = {"enrichment": None, "level": 0.05, "run": {}, "seeds": "start 3, training 5"} | changes
    return methods_of(study.model, de, query, versions=versions(), **given)


def text(study: Study, **changes: Any) -> str:
    return " ".join(methods(study, **changes).paragraphs)


def test_what_the_model_and_the_table_know_is_said(study: Study):
    said = text(study)
    fewest = int(study.model.adata.X.sum(0).min())
    called = study.de["adj_p_value"] < 0.05
    for part in (
        "400 genes in 10 samples",
        f"each gene with {fewest:,} or more" if fewest else "were analysed.",
        "median of ratios",
        "on the design ~ arm by a negative binomial model",
        f"5 samples of {GROUPS[0]} were compared with 5 of {GROUPS[1]} (arm)",
        "Two-sided p-values of no effect",
        "Benjamini and Hochberg",
        f"called {called.sum():,} genes at a false discovery rate of 5 %",
        "95 % credible intervals",
        f"bulkvi {versions()['bulkvi']} on scvi-tools {versions()['scvi-tools']}",
        "seeds: start 3, training 5",
    ):
        assert part in said


def test_the_run_tells_what_was_read_and_filtered(study: Study):
    said = text(study, run={"n_genes_read": 20_123, "min_counts": 7, "size_factors": {"chosen": "poscounts"}})
    assert "Counts of 20,123 genes in 10 samples were read; the 400 genes with at least 7 counts" in said
    assert "poscounts" in said
    assert "geometric mean" not in said


def test_what_is_not_known_is_left_out(study: Study):
    adata = simulated()
    adata.obs["size_factor"] = np.linspace(0.5, 2, adata.n_obs)
    with warnings.catch_warnings(action="ignore"):
        bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ arm")
    found = methods(Study(bv.BulkVI(adata), study.de), query=Query("arm: a vs b", {}, {}))
    said = " ".join(found.paragraphs)
    assert "were read" not in said
    assert "Size factors were given by the user." in said
    assert "latent state" not in said
    assert "credible" not in said
    assert "gene sets" not in said
    assert not any("Anders" in reference for reference in found.references)


@pytest.mark.parametrize("number", [0, 1])
def test_hidden_directions_are_said_as_they_entered(study: Study, number: int):
    de = study.model.differential_expression("arm", *GROUPS, latent_columns=number)
    said = text(study, de=de)
    expected = "1 direction of the latent state" if number else "No direction of the latent state"
    assert expected in said
    assert "averaged with those of the design alone" not in said
    de.attrs["design_alone"] = 0.25 * number
    assert ("averaged with those of the design alone, which had a weight of 0.25" in text(study, de=de)) == bool(number)


def test_delta_and_level_are_those_of_the_query(study: Study):
    de = study.model.differential_expression("arm", *GROUPS, delta=0.5, level=0.9)
    said = text(study, de=de)
    assert "an absolute log2 fold change of no more than 0.5" in said
    assert "90 % credible intervals" in said


def test_gene_sets_have_their_method_source_and_background(study: Study):
    sets = pd.DataFrame({"term": ["a", "b"], "score": [1.0, 2.0]})
    assert "gene sets" not in text(study, enrichment=sets)
    sets.attrs = {en.METHOD: "ulm", en.BACKGROUND: "annotated", en.N_BACKGROUND: 321, en.N_SETS: 2}
    said = text(study, enrichment=sets, run={"gene_sets": "go_bp"})
    assert "2 gene sets, GO biological processes, were scored by a univariate linear model" in said
    assert "against 321 tested genes that are in at least one set" in said
    assert "from my.gmt" in text(study, enrichment=sets, run={"gene_sets": "my.gmt"})


def test_references_are_those_of_the_text(study: Study):
    references = " ".join(methods(study).references)
    for name in ("Anders S", "Benjamini Y", "Gayoso A", "The bulkvi developers"):
        assert name in references


def test_a_slope_is_per_unit_of_its_column(slope: Study):
    said = text(slope)
    assert "The effect tested was the change of log2 expression per unit of age (0 to 3 in these samples)." in said
    assert "Log2 fold changes per unit of age are posterior means" in said
    assert "down with age." in said


def test_versions_are_those_that_ran():
    assert versions()["bulkvi"] == bv.__version__
    assert versions()["pandas"] == pd.__version__


def test_methods_name_a_reference(rng):
    drawn = draw_study(rng, 3, 300)
    model = model_of(drawn.adata, drawn.reference)
    de = model.differential_expression("group", "B", "A")
    query = query_from_table(model, de)
    said = " ".join(
        methods_of(model, de, query, enrichment=None, level=0.05, run={}, seeds="0", versions=versions()).paragraphs
    )
    assert "reference cohort truth (300 genes; trust" in said
    assert "along its 2 directions were held fixed" in said
