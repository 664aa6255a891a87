import base64
import json
import re
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pandas as pd
import pytest

import bulkvi as bv
from bulkvi.reporting import _report
from tests.reporting.study import GROUPS, NASTY, Study, text_of


@pytest.fixture(scope="module")
def tree(page: Path) -> Any:
    return parsed(page)


def parsed(page: Path) -> Any:
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page.read_text(encoding="utf-8"))


def data_of(tree: Any) -> dict[str, Any]:
    return json.loads(tree.find(".//script[@id='gene-data']").text)


def section(tree: Any, name: str) -> str:
    return text_of(tree.find(f".//section[@id='{name}']"))


def test_the_page_is_valid_html(page: Path):
    parsed(page)  # strict: raises at the first error


def test_there_is_one_first_heading_and_no_level_is_skipped(tree: Any):
    levels = [int(element.tag[1]) for element in tree.iter() if re.fullmatch("h[1-6]", str(element.tag))]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_ids_are_unique_and_what_refers_to_them_finds_them(tree: Any):
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    referred = [element.get("href")[1:] for element in tree.iter("a")]
    for attribute in ("for", "aria-labelledby", "data-filters"):
        referred += [element.get(attribute) for element in tree.iter() if element.get(attribute)]
    assert len(referred) > 20
    assert set(referred) <= set(ids)


def test_pictures_say_what_is_seen(tree: Any):
    pictures = list(tree.iter("img"))
    assert len(pictures) == 17
    assert min(len(picture.get("alt")) for picture in pictures) > 30
    assert len({picture.get("alt") for picture in pictures}) == len(pictures)


def test_every_table_has_a_caption_and_headings_with_a_scope(tree: Any):
    tables = list(tree.iter("table"))
    assert len(tables) == 7
    for table in tables:
        assert text_of(table.find("caption"))
        assert all(head.get("scope") for head in table.iter("th"))


def test_every_section_says_how_to_read_it(tree: Any):
    for part in tree.iter("section"):
        assert [p for p in part.iter("p") if p.get("class") in ("how", "fine")], part.get("id")


def test_nothing_is_query_from_table_a_network(page: Path, tree: Any):
    """Neither by the page, nor by a style, nor by a picture in it; the policy in its head forbids the rest."""
    for element in tree.iter():
        for attribute in ("src", "href", "srcset", "data", "action", "poster"):
            value = element.get(attribute)
            assert value is None or value.startswith(("data:image/", "#")), value
    styles = " ".join([style.text for style in tree.iter("style")])
    assert "url(" not in styles
    assert "@import" not in styles
    for picture in tree.iter("img"):
        kind, coded = picture.get("src").split(";base64,")
        drawn = base64.b64decode(coded).decode()
        assert kind == "data:image/svg+xml"
        assert re.findall(r'(?:href|src)="(?!#|data:)[^"]*', drawn) == []
        assert "url(http" not in drawn
    policy = tree.find(".//meta[@http-equiv='Content-Security-Policy']").get("content")
    assert policy.startswith("default-src 'none'; img-src data:")
    without_names = re.sub(r'"http://www\.w3\.org/2000/svg"', "", page.read_text())
    assert re.findall("https?://", without_names) == []


def test_names_that_are_markup_are_text(tree: Any, study: Study):
    assert len(list(tree.iter("script"))) == 2  # the data and the script of the page
    data = data_of(tree)
    assert set(NASTY) <= set(data["name"])
    assert not list(tree.iter("control"))
    assert "up in " + GROUPS[0] in text_of(tree)
    assert "s<3>" in section(tree, "samples")
    assert "<i>up</i>" in section(tree, "pathways")
    assert "Mind the <gap>." in section(tree, "warnings")
    assert "bulkvi de counts.tsv samples.tsv --out 'a & b'" in section(tree, "repeat")


def test_numbers_for_the_script_are_those_of_the_table(tree: Any, study: Study):
    data = data_of(tree)
    table = study.de.loc[data["id"]]
    assert sorted(data["id"]) == sorted(study.de.index)
    assert table["p_value"].is_monotonic_increasing
    assert data["name"] == study.model.adata.var["symbol"].loc[data["id"]].tolist()
    for short, column in (("fc", "log_fc"), ("low", "log_fc_low"), ("high", "log_fc_high")):
        np.testing.assert_array_equal(data[short], [float(f"{x:.2f}") for x in table[column]])
    np.testing.assert_allclose(data["mean"], table["base_mean"], atol=0.5)
    for short, column in (("q", "adj_p_value"), ("s", "s_value")):
        np.testing.assert_allclose(data[short], table[column], rtol=0.06, atol=5e-4)
    assert [data["flags"][i] for i in data["flag"]] == table["flag"].tolist()


def test_genes_are_called_on_the_table_and_not_on_what_is_shown_of_it(tree: Any, study: Study):
    called = study.de["adj_p_value"] < 0.05
    up, down = int((called & (study.de["log_fc"] > 0)).sum()), int((called & (study.de["log_fc"] < 0)).sum())
    assert min(up, down) > 0
    kinds = data_of(tree)["kind"]
    assert (kinds.count("u"), kinds.count("d")) == (up, down)
    assert f"{up + down} of 400 genes change" in text_of(tree)
    assert f"{up} up in {GROUPS[0]}" in text_of(tree)


def test_first_rows_need_no_script(tree: Any, study: Study):
    rows = tree.findall(".//table[@id='gene-table']/tbody/tr")
    first = study.de.sort_values("p_value").head(25)
    symbols = study.model.adata.var["symbol"].loc[first.index]
    assert [text_of(row.find("th")) for row in rows] == [f"{s} {i}" for i, s in symbols.items()]
    shown = [text_of(row.findall("td")[0]) for row in rows]
    assert shown == [f"{x:+.2f}".replace("-", "−") for x in first["log_fc"]]


def test_question_design_and_samples_are_in_words(tree: Any):
    question = section(tree, "question")
    assert "~ arm" in question
    assert "+1 is twice as much in " + GROUPS[0] in question
    assert "Direct" in question
    assert "10 samples less 2 columns of the design leave 8 degrees of freedom" in section(tree, "design")
    assert "None of the 10 samples stands out." in section(tree, "samples")
    assert "20 of 125 distinct permutations" in section(tree, "calibration")


def test_the_same_analysis_gives_the_same_page_and_nothing_is_changed(
    study: Study, given: dict[str, Any], page: Path, tmp_path: Path
):
    before, table = study.model.adata.copy(), study.de.copy()
    again = bv.report(path=tmp_path / "report.html", **given)
    assert again.read_bytes() == page.read_bytes()
    after = study.model.adata
    pd.testing.assert_frame_equal(after.obs, before.obs)
    pd.testing.assert_frame_equal(after.var, before.var)
    assert (set(after.uns), set(after.obsm)) == (set(before.uns), set(before.obsm))
    pd.testing.assert_frame_equal(study.de, table)
    assert study.de.attrs == table.attrs


@pytest.mark.usefixtures("plain")
def test_a_contrast_of_columns_has_a_page(study: Study, tmp_path: Path):
    column = study.model.get_design_matrix().columns[1]
    de = study.model.differential_expression(contrast={column: 1}, latent_columns=0)
    tree = parsed(bv.report(study.model, de, tmp_path / "report.html", title="A slope"))
    assert text_of(tree.find(".//h1")) == "A slope"
    assert "not one of two groups" in section(tree, "samples")
    assert "Counts of the most significant genes" not in section(tree, "genes")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param({"model": None}, TypeError, "`model` must be a BulkVI, not NoneType", id="no model"),
        pytest.param({"de": {}}, TypeError, "`de` must be the table of", id="no table"),
        pytest.param({"de": pd.DataFrame({"log_fc": [1.0]})}, KeyError, "no columns .*adj_p_value", id="columns"),
        pytest.param({"level": 5}, ValueError, "level is 5: give a false discovery rate between 0 and 1", id="level"),
        pytest.param({"groupby": "dose"}, KeyError, "groupby='dose' is not a column", id="groupby"),
        pytest.param({"enrichment": [1]}, TypeError, "`enrichment` must be a table", id="pathways"),
    ],
)
def test_what_cannot_be_reported_is_refused(
    study: Study, tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
):
    given: dict[str, Any] = {"model": study.model, "de": study.de, "path": tmp_path / "report.html", **change}
    with pytest.raises(error, match=message):
        bv.report(**given)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_the_table_is_refused(study: Study, tmp_path: Path):
    with pytest.raises(ValueError, match="399 rows and the model 400 genes"):
        bv.report(study.model, study.de.iloc[1:], tmp_path / "report.html")


@pytest.mark.usefixtures("plain")
def test_methods_stand_in_the_page_with_what_the_run_knows(study: Study, tmp_path: Path):
    run = {"n_genes_read": 5_432, "min_counts": 10, "size_factors": {"chosen": "median_of_ratios"}}
    tree = parsed(bv.report(study.model, study.de, tmp_path / "report.html", run=run))
    methods = section(tree, "methods")
    for said in (
        "Counts of 5,432 genes",
        "median of ratios",
        "negative binomial",
        "Benjamini",
        "The bulkvi developers",
    ):
        assert said in methods


@pytest.mark.usefixtures("plain")
def test_the_page_names_the_file_in_its_folder_only_if_it_is_this_table(study: Study, tmp_path: Path):
    out = tmp_path / "report.html"
    assert "folder of this page" not in section(parsed(bv.report(study.model, study.de, out)), "genes")
    study.de.to_csv(tmp_path / "de.csv", index_label="gene_id")
    assert "de.csv in the folder of this page" in section(parsed(bv.report(study.model, study.de, out)), "genes")
    study.de.assign(p_value=0.5).to_csv(tmp_path / "de.csv", index_label="gene_id")
    assert "folder of this page" not in section(parsed(bv.report(study.model, study.de, out)), "genes")


@pytest.mark.usefixtures("plain")
def test_calls_whose_interval_reaches_zero_are_counted_and_explained(study: Study, tree: Any, tmp_path: Path):
    called = study.de["adj_p_value"] < 0.05
    wide = study.de.assign(log_fc_low=-1.0, log_fc_high=1.0)
    page = section(parsed(bv.report(study.model, wide, tmp_path / "report.html")), "genes")
    assert f"Of the {called.sum()} genes called, {called.sum()} have an interval that includes 0" in page
    reaching = (called & (study.de["log_fc_low"] <= 0) & (study.de["log_fc_high"] >= 0)).sum()
    assert ("an interval that includes 0" in section(tree, "genes")) == (reaching > 0)


@pytest.mark.usefixtures("plain")
def test_messages_name_sections_by_their_headings(study: Study, tmp_path: Path):
    de = study.model.differential_expression("arm", *GROUPS, latent_columns=1)
    tree = parsed(bv.report(study.model, de, tmp_path / "report.html"))
    assert "The section Hidden structure lists" in section(tree, "warnings")
    assert "Hidden structure" in [text_of(head) for head in tree.iter("h2")]


@pytest.mark.usefixtures("plain")
def test_the_latent_state_is_drawn_by_what_is_compared_and_by_what_goes_with_it(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    report = study.model.latent_report().assign(strongest_with="age", strength=0.9)
    monkeypatch.setattr(study.model, "latent_report", lambda: report)
    tree = parsed(bv.report(study.model, study.de, tmp_path / "report.html"))
    titles = [text_of(title) for title in tree.iter("strong")]
    assert [title for title in titles if title.startswith("Latent state")] == [
        "Latent state by arm",
        "Latent state by age",
    ]


@pytest.mark.usefixtures("plain")
def test_a_network_without_a_direction_has_no_picture_and_the_page_says_so(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    report = study.model.latent_report().iloc[:0]
    monkeypatch.setattr(study.model, "latent_report", lambda: report)
    monkeypatch.setattr(study.model, "get_latent_representation", lambda: np.zeros((10, 2)))
    tree = parsed(bv.report(study.model, study.de, tmp_path / "report.html"))
    assert not [title for title in tree.iter("strong") if text_of(title).startswith("Latent state")]
    assert "training found no direction" in text_of(tree)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_page_that_cannot_be_written_leaves_the_older_one(
    step: str, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A full disk once left the first half of a page."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    page = tmp_path / "report.html"
    page.write_text("older")
    monkeypatch.setattr(Path if step == "write_bytes" else _report.os, step, fail)
    with pytest.raises(OSError, match="No space"):
        bv.report(study.model, study.de, page)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert page.read_text() == "older"


def test_a_page_behind_a_link_stays_behind_it(tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "page.html").write_text("older")
    (tmp_path / "link.html").symlink_to(tmp_path / "there" / "page.html")
    _report._write(tmp_path / "link.html", "new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "there" / "page.html").read_text() == "new"
