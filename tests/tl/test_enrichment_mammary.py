"""What must be found in GSE60450: luminal cells of lactating over virgin mice make milk, by ours and by DESeq2."""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import bulkvi as bv

MILK = ["Wap", "Csn2", "Csn1s2b"]


@pytest.fixture(scope="module")
def deseq2(data_dir: Path) -> pd.DataFrame:
    folder = Path(os.environ.get("BULKVI_REFERENCE_DIR", data_dir.parent / "reference")) / "gse60450"
    if not folder.is_dir():
        pytest.skip(f"no reference results: {folder} is not a folder; set BULKVI_REFERENCE_DIR")
    return pd.read_csv(folder / "deseq2_luminal_lactate_vs_virgin.csv.gz", index_col=0)


@pytest.fixture
def sets(data_dir: Path) -> Path:
    path = data_dir / "genesets" / "reactome_mouse_ortholog_symbol.gmt.gz"
    if not path.is_file():
        pytest.skip(f"no gene sets: {path} is not there")
    return path


def test_milk_proteins_are_among_the_most_up_with_tight_intervals(lactation: pd.DataFrame):
    milk = lactation.set_index("symbol").loc[MILK]
    assert (milk["log_fc"] > lactation["log_fc"].quantile(0.99)).all()
    assert (milk["log_fc_low"] > 0.8 * milk["log_fc"]).all()
    assert (milk["adj_p_value"] < 1e-6).all()


def test_both_methods_find_milk_production_and_are_drawn_in_one_figure(
    lactation: pd.DataFrame, deseq2: pd.DataFrame, sets: Path
):
    ours = bv.tl.enrichment(lactation, sets, "ulm", n_draws=20)
    theirs = bv.tl.enrichment(deseq2, sets, "ulm", gene_names=lactation["symbol"])
    both = bv.tl.compare_enrichment(ours, theirs)
    assert both.attrs["labels"] == ("bulkvi", "DESeq2")
    assert both.attrs["concordance"]["spearman"] > 0.95
    first = set(both.query("`class` == 'both' and score > 0")["term"].head(30))
    assert {"Fatty acyl-CoA biosynthesis", "Respiratory electron transport", "Cholesterol biosynthesis"} <= first
    plt.switch_backend("agg")
    drawn = bv.pl.enrichment_compare(both)
    legend = drawn.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["bulkvi", "DESeq2"]
    plt.close("all")
