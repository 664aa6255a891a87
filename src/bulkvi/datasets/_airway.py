"""Airway smooth muscle cells, with and without dexamethasone."""

from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import names
from bulkvi.datasets._files import read_packaged

_SAMPLES: Final = {
    "SRR1039508": ("N61311", "untrt", "GSM1275862"),
    "SRR1039509": ("N61311", "trt", "GSM1275863"),
    "SRR1039512": ("N052611", "untrt", "GSM1275866"),
    "SRR1039513": ("N052611", "trt", "GSM1275867"),
    "SRR1039516": ("N080611", "untrt", "GSM1275870"),
    "SRR1039517": ("N080611", "trt", "GSM1275871"),
    "SRR1039520": ("N061011", "untrt", "GSM1275874"),
    "SRR1039521": ("N061011", "trt", "GSM1275875"),
}


def airway() -> AnnData:
    """Human airway smooth muscle cells of 4 donors, untreated and treated with dexamethasone, 8 samples.

    They show which genes a glucocorticoid changes, within donors. Known responders are FKBP5, PER1, TSC22D3, DUSP1, KLF15,
    CRISPLD2 and ZBTB16. The design ``"~ cell + dex"`` uses the pairs.

    Returns
    -------
    AnnData, 8 samples x 33,469 genes (those with at least one count), raw counts in ``X`` (dense, 32-bit integers).

    - ``obs_names``: SRA runs; ``obs``: ``cell`` (donor), ``dex`` (untrt, trt; untrt is the reference), ``geo``
    - ``var_names``: Ensembl ids; ``var``: ``symbol`` (the Ensembl id where no symbol is known, 10,902 genes; several ids
      can have the same symbol)

    Notes
    -----
    Himes et al. 2014 [1]_, GEO GSE52778, SRA SRP033351. The counts are those of the Bioconductor package *airway*, taken
    from the copy in PyPI's inmoose 0.9.1; symbols are from Bioconductor's org.Hs.eg.db 3.16. They are packaged with
    bulkvi: nothing is downloaded. ``datasets/packaged/README.md`` says how the file was made and under which terms.

    References
    ----------
    .. [1] Himes BE et al. RNA-Seq transcriptome profiling identifies CRISPLD2 as a glucocorticoid responsive gene that
       modulates cytokine function in airway smooth muscle cells. PLoS ONE 2014;9:e99625.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> adata.shape
    (8, 33469)
    >>> adata.obs["dex"].cat.categories.tolist()
    ['untrt', 'trt']
    """
    table = read_packaged("airway.tsv.gz")
    obs = pd.DataFrame.from_dict(_SAMPLES, orient="index", columns=["cell", "dex", "geo"])
    obs["cell"] = pd.Categorical(obs["cell"])
    obs["dex"] = pd.Categorical(obs["dex"], categories=["untrt", "trt"])
    counts = np.ascontiguousarray(table[list(_SAMPLES)].to_numpy(dtype=np.int32).T)
    return AnnData(counts, obs=obs, var=table[[names.SYMBOL]].rename_axis(None))
