import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import bulkvi
from tests.cohorts import fit, make_cohort


def test_dispersions_lie_between_the_gene_and_the_trend() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=6, n_genes=1500, seed=4)
    bulkvi.pp.filter_genes(adata, min_counts=50)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    table = fit(adata, max_steps=10).get_dispersions()
    assert list(table.columns) == ["base_mean", "dispersion_gene", "dispersion_trend", "dispersion", "flag"]
    gene, trend, posterior = (np.log(np.clip(table[name], 1e-8, None)) for name in table.columns[1:4])
    assert ((posterior <= np.maximum(gene, trend) + 0.15) & (posterior >= np.minimum(gene, trend) - 0.15)).mean() > 0.97
    truth = np.log(adata.var["true_dispersion"])
    assert abs((trend - truth).median()) < 0.2
    assert ((posterior - truth) ** 2).mean() < 0.6 * ((gene.clip(-8) - truth) ** 2).mean()


def test_a_wild_count_is_named_and_its_gene_not_called() -> None:
    adata = make_cohort(n_per_group=6)
    adata.X = adata.X.copy()
    unchanged = np.flatnonzero((adata.var["true_log_fc"] == 0) & (np.asarray(adata.X).min(0) > 20))[0]
    sample = 8
    adata.X[sample, unchanged] *= 40
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=10)
    table = model.differential_expression("group", "B", "A")
    assert "outlier" in table["flag"].iloc[unchanged]
    assert table["adj_p_value"].iloc[unchanged] > 0.05
    named = model.get_outliers()
    row = named.loc[adata.var_names[unchanged]]
    assert row["sample"] == adata.obs_names[sample]
    assert row["count"] == adata.X[sample, unchanged]
    assert row["expected_count"] < row["count"] / 10
    # it was the mean without the outlying count, though the table says over all samples
    plain = (np.asarray(adata.X) / adata.obs["size_factor"].to_numpy()[:, None]).mean(0)
    for each in (table, model.get_dispersions(), model.omnibus_test("group")):
        np.testing.assert_allclose(each["base_mean"], plain, rtol=1e-6)


def test_samples_that_no_count_is_listed_of_are_named() -> None:
    adata = make_cohort(n_per_group=6)
    adata.obs["group"] = ["A"] * 10 + ["B"] * 2
    counts = np.asarray(adata.X).copy()
    wild = np.random.default_rng(0).permutation(adata.n_vars)[: adata.n_vars // 3]
    counts[4, wild] *= 20
    adata.X = counts
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    table = bulkvi.BulkVI(adata, n_latent=2).get_outliers()
    assert table.attrs["structured_samples"] == [adata.obs_names[4]]
    assert table.attrs["unjudged_samples"] == list(adata.obs_names[10:])
    assert not table["sample"].isin([adata.obs_names[4], *adata.obs_names[10:]]).any()


def test_rates_of_groups_are_their_mean_normalised_counts(model: bulkvi.BulkVI) -> None:
    adata = model.adata
    genes = list(adata.var_names[np.argsort(-np.asarray(adata.X).mean(0))[:3]])
    rates = model.get_group_rates(genes, "group")
    assert list(rates.columns) == ["group", "rate", "rate_low", "rate_high"]
    assert set(rates.index) == set(genes)
    assert ((rates["rate_low"] < rates["rate"]) & (rates["rate"] < rates["rate_high"])).all()
    normalised = np.asarray(adata.X) / adata.obs["size_factor"].to_numpy()[:, None]
    for gene, row in rates.iterrows():
        inside = normalised[(adata.obs["group"] == row["group"]).to_numpy(), adata.var_names.get_loc(gene)]
        assert row["rate"] == pytest.approx(np.exp(np.log(inside + 0.5).mean()), rel=0.15)


def test_rates_of_what_is_not_there(model: bulkvi.BulkVI) -> None:
    with pytest.raises(KeyError, match="1 genes are not in the model"):
        model.get_group_rates(["nothing"], "group")
    with pytest.raises(TypeError, match=r"genes must be a list of genes; it is the text 'gene12'. Write \['gene12'\]"):
        model.get_group_rates("gene12", "group")
    with pytest.raises(KeyError, match="not a column of adata.obs"):
        model.get_group_rates([model.adata.var_names[0]], "dose")
    with pytest.raises(ValueError, match="level is 2"):
        model.get_group_rates([model.adata.var_names[0]], "group", level=2)


def test_rates_within_the_design_have_the_ratio_of_the_fold_change() -> None:
    """A gene of one sex: its rate over both sexes was that of no sample, and went down where the gene goes up."""
    rng = np.random.default_rng(5)
    adata = make_cohort()
    adata.obs["sex"] = rng.permutation(["female", "male"] * (adata.n_obs // 2))
    female = (adata.obs["sex"] == "female").to_numpy()
    up = (adata.obs["group"] == "B").to_numpy()
    adata.X[:, 0] = rng.poisson(np.where(female, 3_000.0, 0.2) * np.where(up, 4, 1))
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ sex + group")
    model = fit(adata, max_steps=10)
    gene = adata.var_names[0]
    rates = model.get_group_rates([gene], "group", within="auto")
    assert rates.attrs["within"] == ["sex"]
    assert list(rates.columns) == ["group", "stratum", "rate", "rate_low", "rate_high"]
    rate = rates.set_index(["group", "stratum"])["rate"]
    assert rate["A", "female"] > 1_000
    assert rate["A", "male"] < 10
    de = model.differential_expression("group", "B", "A", latent_columns=0)
    ratio = np.log2(rate["B"] / rate["A"])
    np.testing.assert_allclose(ratio, de.loc[gene, "log_fc_mle"] + de.attrs["composition_shift"], atol=1e-6)
    pd.testing.assert_frame_equal(model.get_group_rates([gene], "group", within=["sex"]), rates)


def test_columns_of_many_levels_are_left_out_of_the_strata(model: bulkvi.BulkVI) -> None:
    gene = [model.adata.var_names[0]]
    assert model.get_group_rates(gene, "group", within="auto").attrs["within"] == ["batch", "site"]
    assert len(model.get_group_rates(gene, "group", within="site")) == 6
    with pytest.raises(KeyError, match=r"within=\['dose'\] are not columns"):
        model.get_group_rates(gene, "group", within="dose")


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_interval_of_a_rate_has_its_probability(model: bulkvi.BulkVI, level: float) -> None:
    """Against the posterior of the mean log rate, by the normal quantile of (1 + level) / 2."""
    kept = model.gene_fit()
    genes = kept.study.genes[:20].tolist()
    rates = model.get_group_rates(genes, "group", level=level).set_index("group", append=True)
    for group, rows in kept.regression.features.groupby(kept.study.obs["group"], observed=True):
        effect = kept.regression.effect(rows.mean())
        low, high = (norm.ppf(tail, effect.mean(), effect.sd())[:20] for tail in ((1 - level) / 2, (1 + level) / 2))
        of_group = rates.xs(group, level="group")
        np.testing.assert_allclose(np.log(of_group["rate_low"]), low, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.log(of_group["rate_high"]), high, rtol=1e-9, atol=1e-9)


def test_intervals_of_equal_rates_overlap_as_often_as_their_level_implies() -> None:
    """90 % intervals of 500 genes in two groups that do not differ; binomial error .6 %."""
    adata = bulkvi.datasets.simulate(n_per_group=8, n_genes=500, de_share=0.0, seed=4)
    bulkvi.pp.filter_genes(adata, min_counts=50)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = bulkvi.BulkVI(adata, n_latent=2)
    rates = model.get_group_rates(adata.var_names.tolist(), "group", level=0.9)
    first, second = (rates[rates["group"] == group] for group in ("A", "B"))
    # two intervals of 90 % with standard errors s1 = s2 overlap where |difference| < 1.645 (s1 + s2): in 98 % of the genes
    overlap = (first["rate_low"] <= second["rate_high"]) & (second["rate_low"] <= first["rate_high"])
    assert 0.96 < overlap.mean() < 0.995
