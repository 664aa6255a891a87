import numpy as np

from bulkvi.stats.reference.genes import ReferenceGenes


def make_genes(rng: np.random.Generator, n_directions: int = 2, n_genes: int = 5) -> ReferenceGenes:
    plain = {field: rng.normal(size=n_genes) for field in ReferenceGenes._fields}
    return ReferenceGenes(
        **plain | {field: rng.normal(size=(n_directions, n_genes)) for field in ("loadings", "loadings_sd")}
    )


def test_genes_are_selected_in_any_order_and_those_lacking_are_nan(rng: np.random.Generator) -> None:
    genes = make_genes(rng)
    part = genes.at(np.array([3, -1, 0]))
    assert part.known.tolist() == [True, False, True]
    assert part.n_directions == 2
    for whole, selected in zip(genes, part, strict=True):
        np.testing.assert_array_equal(selected[..., [0, 2]], whole[..., [3, 0]])
        assert np.isnan(selected[..., 1]).all()


def test_none_of_the_genes_and_no_direction(rng: np.random.Generator) -> None:
    genes = make_genes(rng, n_directions=0)
    part = genes.at(np.full(4, -1))
    assert part.loadings.shape == (0, 4)
    assert not part.known.any()
