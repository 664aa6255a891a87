"""The offset in the regressions of the genes, and in every table that is read from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from tests.cohorts import fit, make_lengths

REFERENCE = Path(__file__).parents[1] / "reference"
GIVEN = {"size_factor_key": "size_factor", "design": "~ group"}


def set_up(adata: AnnData, **changes: Any) -> AnnData:
    bulkvi.BulkVI.setup_anndata(adata, **(GIVEN | {"offset_key": "length"} | changes))
    return adata


@pytest.fixture
def cohort() -> AnnData:
    return make_lengths()


@pytest.fixture(scope="module")
def trained() -> bulkvi.BulkVI:
    """Model with an offset and the group in its design. Do not change it."""
    return fit(set_up(make_lengths()))


@pytest.fixture(scope="module")
def unaware() -> bulkvi.BulkVI:
    """The same without the offset."""
    adata = make_lengths()
    bulkvi.pp.size_factors(adata)
    return fit(set_up(adata, offset_key=None))


def compare(model: bulkvi.BulkVI, **arguments: Any) -> pd.DataFrame:
    return model.differential_expression("group", "B", "A", **arguments)


def same_tables(first: pd.DataFrame, second: pd.DataFrame, **tolerance: float) -> None:
    pd.testing.assert_frame_equal(first, second, **({"rtol": 1e-8, "atol": 1e-10} | tolerance))


def exposures(adata: AnnData) -> np.ndarray:
    log_length = np.log(adata.layers["length"].astype(float))
    return adata.obs[["size_factor"]].to_numpy() * np.exp(log_length - log_length.mean(0))


def test_fold_changes_and_means_are_those_of_deseq2() -> None:
    counts = pd.read_csv(REFERENCE / "offsets_counts.csv", index_col=0)
    expected = pd.read_csv(REFERENCE / "offsets_results_deseq2_1.38.3.csv", index_col=0)
    adata = AnnData(counts.astype(np.float32), obs=pd.DataFrame({"group": list("AAAABBBB")}, index=counts.index))
    adata.layers["length"] = pd.read_csv(REFERENCE / "offsets_lengths.csv", index_col=0).to_numpy()
    bulkvi.pp.size_factors(adata, offset_key="length")
    table = compare(fit(set_up(adata)), latent_columns=0)
    # DESeq2's normalization factors have geometric mean one in each gene, ours that of the size factors
    scale = np.exp(np.log(adata.obs["size_factor"]).mean())
    np.testing.assert_allclose(table["base_mean"] * scale, expected["baseMean"], rtol=1e-12)
    enough = table["base_mean"] > 20
    mle = (table["log_fc_mle"] + table.attrs["composition_shift"])[enough]
    difference = (mle - expected["log2FoldChange"][enough]).abs()
    # maximum likelihood at other dispersions: the weights of the samples differ a little
    assert difference.median() < 0.005 and difference.max() < 0.1
    ratio = (table["log_fc_se"] / expected["lfcSE"])[enough]
    assert ratio.median() == pytest.approx(1, abs=0.1)


def test_a_switch_of_transcripts_is_not_called_with_the_offset_and_is_called_without(
    trained: bulkvi.BulkVI, unaware: bulkvi.BulkVI
) -> None:
    switch = trained.adata.var["switch"].to_numpy()
    switched, longer = switch != 0, np.sign(switch)
    changed = (trained.adata.var["true_log_fc"] != 0).to_numpy()
    aware = compare(trained, latent_columns=0)
    called = (aware["adj_p_value"] < 0.05).to_numpy()
    assert called[switched].sum() <= 2 and called[changed].mean() > 0.9
    for column in ("log_fc_mle", "log_fc_decoded"):
        assert np.abs((longer * aware[column])[switched].median()) < 0.15
    blind = compare(unaware, latent_columns=0)
    assert (blind["adj_p_value"] < 0.05)[switched].mean() > 0.9
    assert (longer * blind["log_fc_mle"])[switched].median() > 1.5


@pytest.mark.parametrize("log_scale", [0.0, 2.0], ids=["ones", "a unit for each gene"])
def test_an_offset_that_is_the_same_in_all_samples_is_none(unaware: bulkvi.BulkVI, log_scale: float) -> None:
    adata = make_lengths()
    of_gene = np.exp(np.random.default_rng(0).normal(0, log_scale, adata.n_vars))
    adata.layers["length"] = np.tile(of_gene, (adata.n_obs, 1))
    bulkvi.pp.size_factors(adata, offset_key="length")
    same_tables(compare(fit(set_up(adata))), compare(unaware))


def test_neither_the_unit_of_a_gene_nor_that_of_a_sample_matters(trained: bulkvi.BulkVI, cohort: AnnData) -> None:
    rng = np.random.default_rng(0)
    cohort.layers["length"] = cohort.layers["length"].astype(float) * rng.uniform(0.01, 100, cohort.n_vars)
    cohort.layers["length"] *= rng.uniform(0.1, 10, (cohort.n_obs, 1))
    bulkvi.pp.size_factors(cohort, offset_key="length")
    model = fit(set_up(cohort))
    # a common factor of all exposures is left: the geometric mean of the size factors
    scale = np.exp(np.log(exposures(cohort)).mean() - np.log(exposures(trained.adata)).mean())
    table = compare(model, latent_columns=0)
    table["base_mean"] *= scale
    same_tables(
        table.drop(columns="log_fc_decoded"),
        compare(trained, latent_columns=0).drop(columns="log_fc_decoded"),
        rtol=1e-5,
    )
    np.testing.assert_allclose(model.get_latent_representation(), trained.get_latent_representation(), atol=0.02)


def test_the_order_of_samples_does_not_matter(trained: bulkvi.BulkVI, cohort: AnnData) -> None:
    order = np.random.default_rng(0).permutation(cohort.n_obs)
    shuffled = fit(set_up(cohort[order].copy()))
    given = {"latent_columns": 0}
    same_tables(
        compare(shuffled, **given).drop(columns="log_fc_decoded"),
        compare(trained, **given).drop(columns="log_fc_decoded"),
    )


def test_a_loaded_model_gives_the_same_table(trained: bulkvi.BulkVI, cohort: AnnData, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    same_tables(compare(bulkvi.BulkVI.load(tmp_path / "model", adata=cohort)), compare(trained), rtol=1e-5)


def test_means_of_new_samples_are_measured_by_the_training_samples(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    few = trained.adata[4:9].copy()
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=few)
    expected = (few.X / exposures(trained.adata)[4:9]).mean(0)
    np.testing.assert_allclose(loaded.get_dispersions()["base_mean"], expected, rtol=1e-6)


def test_rates_of_groups_and_dispersions_are_free_of_length(trained: bulkvi.BulkVI) -> None:
    switched = trained.adata.var_names[trained.adata.var["switch"] > 0]
    rates = trained.get_group_rates(switched, "group")
    ratio = (rates["rate"][rates["group"] == "B"] / rates["rate"][rates["group"] == "A"]).to_numpy()
    assert np.median(ratio) == pytest.approx(1, abs=0.1)
    normalised = trained.adata.X / exposures(trained.adata)
    in_a = (trained.adata.obs["group"] == "A").to_numpy()
    own = (trained.adata.var["switch"] > 0).to_numpy()
    np.testing.assert_allclose(
        np.median(rates["rate"][rates["group"] == "A"] / normalised[in_a][:, own].mean(0)), 1, atol=0.02
    )
    np.testing.assert_allclose(trained.get_dispersions()["base_mean"], normalised.mean(0), rtol=1e-6)


def test_a_wild_count_is_told_from_a_long_transcript(cohort: AnnData) -> None:
    """In sample 2 transcripts of gene 150 are 20 times as long, and so are its counts; a count of gene 160 is wild."""
    cohort.X[2, [150, 160]] *= 20
    cohort.layers["length"][2, 150] *= 20
    model = bulkvi.BulkVI(set_up(cohort), n_latent=2)
    found = model.get_outliers()
    assert found.index.tolist() == ["160"] and found["sample"].tolist() == ["2"]
    in_a = (cohort.obs["group"] == "A").to_numpy() & (np.arange(12) != 2)
    rate = (cohort.X / exposures(cohort))[in_a, 160].mean()
    np.testing.assert_allclose(found["expected_count"], exposures(cohort)[2, 160] * rate, rtol=0.1)


def test_the_omnibus_test_takes_length_off(trained: bulkvi.BulkVI, unaware: bulkvi.BulkVI) -> None:
    switched = (trained.adata.var["switch"] != 0).to_numpy()
    called = [model.omnibus_test("group", latent_columns=0)["adj_p_value"] < 0.05 for model in (trained, unaware)]
    assert called[0][switched].sum() <= 2 and called[1][switched].mean() > 0.9


def test_calibration_measures_the_table_with_the_offset(trained: bulkvi.BulkVI) -> None:
    report = trained.calibrate("group", "B", "A", n_permutations=5, progress_bar=False)
    table = compare(trained, latent_columns=0)
    np.testing.assert_allclose(report.genes["p_value"], table["p_value"], rtol=1e-9)


def test_groups_that_are_not_in_the_design_are_compared_free_of_length() -> None:
    aware, blind = make_lengths(), make_lengths()
    bulkvi.pp.size_factors(blind)
    called = []
    for adata, key in ((aware, "length"), (blind, None)):
        table = compare(fit(set_up(adata, offset_key=key, design=None), n_latent=1))
        called.append((table["adj_p_value"] < 0.05).to_numpy())
    switched, changed = (aware.var["switch"] != 0).to_numpy(), (aware.var["true_log_fc"] != 0).to_numpy()
    assert called[0][changed].mean() > 0.9
    assert called[0][switched].sum() <= 2 and called[1][switched].mean() > 0.9


def test_length_is_not_hidden_variation(cohort: AnnData) -> None:
    """Half of the genes are up to twice as long in some samples, by RNA quality perhaps, as the offset knows."""
    rng = np.random.default_rng(5)
    quality = rng.permutation(np.linspace(-1, 1, 12))
    shift = np.exp(np.outer(quality, np.where(rng.random(300) < 0.5, rng.normal(0, 0.7, 300), 0)))
    cohort.X = rng.poisson(cohort.X * shift).astype(np.float32)
    cohort.layers["length"] = cohort.layers["length"] * shift
    bulkvi.pp.size_factors(cohort, offset_key="length")
    aware = fit(set_up(cohort.copy())).latent_report()
    assert not aware["enters"].any()
    bulkvi.pp.size_factors(cohort)
    assert fit(set_up(cohort, offset_key=None)).latent_report()["enters"].any()
