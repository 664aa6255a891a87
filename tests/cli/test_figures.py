from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from bulkvi import BulkVI, datasets, pl
from bulkvi.cli._figures import FIGURES, draw_figures
from bulkvi.names import LATENT


@pytest.fixture(scope="module")
def offset_model() -> tuple[BulkVI, pd.DataFrame]:
    """Counts in a layer, beside lengths that differ between the groups, as Salmon may find them."""
    adata = datasets.simulate(n_per_group=4, n_genes=200, seed=4)
    by_group = np.random.default_rng(0).lognormal(7, 0.8, size=(2, adata.n_vars))
    adata.layers["length"] = by_group[(adata.obs["group"] == "B").to_numpy(int)]
    adata.layers["counts"], adata.X = adata.X, np.zeros(adata.shape)
    adata.obs["depth"] = adata.obs["true_depth"]
    BulkVI.setup_anndata(adata, layer="counts", size_factor_key="depth", design="~ group", offset_key="length")
    model = BulkVI(adata, n_latent=2, seed=1)
    model.train(max_steps=20, progress_bar=False)
    adata.obsm[LATENT] = model.get_latent_representation()
    return model, model.differential_expression("group", "B", "A")


def test_the_gene_is_drawn_by_what_the_model_divides_by(
    offset_model: tuple[BulkVI, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The fitted rates were drawn beside counts that kept their lengths."""
    model, table = offset_model
    drawn: dict[str, Axes] = {}

    def watched(name: str, draw: Any) -> Any:
        def keep(*arguments: Any, **options: Any) -> Axes:
            drawn[name] = draw(*arguments, **options)
            return drawn[name]

        return keep

    for name in ("gene", "size_factors"):
        monkeypatch.setattr(pl, name, watched(name, getattr(pl, name)))
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    draw_figures(model, model.adata, table, tmp_path, groupby="group", level=0.05)
    found = drawn["gene"], drawn["size_factors"]
    surest = str(table["p_value"].idxmin())
    rates = model.get_group_rates([surest], "group")
    wanted = pl.gene(
        model.adata,
        surest,
        "group",
        layer="counts",
        size_factor_key="depth",
        offset_key="length",
        rates=rates,
        ax=Figure().subplots(),
    )
    sizes = pl.size_factors(model.adata, key="depth", layer="counts", color="group", ax=Figure().subplots())
    for mine, asked in zip(found, (wanted, sizes), strict=True):
        np.testing.assert_allclose(points(mine), points(asked))


def points(axes: Axes) -> np.ndarray:
    return np.concatenate(
        [np.asarray(each.get_offsets()) for each in axes.collections if isinstance(each, PathCollection)]
    )


def test_the_list_of_figures_is_that_of_the_files(
    offset_model: tuple[BulkVI, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What --force deletes is what is drawn."""
    model, table = offset_model
    saved: list[str] = []
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: saved.append(path.stem))
    draw_figures(model, model.adata, table, tmp_path, groupby="group", level=0.05)
    assert {*saved} == {*FIGURES} - {"enrichment"}
