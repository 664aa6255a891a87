"""Numbers in README and docs that come from a benchmark are those of its table.

A claim is a comment right behind a number or a statement, with the benchmark, the column and the rows that are meant:

    within .05<!-- thinning: FDR; n=6 method=bulkvi; max -->
    more than every other<!-- thinning: TPR at 5 % FDP; n=6; bulkvi above all -->

The first needs one row, or `mean`, `min` or `max` over them; the number counts to the digits that are written. The second
compares a method with each of the others in every cell: `above all`, `below all`.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "docs" / "benchmarks"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLAIM = re.compile(r"(?P<number>[-+−]?\d*\.?\d[\d,]*\*{0,2}(?P<percent> %)?)?<!-- (?P<table>\w+): (?P<what>[^>]+?) -->")
CELL = ["scenario", "source", "n"]


class Claim(NamedTuple):
    """One claim of one page."""

    page: str
    line: int
    number: str | None
    percent: bool
    table: str
    what: str


def claims_of(path: Path) -> list[Claim]:
    """All claims of a page."""
    text = path.read_text()
    found = []
    for match in CLAIM.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        number = match["number"].removesuffix(" %").strip("*") if match["number"] else None
        found.append(Claim(path.name, line, number, bool(match["percent"]), match["table"], match["what"]))
    return found


def check(claim: Claim, cells: pd.DataFrame) -> None:
    """Raise if the table says something else."""
    metric, chosen, *rule = [part.strip() for part in claim.what.split(";")]
    filters = {"subset": "all"} | dict(re.findall(r"(\w+)=((?:(?! \w+=).)+)", chosen))
    for key, wanted in filters.items():
        cells = cells[cells[key].astype(str).isin(wanted.split("/"))]
    cells = cells[cells[metric].notna()]
    assert len(cells), f"no row {filters}"
    if claim.number is None:
        _check_order(cells, metric, *rule[0].rsplit(" ", 2)[:2])
        return
    if rule:
        value = float(getattr(cells[metric], rule[0])())
    else:
        assert len(cells) == 1, f"{len(cells)} rows {filters}: say mean, min or max"
        value = float(cells[metric].iloc[0])
    written = claim.number.replace("−", "-").replace(",", "")
    decimals = len(written.partition(".")[2])
    shown = value * 100 if claim.percent else value
    assert abs(shown - float(written)) <= 0.5000001 * 10**-decimals, (
        f"written {claim.number}, the table has {shown:.5f}"
    )


def _check_order(cells: pd.DataFrame, metric: str, method: str, order: str) -> None:
    for cell, part in cells.groupby(CELL, sort=False):
        mine, others = part[part["method"] == method][metric], part[part["method"] != method][metric]
        assert len(mine) == 1, f"{cell} has no {method}"
        assert len(others), f"{cell} has {method} alone"
        ahead = others < mine.iloc[0] if order == "above" else others > mine.iloc[0]
        assert ahead.all(), f"{cell}: {metric} of {method} is {mine.iloc[0]:.3f}, others {others.round(3).tolist()}"


ALL = [claim for page in PAGES for claim in claims_of(page)]


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: f"{claim.page}:{claim.line} {claim.number}")
def test_a_claim_is_what_its_table_says(claim: Claim) -> None:
    check(claim, pd.read_csv(TABLES / f"{claim.table}.csv"))


def test_there_are_claims_in_the_readme_and_on_the_page() -> None:
    pages = {claim.page for claim in ALL}
    assert {"README.md", "benchmarks.md"} <= pages


def test_every_decimal_number_of_the_page_in_prose_has_its_source() -> None:
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / "benchmarks.md").read_text(), flags=re.DOTALL)
    bare = re.findall(r"(?<![\w.])\d*\.\d+\*{0,2}(?: %)?(?![\w.])(?!<!--)", re.sub(r"<!--.*?-->", "<!--", text))
    assert not bare, f"numbers without a claim: {bare}"


CELLS = pd.DataFrame(
    {
        "subset": "all",
        "scenario": "thinned",
        "source": ["yeast", "yeast", "mice", "mice"],
        "n": 6,
        "method": ["bulkvi", "deseq2", "bulkvi", "deseq2"],
        "FDR": [0.034, 0.066, 0.0271, np.nan],
    }
)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (".034<!-- t: FDR; source=yeast method=bulkvi -->", True),
        (".03<!-- t: FDR; source=yeast method=bulkvi -->", True),
        (".04<!-- t: FDR; source=yeast method=bulkvi -->", False),
        ("3.4 %<!-- t: FDR; source=yeast method=bulkvi -->", True),
        ("3.5 %<!-- t: FDR; source=yeast method=bulkvi -->", False),
        ("**.027**<!-- t: FDR; n=6 method=bulkvi; min -->", True),
        (".031<!-- t: FDR; n=6 method=bulkvi; mean -->", True),
        (".034<!-- t: FDR; n=6 -->", False),
        (".034<!-- t: FDR; n=7; max -->", False),
        ("less<!-- t: FDR; source=yeast; bulkvi below all -->", True),
        ("more<!-- t: FDR; source=yeast; bulkvi above all -->", False),
        ("less<!-- t: FDR; n=6; bulkvi below all -->", False),
    ],
)
def test_a_wrong_claim_is_found(text: str, right: bool, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"words {text} words")
    (claim,) = claims_of(tmp_path / "page.md")
    if right:
        check(claim, CELLS)
    else:
        with pytest.raises(AssertionError):
            check(claim, CELLS)
