from typing import Any

import pandas as pd
import pytest

from bulkvi import pl
from bulkvi.reporting._gene_pictures import N_GENES, Comparison, gene_pictures
from bulkvi.reporting._query import query_from_table
from tests.reporting.study import Study


def comparison(study: Study, level: float = 0.05) -> Comparison:
    query = query_from_table(study.model, study.de)
    de = study.de.assign(symbol=study.model.adata.var["symbol"])
    return Comparison(study.model, de, query, query.groupby, query.slope, level)


def test_the_most_significant_genes_are_drawn_over_the_covariate(slope: Study, monkeypatch: pytest.MonkeyPatch):
    drawn = []
    monkeypatch.setattr(pl, "gene_trend", lambda _, gene, column, **__: drawn.append((gene, column)))
    shown = comparison(slope)
    pictures = gene_pictures(shown, shown.drawn_genes())
    called = shown.de[shown.de["adj_p_value"] < 0.05]
    first = called["stat"].abs().sort_values(ascending=False).index[:N_GENES]
    assert len(first) == N_GENES
    assert drawn == [(gene, "age") for gene in first]
    assert [picture.title for picture in pictures] == shown.de.loc[first, "symbol"].tolist()
    assert "per unit of age" in pictures[0].caption
    assert "at 0," in pictures[0].alt


def test_a_comparison_of_groups_is_drawn_by_group(study: Study, monkeypatch: pytest.MonkeyPatch):
    drawn: list[Any] = []
    monkeypatch.setattr(pl, "gene", lambda _, gene, column, **given: drawn.append((column, given["order"])))
    monkeypatch.setattr(pl, "gene_trend", None)
    shown = comparison(study, level=0.99)
    pictures = gene_pictures(shown, shown.drawn_genes())
    assert drawn == [("arm", shown.query.groups[::-1])] * N_GENES  # type: ignore[index]  # the reference on the left
    assert [picture.file for picture in pictures] == ["gene"] + [""] * (N_GENES - 1)


def test_the_page_shows_no_gene_that_is_not_called(study: Study):
    shown = comparison(study, level=1e-300)
    assert shown.drawn_genes().empty
    assert gene_pictures(shown, shown.drawn_genes()) == []
    pd.testing.assert_frame_equal(shown.most_significant(1), shown.de.nsmallest(1, "p_value"))
