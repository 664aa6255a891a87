# %% [markdown]
# # The mammary gland study: reproduced, then corrected
#
# bulkvi grew from a notebook study of 12 mouse mammary samples (GSE60450, [Fu et al. 2015](https://doi.org/10.1038/ncb3117)).
# It trained a negative-binomial VAE on raw counts, compared "lactation" with "virgin" by the means that the decoder gives to
# the two groups, and asked how well this agrees with DESeq2. It reported a Pearson correlation of 0.66.
#
# First we do what the study did, under its own labels. Then we look at what these labels are, and do it again with the
# right ones. Agreement with DESeq2 is evidence that the model was trained and is read correctly; it is not a proof of accuracy.
#
# Run as a script: `python tutorials/mammary_study.py --out mammary-study`. It needs the counts (downloaded from GEO, or
# found in `BULKVI_DATA_DIR`) and the tables of DESeq2, edgeR and limma in `BULKVI_REFERENCE_DIR`, or in `reference/` beside
# the data folder. DESeq2's tables are made in R by
#
# ```r
# dds <- DESeqDataSetFromMatrix(counts[rowSums(counts) >= 10, ], samples, ~ condition)   # or ~ cell_type + stage, ~ group
# write.csv(as.data.frame(results(DESeq(dds), contrast = c("condition", "lactation", "virgin"))), "table.csv")
# ```

# %%
import argparse
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

import bulkvi as bv

parser = argparse.ArgumentParser(description="The mammary gland study, reproduced and corrected.")
parser.add_argument("--out", type=Path, default=Path("mammary-study"), help="folder for the figures")
figures = parser.parse_known_args()[0].out  # a notebook has arguments of its own
figures.mkdir(parents=True, exist_ok=True)


# %%
def reference(name: str) -> pd.DataFrame:
    """A table of another tool, a row per gene id."""
    beside_data = Path(os.environ.get("BULKVI_DATA_DIR", ".")).parent / "reference"
    path = Path(os.environ.get("BULKVI_REFERENCE_DIR", beside_data)) / "gse60450" / f"{name}.csv.gz"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: set BULKVI_REFERENCE_DIR to the folder that holds gse60450/.")
    table = pd.read_csv(path, index_col=0)
    return table.set_axis(table.index.astype(str).rename(None))  # Entrez ids are names, not numbers


def agreement(theirs: pd.Series, ours: pd.Series) -> str:
    """Pearson correlation of log2 fold changes, and least-squares slope of ours on theirs."""
    x, y = theirs.align(ours, join="inner")
    return f"Pearson {np.corrcoef(x, y)[0, 1]:.3f}, slope {np.polyfit(x, y, 1)[0]:.3f}, {len(x):,} genes"


def save(ax: plt.Axes, name: str) -> None:
    """Keep a figure in the folder."""
    ax.figure.savefig(figures / f"{name}.png", dpi=150, bbox_inches="tight")


# %% [markdown]
# ## The data
#
# Raw counts, genes with at least 10 counts over all samples, and DESeq2's size factors.

# %%
adata = bv.datasets.gse60450()
bv.pp.filter_genes(adata, min_counts=10)
bv.pp.size_factors(adata)
print(f"{adata.n_obs} samples x {adata.n_vars:,} genes")

# %% [markdown]
# ## The study, under its own labels
#
# A latent space of two dimensions, learned without any label.

# %%
bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
unsupervised = bv.BulkVI(adata, n_latent=2)
unsupervised.train(progress_bar=False)
adata.obsm["X_bulkvi"] = unsupervised.get_latent_representation()

# %% [markdown]
# The study coloured this picture by its two labels and found them apart, as they are. But there is more to see: six pairs.

# %%
latent, group = adata.obsm["X_bulkvi"], adata.obs["group"].astype(str).to_numpy()
nearest = NearestNeighbors(n_neighbors=2).fit(latent).kneighbors(latent, return_distance=False)[:, 1]
print(f"silhouette of the study's two labels: {silhouette_score(latent, adata.obs['label_in_original_study']):.2f}")
print(f"silhouette of the six true groups:    {silhouette_score(latent, group):.2f}")
print(f"samples whose nearest neighbour is their replicate: {(group[nearest] == group).sum()} of {adata.n_obs}")
save(bv.pl.latent(adata, color="label_in_original_study"), "latent_study_labels")
save(bv.pl.latent(adata, color="group"), "latent_true_groups")

# %% [markdown]
# Generative differential expression: the mean rates that the decoder gives to the two groups, in log2, the size factor left
# out. The study's 0.66 came from a short training and a narrow latent space, not from biology: the plain difference of mean
# log counts already does better. (It also set natural logarithms against DESeq2's log2, which changes the slope.)

# %%
study = reference("deseq2_original_study_labels")
decoded = unsupervised.differential_expression("label_in_original_study", "lactation", "virgin")["log_fc_decoded"]

log_counts = pd.DataFrame(
    np.log2(adata.X / adata.obs["size_factor"].to_numpy()[:, None] + 1), index=adata.obs_names, columns=adata.var_names
)
mean_log_counts = log_counts.groupby(adata.obs["label_in_original_study"].astype(str)).mean()
plain = mean_log_counts.loc["lactation"] - mean_log_counts.loc["virgin"]

# %% [markdown]
# A gene is NA in DESeq2 where it has no p-value; its fold change is still in the table.

# %%
no_answer = study.index[study["pvalue"].isna()]
tested = study["log2FoldChange"].drop(no_answer)
expressed = tested[study["baseMean"].drop(no_answer) >= 10]
print("agreement with DESeq2 under the study's labels")
print("  reported by the study:         Pearson 0.66")
print(f"  plain difference of mean logs: {agreement(tested, plain)}")
print(f"  bulkvi, decoded:               {agreement(tested, decoded)}")
print(f"  bulkvi, mean count >= 10:      {agreement(expressed, decoded)}")
named = {"theirs": "DESeq2, the study's labels", "ours": "bulkvi, decoded without labels"}
save(
    bv.pl.log_fc_scatter(tested.rename(named["theirs"]), decoded.rename(named["ours"]), limit=12), "study_labels_log_fc"
)

# %% [markdown]
# ### The genes DESeq2 leaves NA
#
# Five genes have no p-value there, because one sample lies far from its group (Cook's distance). The model gives each a
# finite fold change. Look at the counts before you trust it: nearly all of them come from a single library, so DESeq2 has
# a point. A number for such a gene needs its uncertainty beside it, which a decoded fold change does not have.

# %%
left_out = pd.DataFrame(
    {
        "symbol": adata.var["symbol"],
        "deseq2": study["log2FoldChange"],
        "bulkvi": decoded,
        "largest_count": adata.X.max(0),
        "all_other_counts": adata.X.sum(0) - adata.X.max(0),
        "in_sample": [f"{adata.obs_names[n]} ({adata.obs['group'].iloc[n]})" for n in adata.X.argmax(0)],
    },
    index=adata.var_names,
).loc[no_answer]
print(f"{len(left_out)} genes are NA in DESeq2; finite in bulkvi: {np.isfinite(left_out['bulkvi']).sum()}")
print(left_out.round(2).to_string())

# %% [markdown]
# ## What was wrong
#
# The labels. The samples called "virgin" (DG to DL) are basal cells and those called "lactation" (LA to LF) luminal cells;
# each half holds a pair of virgin, of pregnant and of lactating mice. The lane goes with the cell type as well, so that
# nobody can tell lane from cell type in these data.

# %%
print(pd.crosstab(adata.obs["label_in_original_study"], [adata.obs["cell_type"], adata.obs["lane"]]).to_string())
print(pd.crosstab(adata.obs["label_in_original_study"], adata.obs["stage"]).to_string())

# %% [markdown]
# Now with the published design: cell type and stage side by side.

# %%
bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ cell_type + stage")
additive = bv.BulkVI(adata, n_latent=1)
additive.train(progress_bar=False)
luminal = additive.differential_expression("cell_type", "luminal", "basal")["log_fc_decoded"]
lactation = additive.differential_expression("stage", "lactation", "virgin")["log_fc_decoded"]
true_stage = reference("deseq2_celltype_status_lactate_vs_virgin")["log2FoldChange"]
all_genes = study["log2FoldChange"]
print('what the study called "lactation vs virgin" (DESeq2 under its labels), against')
print(f"  luminal vs basal, bulkvi:                    {agreement(all_genes, luminal)}")
print(f"  luminal vs basal, bulkvi, mean count >= 10:  {agreement(expressed, luminal)}")
print(f"  lactation vs virgin, DESeq2 ~ cell + stage:  {agreement(all_genes, true_stage)}")
print(f"  lactation vs virgin, bulkvi ~ cell + stage:  {agreement(all_genes, lactation)}")
print(f"true lactation vs virgin, bulkvi against DESeq2: {agreement(true_stage, lactation)}")

# %% [markdown]
# ## The right question
#
# Milk is made by luminal cells, so lactation does not change both cell types alike: one group for each combination of cell
# type and stage, and lactation against virgin within the luminal cells.

# %%
bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
model = bv.BulkVI(adata, n_latent=1)
model.train(progress_bar=False)
de = model.differential_expression("group", "luminal_lactation", "luminal_virgin")
others = {
    "DESeq2": reference("deseq2_luminal_lactate_vs_virgin")["log2FoldChange"],
    "edgeR": reference("edger_ql_luminal_lactate_vs_virgin")["logFC"],
    "limma-voom": reference("voom_luminal_lactate_vs_virgin")["logFC"],
}
print("luminal cells, lactation vs virgin; bulkvi against")
for name, log_fc in others.items():
    print(f"  {name:11s} {agreement(log_fc, de['log_fc_decoded'])}")
print(f"DESeq2 against edgeR: {agreement(others['DESeq2'], others['edgeR'])}")
right = others["DESeq2"].rename("DESeq2, luminal cells")
save(bv.pl.log_fc_scatter(right, de["log_fc_decoded"].rename("bulkvi, luminal cells"), limit=12), "luminal_log_fc")

# %% [markdown]
# The milk proteins rise forty- to two-thousandfold. Under the study's labels they were mixed with what tells luminal from
# basal cells, such as the keratins Krt5 and Krt14.

# %%
markers = ["Csn1s1", "Csn2", "Wap", "Lalba", "Glycam1", "Elf5", "Krt8", "Krt18", "Krt5", "Krt14", "Acta2"]
summary = pd.DataFrame(
    {
        "symbol": adata.var["symbol"],
        "luminal lactation / virgin": de["log_fc_decoded"],
        "DESeq2": others["DESeq2"],
        "study's labels": decoded,
        "luminal / basal": luminal,
    }
).set_index("symbol")
print(summary.loc[markers].round(2).to_string())
print(f"figures are in {figures}")
