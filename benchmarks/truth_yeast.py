"""Which genes differ between WT and snf2 yeast, by agreement of the peers on all clean odd replicates (22 + 21).

python -m benchmarks.truth_yeast
"""

import numpy as np
import pandas as pd

from benchmarks.calibration_scenarios import MIN_COUNTS, yeast_replicates
from benchmarks.peers import CountData, run_peers

JUDGES = ("deseq2", "edger_ql", "voom")
FDR = 0.05
NULL_P = 0.2
NULL_LOG_FC = 0.15


def consensus() -> pd.DataFrame:
    """Truth by gene: ``status`` and ``log_fc`` (log2, Snf2 over WT).

    - 1, changed: adjusted p < 0.05 in DESeq2, edgeR QL and limma-voom, all with one sign.
    - 0, null: called by none, p > 0.2 in all three, and an effect estimate within 0.15 (log2) of zero.
    - -1, not judged: everything between, and genes that one of the three does not test.

    ``log_fc`` is the median of the three estimates (DESeq2's and voom's unshrunken, edgeR's with its prior count of 0.125),
    NaN where fewer than three answer. The peers are both judges here and judged on subsets: the truth leans to what they
    share.
    """
    wild_type, mutant = yeast_replicates("WT"), yeast_replicates("Snf2")
    counts = pd.concat([wild_type, mutant])
    counts = counts.loc[:, counts.to_numpy().sum(axis=0) >= MIN_COUNTS]
    data = CountData("yeast_all_odd", counts, np.repeat([0, 1], [len(wild_type), len(mutant)]))
    answers = run_peers([data], JUDGES)
    if len(answers) < len(JUDGES):
        raise RuntimeError("The consensus needs DESeq2, edgeR and limma in R, or their cached results.")
    tables = [answers[data.name, judge].table for judge in JUDGES]
    log_fc, p_value, adjusted = (
        np.array([table[column].to_numpy() for table in tables]) for column in ("log_fc", "p_value", "adj_p_value")
    )
    middle = np.median(log_fc, axis=0)  # NaN as soon as one is
    one_sign = (log_fc > 0).all(axis=0) | (log_fc < 0).all(axis=0)
    changed = (adjusted < FDR).all(axis=0) & one_sign
    null = (p_value > NULL_P).all(axis=0) & (np.abs(middle) < NULL_LOG_FC)
    return pd.DataFrame({"log_fc": middle, "status": np.select([changed, null], [1, 0], -1)}, index=counts.columns)


if __name__ == "__main__":
    truth = consensus()
    print(truth["status"].map({1: "changed", 0: "null", -1: "not judged"}).value_counts().to_string())
    print(
        "|log_fc| of changed genes, quartiles:",
        truth.log_fc[truth.status == 1].abs().quantile([0.25, 0.5, 0.75]).round(2).tolist(),
    )
