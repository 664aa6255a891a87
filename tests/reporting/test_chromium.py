"""The page in a browser: what a reader with a mouse, a keyboard or a printer gets."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdf
import pytest

import bulkvi as bv
from tests.reporting.chromium import Page, browser_path, open_browser
from tests.reporting.study import NASTY, Study, scored_sets

pytestmark = pytest.mark.browser

NAMES = "[...document.querySelectorAll('#gene-table tbody tr')].map(row => row.cells[0].firstChild.textContent.trim())"
SORTED = (
    "[...document.querySelectorAll('#gene-table th[aria-sort]')].map(h => [h.dataset.by, h.getAttribute('aria-sort')])"
)
COUNT = "document.getElementById('gene-count').textContent"
FOCUS = "document.activeElement.textContent.trim() || document.activeElement.id"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    browser = browser_path()
    if browser is None:
        pytest.skip("no Chromium on PATH: the page was not opened in a browser (Debian: apt-get install chromium)")
    with open_browser(browser, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def opened(window: Page, page: Path) -> Page:
    window.complaints.clear()
    window.requests.clear()
    window.resize(1280, 900)
    window.open(page)
    return window


def tab_to(page: Page, text: str, *, most: int = 60) -> None:
    for _ in range(most):
        page.press("Tab")
        if page.run(FOCUS) == text:
            return
    raise AssertionError(f"{text} was not reached with {most} times Tab")


def test_the_console_is_silent_and_only_the_file_is_requested(opened: Page, page: Path):
    opened.run("document.getElementById('gene-next').click()")
    assert opened.complaints == []
    assert opened.requests == [page.as_uri()]


def test_a_complaint_and_a_request_would_be_heard(opened: Page):
    opened.run(
        "console.error('heard'); document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))"
    )
    opened.call("Runtime.evaluate", expression="new Promise(done => setTimeout(done, 300))", awaitPromise=True)
    assert any("heard" in text for text in opened.complaints)
    assert any("Content Security Policy" in text for text in opened.complaints)


def test_the_script_writes_the_rows_that_stand_there_without_it(opened: Page, page: Path):
    body = "document.querySelector('#gene-table tbody')"
    written = opened.run(f"{body}.innerHTML")
    static = page.read_text().split('<table id="gene-table">')[1].split("<tbody>")[1].split("</tbody>")[0]
    # a browser's own way of writing both, less the newlines between rows
    plain = f"(() => {{ const b = {body}.cloneNode(); b.innerHTML = {static!r}; return b.innerHTML.replaceAll('\\n', ''); }})()"
    assert written == opened.run(plain)


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(opened: Page, study: Study):
    symbols = study.model.adata.var["symbol"].to_numpy()
    by_effect = symbols[study.de["log_fc"].round(2).argsort(kind="stable")]
    click = "document.querySelector('#gene-table th[data-by=fc] button').click()"
    opened.run(click)
    assert opened.run(SORTED) == [["fc", "descending"]]
    assert opened.run(NAMES)[0] == by_effect[-1]
    opened.run(click)
    assert opened.run(SORTED) == [["fc", "ascending"]]
    assert opened.run(NAMES)[0] == by_effect[0]
    opened.run("document.querySelector('#gene-table th[data-by=name] button').click()")
    assert opened.run(SORTED) == [["name", "ascending"]]
    ordered = opened.run(NAMES)
    assert ordered.index("Gene9") < ordered.index("Gene10")  # numbers in names count as numbers


def test_numbers_in_other_tables_sort_as_numbers(opened: Page):
    score = "[...document.querySelectorAll('#pathway-table tbody tr')].map(row => row.cells[1].textContent)"
    opened.run("document.querySelectorAll('#pathway-table th button')[1].click()")
    assert opened.run(score) == ["−10", "0.5", "2"]


def test_the_keyboard_alone_searches_sorts_and_turns_pages(opened: Page):
    opened.press("Tab")
    assert opened.run(FOCUS) == "Skip to the table of genes"
    opened.press("Enter")
    tab_to(opened, "gene-search")
    opened.write("gene39")
    assert opened.run(COUNT) == "1 to 11 of 11 genes"  # Gene39, and Gene390 to Gene399
    opened.press("Enter")
    assert opened.run("location.pathname").endswith("report.html")
    opened.run("document.getElementById('gene-search').select()")
    opened.write(" ")
    assert opened.run(COUNT) == "1 to 25 of 400 genes"
    tab_to(opened, "Gene")
    opened.press("Enter")
    assert opened.run(SORTED) == [["name", "ascending"]]
    opened.press("Enter")
    assert opened.run(SORTED) == [["name", "descending"]]
    assert opened.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab_to(opened, "Next")
    opened.press("Enter")
    assert opened.run(COUNT) == "26 to 50 of 400 genes"


def test_a_gene_with_markup_in_its_name_is_found_and_does_nothing(opened: Page):
    opened.run("document.getElementById('gene-search').focus()")
    opened.write(NASTY[0])
    assert opened.run(NAMES) == [NASTY[0]]
    assert opened.run("document.querySelectorAll('#gene-table script').length") == 0


def test_only_genes_that_change_can_be_shown(opened: Page, study: Study):
    down = (study.de["adj_p_value"] < 0.05) & (study.de["log_fc"] < 0)
    opened.run(
        "(() => { const s = document.getElementById('gene-show'); s.value = 'down'; s.dispatchEvent(new Event('change')); })()"
    )
    assert opened.run(COUNT).endswith(f"of {down.sum()} genes")
    effects = opened.run("[...document.querySelectorAll('#gene-table .fc')].map(cell => cell.textContent[0])")
    assert set(effects) == {"−"}


def test_nothing_hangs_over_the_edge_of_a_narrow_window(opened: Page):
    opened.resize(360, 800)
    assert opened.run("document.documentElement.scrollWidth") <= 360


def test_a_screen_reader_hears_tables_headings_and_pictures(opened: Page):
    nodes = opened.call("Accessibility.getFullAXTree")["nodes"]
    heard = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    assert ("textbox", "Find a gene") in heard or ("searchbox", "Find a gene") in heard
    assert any(role == "table" and name.startswith("Genes, log2 fold changes") for role, name in heard)
    assert {name for role, name in heard if role == "heading"} >= {"Warnings", "Genes", "Samples", "Repeat it"}
    assert [name for role, name in heard if role in ("image", "img") and not name] == []
    assert [role for role, name in heard if role in ("button", "searchbox", "combobox") and not name] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(opened: Page, scheme: str):
    """Contrast as WCAG 2 defines it: at least 4.5 for text of usual size."""
    opened.prefer(scheme)
    colours = opened.run(
        """(() => {
          const look = getComputedStyle(document.documentElement);
          const all = (names) => names.map((name) => [name, look.getPropertyValue(name).trim()]);
          return {ink: all(["--ink", "--soft", "--up", "--down", "--focus", "--fine"]), paper: all(["--paper", "--tint"])};
        })()"""
    )
    opened.prefer("light")
    for name, ink in colours["ink"]:
        for surface, paper in colours["paper"]:
            assert contrast(ink, paper) >= 4.5, (name, surface)


def contrast(first: str, second: str) -> float:
    lights = []
    for colour in (first, second):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_it_prints_on_few_pages_without_what_only_a_screen_needs(opened: Page, study: Study):
    printed = pypdf.PdfReader(io.BytesIO(opened.pdf()))
    texts = [page.extract_text() for page in printed.pages]
    assert 5 <= len(texts) <= 10
    assert min(len(text) for text in texts) > 100  # no page is empty
    everything = "\n".join(texts)
    for said in ("Warnings", "Log2 fold change", "Adjusted p", "Fit", "Repeat it", "Mind the <gap>.", "bv.BulkVI"):
        assert said in everything
    for control in ("Find a gene", "Next", "Skip to the table"):
        assert control not in everything
    assert {(round(page.mediabox.width), round(page.mediabox.height)) for page in printed.pages} == {(595, 842)}  # A4


@pytest.fixture(scope="module")
def wide(given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a table of gene sets as the command line leaves it: many rows, long names and lists of genes."""
    return bv.report(
        path=tmp_path_factory.mktemp("wide") / "report.html",
        **given | {"enrichment": scored_sets(200), "calibration": None},
    )


@pytest.mark.parametrize("width", [1200, 1600])
def test_tables_show_all_their_columns(opened: Page, wide: Path, width: int):
    opened.resize(width, 900)
    opened.open(wide)
    hidden = opened.run(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
        ".map(e => e.querySelector('table').id)"
    )
    assert hidden == []


def test_gene_lists_open_by_keyboard_and_do_not_stretch_rows(opened: Page, wide: Path):
    opened.resize(1200, 900)
    opened.open(wide)
    row = "document.querySelector('#pathway-table tbody tr')"
    low = opened.run(f"{row}.offsetHeight")
    assert low < 90
    opened.run(f"{row}.querySelector('summary').focus()")
    opened.press("Enter")
    assert opened.run(f"{row}.querySelector('details').open")
    assert opened.run(f"{row}.offsetHeight") > low


def test_at_most_25_pathways_are_printed_without_their_genes(opened: Page, wide: Path):
    opened.open(wide)
    texts = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(opened.pdf())).pages)
    assert [f"set {i} up" in f"{' '.join(texts.split())} " for i in (0, 24, 25, 199)] == [True, True, False, False]
    assert "GENE1" not in texts
    assert "At most 25 rows are printed" in texts
    opened.run("document.getElementById('pathway-table-search').focus()")
    opened.write("set 19")
    texts = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(opened.pdf())).pages)
    assert "set 199 up" in f"{' '.join(texts.split())} "
