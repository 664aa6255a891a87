"""The picture of the landing page, from the packaged airway data: ``python docs/landing_picture.py``."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

import bulkvi as bv

matplotlib.use("agg")
TARGET = Path(__file__).parent / "_static" / "landing.png"

adata = bv.datasets.airway()
bv.pp.filter_genes(adata, min_counts=10)
bv.pp.size_factors(adata)
adata.obs["treatment"] = adata.obs["dex"].map({"trt": "dexamethasone", "untrt": "untreated"}).astype("category")

bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ cell")
unlabelled = bv.BulkVI(adata, n_latent=2)
unlabelled.train(progress_bar=False)
adata.obsm["X_bulkvi"] = unlabelled.get_latent_representation()

bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ cell + dex")
model = bv.BulkVI(adata, n_latent=2)
model.train(progress_bar=False)
de = model.differential_expression("dex", "trt", "untrt")

figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.3), layout="constrained")
bv.pl.latent(adata, color="treatment", ax=left, label=False)
bv.pl.volcano(de, gene_names=adata.var["symbol"], ax=right)
figure.savefig(TARGET, dpi=200)
