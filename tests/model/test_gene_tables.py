import inspect

import pytest

import bulkvi
from bulkvi.model._gene_tables import GeneTablesMixin
from bulkvi.regression.fit import GeneFit

METHODS = {
    "omnibus_test": "omnibus",
    "latent_report": "hidden",
    "get_dispersions": "dispersions",
    "get_outliers": "outliers",
    "get_group_rates": "group_rates",
    "get_rate_curve": "rate_curve",
    "get_slope_weights": "slope_weights",
    "get_tested_columns": "tested_columns",
}


@pytest.mark.parametrize("name", METHODS)
def test_a_table_of_the_model_has_the_arguments_of_the_fit(name: str) -> None:
    of_model = inspect.signature(getattr(GeneTablesMixin, name)).parameters
    of_fit = inspect.signature(getattr(GeneFit, METHODS[name])).parameters
    assert [(p.name, p.kind, p.default) for p in of_model.values()] == [
        (p.name, p.kind, p.default) for p in of_fit.values()
    ]


def test_every_table_is_of_the_genes_or_columns_of_the_model(trained: bulkvi.BulkVI) -> None:
    genes, columns = trained.adata.var_names, list(trained.get_design_matrix().columns)
    assert trained.omnibus_test("batch").index.equals(genes)
    assert trained.get_dispersions().index.equals(genes)
    assert trained.get_outliers().index.isin(genes).all()
    assert trained.get_group_rates([genes[3]], "batch").index.tolist() == [genes[3]] * 2
    assert list(trained.get_contrast_weights("batch", "b2", "b1").index) == columns
    assert trained.get_tested_columns("batch") == ["batch[T.b2]"]
    assert trained.latent_report().index[0] == "latent_0"
    with pytest.raises(ValueError, match="age"):
        trained.get_rate_curve([genes[0]], "age")
    with pytest.raises(ValueError, match="age"):
        trained.get_slope_weights("age")
