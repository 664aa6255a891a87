"""Studies share no sample with their reference, and differ by what their truth says."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import reference_data
from benchmarks.peers import CountData


def truth_of(data: CountData) -> pd.DataFrame:
    """What is known of each gene."""
    assert data.truth is not None
    return data.truth


def told_of(data: CountData) -> pd.DataFrame:
    """Covariates of the samples."""
    assert data.covariates is not None
    return data.covariates


@pytest.fixture
def data(data_dir, monkeypatch) -> None:
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))


def test_no_person_is_in_the_reference_and_in_the_study(data):
    pools = []
    for seed in range(3):
        cohort, pool = reference_data.geuvadis_within_sex(seed)
        assert len(pool) == reference_data.N_HELD_OUT
        assert len(cohort.counts) + len(pool) == 85
        assert not set(cohort.counts.index) & set(pool.index)
        assert cohort.obs.index.equals(cohort.counts.index)
        pools.append(frozenset(pool.index))
    assert len(set(pools)) == 3
    smaller = reference_data.geuvadis_smaller(0)
    cohort, _ = reference_data.geuvadis_within_sex(0)
    assert set(smaller.counts.index) < set(cohort.counts.index)
    assert len(smaller.counts) == len(cohort.counts) - 20
    pd.testing.assert_frame_equal(smaller.counts, cohort.counts.loc[smaller.counts.index])
    pd.testing.assert_frame_equal(smaller.obs, cohort.obs.loc[smaller.obs.index])


def test_halves_and_strains_of_yeast_are_apart(data):
    for seed in range(2):
        cohort, pool = reference_data.yeast_halves(seed)
        assert not set(cohort.counts.index) & set(pool.index)
    for both in (False, True):
        cohort, chosen, group = reference_data.yeast_strains(3, 1, both_strains=both)
        assert not set(cohort.counts.index) & set(chosen.index)
        assert chosen.index.str.startswith("WT").tolist() == (group == 0).tolist()
        assert cohort.counts.index.str.startswith("Snf2").any() == both


@pytest.mark.parametrize("n", [2, 3])
def test_groups_of_mice_have_as_many_of_a_strain(data, n: int):
    for seed in range(3):
        cohort, mice, obs = reference_data.bottomly_by_experiment(seed)
        assert not set(cohort.counts.index) & set(mice.index)
        assert obs["experiment"].nunique() == 1
        study = reference_data.bottomly_study(mice, obs, n, seed)
        assert study.counts.index.is_unique
        of_strain = pd.crosstab(study.group, told_of(study)["strain"].to_numpy())
        assert of_strain.loc[0].equals(of_strain.loc[1])
        assert (obs.loc[study.counts.index, "strain"].to_numpy() == told_of(study)["strain"].to_numpy()).all()


def test_another_study_has_a_tenth_of_the_depth_and_shifts_that_all_samples_share():
    rng = np.random.default_rng(5)
    pool = pd.DataFrame(rng.poisson(2e5, (40, 400)), columns=[f"g{i}" for i in range(400)])
    moved = reference_data.as_of_another_study(pool, 0)
    share = moved / pool
    log2_share = np.log2(share.mean())
    # the mean of a log-normal factor of sd .5 is exp((.5 ln 2)^2 / 2) = 1.062 times its median; 400 genes, 40 samples
    assert abs(log2_share.std() - reference_data.SHIFT_SD) < 3 * 0.5 / np.sqrt(800)
    assert abs(share.to_numpy().mean() / reference_data.DEPTH / 1.062 - 1) < 0.1
    cv2 = (share.std() / share.mean()) ** 2
    assert abs(cv2.mean() - reference_data.EXTRA_CV2) < 0.01


def test_permuted_names_leave_counts_and_truth_together():
    rng = np.random.default_rng(1)
    pool = pd.DataFrame(rng.poisson(50, (6, 300)), columns=[f"g{i:03d}" for i in range(300)])
    study = reference_data.study("any", pool, 3, 0)
    permuted = reference_data.genes_permuted(study, 0)
    assert (permuted.counts.to_numpy() == study.counts.to_numpy()).all()
    assert truth_of(permuted).index.equals(permuted.counts.columns)
    assert (truth_of(permuted)["log_fc"].to_numpy() == truth_of(study)["log_fc"].to_numpy()).all()
    assert set(permuted.counts.columns) == set(study.counts.columns)
    assert (permuted.counts.columns == study.counts.columns).mean() < 0.05


def test_a_move_along_a_direction_is_that_of_every_gene():
    rng = np.random.default_rng(2)
    pool = pd.DataFrame(rng.poisson(1e5, (8, 50)), columns=[f"g{i}" for i in range(50)])
    log_fc = pd.Series(rng.normal(0, 1, 49), pool.columns[1:])
    study = reference_data.moved_along("any", pool, 4, 0, log_fc)
    means = study.counts.groupby(study.group).mean()
    expected = truth_of(study)["log_fc"].to_numpy()
    assert expected[0] == 0
    assert np.allclose(expected[1:], log_fc)
    assert np.allclose(np.log2(means.loc[1] / means.loc[0]), expected, atol=0.03)


def test_three_against_three_in_two_batches():
    for n_upper, correlation in ((1, 0), (2, 1 / 3), (3, 1 / np.sqrt(2))):
        cohort, study, batch = reference_data.hidden_batch(n_upper, 0)
        assert np.isclose(np.corrcoef(batch, study.group)[0, 1], correlation)
        assert len(cohort.counts) == reference_data.HIDDEN_COHORT
        assert not set(cohort.counts.index) & set(study.counts.index)
        assert set(study.counts.columns[truth_of(study)["base_mean"] > 50]) <= set(cohort.counts.columns)


def test_ids_of_wrong_references(data):
    skin = reference_data.skin_cohort()
    _, pool = reference_data.geuvadis_within_sex(0)
    assert not set(skin.counts.columns) & set(pool.columns)
    assert set(skin.counts.columns.str.replace(r"\.\d+$", "", regex=True)) < set(pool.columns)
    mice, flies = reference_data.mice_named_as_flies(), reference_data.pasilla_study(0)
    assert flies.counts.columns.isin(mice.counts.columns).mean() > 0.9
    assert pd.crosstab(flies.group, told_of(flies)["condition"].to_numpy()).nunique().eq(1).all()
