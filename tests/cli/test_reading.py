import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from bulkvi.cli._reading import add_size_factors
from tests.cli.conftest import Files
from tests.cli.running import run


def adata(**columns: list) -> AnnData:
    counts = np.random.default_rng(0).poisson(50, size=(4, 20))
    return AnnData(counts, pd.DataFrame(columns, index=list("abcd")))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pd.Categorical(["high", "low", "high", "low"]), "has high for sample 'a'"),
        ([1.0, 2.0, np.nan, 1.0], "has nan for sample 'c'"),
        ([1.0, 0.0, 2.0, 1.0], "has 0.0 for sample 'b'"),
        ([1.0, 1.0, 2.0, np.inf], "has inf for sample 'd'"),
        ([True, True, True, True], "has True for sample 'a'"),
    ],
)
def test_a_column_that_holds_no_size_factors_is_refused_in_words(values: list, said: str):
    """A column of text ended in "Categorical is not ordered for operation min"."""
    with pytest.raises(ValueError, match=f"--size-factors depth: size factors are numbers above 0, .*{said}"):
        add_size_factors(adata(depth=values), "depth")


def test_size_factors_of_the_sheet_are_not_left_out_without_a_word():
    """They were written over."""
    given = [0.5, 1.0, 2.0, 1.0]
    with pytest.warns(UserWarning, match="'size_factor' of the sample sheet is not used.*--size-factors size_factor"):
        add_size_factors(adata(size_factor=given), "median_of_ratios")
    taken = adata(size_factor=given)
    add_size_factors(taken, "size_factor")
    assert taken.obs["size_factor"].tolist() == given


@pytest.mark.parametrize("level", ["0", "1"])
def test_a_level_of_nothing_or_all_is_refused_before_the_work(level: str, files: Files, tmp_path: Path):
    result = run(files, tmp_path / "out", "--level", level)
    assert result.exit_code == 2
    assert f"{level} is not between 0 and 1" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("design", "remedy"),
    [
        ("~ treatment", "No test is possible without replicates"),
        ("~ `library type` + treatment", "Take a variable out of the design"),
    ],
)
def test_one_sample_in_each_group_asks_for_replicates(design: str, remedy: str, files: Files, tmp_path: Path):
    sheet = pd.read_csv(files.samples).drop_duplicates(["treatment", "library type"])  # two of each, crossed
    sheet = sheet.iloc[:3] if "library" in design else sheet.drop_duplicates("treatment")
    sheet.to_csv(tmp_path / "few.csv", index=False)
    result = run(files, tmp_path / "out", samples=str(tmp_path / "few.csv"), **{"--design": design})
    assert result.exit_code == 2
    assert re.search(f"none is left to tell how much replicates differ. {remedy}", result.stderr)
