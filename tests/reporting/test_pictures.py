from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

import bulkvi as bv
from bulkvi import BulkVI, datasets, pl
from bulkvi.cli._folder import FIGURES
from bulkvi.reporting import write_figures
from bulkvi.reporting._picture import draw
from tests.reporting.study import Study, scored_sets


@pytest.fixture(scope="module")
def offset_model() -> tuple[BulkVI, pd.DataFrame]:
    """Counts in a layer, with lengths that differ between the groups, as Salmon may find them."""
    adata = datasets.simulate(n_per_group=4, n_genes=200, seed=4)
    by_group = np.random.default_rng(0).lognormal(7, 0.8, size=(2, adata.n_vars))
    adata.layers["length"] = by_group[(adata.obs["group"] == "B").to_numpy(int)]
    adata.layers["counts"], adata.X = adata.X, np.zeros(adata.shape)
    adata.obs["depth"] = adata.obs["true_depth"]
    BulkVI.setup_anndata(adata, layer="counts", size_factor_key="depth", design="~ group", offset_key="length")
    model = BulkVI(adata, n_latent=2, seed=1)
    model.train(max_steps=20, progress_bar=False)
    return model, model.differential_expression("group", "B", "A")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Axes]]:
    """Axes of each function of ``pl`` that draws."""
    axes: dict[str, list[Axes]] = {}

    def watched(name: str, plot: Any) -> Any:
        def keep(*arguments: Any, **options: Any) -> Axes:
            axes.setdefault(name, []).append(plot(*arguments, **options))
            return axes[name][-1]

        return keep

    for name in (*FIGURES, "gene_trend"):
        monkeypatch.setattr(pl, name, watched(name, getattr(pl, name)))
    return axes


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files of figures."""
    names: list[str] = []
    plain = Figure.savefig

    def savefig(figure: Figure, file: Any, **options: Any) -> None:
        if isinstance(file, Path):
            names.append(file.name)
        else:  # for the page
            plain(figure, file, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return names


def files(names: set[str]) -> list[str]:
    return sorted(f"{name}.{kind}" for name in names for kind in ("pdf", "png"))


def test_page_and_files_are_drawn_once_and_by_what_the_model_divides_by(
    offset_model: tuple[BulkVI, pd.DataFrame], tmp_path: Path, drawn: dict[str, list[Axes]], saved: list[str]
):
    """The fitted rates were drawn with counts that kept their lengths."""
    model, table = offset_model
    bv.report(model, table, tmp_path / "page.html", figures=tmp_path)
    absent = {"enrichment", "latent"}  # there is no hidden factor: all samples are in one place
    assert sorted(saved) == files({*FIGURES} - absent)  # what --force deletes
    n_genes = min(6, int((table["adj_p_value"] < 0.05).sum()))
    assert {name: len(axes) for name, axes in drawn.items()} == {
        **dict.fromkeys({*FIGURES} - absent, 1),
        "gene": n_genes,
    }
    first = str(table["p_value"].idxmin())
    wanted = pl.gene(
        model.adata,
        first,
        "group",
        layer="counts",
        size_factor_key="depth",
        offset_key="length",
        rates=model.get_group_rates([first], "group"),
        ax=Figure().subplots(),
    )
    sizes = pl.size_factors(model.adata, key="depth", layer="counts", color="group", ax=Figure().subplots())
    np.testing.assert_allclose(points(drawn["gene"][0]), points(wanted))
    np.testing.assert_allclose(points(drawn["size_factors"][0]), points(sizes))


def points(axes: Axes) -> np.ndarray:
    return np.concatenate(
        [np.asarray(each.get_offsets()) for each in axes.collections if isinstance(each, PathCollection)]
    )


def test_gene_sets_and_without_a_call_the_first_gene_have_files(
    offset_model: tuple[BulkVI, pd.DataFrame], tmp_path: Path, drawn: dict[str, list[Axes]], saved: list[str]
):
    model, table = offset_model
    sets = scored_sets(3)
    bv.report(model, table.assign(adj_p_value=1.0), tmp_path / "page.html", figures=tmp_path, enrichment=sets)
    assert {"gene.pdf", "gene.png", "enrichment.pdf", "enrichment.png"} <= {*saved}
    assert len(drawn["enrichment"]) == 1
    assert len(drawn["gene"]) == 1
    assert "Counts of the most significant genes" not in (tmp_path / "page.html").read_text()


def test_an_omnibus_test_has_figures_without_effects(
    slope: Study, tmp_path: Path, drawn: dict[str, list[Axes]], saved: list[str]
):
    table = slope.model.omnibus_test("age")
    write_figures(slope.model, table, tmp_path, groupby="age")
    assert sorted(saved) == files({*FIGURES} - {"volcano", "ma", "shrinkage", "enrichment"})
    assert len(drawn["gene_trend"]) == 1
    write_figures(slope.model, slope.model.omnibus_test("arm"), tmp_path, groupby="arm")
    assert len(drawn["gene"]) == 1


def test_effects_of_a_slope_have_their_unit_above(slope: Study, tmp_path: Path, drawn: dict[str, list[Axes]]):
    bv.report(slope.model, slope.de, tmp_path / "page.html")
    for name in ("volcano", "ma", "shrinkage"):
        (axes,) = drawn[name]
        assert axes.get_title(loc="left").startswith("Fold changes per unit of age\n")


def test_pictures_that_would_be_large_are_pixels():
    x = np.random.default_rng(0).normal(size=(2, 10_000))
    few = draw(lambda ax: ax.plot(*x[:, :9]), title="t", caption="c", alt="a", height=2)
    many = draw(lambda ax: ax.scatter(*x), title="t", caption="c", alt="a", height=2)
    assert few.source.startswith("data:image/svg+xml;base64,")
    assert many.source.startswith("data:image/png;base64,")
