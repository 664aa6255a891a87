from typing import Any

import pytest

from bulkvi.datasets import simulate
from bulkvi.regression.permutation import find_exchange
from bulkvi.study.groups import find_groups
from tests.cohorts import set_up, t_test


def test_labels_that_cannot_be_exchanged() -> None:
    adata = simulate(n_per_group=4, n_genes=60)
    adata.obs["donor"] = list("abcdefgh")
    adata.obs["litter"] = list("uuvvwwxx")
    adata.obs["sex"] = ["m", None, "f", "m", "f", "m", "f", "m"]
    model = set_up(adata)
    for within in ("donor", "litter", ["litter", "donor"]):
        with pytest.raises(
            ValueError, match="No distinct permutations exist within .* is nested in 'group'.*sum their counts"
        ):
            model.calibrate("group", "B", "A", within=within)
    with pytest.raises(ValueError, match=r"within='sex' is missing for 1 samples \(first: \['"):
        model.calibrate("group", "B", "A", within="sex")
    with pytest.raises(ValueError, match="groupby='sex' is missing for 1 samples"):
        model.calibrate("sex", "m", "f", method=t_test)
    with pytest.raises(ValueError, match="does not tell sex: m vs f apart.*or give a method"):
        model.calibrate("sex", "m", "f")
    with pytest.raises(KeyError, match="within='lane' is not a column"):
        model.calibrate("group", "B", "A", within="lane")
    with pytest.raises(KeyError, match="groupby='lane' is not a column"):
        model.calibrate("lane", "B", "A")
    with pytest.raises(ValueError, match="group1='C': no sample has this level"):
        model.calibrate("group", "C", "A")
    none: dict[str, Any]
    for name in ("n_permutations", "n_jobs"):
        none = {name: 0}
        with pytest.raises(ValueError, match=f"{name} is 0; give 1 or more"):
            model.calibrate("group", "B", "A", **none)


def test_three_pairs_are_too_few() -> None:
    adata = simulate(n_per_group=3, n_genes=60)
    adata.obs["pair"] = list("abcabc")
    model = set_up(adata, "~ pair + group")
    message = r"3 distinct permutations of 3 and 3 .* 'pair' .*at least 5.*without any \(within=\[\]\) there are 9"
    with pytest.raises(ValueError, match=message):
        model.calibrate("group", "B", "A")


def test_two_replicates_are_too_few() -> None:
    with pytest.raises(
        ValueError, match="2 distinct permutations of 2 and 2 samples exist besides the real one.*3 per group"
    ):
        set_up(simulate(n_per_group=2, n_genes=60)).calibrate("group", "B", "A")


def test_relabellings_that_the_design_cannot_tell_from_a_batch_are_left_out() -> None:
    adata = simulate(n_per_group=3, n_genes=100)
    adata.obs["run"] = list("uuvuvv")
    report = set_up(adata, "~ run + group").calibrate("group", "B", "A", within=[], progress_bar=False)
    assert (report.n_relabellings, report.n_distinct) == (8, 8)


def test_a_column_may_have_any_name_and_labels_move() -> None:
    adata = simulate(n_per_group=4, n_genes=50)
    adata.obs["self"] = adata.obs.pop("group")
    exchange = find_exchange(
        set_up(adata, "~ self").gene_fit().study, "self", find_groups(adata.obs, "self", "B", "A"), None
    )
    permuted = exchange.permute(~exchange.in_first)
    assert (permuted["self"] != adata.obs["self"]).all()
