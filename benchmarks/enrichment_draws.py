"""What does it cost that pathway intervals are drawn from a table and not from the posterior itself?

Run ``python -m benchmarks.enrichment_draws``: the airway data and the packaged GO terms, no network. Draws of the full
posterior (all nodes of the dispersion, all components of the prior, one factor of shared noise for all genes of a draw)
against draws of the point mass and normal curve that a table allows, through the same scores.
"""

import numpy as np

import bulkvi as bv
from bulkvi.regression.hidden import effect_given_latent
from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.shrinkage import shrinkage_prior
from bulkvi.tl._gene_sets import members_of
from bulkvi.tl._scored_sets import ulm
from bulkvi.tl._tested_genes import tested_genes

N_DRAWS = 300
ENDS = [0.025, 0.975]


def full_draws(effect: EffectLikelihood, inflation, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draws x genes of the posterior of `summarise_effect`, natural log."""
    centre = np.asarray(effect.mean())
    spread = np.sqrt(effect.se**2 + (effect.estimate - centre) ** 2)
    chosen = rng.choice(inflation.factor.size, n_draws, p=inflation.weight)
    draws = np.empty((n_draws, centre.size))
    for i, factor in enumerate(inflation.factor):
        rows = np.flatnonzero(chosen == i)
        if not rows.size:
            continue
        se = spread * np.sqrt(factor)
        prior = shrinkage_prior(EffectLikelihood(0 * se + centre, se, effect.weight))
        variance = se[:, None] ** 2 + prior.scale[None, :, None] ** 2  # nodes x scales x genes
        density = np.exp(-0.5 * centre**2 / variance) / np.sqrt(variance)
        weight = (effect.weight[:, None] * prior.weight[None, :, None] * density).reshape(-1, centre.size)
        cumulative = np.cumsum(weight / weight.sum(0), axis=0)
        shrunk = prior.scale[None, :, None] ** 2 / variance
        mean, sd = (part.reshape(-1, centre.size) for part in (centre * shrunk, se[:, None] * np.sqrt(shrunk)))
        genes = np.arange(centre.size)
        for row in rows:
            component = (rng.random(centre.size) > cumulative).sum(0).clip(max=len(mean) - 1)
            draws[row] = mean[component, genes] + sd[component, genes] * rng.standard_normal(centre.size)
    return draws


def main() -> None:
    adata = bv.datasets.airway()
    bv.pp.filter_genes(adata, min_counts=10)
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ cell + dex")
    model = bv.BulkVI(adata, n_latent=2, seed=0)
    model.train(seed=0, progress_bar=False)
    de = model.differential_expression("dex", "trt", "untrt").assign(symbol=adata.var["symbol"]).rename_axis("index")
    fit = model.gene_fit()
    weights = fit.contrast_weights("dex", "trt", "untrt")
    weighted = effect_given_latent(fit._hidden, weights, "direct", "auto", common=False)
    regression = weighted.regression
    effect = regression.contrast(weighted.weights, weighted.covariance, weighted.sides).effect
    rng = np.random.default_rng(0)
    draws = full_draws(effect, regression.inflation, N_DRAWS, rng) / np.log(2)

    members = members_of("go_bp", "human")
    in_sets = set(members.gene)
    genes = tested_genes(de, in_sets, None, 0.05, background="annotated")
    # a repeated symbol stands for its row of highest mean count
    row_of = dict(zip(*de.reset_index().sort_values("base_mean")[["symbol", "index"]].to_numpy().T, strict=True))
    columns = de.index.get_indexer([row_of[name] for name in genes.names])
    full = draws[:, columns] / de["log_fc_sd"].to_numpy()[columns]
    print(f"{genes.names.size:,} genes; sd of the full draws / sd in the table, median: {np.median(full.std(0)):.3f}")
    table_draws = genes.draws(N_DRAWS, rng)
    for name, ends in (("low", ENDS[:1]), ("high", ENDS[1:])):
        off = np.quantile(table_draws, ends, axis=0)[0] - np.quantile(full, ends, axis=0)[0]
        print(f"genes, {name} end, table's - full, in sd: 5, 50, 95 %: {np.quantile(off, [0.05, 0.5, 0.95]).round(2)}")
    sets, _, _, _ = members.cut(genes.names, 10, 500)
    ours, theirs = (ulm(genes, sets, rows).draws for rows in (table_draws, full))
    width = [np.ptp(np.quantile(one, ENDS, axis=0), axis=0) for one in (ours, theirs)]
    print(
        f"{sets.weight.shape[1]:,} terms, width of the interval, table's / full: 5, 50, 95 %: "
        f"{np.quantile(width[0] / width[1], [0.05, 0.5, 0.95]).round(3)}"
    )
    centre = (ours.mean(0) - theirs.mean(0)) / (width[1] / 4)
    print(
        f"difference of the centres in quarter widths: 5, 50, 95 %: {np.quantile(centre, [0.05, 0.5, 0.95]).round(2)}"
    )
    inside = (np.quantile(ours, ENDS[0], axis=0) <= theirs) & (theirs <= np.quantile(ours, ENDS[1], axis=0))
    print(f"full draws inside the table's interval: {inside.mean():.4f}")


if __name__ == "__main__":
    main()
