"""Studies that several tests of the tools share, read and fitted once."""

from pathlib import Path

import pandas as pd
import pytest
from anndata import AnnData

import bulkvi


@pytest.fixture(scope="session")
def airway() -> AnnData:
    """Airway with genes filtered and size factors; tests must not change it."""
    adata = bulkvi.datasets.airway()
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    return adata


@pytest.fixture(scope="session")
def mammary(data_dir: Path) -> AnnData:
    """GSE60450 with genes filtered and size factors; tests must not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BULKVI_DATA_DIR", str(data_dir))
        adata = bulkvi.datasets.gse60450()
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    return adata


@pytest.fixture(scope="session")
def lactation(mammary: AnnData) -> pd.DataFrame:
    """Luminal cells of GSE60450, lactation over virgin, without latent columns: a few training steps are enough."""
    adata = mammary.copy()
    with pytest.warns(UserWarning, match="'lane' follows from 'group'"):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = bulkvi.BulkVI(adata, n_latent=2)
    model.train(10, progress_bar=False)
    table = model.differential_expression("group", "luminal_lactation", "luminal_virgin", latent_columns=0)
    table.insert(0, "symbol", adata.var["symbol"])
    return table
