import pytest

from bulkvi import pl
from bulkvi.reporting._asked import asked_of
from bulkvi.reporting._trend_pictures import N_GENES, trend_pictures
from tests.reporting.study import Study


def test_the_most_significant_genes_are_drawn_over_the_covariate(slope: Study, monkeypatch: pytest.MonkeyPatch):
    drawn = []
    monkeypatch.setattr(pl, "gene_trend", lambda _, gene, column, **__: drawn.append((gene, column)))
    asked = asked_of(slope.model, slope.de)
    de = slope.de.assign(symbol=slope.model.adata.var["symbol"])
    pictures = trend_pictures(slope.model, de, asked, level=0.05, digits=3)
    called = de[de["adj_p_value"] < 0.05]
    first = called["stat"].abs().sort_values(ascending=False).index[:N_GENES]
    assert len(first) == N_GENES
    assert drawn == [(gene, "age") for gene in first]
    assert [picture.title for picture in pictures] == de.loc[first, "symbol"].tolist()
    assert "per unit of age" in pictures[0].says
    assert "at 0," in pictures[0].alt


def test_a_comparison_of_groups_has_none(study: Study):
    de = study.de.assign(symbol=study.model.adata.var["symbol"])
    assert trend_pictures(study.model, de, asked_of(study.model, study.de), level=0.99, digits=2) == []
