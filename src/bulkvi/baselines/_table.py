"""Results of another method in the columns of the table of differential expression."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.comparison_names import METHOD, VERSION


def baseline_table(
    genes: pd.Index, values: Mapping[str, np.ndarray], *, contrast: str, method: str, version: str
) -> pd.DataFrame:
    """Return a table with all columns: the ``values`` of the method by column, per gene, and NaN for the others.

    ``contrast`` is the label of the comparison; ``method`` and ``version`` go to ``attrs``.
    """
    columns: dict[str, np.ndarray | float | str] = dict.fromkeys(names.EFFECT_COLUMNS, np.nan)
    table = pd.DataFrame(columns | {names.FLAG: "", names.CONTRAST: contrast} | dict(values), index=genes.copy())
    table.attrs = {METHOD: method, VERSION: version}
    return table
