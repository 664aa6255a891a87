"""One door to all benchmarks.

BULKVI_DATA_DIR=<folder> python -m benchmarks NAME ... [--sets N] [--out FOLDER] [--ours]

Those of the page ``docs/benchmarks.md``; each leaves NAME.md (tables), NAME.csv (their numbers) and NAME.png in ``docs/benchmarks``:

thinning     real counts, known effects thinned in
yeast        Snf2 over WT, judged by all replicates
simulations  the simulator's scenarios, and a small panel without a trend
null         groups that mean nothing
hidden       hidden batches, with surrogate variables
generative   held-out likelihood and intervals, latent space, deep against linear: bulkvi, scVI, ZINB, PCA, NB per gene
reference    a small study without and with a reference cohort (--part: of benchmarks.reference, the others from the cache)
cost         CPU seconds and peak memory

Results are kept in ``benchmarks/.cache`` by data, settings, versions and code: a second run computes nothing. R and its packages
are used where they are, and named where they are not. Measurements behind the pages on the method have doors of their own:
``python -m benchmarks.<calibration | donors | faults | heldout | hidden | hidden_real | sampled_sign | training_cost> --help``.
``python -m benchmarks.generative_peers`` fills the cache with scVI's results for ``generative``, which take most of its time.
"""

import argparse
import logging
from pathlib import Path

import pandas as pd

NAMES = ("thinning", "yeast", "simulations", "null", "hidden", "generative", "reference", "cost")
OURS_ALONE = ("thinning", "yeast", "simulations", "hidden", "generative")
"""Pages whose tables and figures need no more of the other methods than NAME.csv has."""
FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"


def main() -> None:
    """Make the pages asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", metavar="NAME", choices=[*NAMES, "all"])
    parser.add_argument("--sets", type=int, default=None, help="data sets of a cell; each page has its own default")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the results")
    parser.add_argument(
        "--ours",
        action="store_true",
        help=f"run bulkvi alone, the numbers of other methods stay those of NAME.csv ({', '.join(OURS_ALONE)})",
    )
    parser.add_argument("--part", nargs="+", default=None, help="parts of `reference` to compute")
    options = parser.parse_args()

    from benchmarks import pages  # after the arguments: PyTorch takes seconds to load
    from benchmarks.page import write

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for name in NAMES if "all" in options.names else options.names:
        print(f"{name} ...", flush=True)
        earlier = (pd.read_csv(options.out / f"{name}.csv"),) if options.ours and name in OURS_ALONE else ()
        parts = (options.part,) if name == "reference" and options.part else ()
        write(name, getattr(pages, name)(options.sets, *earlier, *parts), options.out)
        print(f"{name}: {options.out / name}.md, .csv, .png", flush=True)


if __name__ == "__main__":
    main()
