"""Laws of all plots: they draw on the given Axes, and change nothing else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.axes import Axes

from bulkvi import pl
from tests.regression.test_outlier_scores import make_scores

Draw = Callable[..., Axes]
LOG_FC = pd.DataFrame({"a": [0.5, -1.0, 2.0], "b": [0.4, -1.2, 1.8]}, index=["g1", "g2", "g3"])
DE = pd.DataFrame(
    {
        "base_mean": [5.0, 80.0, 900.0, 40.0],
        "log_fc": [0.1, -1.0, 2.0, 0.2],
        "log_fc_mle": [2.0, -1.3, 2.1, np.nan],
        "p_value": [0.5, 1e-5, 0.0, 0.2],
        "adj_p_value": [0.5, 2e-5, 0.0, np.nan],
    },
    index=[f"gene {i}" for i in range(4)],
)
DE.attrs["composition_shift"] = 0.4
TOP = pd.DataFrame(
    {
        "log_fc": [1.0, -2.0, 3.0],
        "log_fc_low": [0.5, -2.5, np.nan],
        "log_fc_high": [1.5, -1.5, np.nan],
        "p_value": [1e-3, 1e-5, 1e-4],
        "adj_p_value": [1e-3, 1e-5, 1e-4],
    },
    index=["3", "9", "27"],
)
ASSOCIATION = pd.DataFrame(
    [("stage", "age", 0.9, "eta squared"), ("stage", "treated", 0.2, "Cramer's V")],
    columns=["column", "other_column", "association", "measure"],
)
DISPERSIONS = pd.DataFrame(
    {
        "base_mean": [5.0, 80.0, 900.0],
        "dispersion_gene": [1e-8, 0.3, 0.02],
        "dispersion_trend": [0.2, 0.05, 0.03],
        "dispersion": [0.1, 0.1, 0.025],
    }
)
RATES = pd.DataFrame(
    {
        "group": ["virgin", "lactation", "pregnancy"],
        "rate": [90.0, 100.0, 110.0],
        "rate_low": [70.0, 80.0, 90.0],
        "rate_high": [100.0, 120.0, 140.0],
    },
    index=["3", "3", "3"],
)
FDR = pd.DataFrame(
    {
        "score": ["adj_p_value"] * 2 + ["s_value"] * 2,
        "threshold": [0.05, 0.5] * 2,
        "calls": [12, 40, 15, 50],
        "empirical_fdr": [0.03, 0.4, 0.06, 1.0],
        "empirical_fdr_low": [0.01, 0.3, 0.05, 0.6],
        "empirical_fdr_high": [0.06, 0.5, 0.07, 1.0],
    }
)
RELABELLINGS = pd.DataFrame({"score": "adj_p_value", "threshold": [0.05, 0.05, 0.5, 0.5], "calls": [0, 1_500, 2, 40]})
COMPARED = pd.DataFrame(
    {
        "log_fc": [2.0, -1.0, 0.1, 0.9, 1.5, np.nan],
        "log_fc_other": [2.1, -3.0, 0.4, 1.0, -1.2, 0.2],
        "class": ["both", "effect_differs", "na_other", "only_here", "opposite", "absent_here"],
        "reason": ["", "shrunk", "independent_filtering", "borderline", "different_effect", "low_counts"],
    },
    index=[f"gene {i}" for i in range(6)],
)
CONCORDANCE = pd.Series({"pearson": 0.9, "slope": 0.8, "jaccard": np.nan})
COMPARISON = SimpleNamespace(
    labels=("bulkvi", "DESeq2"), level=0.05, column="log_fc", table=COMPARED, concordance=CONCORDANCE
)
TERMS = pd.DataFrame(
    {
        "term": ["glucose import", "wound healing", "translation"],
        "term_id": "",
        "direction": ["up", "up", "down"],
        "score": [6.0, 4.0, -3.0],
        "score_low": [5.0, 2.0, -5.0],
        "score_high": [6.3, 5.0, -1.0],
        "p_value": [1e-6, 1e-3, 0.2],
        "adj_p_value": [1e-6, 1e-3, 0.2],
        "size": [58, 190, 20],
        "n_called": [23, 40, 1],
        "genes": ["a", "b", "c"],
    }
)
SAME_TERMS = TERMS[["term", "direction", "score", "adj_p_value"]].add_suffix("_other").drop(columns="term_other")
TWO_TERMS = pd.concat([TERMS, SAME_TERMS], axis=1)
OUTLIERS = make_scores()
POWER = pd.DataFrame(
    {
        "n_per_group": [3, 6, 3, 6],
        "quantity": ["power", "power", "power_any", "power_any"],
        "gene": "",
        "expected": [0.2, 0.5, 0.1, 0.3],
        "low": [0.1, 0.4, 0.05, 0.2],
        "high": [0.3, 0.6, 0.2, 0.4],
    }
)
CALIBRATION = SimpleNamespace(fdr=FDR, relabellings=RELABELLINGS)
LOADINGS = pd.DataFrame(
    {
        "axis": ["axis_1"] * 3 + ["axis_2"],
        "loading": [1.0, -2.0, 0.4, 0.7],
        "loading_low": [0.5, -2.2, 0.1, 0.2],
        "loading_high": [1.5, -1.8, 0.7, 1.2],
    },
    index=["g1", "g2", "g3", "g1"],
)
TABLES = (
    LOADINGS,
    LOG_FC,
    DE,
    TOP,
    DISPERSIONS,
    RATES,
    FDR,
    RELABELLINGS,
    ASSOCIATION,
    COMPARED,
    TERMS,
    TWO_TERMS,
    POWER,
)
PLOTS: dict[str, Draw] = {
    "calibration": lambda adata, history, ax, **last: pl.calibration(CALIBRATION, ax=ax, **last),
    "calibration of calls": lambda adata, history, ax, **last: pl.calibration(CALIBRATION, kind="calls", ax=ax, **last),
    "compare": lambda adata, history, ax, **last: pl.compare(COMPARISON, ax=ax, **last),
    "design": lambda adata, history, ax, **last: pl.design(ASSOCIATION, ax=ax, **last),
    "dispersion": lambda adata, history, ax, **last: pl.dispersion(DISPERSIONS, ax=ax, **last),
    "enrichment": lambda adata, history, ax, **last: pl.enrichment(TERMS, ax=ax, **last),
    "enrichment_compare": lambda adata, history, ax, **last: pl.enrichment_compare(TWO_TERMS, ax=ax, **last),
    "gene": lambda adata, history, ax, **last: pl.gene(adata, "3", "stage", ax=ax, **last),
    "gene_trend": lambda adata, history, ax, **last: pl.gene_trend(adata, "3", "size_factor", ax=ax, **last),
    "gene with rates": lambda adata, history, ax, **last: pl.gene(adata, "3", "stage", rates=RATES, ax=ax, **last),
    "heatmap": lambda adata, history, ax, **last: pl.heatmap(adata, TOP, color=["stage", "age"], ax=ax, **last),
    "heatmap of named genes": lambda adata, history, ax, **last: pl.heatmap(
        adata, TOP, genes=["9", "3"], effects=False, label=True, ax=ax, **last
    ),
    "latent": lambda adata, history, ax, **last: pl.latent(adata, color="stage", ax=ax, **last),
    "latent with ellipses": lambda adata, history, ax, **last: pl.latent(
        adata, color="treated", ellipse=0.9, ax=ax, **last
    ),
    "latent with a colour bar": lambda adata, history, ax, **last: pl.latent(adata, color="age", ax=ax, **last),
    "loadings": lambda adata, history, ax, **last: pl.loadings(LOADINGS, axes="axis_1", ax=ax, **last),
    "log_fc_scatter": lambda adata, history, ax, **last: pl.log_fc_scatter("a", "b", data=LOG_FC, ax=ax, **last),
    "log_fc_scatter in hexagons": lambda adata, history, ax, **last: pl.log_fc_scatter(
        "a", "b", data=LOG_FC, kind="hexbin", ax=ax, **last
    ),
    "ma": lambda adata, history, ax, **last: pl.ma(DE, ax=ax, **last),
    "na_genes": lambda adata, history, ax, **last: pl.na_genes(COMPARISON, ax=ax, **last),
    "p_values": lambda adata, history, ax, **last: pl.p_values(DE, ax=ax, **last),
    "outliers": lambda adata, history, ax, **last: pl.outliers(OUTLIERS, ax=ax, **last),
    "power": lambda adata, history, ax, **last: pl.power(POWER, ax=ax, **last),
    "sample_distance": lambda adata, history, ax, **last: pl.sample_distance(
        adata, color=["stage", "age"], ax=ax, **last
    ),
    "shrinkage": lambda adata, history, ax, **last: pl.shrinkage(DE, ax=ax, **last),
    "size_factors": lambda adata, history, ax, **last: pl.size_factors(adata, color="stage", ax=ax, **last),
    "training": lambda adata, history, ax, **last: pl.training(history, ax=ax, **last),
    "volcano": lambda adata, history, ax, **last: pl.volcano(DE, ax=ax, **last),
}
every_plot = pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS)
WRONG: dict[str, Callable[[AnnData], Any]] = {
    "calibration": lambda adata: pl.calibration(CALIBRATION, score="lfsr"),
    "compare": lambda adata: pl.compare(COMPARISON, label=["no such gene"]),
    "design": lambda adata: pl.design(LOG_FC),
    "dispersion": lambda adata: pl.dispersion(DE),
    "enrichment": lambda adata: pl.enrichment(DE),
    "enrichment_compare": lambda adata: pl.enrichment_compare(DE),
    "gene": lambda adata: pl.gene(adata, "3", "no such column"),
    "gene_trend": lambda adata: pl.gene_trend(adata, "3", "no such column"),
    "heatmap": lambda adata: pl.heatmap(adata, TOP, genes=["no such gene"]),
    "latent": lambda adata: pl.latent(adata, color="no such column"),
    "loadings": lambda adata: pl.loadings(LOADINGS, axes="axis_9"),
    "log_fc_scatter": lambda adata: pl.log_fc_scatter("a", "no such column", data=LOG_FC),
    "ma": lambda adata: pl.ma(LOG_FC),
    "na_genes": lambda adata: pl.na_genes(SimpleNamespace(**vars(COMPARISON) | {"column": "log_fc_mle"})),
    "p_values": lambda adata: pl.p_values(LOG_FC),
    "outliers": lambda adata: pl.outliers(OUTLIERS, "no gene"),
    "power": lambda adata: pl.power(LOG_FC),
    "sample_distance": lambda adata: pl.sample_distance(adata, color="no such column"),
    "shrinkage": lambda adata: pl.shrinkage(LOG_FC),
    "size_factors": lambda adata: pl.size_factors(adata, color="no such column"),
    "training": lambda adata: pl.training({}),
    "volcano": lambda adata: pl.volcano(LOG_FC),
}


def test_no_plot_is_missing_here():
    assert {name.split()[0] for name in PLOTS} == set(WRONG) == set(pl.__all__)


@every_plot
def test_draws_on_the_given_axes_and_changes_nothing_else(
    draw: Draw, cohort: AnnData, history: dict, monkeypatch: pytest.MonkeyPatch
):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    figure, (ax, other) = plt.subplots(1, 2, layout="constrained")
    cohort.uns["stage_colors"] = np.array(["red", "green", "blue"])
    settings, before = dict(plt.rcParams), cohort.copy()
    tables = [(table, table.copy()) for table in (*TABLES, *history.values())]
    assert draw(cohort, history, ax, show=True) is ax
    assert plt.get_fignums() == [figure.number]
    assert shown == [figure]
    assert figure.axes == [ax, other]
    assert len(ax.collections) + len(ax.lines) + len(ax.patches) > 0
    assert len(other.collections) + len(other.lines) + len(other.patches) == 0
    assert dict(plt.rcParams) == settings
    pd.testing.assert_frame_equal(cohort.obs, before.obs)
    pd.testing.assert_frame_equal(cohort.var, before.var)
    np.testing.assert_array_equal(cohort.X, before.X)
    assert cohort.uns.keys() == before.uns.keys()
    assert cohort.uns["stage_colors"].tolist() == ["red", "green", "blue"]
    assert cohort.obsm.keys() == before.obsm.keys()
    for table, copy in tables:
        pd.testing.assert_frame_equal(table, copy)
        assert table.attrs == copy.attrs


@every_plot
def test_makes_and_saves_one_figure_of_a_column_width_that_holds_all_that_is_drawn(
    draw: Draw, cohort: AnnData, history: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    settings = dict(plt.rcParams)
    ax = draw(cohort, history, None, save=tmp_path / "it.png")
    assert plt.imread(tmp_path / "it.png").shape[1] == 990  # 3.3 inches
    assert shown == []
    assert len(plt.get_fignums()) == 1
    figure = plt.gcf()
    assert figure is ax.figure
    assert figure.get_figwidth() == 3.3
    assert dict(plt.rcParams) == settings
    figure.draw_without_rendering()
    drawn = ax.get_tightbbox()
    assert drawn is not None
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= figure.bbox.x1
    assert drawn.y1 <= figure.bbox.y1


@every_plot
def test_draws_in_a_subfigure(draw: Draw, cohort: AnnData, history: dict):
    figure = plt.figure(layout="constrained")
    right = figure.subfigures(1, 2)[1]  # type: ignore[index]
    ax = right.subplots()
    assert draw(cohort, history, ax) is ax
    figure.draw_without_rendering()


@pytest.mark.parametrize("draw", WRONG.values(), ids=WRONG)
def test_an_error_leaves_no_empty_figure(draw: Callable, cohort: AnnData):
    with pytest.raises(KeyError):
        draw(cohort)
    assert plt.get_fignums() == []


def test_plots_load_neither_torch_nor_scvi():
    code = "import bulkvi, sys; bulkvi.pl; bulkvi.pl.volcano; print([m for m in ('torch', 'scvi') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
