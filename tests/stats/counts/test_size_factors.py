from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydeseq2.dds import DeseqDataSet
from pydeseq2.preprocessing import deseq2_norm

from bulkvi.stats.counts.counts import check_offset
from bulkvi.stats.counts.size_factors import median_of_ratios, poscounts, size_factors_from_reference

METHODS = {"median_of_ratios": median_of_ratios, "poscounts": poscounts}
REFERENCE = Path(__file__).parents[2] / "reference"

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@pytest.fixture
def counts(rng):
    """12 samples of different depth x 80 genes, some of them with zeros and one without any count."""
    depth = 2 ** rng.uniform(-2, 2, size=(12, 1))
    x = rng.negative_binomial(5, 5 / (5 + depth * np.exp(rng.normal(3, 2, size=80))))
    x[:, 7] = 0
    x[:, 11] += 1
    return x


def plain_median_of_ratios(x):
    factors = []
    kept = [g for g in range(x.shape[1]) if all(x[:, g] > 0)]
    for sample in x:
        factors.append(np.median([sample[g] / np.prod(x[:, g] ** (1 / len(x))) for g in kept]))
    return factors


def plain_poscounts(x):
    """In logs, as DESeq2 takes the median: it matters where the number of genes is even."""
    factors = []
    for sample in x:
        ratios = [
            np.log(sample[g]) - sum(np.log(v) for v in x[:, g] if v > 0) / len(x)
            for g in range(x.shape[1])
            if sample[g] > 0
        ]
        factors.append(np.exp(np.median(ratios)))
    return np.array(factors) / np.prod(factors) ** (1 / len(x))


def test_median_of_ratios_is_its_definition(counts):
    odd = counts[:, np.flatnonzero((counts > 0).all(axis=0))[:21]]  # an odd number: the median is one of the ratios
    np.testing.assert_allclose(median_of_ratios(odd).size_factors, plain_median_of_ratios(odd), rtol=1e-12)


def test_poscounts_is_its_definition(counts):
    np.testing.assert_allclose(poscounts(counts).size_factors, plain_poscounts(counts), rtol=1e-12)


@each_method
def test_equals_deseq2_on_a_small_matrix_with_zeros(method):
    counts = pd.read_csv(REFERENCE / "size_factors_counts.csv", index_col=0)
    expected = pd.read_csv(REFERENCE / "size_factors_deseq2_1.38.3.csv", index_col=0)
    assert list(counts.index) == list(expected.index)
    # The golden file has 15 significant digits.
    np.testing.assert_allclose(method(counts.to_numpy()).size_factors, expected[method.__name__], rtol=1e-13)


def test_median_of_ratios_equals_pydeseq2(counts):
    np.testing.assert_allclose(median_of_ratios(counts).size_factors, deseq2_norm(counts + 0.0)[1], rtol=1e-9)


def test_poscounts_equals_pydeseq2(counts):
    # PyDESeq2 leaves out genes that never exceed one count, DESeq2 does not: without them the two agree.
    x = counts[:, counts.max(axis=0) > 1]
    samples = pd.DataFrame({"group": ["a", "b"] * 6}, index=[f"s{i}" for i in range(12)])
    table = pd.DataFrame(x, index=samples.index, columns=[f"g{i}" for i in range(x.shape[1])])
    dds = DeseqDataSet(counts=table, metadata=samples, design="~group", quiet=True)
    dds.fit_size_factors(fit_type="poscounts")
    np.testing.assert_allclose(poscounts(x).size_factors, dds.obs["size_factors"], rtol=1e-9)


@each_method
@pytest.mark.parametrize("block_rows", [1, 5, None])
def test_every_storage_and_block_size_gives_the_same_bits(method, store, counts, block_rows):
    expected = method(counts.astype(np.float64))
    actual = method(store(counts), block_rows=block_rows)
    np.testing.assert_array_equal(actual.size_factors, expected.size_factors)
    np.testing.assert_array_equal(actual.log_geometric_means, expected.log_geometric_means)


@each_method
def test_depth_alone_is_recovered_exactly(method, rng):
    profile, depth = rng.integers(1, 1000, size=40), rng.integers(1, 50, size=9)
    factors = method(np.outer(depth, profile)).size_factors
    np.testing.assert_allclose(factors, depth / np.exp(np.log(depth).mean()), rtol=1e-12)


def test_deeper_sequencing_of_one_sample_scales_its_size_factor_relative_to_the_others(counts):
    deeper = counts.copy()
    deeper[4] *= 3
    expected = median_of_ratios(counts).size_factors
    expected[4] *= 3
    # The geometric means grow by 3 ** (1 / 12) in every gene, which divides all size factors alike.
    np.testing.assert_allclose(median_of_ratios(deeper).size_factors, expected / 3 ** (1 / 12), rtol=1e-12)


@each_method
def test_deeper_sequencing_of_all_samples_changes_nothing_where_there_are_no_zeros(method, counts):
    counts = counts + 1
    np.testing.assert_allclose(method(5 * counts).size_factors, method(counts).size_factors, rtol=1e-12)


@each_method
def test_the_order_of_genes_does_not_matter(method, counts, rng):
    order = rng.permutation(counts.shape[1])
    expected, actual = method(counts), method(counts[:, order])
    np.testing.assert_array_equal(actual.size_factors, expected.size_factors)
    np.testing.assert_array_equal(actual.log_geometric_means, expected.log_geometric_means[order])


@each_method
def test_size_factors_follow_their_samples(method, counts, rng):
    order = rng.permutation(len(counts))
    np.testing.assert_allclose(method(counts[order]).size_factors, method(counts).size_factors[order], rtol=1e-12)


@each_method
def test_genes_without_counts_do_not_matter(method, counts):
    expected = method(counts).size_factors
    np.testing.assert_array_equal(method(np.hstack([np.zeros((12, 9)), counts])).size_factors, expected)


def test_poscounts_have_geometric_mean_one(counts):
    assert np.log(poscounts(counts).size_factors).mean() == pytest.approx(0, abs=1e-14)


def test_the_methods_agree_up_to_scale_where_there_are_no_zeros(counts):
    ratios = median_of_ratios(counts + 1).size_factors
    positive = poscounts(counts + 1).size_factors
    np.testing.assert_allclose(positive, ratios / np.exp(np.log(ratios).mean()), rtol=1e-12)


def test_the_reference_is_the_log_geometric_mean(counts):
    with np.errstate(divide="ignore"):
        expected = np.log(counts).mean(axis=0)
    np.testing.assert_allclose(median_of_ratios(counts).log_geometric_means, expected, rtol=1e-12)
    left_out = np.isneginf(poscounts(counts).log_geometric_means)
    np.testing.assert_array_equal(left_out, (counts == 0).all(axis=0))


@each_method
def test_a_frozen_reference_gives_its_own_samples_the_same_size_factors(method, counts):
    factors, reference = method(counts)
    np.testing.assert_allclose(size_factors_from_reference(counts, reference), factors, rtol=1e-13)


@each_method
def test_with_a_frozen_reference_a_sample_does_not_depend_on_its_company(method, counts):
    _, reference = method(counts[:6])
    together = size_factors_from_reference(counts, reference)
    alone = [size_factors_from_reference(sample[None], reference)[0] for sample in counts]
    np.testing.assert_array_equal(together, alone)


def test_a_zero_in_a_new_sample_leaves_out_the_gene_for_this_sample_only():
    reference = np.log([1.0, 1.0, 1.0])
    new = np.array([[0, 3, 3], [2, 2, 9]])
    np.testing.assert_allclose(size_factors_from_reference(new, reference), [3, 2], rtol=1e-14)


def test_median_of_ratios_without_a_usable_gene_points_to_poscounts():
    with pytest.raises(ValueError, match="every one of the 3 genes has a zero .* of the 3 samples.*method='poscounts'"):
        median_of_ratios(1 - np.eye(3))


@pytest.mark.parametrize(("names", "shown"), [(None, "1"), (["a", "b", "c"], "'b'")])
def test_a_sample_without_a_usable_gene_is_named(names, shown):
    x = np.array([[1, 0], [0, 1], [2, 0]])
    with pytest.raises(ValueError, match=f"1 of 3 samples have no count in any of the 1 genes .*: {shown}. Drop"):
        size_factors_from_reference(x, np.array([0.0, -np.inf]), sample_names=names)


def test_a_reference_for_other_genes_is_refused(counts):
    with pytest.raises(ValueError, match=r"one value for each of the 80 genes; its shape is \(79,\)"):
        size_factors_from_reference(counts, np.zeros(79))


class TestOffset:
    @pytest.fixture
    def lengths(self, rng, counts):
        return rng.uniform(200, 4000, size=counts.shape)

    @pytest.mark.parametrize(("method", "kind"), [("median_of_ratios", "ratio"), ("poscounts", "poscounts")])
    def test_equals_the_normalization_factors_of_deseq2(self, method, kind):
        counts = pd.read_csv(REFERENCE / "offsets_counts.csv", index_col=0).to_numpy()
        offset = check_offset(pd.read_csv(REFERENCE / "offsets_lengths.csv", index_col=0).to_numpy())
        name = f"offsets_normalization_factors_{kind}_deseq2_1.38.3.csv"
        expected = pd.read_csv(REFERENCE / name, index_col=0).to_numpy()
        log_exposure = np.log(METHODS[method](counts, offset=offset).size_factors)[:, None] + offset.log_relative()
        # DESeq2 scales them to geometric mean one in each gene; the golden file has 15 significant digits
        np.testing.assert_allclose(np.exp(log_exposure - log_exposure.mean(0)), expected, rtol=1e-13)

    def test_median_of_ratios_is_that_of_counts_per_unit_of_the_offset(self, counts, lengths):
        offset = check_offset(lengths)
        kept = np.flatnonzero((counts > 0).all(0))[:21]
        expected = plain_median_of_ratios((counts / np.exp(offset.log_relative()))[:, kept])
        few = check_offset(lengths[:, kept])
        np.testing.assert_allclose(median_of_ratios(counts[:, kept], offset=few).size_factors, expected, rtol=1e-12)

    @each_method
    def test_an_offset_of_ones_is_none(self, method, counts):
        expected, actual = method(counts), method(counts, offset=check_offset(np.ones(counts.shape)))
        np.testing.assert_array_equal(actual.size_factors, expected.size_factors)
        np.testing.assert_array_equal(actual.log_geometric_means, expected.log_geometric_means)

    @each_method
    def test_the_unit_of_a_gene_does_not_matter(self, method, counts, lengths, rng):
        other = check_offset(lengths * rng.uniform(0.01, 100, counts.shape[1]))
        expected = method(counts, offset=check_offset(lengths)).size_factors
        np.testing.assert_allclose(method(counts, offset=other).size_factors, expected, rtol=1e-12)

    @each_method
    def test_what_scales_all_offsets_of_a_sample_is_taken_off_its_size_factor(self, method, counts, lengths, rng):
        scale = np.exp(rng.normal(size=(12, 1)))
        plain, scaled = check_offset(lengths), check_offset(lengths * scale)
        relative_exposure = [
            np.log(method(counts, offset=offset).size_factors)[:, None] + offset.log_relative()
            for offset in (plain, scaled)
        ]
        first, second = (log - log.mean() for log in relative_exposure)
        np.testing.assert_allclose(second, first, atol=1e-12)

    @each_method
    @pytest.mark.parametrize("block_rows", [1, 5, None])
    def test_every_storage_and_block_size_gives_the_same_bits(self, method, store, counts, lengths, block_rows):
        lengths = lengths.astype(np.float32)
        expected = method(counts, offset=check_offset(lengths)).size_factors
        offset = check_offset(store(lengths), block_rows=block_rows)
        np.testing.assert_array_equal(method(counts, offset=offset, block_rows=block_rows).size_factors, expected)

    @each_method
    def test_a_frozen_reference_does_not_ask_what_the_offsets_are_relative_to(self, method, counts, lengths):
        factors, reference = method(counts, offset=check_offset(lengths))
        again = size_factors_from_reference(counts[3:5], reference, offset=check_offset(lengths[3:5]))
        np.testing.assert_allclose(again, factors[3:5], rtol=1e-12)

    def test_an_offset_of_another_shape_is_refused(self, counts, lengths):
        with pytest.raises(ValueError, match=r"the offset has shape \(12, 79\), the counts \(12, 80\)"):
            size_factors_from_reference(counts, np.zeros(80), offset=check_offset(lengths[:, 1:]))
