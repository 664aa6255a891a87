"""Names that are markup, formulas or of other scripts, and ties at p = 0, in figures, on the page and on the terminal."""

import json
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.text import Text

import bulkvi as bv
from bulkvi import pl
from bulkvi.cli._results import show_results
from bulkvi.reporting._gene_pictures import Comparison, gene_pictures
from bulkvi.reporting._query import query_from_table
from tests.trust.verdict import equal

NAMES = {
    "a formula": "$x^2$",
    "a formula that is none": r"$\frac{$",
    "one dollar sign": "US$",
    "three dollar signs": "$a$b$",
    "an escaped dollar sign": r"\$a\$",
    "a backslash": r"\alpha\n",
    "markup of TeX": "a_b^{c}%d#e~f&g",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "a script": "<script>alert(1)</script>",
    "the end of a script": "</script><!--",
    "quotes": "\"'`",
    "an entity": "&lt;b&gt;",
    "a formula of spreadsheets": "=HYPERLINK(1)",
    "a leading underscore": "_ctrl",
    "no legend": "_nolegend_",
    "a number": "1.50",
    "not a number": "nan",
    "none": "None",
    "markup of rich": "[red]x[/red]:smile:",
    "two lines": "first\nsecond",
    "control characters": "a\x00b\x1bc\td",
    "very long": "transcript " * 40,
    "Cyrillic": "Контроль",
    "Greek": "ΔΨ-β",
    "Hebrew": "ביקורת",
    "Arabic": "علاج",
    "Chinese": "对照组",
    "Thai": "ควบคุม",
    "emoji": "😀👩‍🔬",
    "an accent apart": "e\u0301",
    "zero width": "a\u200bb\u2060c\ufeff",
    "half a character": "a\ud800b",
    "blank": "   ",
}
hostile = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


class Study(NamedTuple):
    model: bv.BulkVI
    de: pd.DataFrame


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def study() -> Study:
    """Two groups, samples and genes whose names are all of the above."""
    adata = bv.datasets.simulate(n_per_group=4, n_genes=120, de_share=0.3)
    levels = {"A": NAMES["a script"] + NAMES["a formula"], "B": NAMES["Chinese"] + NAMES["three dollar signs"]}
    adata.obs["arm"] = adata.obs["group"].map(levels).astype(str)
    adata.obs["$sex$"] = ["_f", "m"] * 4
    adata.obs_names = list(NAMES.values())[:8]
    adata.var["symbol"] = [*NAMES.values(), *(f"gene{i}" for i in range(adata.n_vars - len(NAMES)))]
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ `$sex$` + arm")
    model = bv.BulkVI(adata, n_latent=2)
    model.train(max_steps=20, progress_bar=False)
    return Study(model, model.differential_expression("arm", levels["B"], levels["A"]))


def literally(name: str) -> str:
    """The characters that are to be seen: blanks for what breaks a line, both ends of what is long."""
    seen = re.sub(r"[\x00-\x1f]", " ", re.sub("[\u200b\u200d\u2060\ufeff\ufe0f]", "", name)).strip() or "(no name)"
    return seen if len(seen) <= 28 else f"{seen[:16]}…{seen[-11:]}"


def seen(ax: Axes) -> list[str]:
    """All texts of an Axes and its legend as they are drawn, without formulas."""
    texts = [text for text in ax.findobj(Text) if isinstance(text, Text) and text.get_text()]
    drawn = [text._preprocess_math(text.get_text()) for text in texts]  # type: ignore[attr-defined]
    # ticks of log axes are matplotlib's own formulas
    return [str(text) for text, math in drawn if not math or "mathdefault" in str(text)]


def marks(ax: Axes) -> list[np.ndarray]:
    """What is drawn: points and lines, with the coordinates of the data."""
    points = [np.asarray(one.get_offsets(), float) for one in ax.collections if isinstance(one, Collection)]
    return points + [np.asarray(line.get_xydata(), float) for line in ax.lines]


@cache
def plain_marks(where: str) -> list[np.ndarray]:
    return marks(DRAWN[where]("plain"))


def check(where: str, name: str) -> None:
    """The marks are those of a plain name, the name is seen, and the figure can be drawn."""
    plain = plain_marks(where)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ax = DRAWN[where](name)
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()
    boxes = [str(one.message) for one in warned]
    assert all("no installed font has the" in text for text in boxes), boxes
    wanted = literally(name)
    if boxes:
        wanted = "".join(re.escape(character) if character.isascii() else ".?" for character in wanted)
    else:
        wanted = re.escape(wanted)
    assert any(re.search(wanted, text) for text in seen(ax)), (wanted, seen(ax))
    found = marks(ax)
    assert [one.shape for one in found] == [one.shape for one in plain]
    equal(np.vstack(found), np.vstack(plain))


def small(name: str) -> AnnData:
    obs = pd.DataFrame(
        {"arm": pd.Categorical([name, "z"] * 3, categories=[name, "z"]), "size_factor": 1.0},
        index=[f"s{i}" for i in range(6)],
    )
    adata = AnnData(np.arange(24.0).reshape(6, 4), obs=obs)
    adata.obsm["X_bulkvi"] = np.arange(12.0).reshape(6, 2) ** 2 % 7
    return adata


DRAWN: dict[str, Callable[[str], Axes]] = {
    "level in a legend": lambda name: pl.latent(small(name), color="arm", label=False),
    "level below counts": lambda name: pl.gene(small(name), "1", "arm"),
    "gene beside its point": lambda name: pl.volcano(_two_genes().assign(symbol=[name, "other"])),
    "pathway": lambda name: pl.enrichment(_pathway().assign(term=name)),
    "column that colours": lambda name: pl.latent(
        _with_column(small("a"), name), color=name, label=False, ellipse=None
    ),
    "column of groups": lambda name: pl.gene(_with_column(small("a"), name), "1", name),
    "column of strata": lambda name: pl.gene(_with_column(small("a"), name), "1", "arm", within=name),
    "strip": lambda name: pl.sample_distance(_with_column(small("a"), name), color=name),
    "samples": lambda name: pl.size_factors(_with_samples(small("a"), name)),
    "samples of distances": lambda name: pl.sample_distance(_with_samples(small("a"), name), cluster=False),
    "samples and genes of a heat map": lambda name: pl.heatmap(
        _with_samples(small("a"), name), _effects(), genes=["1", "2"], gene_names={"1": name}, label=True
    ),
    "tables": lambda name: pl.log_fc_scatter(pd.Series([1.0, 2], name=name), pd.Series([2.0, 1], name="b")),
    "tool": lambda name: pl.compare(
        SimpleNamespace(
            labels=("bulkvi", name),
            level=0.05,
            column="log_fc",
            table=pd.DataFrame({"log_fc": [1.0, 2], "log_fc_other": [1.0, 1], "class": "only_other"}),
            concordance=pd.Series({"pearson": 0.9, "slope": 0.8, "jaccard": 0.2}),
        ),
        label=0,
    ),
    "columns that go together": lambda name: pl.design(
        pd.DataFrame([(name, "b", 0.5, "x")], columns=["column", "other_column", "association", "measure"])
    ),
    "quantity": lambda name: pl.training({f"{name}_train": pd.DataFrame({"a": [3.0, 2.0]})}, metric=name),
}


def _with_column(adata: AnnData, name: str) -> AnnData:
    adata.obs[name] = ["u", "v", "v"] * 2
    return adata


def _with_samples(adata: AnnData, name: str) -> AnnData:
    adata.obs_names = [name, *adata.obs_names[1:]]
    adata.obs["size_factor"] = np.arange(1.0, 7)
    return adata


def _effects() -> pd.DataFrame:
    return pd.DataFrame({"log_fc": [1.0, 2], "log_fc_low": [0.0, 1], "log_fc_high": [2.0, 3]}, index=["1", "2"])


def _two_genes() -> pd.DataFrame:
    return pd.DataFrame({"log_fc": [1.0, -2.0], "p_value": [1e-5, 1e-9], "adj_p_value": [1e-5, 1e-9]})


def _pathway() -> pd.DataFrame:
    numbers = {"score": 3.0, "score_low": 2.0, "score_high": 4.0, "adj_p_value": 0.01, "size": 9, "n_called": 3}
    return pd.DataFrame({"direction": "up"} | numbers, index=[0])


@hostile
@pytest.mark.parametrize("where", ["level in a legend", "level below counts"])
def test_a_name_is_drawn_as_it_is(where: str, name: str) -> None:
    check(where, name)


@pytest.mark.parametrize("where", [*DRAWN][2:])
@pytest.mark.parametrize("name", [r"$\frac{$ Δ_β", "_$対$"])
def test_a_formula_and_another_script_anywhere(where: str, name: str) -> None:
    check(where, name)


@pytest.fixture(scope="module")
def page(study: Study, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # what no font has
        bv.report(study.model, study.de, path, title="$T$ " + NAMES["a script"])
    return path.read_text(encoding="utf-8")


@hostile
def test_a_gene_on_the_page_is_its_name_and_no_markup(name: str, page: str) -> None:
    data = re.search(r'<script type="application/json" id="gene-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    shown = json.loads(data[1])["name"]
    equal(shown.count(name if name != NAMES["half a character"] else "a?b"), 1)
    assert len(re.findall("<script", page)) == 2
    assert "alert(1)</script>" not in page


TIES = {
    "p-values of 0": {"p_value": 0.0, "adj_p_value": 0.0},
    "adjusted p-values": {"adj_p_value": 1e-9},
    "effects": {"p_value": 0.0, "adj_p_value": 0.0, "log_fc": 1.0},
    "statistics": {"p_value": 0.0, "adj_p_value": 0.0, "stat": 50.0},
    "everything": {"p_value": 0.0, "adj_p_value": 0.0, "stat": 50.0, "log_fc": 1.0, "base_mean": 9.0},
}


@pytest.mark.parametrize("tie", TIES)
def test_the_first_genes_are_the_same_everywhere(
    tie: str, study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    n = len(study.de)
    stat = rng.permutation(np.linspace(39, 60, n))
    de = study.de.assign(stat=stat, p_value=2.0 ** -np.abs(stat), adj_p_value=0.5).assign(
        symbol=[f"gene{i}" for i in range(n)]
    )
    de.attrs = study.de.attrs
    tied = de.index[rng.permutation(n)[:12]]
    for column, value in TIES[tie].items():
        de.loc[tied, column] = value
    place = {gene: i for i, gene in enumerate(de.index)}
    by = ["stat", "log_fc", "base_mean"]
    order = de.loc[tied].assign(**{name: -de.loc[tied, name].abs() for name in by})
    if tie == "adjusted p-values":
        order = order.assign(stat=order["p_value"])
    first = sorted(tied, key=lambda gene: (*order.loc[gene, by], place[gene]))
    names = de.loc[first, "symbol"].tolist()

    show_results(de, level=0.05, sign="")
    shown = capsys.readouterr().out
    assert "0e+00" not in shown
    equal(re.findall(r"│ (gene\d+)", shown), names[:10])
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of characters that no font has
        comparison = Comparison(study.model, de, query_from_table(study.model, de), "arm", None, 0.05)
        panels = gene_pictures(comparison, comparison.drawn_genes())
        named = {text.get_text() for text in pl.volcano(de).texts}
    equal([panel.title for panel in panels], names[:6])
    equal(named, {*names[:10]})
    heat = pl.heatmap(study.model.adata, de, genes=4)
    heat = pl.heatmap(study.model.adata, de, genes=4)
    equal({label.get_text() for label in heat.get_yticklabels()}, {*names[:4]})
