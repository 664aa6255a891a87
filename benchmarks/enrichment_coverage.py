"""Does the interval of a pathway's score hold the score of the true effects?

Run ``python -m benchmarks.enrichment_coverage``: simulated effects with a known prior, no network, half a minute. The true score of
a set is that of the true effects over the posterior standard deviations of the table: by ``"ulm"`` the slope over the standard error of the point
estimate, by ``"ora"`` the log2 odds ratio of as many genes with the largest true effects as were called.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm

from bulkvi.stats.effects.effect import benjamini_hochberg
from bulkvi.tl import enrichment
from bulkvi.tl._scored_sets import log2_odds

N_GENES = 2_000
N_SETS = 40
N_WORLDS = 4
N_STUDIES = 30
SHARE_CHANGED = 0.15
LARGE = 1.5
"""Log2 odds ratio, absolute."""


def posterior(estimate: np.ndarray, se: np.ndarray, scale: float) -> pd.DataFrame:
    """The table of a study under a point mass at zero and a normal prior of this scale."""
    density = norm.pdf(estimate, 0, se), norm.pdf(estimate, 0, np.hypot(se, scale))
    zero = 1 / (1 + SHARE_CHANGED * density[1] / ((1 - SHARE_CHANGED) * density[0]))
    shrunk = scale**2 / (scale**2 + se**2)
    mean, sd = estimate * shrunk, se * np.sqrt(shrunk)
    p_value = 2 * norm.sf(np.abs(estimate / se))
    return pd.DataFrame(
        {
            "log_fc": (1 - zero) * mean,
            "log_fc_sd": np.sqrt((1 - zero) * (mean**2 + sd**2) - ((1 - zero) * mean) ** 2),
            "lfsr": zero + (1 - zero) * norm.cdf(-np.abs(mean) / sd),
            "p_value": p_value,
            "adj_p_value": benjamini_hochberg(p_value),
        },
        index=[f"g{i}" for i in range(estimate.size)],
    )


def true_slopes(truth: np.ndarray, score: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Slope of the true scores on each set over the standard error of the slope of the scores."""
    centred = member - member.mean(0)
    square = (centred**2).sum(0)
    slope = centred.T @ score / square
    residual = ((score - score.mean()) ** 2).sum() - slope**2 * square
    return (centred.T @ truth / square) / np.sqrt(residual / (score.size - 2) / square)


def main() -> None:
    rng = np.random.default_rng(1)
    covered: dict[str, list[np.ndarray]] = {"ulm": [], "ora": []}
    too_large = []
    for _ in range(N_WORLDS):
        member = (rng.random((N_GENES, N_SETS)) < 0.02).astype(float)
        enriched = rng.normal(0, 0.6, N_SETS) * (rng.random(N_SETS) < 0.5)
        present = rng.random(N_GENES) < SHARE_CHANGED
        effect = present * (rng.normal(0, 1, N_GENES) + member @ enriched)
        se = rng.uniform(0.1, 0.6, N_GENES)
        for _ in range(N_STUDIES):
            de = posterior(effect + se * rng.standard_normal(N_GENES), se, float(effect[present].std()))
            sets = {f"{i}": de.index[member[:, i] > 0].tolist() for i in range(N_SETS)}
            truth = effect / de["log_fc_sd"].to_numpy()
            true = true_slopes(truth, (de["log_fc"] / de["log_fc_sd"]).to_numpy(), member)
            table = enrichment(de, sets, "ulm").set_index("term").loc[list(sets)]
            covered["ulm"].append((table["score_low"] <= true) & (true <= table["score_high"]))
            n_called = int(((de["adj_p_value"] < 0.05) & (de["log_fc"] > 0)).sum())
            first = np.argsort(-truth)[:n_called]
            listed = np.zeros(N_GENES)
            listed[first[truth[first] > 0]] = 1
            true = log2_odds(member.T @ listed, member.sum(0), listed.sum(), N_GENES)
            table = enrichment(de, sets, "ora").query("direction == 'up'").set_index("term").loc[list(sets)]
            covered["ora"].append((table["score_low"] <= true) & (true <= table["score_high"]))
            score = table["score"].to_numpy()
            too_large.append((np.sign(score) * (score - true))[np.abs(score) > LARGE])
    for method, inside in covered.items():
        print(
            f"{method}: the interval holds the true score of {100 * np.mean(np.concatenate(inside)):.1f} % of the sets"
        )
    print(f"ora, scores beyond {LARGE}: too large by {np.mean(np.concatenate(too_large)):.2f} in the mean")


if __name__ == "__main__":
    main()
