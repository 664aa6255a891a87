import numpy as np
import pandas as pd
from scipy.stats import binom

import bulkvi
from bulkvi.reference_names import N_DIRECTIONS, N_GENES, REFERENCE, SCALE
from tests.reference_cohorts import draw_study, model_of

COMPARED = ("group", "B", "A")


def found(table, log_fc):
    """Share of the changed genes before the false discovery proportion exceeds 5 %."""
    changed = log_fc != 0
    order = np.argsort(table["p_value"].to_numpy(), kind="stable")
    within = np.cumsum(~changed[order]) <= 0.05 * np.arange(1, len(order) + 1)
    return changed[order][: np.flatnonzero(within).max(initial=-1) + 1].sum() / changed.sum()


def test_two_replicates_with_a_reference_find_more_than_five_without_at_the_rate_promised(rng):
    calls = false = 0
    gained = []
    for _ in range(4):
        drawn = draw_study(rng, 2, 3000)
        with_it = model_of(drawn.adata, drawn.reference).differential_expression(*COMPARED)
        more = draw_study(rng, 5, 3000)
        without = model_of(more.adata).differential_expression(*COMPARED, latent_columns=0)
        gained.append(found(with_it, drawn.log_fc) - found(without, more.log_fc))
        called = (with_it["adj_p_value"] < 0.05).to_numpy()
        calls, false = calls + called.sum(), false + (called & (drawn.log_fc == 0)).sum()
    assert np.mean(gained) > 0
    assert calls > 200
    assert binom.sf(false - 1, calls, 0.05) > 1e-3


def test_genes_that_the_reference_lacks_have_the_analysis_without(rng):
    drawn = draw_study(rng, 3)
    reference = drawn.reference._replace(genes=drawn.reference.genes.where(np.arange(2000) % 2 == 0, "other"))
    reference = reference._replace(
        genes=pd.Index([f"{name}{k}" if name == "other" else name for k, name in enumerate(reference.genes)])
    )
    table = model_of(drawn.adata, reference).differential_expression(*COMPARED)
    assert table.attrs[REFERENCE][N_GENES] == 1000
    assert table.attrs[REFERENCE][N_DIRECTIONS] == 2
    without = model_of(drawn.adata).differential_expression(*COMPARED, latent_columns=0, composition_shift=False)
    table = model_of(drawn.adata, reference).differential_expression(*COMPARED, composition_shift=False)
    lacking = np.arange(2000) % 2 == 1
    np.testing.assert_allclose(table["log_fc_mle"][lacking], without["log_fc_mle"][lacking], atol=0.1)
    assert table["p_value"].notna().all()


def test_the_report_names_directions_by_use_and_by_column(rng):
    lane = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    state = np.column_stack([2.0 * lane - 1, np.zeros(8)])
    drawn = draw_study(rng, 4, state=state)
    drawn.adata.obs["lane"] = lane.astype(str)
    report = model_of(drawn.adata, drawn.reference).latent_report()
    assert report.index[:2].tolist() == ["reference_0", "reference_1"]
    assert report.loc["reference_0", "strongest_with"] == "lane"
    assert report.loc["reference_0", "strength"] > 0.99
    assert report.loc["reference_0", SCALE] > 0.8 > 0.2 > report.loc["reference_1", SCALE]
    assert report.loc["reference_0", "singular_value"] > 10 * report.loc["reference_0", "singular_value_by_chance"]
    assert report.loc["reference_1", "singular_value"] < 3 * report.loc["reference_1", "singular_value_by_chance"]
    assert report["enters"].iloc[:2].all()
    assert (report["moved_by"].iloc[:2] == "group[T.B]").all()
    assert abs(report.loc["reference_0", "move"]) < 1
    assert 0.2 < report.loc["reference_0", "variance_share"] < 1


def test_omnibus_beside_a_reference_of_one_column_agrees_with_the_contrast(rng):
    drawn = draw_study(rng, 4)
    fit = model_of(drawn.adata, drawn.reference).gene_fit()
    omnibus = fit.omnibus("group")
    table = fit.contrast(*COMPARED, composition_shift=False)
    assert table.attrs["query"]["effect"] == "direct"
    assert np.corrcoef(np.log(omnibus["p_value"] + 1e-12), np.log(table["p_value"] + 1e-12))[0, 1] > 0.97


def test_calibration_permutes_labels_beside_the_reference(rng):
    drawn = draw_study(rng, 4, 800)
    model = model_of(drawn.adata, drawn.reference)
    report = model.calibrate(*COMPARED, n_permutations=6, progress_bar=False)
    expected = model.differential_expression(*COMPARED, latent_columns=0)["p_value"]
    np.testing.assert_allclose(report.genes["p_value"], expected, rtol=1e-6)
    relabelled = report.relabellings.query("threshold == 0.05 and score == 'adj_p_value'")
    assert relabelled["calls"].mean() < 0.2 * (expected < 0.001).sum()


def test_donors_beside_a_reference(rng):
    drawn = draw_study(rng, 4)
    drawn.adata.obs["donor"] = np.tile(["d0", "d1", "d2", "d3"], 2)
    bulkvi.BulkVI.setup_anndata(drawn.adata, size_factor_key="size_factor", design="~ group", donor_key="donor")
    model = bulkvi.BulkVI(drawn.adata, n_latent=2, reference=drawn.reference)
    model.train(max_steps=2, progress_bar=False)
    beside = found(model.differential_expression(*COMPARED), drawn.log_fc)
    alone = found(model_of(drawn.adata).differential_expression(*COMPARED, latent_columns=0), drawn.log_fc)
    # dispersions beside donors are the study's own
    assert beside > 1.2 * alone
