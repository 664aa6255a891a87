import pandas as pd
import pytest

from bulkvi.tl import check_gene_sets

SETS = {"inflammation": ["IL6", "TNF", "CXCL8"], "milk": ["WAP", "CSN2"], "none of them": ["XIST"]}
GENES = pd.DataFrame({"symbol": ["IL6", "TNF", "WAP", None]}, index=["ENSG1", "ENSG2", "ENSG3", "ENSG4"])


def test_genes_of_each_set_are_counted_in_the_order_of_the_sets():
    table = check_gene_sets(GENES, SETS)
    assert table["term"].tolist() == list(SETS)
    assert table["n_genes"].tolist() == [3, 2, 1]
    assert table["n_found"].tolist() == [2, 1, 0]
    assert table.attrs["gene_names"] == "symbol"


def test_the_index_is_taken_where_it_fits_better():
    by_symbol = pd.DataFrame({"symbol": ["a", "b", "c"]}, index=["IL6", "WAP", "CSN2"])
    table = check_gene_sets(by_symbol, SETS)
    assert table["n_found"].tolist() == [1, 2, 0]
    assert table.attrs["gene_names"] == "index"


def test_names_that_do_not_fit_are_explained():
    with pytest.raises(
        ValueError, match=r"do not fit the gene sets: of 3 genes 0 are in them.*'ENSG1'.*Give the kind of names"
    ):
        check_gene_sets(GENES[[]].iloc[:3], SETS)
    with pytest.raises(ValueError, match="In capitals they do: are the sets of another organism"):
        check_gene_sets(pd.DataFrame(index=["Il6", "Tnf", "Wap"]), SETS)
