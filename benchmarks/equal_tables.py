"""Do two versions of bulkvi give the same numbers?

BULKVI_DATA_DIR=<folder> python -m benchmarks.equal_tables save FOLDER [NAME ...]
python -m benchmarks.equal_tables compare FOLDER OTHER

``save`` analyses real data with the bulkvi that Python imports, and leaves a table for each question; ``compare`` lists each column
of which two such folders differ. To compare two commits, put the ``src`` of each on ``PYTHONPATH`` in turn.
"""

import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import bulkvi as bv

TOLERANCE = 1e-9
"""Largest difference, relative or absolute, that is rounding."""


def cohort(name: str, every: int = 1) -> ad.AnnData:
    """Samples x genes of a real data set; each ``every``-th gene, to save time."""
    folder = Path(os.environ["BULKVI_DATA_DIR"]) / name
    counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0).iloc[::every]
    obs = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0).loc[counts.columns]
    obs.index = obs.index.astype(str)
    return ad.AnnData(counts.T.to_numpy(np.int32), obs=obs, var=pd.DataFrame(index=counts.index.astype(str)))


def fitted(adata: ad.AnnData, design: str, *, n_latent: int | None = None, **keys: str) -> bv.BulkVI:
    """A trained model."""
    bv.pp.filter_genes(adata, min_counts=10)
    bv.pp.size_factors(adata, offset_key=keys.get("offset_key"))
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design, **keys)
    model = bv.BulkVI(adata) if n_latent is None else bv.BulkVI(adata, n_latent=n_latent)
    model.train(progress_bar=False)
    return model


def airway() -> pd.DataFrame:
    """Paired donors as columns of the design."""
    return fitted(bv.datasets.airway(), "~ cell + dex", n_latent=2).differential_expression("dex", "trt", "untrt")


def donors() -> pd.DataFrame:
    """Paired donors with random intercepts."""
    model = fitted(bv.datasets.airway(), "~ dex", n_latent=2, donor_key="cell")
    return model.differential_expression("dex", "trt", "untrt")


def hidden() -> pd.DataFrame:
    """A batch that the model is not told; latent columns."""
    model = fitted(cohort("bottomly", every=2), "~ strain")
    return model.differential_expression("strain", "DBA/2J", "C57BL/6J")


def total() -> pd.DataFrame:
    """The effect with what the latent state carries."""
    model = fitted(cohort("pasilla", every=2), "~ condition")
    return model.differential_expression("condition", "treated", "untreated", effect="total")


def lengths() -> pd.DataFrame:
    """An offset for each count."""
    adata = cohort("pasilla", every=2)
    rng = np.random.default_rng(0)
    adata.layers["length"] = 1000 * np.exp(rng.normal(0, 0.2, adata.shape))
    model = fitted(adata, "~ library_type + condition", offset_key="length")
    return model.differential_expression("condition", "treated", "untreated", delta=0.5)


def omnibus() -> pd.DataFrame:
    """Any difference between three stages."""
    return fitted(cohort("gse60450_mammary", every=2), "~ cell_type * stage").omnibus_test("stage")


def interaction() -> pd.DataFrame:
    """A contrast by weights."""
    model = fitted(cohort("hammer", every=2), "~ protocol * time")
    names = model.get_design_matrix().columns
    return model.differential_expression(contrast={names[-1]: 1.0})


def calibrate() -> pd.DataFrame:
    """Permuted labels."""
    adata = cohort("schurch_yeast_odd", every=4)
    adata = adata[np.r_[0:5, 24:29]].copy()
    model = fitted(adata, "~ condition")
    report = model.calibrate("condition", "WT", "Snf2", n_permutations=10, progress_bar=False)
    return report.genes


def large() -> pd.DataFrame:
    """A cohort of 85."""
    return fitted(cohort("geuvadis_sex", every=4), "~ sex").differential_expression("sex", "male", "female")


QUESTIONS: dict[str, Callable[[], pd.DataFrame]] = {
    function.__name__: function
    for function in (airway, donors, hidden, total, lengths, omnibus, interaction, calibrate, large)
}


def differences(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """What differs between two tables, a line for each column."""
    if list(one.index) != list(other.index):
        return ["other rows"]
    found = [f"column {name} is in one of them only" for name in one.columns.symmetric_difference(other.columns)]
    for name in one.columns.intersection(other.columns):
        here, there = one[name], other[name]
        if pd.api.types.is_numeric_dtype(here) and pd.api.types.is_numeric_dtype(there):
            unequal = ~np.isclose(here, there, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
            most = float(np.nanmax(np.abs(here - there))) if unequal.any() else 0.0
        else:
            unequal, most = (here.fillna("") != there.fillna("")).to_numpy(), np.nan
        if unequal.any():
            found.append(f"{name}: {int(unequal.sum())} of {len(one)} rows, by at most {most:.3g}")
    return found


def main() -> None:
    """Save tables, or compare two folders of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("save", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("rest", nargs="*", help="the other folder, or names of questions")
    options = parser.parse_args()
    if options.what == "save":
        warnings.simplefilter("ignore")
        options.folder.mkdir(parents=True, exist_ok=True)
        print(bv.__file__)
        for name in options.rest or QUESTIONS:
            QUESTIONS[name]().to_csv(options.folder / f"{name}.csv")
            print(name, flush=True)
        return
    other = Path(options.rest[0])
    for path in sorted(options.folder.glob("*.csv")):
        tables = [
            pd.read_csv(folder / path.name, index_col=0, keep_default_na=False) for folder in (options.folder, other)
        ]
        found = differences(*tables)
        print(f"{path.stem}: {'; '.join(found) or 'equal'}")


if __name__ == "__main__":
    main()
