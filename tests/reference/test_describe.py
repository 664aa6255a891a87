from dataclasses import replace
from pathlib import Path

import bulkvi
from bulkvi.reference._describe import describe, size_of
from bulkvi.reference._held_out import HeldOut


def test_a_reference_says_what_it_holds(reference: bulkvi.Reference) -> None:
    text = repr(reference)
    assert text.splitlines()[0] == "Reference 'simulated'"
    rows = dict(describe(reference))
    assert rows["licence"] == "CC0"
    assert rows["samples"] == "24, design ~ group"
    assert rows["genes"].startswith("299, with symbols (gene")
    assert rows["genes"].endswith("1 more had no counts")
    assert rows["directions"].startswith("2; standard deviation")
    assert rows["held-out samples"].startswith("not given")
    assert str(reference) == text


def test_held_out_samples_and_a_missing_licence_are_said(reference: bulkvi.Reference) -> None:
    scored = replace(
        reference, held_out=HeldOut(6, 299, -4.0, -4.25), provenance=replace(reference.provenance, licence="")
    )
    rows = dict(describe(scored))
    assert rows["held-out samples"] == "6; log likelihood per count -4.000 with the directions, -4.250 without (+0.250)"
    assert "do not share" in rows["licence"]


def test_names_are_escaped_in_html(reference: bulkvi.Reference) -> None:
    named = replace(reference, provenance=replace(reference.provenance, name="<b>", source="a & b"))
    assert "<b>" not in named._repr_html_()
    assert "a &amp; b" in named._repr_html_()


def test_the_file_is_no_larger_than_said(reference: bulkvi.Reference, tmp_path: Path) -> None:
    reference.save(tmp_path / "x.ref")
    # names of genes and their symbols come on top
    assert (tmp_path / "x.ref").stat().st_size < size_of(reference) + 20 * len(reference.genes) + 4_000
    n_bytes = size_of(reference) / len(reference.genes)
    # 10,000 genes with 30 directions
    assert 10_000 * (n_bytes + 28 * 2 * 2) < 5e6
