import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi as bv

OBS = pd.DataFrame(
    {
        "text": list("ab") * 6,
        "yes": [True, False] * 6,
        "donor": [1.0, 2, 3, 4, 5, 6] * 2,
        "dose": [0, 1, 10] * 4,
        "gap": [1, 2, None] * 4,
        "age": np.linspace(20, 60, 12),
    },
    index=[f"s{k}" for k in range(12)],
)
READ = {
    "~ text + yes": {"text": ("groups", True), "yes": ("groups", True)},
    "~ donor * dose": {"donor": ("groups", False), "dose": ("slope", False)},
    "~ C(dose) + slope(donor)": {"donor": ("slope", True), "dose": ("groups", True)},
    "~ bs(age, df=4)": {"age": ("slope", True)},
    "~ gap": {"gap": ("slope", False)},
    "~ I(age > 40)": {"age": ("slope", True)},
}


@pytest.mark.parametrize("formula", READ)
def test_each_column_is_read_as_groups_or_a_slope(formula: str) -> None:
    found = bv.tl.design_variables(AnnData(obs=OBS), formula)
    assert {name: tuple(variable) for name, variable in found.items()} == READ[formula]


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(KeyError, match="'nope'"):
        bv.tl.design_variables(AnnData(obs=OBS), "~ nope")
    with pytest.raises(TypeError, match="AnnData"):
        bv.tl.design_variables(OBS, "~ text")
    with pytest.raises(TypeError, match="formula"):
        bv.tl.design_variables(AnnData(obs=OBS), 3)  # type: ignore[arg-type]
