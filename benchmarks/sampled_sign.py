"""What drawing the latent state alone says about null genes: the share of genes whose sign it is sure of.

``python -m benchmarks.sampled_sign`` prints the table of ``docs/method/model.md``.
"""

import numpy as np
import torch
from scipy.special import logsumexp

import bulkvi

ROUNDING = 1e-5
"""Natural log, of rates in single precision."""


def sure_share(n_per_group: int, *, design: str | None, seed: int, n_draws: int = 400) -> float:
    """Share of genes without any difference whose sampled sign probability is above 0.975 either way.

    5 % would be right. The fold change of a draw is that of ``log_fc_decoded`` with the latent state drawn.
    """
    adata = bulkvi.datasets.simulate(n_per_group=n_per_group, n_genes=3000, de_share=0.0, seed=seed)
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
    model = bulkvi.BulkVI(adata, n_latent=2)
    model.train(progress_bar=False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # the decoder's own rates: those of the model's method are of the last layer, whose coefficients are drawn too
        rates = model._decoded_expression(adata, np.arange(adata.n_obs), np.arange(adata.n_vars), n_samples=n_draws)
    draws = np.log(rates)
    in_b = (adata.obs["group"] == "B").to_numpy()
    fold_change = logsumexp(draws[:, in_b], axis=1) - logsumexp(draws[:, ~in_b], axis=1)
    # without a supported direction the state changes nothing: differences are rounding errors, of no sign
    up, down = ((sign * fold_change > ROUNDING).mean(0) for sign in (1, -1))
    return float((np.maximum(up, down) > 0.975).mean())


def main() -> None:
    """Print the table."""
    print("| samples per group | group in the design | null genes with a sign probability > 0.975 (3 seeds) |")
    print("| --- | --- | --- |")
    for n_per_group in (3, 5, 10):
        for design in (None, "~ group"):
            shares = [sure_share(n_per_group, design=design, seed=seed) for seed in range(3)]
            print(f"| {n_per_group} | {'yes' if design else 'no'} | {min(shares):.0%} - {max(shares):.0%} |")


if __name__ == "__main__":
    main()
