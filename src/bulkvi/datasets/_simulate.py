"""Negative binomial cohorts with known truth."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.random import SeedSequence, default_rng

from bulkvi import names
from bulkvi.datasets import _draws as draws
from bulkvi.datasets._draws import TRENDS, EffectDistribution, TrendName

HiddenKind = Literal["binary", "continuous"]

_LARGEST_COUNT: Final = 1e9
"""Upper limit of expected counts, which are stored as 32-bit integers."""


def simulate(
    *,
    n_per_group: int | tuple[int, int] = 5,
    n_genes: int = 6000,
    de_share: float = 0.1,
    effect_distribution: EffectDistribution = "normal",
    effect_sd: float = 1.0,
    up_share: float = 0.5,
    n_batches: int = 1,
    batch_share: float = 0.3,
    batch_sd: float = 1.0,
    batch_correlation: float = 0.0,
    n_hidden: int = 0,
    hidden_kind: HiddenKind = "binary",
    hidden_share: float = 0.3,
    hidden_sd: float = 1.0,
    hidden_correlation: float = 0.0,
    hidden_balance: float = 0.5,
    outlier_share: float = 0.0,
    outlier_factor: float = 10.0,
    depth_spread: float = 2.0,
    depth_factor: float = 1.0,
    trend: TrendName = "yeast",
    seed: int = 0,
) -> AnnData:
    r"""Simulate counts of two groups, A and B, with known effects.

    Counts are negative binomial with

    .. math::
        \log_2 \mathrm{rate}_{ng} = \log_2 \mathrm{base}_g + [n \in B]\,\mathrm{effect}_g
        + \mathrm{batch}_{g,b(n)} + \sum_k z_{nk} \mathrm{loading}_{gk},
        \quad x_{ng} \sim \mathrm{NB}(\mathrm{depth}_n \, \mathrm{rate}_{ng}, \alpha_g),

    variance :math:`m + \alpha_g m^2` at mean :math:`m`. Base means and dispersions follow a trend fitted to real data
    (``benchmarks/fit_simulation_trend.py``). Effects, batches, hidden factors, depths and counts have separate random
    streams, so that changing one option does not change the truth of the others.

    Parameters
    ----------
    n_per_group
        Samples in each group, or in (A, B); at least 2 each.
    n_genes
        Number of genes.
    de_share
        Share of genes that differ between the groups; the number is rounded.
    effect_distribution
        Distribution of the effects of changed genes: normal, or Student's t with 3 degrees of freedom (some large ones).
    effect_sd
        Standard deviation of these effects, log2, for either shape.
    up_share
        Share of changed genes that are higher in B; 1 makes all changes one-sided, which changes the composition.
    n_batches
        Number of known batches.
    batch_share, hidden_share
        Share of genes that the batches, or each hidden factor, change.
    batch_sd
        Standard deviation over these genes of the log2 fold change between any two batches.
    batch_correlation
        Correlation of the batch number with the group, up to rounding to whole samples; 0 balances the batches.
    n_hidden
        Number of hidden factors.
    hidden_kind
        ``"binary"`` (-0.5 and 0.5, such as an unrecorded batch) or ``"continuous"`` (mean 0, sd 1, such as RNA quality).
    hidden_sd
        Standard deviation over the changed genes of the log2 fold change per unit of a hidden factor, which is the step
        between the levels of a binary one.
    hidden_correlation
        Correlation of each hidden factor with the group; exact if continuous, up to rounding to whole samples if binary (0.3
        with 5 + 5 samples gives 0.2).
    hidden_balance
        Share of samples at the upper level of a binary factor.
    outlier_share, outlier_factor
        Share of genes in each sample whose count is multiplied, and the factor; products are rounded, zeros stay zero.
    depth_spread
        Largest depth over smallest depth, exact; log depths are uniform.
    depth_factor
        Geometric mean of the depths; 1 is the depth of the data of the trend, 0.01 a very shallow run.
    trend
        ``"yeast"`` (wild-type *S. cerevisiae*), ``"gse60450"`` (mouse mammary cells; many weak genes) or
        ``"geuvadis"`` (a human cohort; large dispersions, weak genes filtered out).
    seed
        The same seed and options give the same data (with the same version of NumPy).

    Returns
    -------
    AnnData, samples x genes, ``X`` of dense 32-bit integers. Genes without any count are kept.

    - ``obs``: ``group`` (A, B), ``batch`` (b1, ...), ``true_depth`` (factor of every rate), ``true_hidden_0``, ...
    - ``var``: ``true_log_fc`` (log2, B over A, 0 where unchanged), ``true_base_mean`` (expected count at depth 1 in
      group A, without batch and hidden factors), ``true_dispersion``
    - ``varm``: ``true_batch_effect`` (with 2 or more batches; log2, genes x batches, rows sum to zero),
      ``true_hidden_loading`` (with hidden factors; log2, genes x factors)
    - ``layers``: ``true_outlier``, True where a count was multiplied (with outliers)
    - ``uns["simulation"]``: the arguments

    Raises
    ------
    ValueError
        An argument is out of its range, a correlation cannot be reached with the given shares, a batch has no
        samples, or expected counts exceed 1e9.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=500, n_hidden=1, hidden_correlation=0.3, seed=1)
    >>> adata.shape
    (8, 500)
    >>> int((adata.var["true_log_fc"] != 0).sum())
    50
    """
    arguments = dict(locals())
    n_a, n_b = _check(arguments)
    group = np.repeat([0, 1], [n_a, n_b])
    n_samples = group.size
    mean_stream, dispersion_stream, effect_stream, batch_stream, hidden_stream, depth_stream, count_stream = (
        SeedSequence(seed).spawn(7)
    )

    base_mean = TRENDS[trend].draw_base_mean(n_genes, default_rng(mean_stream))
    dispersion = TRENDS[trend].draw_dispersion(base_mean, default_rng(dispersion_stream))
    log_fc = draws.draw_effects(n_genes, de_share, up_share, effect_distribution, effect_sd, default_rng(effect_stream))

    rng_level, rng_loading = map(default_rng, batch_stream.spawn(2))
    even = np.full(n_batches, 1 / n_batches)
    batch = draws.draw_levels(group, even, batch_correlation, "batch_correlation", rng_level)
    if np.unique(batch).size < n_batches:
        raise ValueError(
            f"`n_batches` = {n_batches} leaves a batch without samples at {n_a} + {n_b} samples and "
            f"`batch_correlation` = {batch_correlation}: choose fewer batches, more samples or a smaller correlation."
        )
    # Two independent effects of variance sd^2 / 2 differ by sd; centring does not change their difference.
    batch_effect = draws.draw_loadings(n_genes, n_batches, batch_share, batch_sd / np.sqrt(2), rng_loading)
    batch_effect -= batch_effect.mean(axis=1, keepdims=True)

    hidden = np.empty((n_samples, n_hidden))
    loading = np.empty((n_genes, n_hidden))
    for k, stream in enumerate(hidden_stream.spawn(n_hidden)):
        rng_level, rng_loading = map(default_rng, stream.spawn(2))
        loading[:, [k]] = draws.draw_loadings(n_genes, 1, hidden_share, hidden_sd, rng_loading)
        if hidden_kind == "binary":
            shares = np.array([1 - hidden_balance, hidden_balance])
            hidden[:, k] = draws.draw_levels(group, shares, hidden_correlation, "hidden_correlation", rng_level) - 0.5
        else:
            hidden[:, k] = draws.draw_continuous(group, hidden_correlation, rng_level)

    log_depth = default_rng(depth_stream).random(n_samples)
    log_depth = (log_depth - log_depth.min()) / np.ptp(log_depth) * np.log(depth_spread)
    depth = depth_factor * np.exp(log_depth - log_depth.mean())

    counts = np.empty((n_samples, n_genes), dtype=np.int32)
    outlier = np.zeros((n_samples, n_genes if outlier_share > 0 else 0), dtype=bool)
    n_outliers = round(outlier_share * n_genes)
    # One stream per sample: memory for one row only, and the noise of a sample does not depend on their number.
    for n, stream in enumerate(count_stream.spawn(n_samples)):
        rng = default_rng(stream)
        # The gamma draws do not depend on the means, so options that change means keep this noise.
        noise = dispersion * rng.standard_gamma(1 / dispersion)
        log2_fold = group[n] * log_fc + batch_effect[:, batch[n]] + loading @ hidden[n]
        mean = depth[n] * base_mean * np.exp2(log2_fold) * noise
        if not mean.max() * max(outlier_factor, 1) < _LARGEST_COUNT:
            raise ValueError(
                f"Expected counts reach {mean.max():.3g}; below {_LARGEST_COUNT:.0e} (outliers included) is possible: "
                "lower `effect_sd`, `batch_sd`, `hidden_sd`, `outlier_factor` or `depth_factor`."
            )
        counts[n] = rng.poisson(mean)
        if n_outliers:
            hit = rng.choice(n_genes, n_outliers, replace=False)
            outlier[n, hit] = True
            counts[n, hit] = np.rint(counts[n, hit] * outlier_factor)

    batch_names = [f"b{k + 1}" for k in range(n_batches)]
    obs = pd.DataFrame(
        {
            names.GROUP: pd.Categorical.from_codes(group, ["A", "B"]),
            names.BATCH: pd.Categorical.from_codes(batch, batch_names),
            "true_depth": depth,
            **{f"true_hidden_{k}": hidden[:, k] for k in range(n_hidden)},
        },
        index=[f"{letter}{i + 1:0{len(str(n))}d}" for letter, n in (("A", n_a), ("B", n_b)) for i in range(n)],
    )
    var = pd.DataFrame(
        {"true_log_fc": log_fc, "true_base_mean": base_mean, "true_dispersion": dispersion},
        index=[f"gene{g + 1:0{len(str(n_genes))}d}" for g in range(n_genes)],
    )
    adata = AnnData(counts, obs=obs, var=var, uns={"simulation": arguments | {"n_per_group": np.array([n_a, n_b])}})
    if n_batches > 1:
        adata.varm["true_batch_effect"] = batch_effect
    if n_hidden > 0:
        adata.varm["true_hidden_loading"] = loading
    if outlier_share > 0:
        adata.layers["true_outlier"] = outlier
    return adata


def _check(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Raise if an argument is out of its range, else return the sizes of the two groups."""

    def require(ok: bool, name: str, allowed: str) -> None:  # noqa: FBT001
        if not ok:
            raise ValueError(f"`{name}` = {arguments[name]!r}; it must be {allowed}.")

    for name, kind in (("effect_distribution", EffectDistribution), ("hidden_kind", HiddenKind), ("trend", TrendName)):
        choices = get_args(kind)
        require(arguments[name] in choices, name, "one of " + ", ".join(map(repr, choices)))
    for name, lowest in (("n_genes", 1), ("n_batches", 1), ("n_hidden", 0), ("seed", 0)):
        require(_is_whole(arguments[name]) and arguments[name] >= lowest, name, f"a whole number, {lowest} or more")
    for name in ("de_share", "up_share", "batch_share", "hidden_share", "outlier_share"):
        require(0 <= arguments[name] <= 1, name, "a share between 0 and 1")
    for name in ("effect_sd", "batch_sd", "hidden_sd", "outlier_factor", "depth_factor"):
        require(0 < arguments[name] < np.inf, name, "a positive number")
    for name in ("batch_correlation", "hidden_correlation"):
        require(-1 <= arguments[name] <= 1, name, "a correlation between -1 and 1")
    require(0 < arguments["hidden_balance"] < 1, "hidden_balance", "a share above 0 and below 1")
    require(1 <= arguments["depth_spread"] < np.inf, "depth_spread", "a ratio of 1 or more")
    sizes = arguments["n_per_group"]
    pair = (sizes, sizes) if _is_whole(sizes) else tuple(sizes) if isinstance(sizes, tuple | list) else ()
    ok = len(pair) == 2 and all(_is_whole(n) and n >= 2 for n in pair)
    require(ok, "n_per_group", "a whole number of 2 or more, or a pair of them for groups A and B")
    return pair[0], pair[1]


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
