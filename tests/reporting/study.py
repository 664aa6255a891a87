"""A study that is meant to break pages: names that are markup, a gene called NA, two groups with a quote in their names."""

import re
import warnings
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.figure import Figure

import bulkvi as bv
from bulkvi.reporting import _gene_pictures, _pictures
from bulkvi.reporting._picture import SCALE, Picture

NASTY = ("<script>alert(1)</script>", "</script><b>", "a&amp;b", "NA", 'quote"d', "{{ 7 * 7 }}")
GROUPS = ('treated "x"', "<control>")


class Study(NamedTuple):
    model: bv.BulkVI
    de: pd.DataFrame


def make_study(adata: AnnData, design: str = "~ arm") -> Study:
    bv.pp.size_factors(adata)
    with warnings.catch_warnings(action="ignore"):
        bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
    model = bv.BulkVI(adata, n_latent=2, seed=3)
    model.train(max_steps=20, seed=5, progress_bar=False)
    return Study(model, model.differential_expression("arm", *GROUPS))


@cache
def default_study() -> Study:
    """One study for all tests of a session, which do not change it."""
    return make_study(simulated())


def without_drawing(patch: pytest.MonkeyPatch) -> None:
    """Leave the drawings of pages empty, which take most of the time: for tests of what a page says."""

    def draw(_: Any, *, height: float, scale: float = SCALE, file: str = "", **text: str) -> Picture:
        return Picture(Figure(figsize=(1, 1)), scale=scale, file=file, **{"title": "", "caption": "", "alt": ""} | text)

    for module in (_pictures, _gene_pictures):
        patch.setattr(module, "draw", draw)


def simulated(*, hidden: bool = True) -> AnnData:
    """Counts; with a hidden factor in most genes the latent state has something to show."""
    adata = bv.datasets.simulate(n_per_group=5, n_genes=400, n_hidden=int(hidden), hidden_share=0.8, hidden_sd=1.5)
    arms = adata.obs["group"].map({"B": GROUPS[0], "A": GROUPS[1]})
    adata.obs = pd.DataFrame({"arm": pd.Categorical(arms), "age": np.arange(10.0) % 4}, index=adata.obs_names)
    adata.obs_names = [f"s<{i}>" for i in range(10)]
    symbols = [f"Gene{i}" for i in range(adata.n_vars)]
    symbols[: len(NASTY)] = NASTY
    adata.var = pd.DataFrame({"symbol": symbols}, index=[f"id{i}" for i in range(adata.n_vars)])
    return adata


def scored_sets(n: int) -> pd.DataFrame:
    """A table as ``tl.enrichment`` gives it."""
    return pd.DataFrame(
        {
            "term": [f"positive regulation of transmembrane transport, set {i}" for i in range(n)],
            "term_id": "GO:1",
            "direction": "up",
            "score": np.linspace(6, 1, n),
            "score_low": 0.5,
            "score_high": 7.0,
            "prob_sign": 1.0,
            "p_value": 0.001,
            "adj_p_value": 0.01,
            "size": 40,
            "n_called": 12,
            "genes": ";".join(f"GENE{i}" for i in range(30)),
        }
    )


def text_of(element: Any) -> str:
    """Text of an element, without markup or runs of space."""
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()
