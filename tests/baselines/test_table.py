import numpy as np
import pandas as pd
from anndata import AnnData

import bulkvi
from bulkvi.baselines._table import baseline_table
from bulkvi.names import EFFECT_COLUMNS


def test_the_columns_are_those_of_our_table(cohort: AnnData):
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    model = bulkvi.BulkVI(cohort, n_latent=2)
    model.train(10, progress_bar=False)
    assert tuple(model.differential_expression("group", "b", "a", latent_columns=0)) == EFFECT_COLUMNS


def test_what_a_method_does_not_say_is_missing():
    genes = pd.Index(["g1", "g2"])
    table = baseline_table(genes, {"p_value": np.array([0.1, 0.2])}, contrast="a vs b", method="M", version="1")
    assert tuple(table) == EFFECT_COLUMNS
    assert table.index.equals(genes)
    assert table["p_value"].tolist() == [0.1, 0.2]
    assert table["contrast"].unique().tolist() == ["a vs b"]
    assert table["flag"].unique().tolist() == [""]
    assert table.drop(columns=["p_value", "contrast", "flag"]).isna().all(axis=None)
    assert table.attrs == {"method": "M", "version": "1"}
