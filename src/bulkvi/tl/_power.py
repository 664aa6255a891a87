"""What a future study of another size is expected to find."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd
from rich.progress import track
from scipy.stats import norm

from bulkvi import power_names as names
from bulkvi.arguments import check_interval, check_number, check_whole
from bulkvi.regression.fit import GeneFit
from bulkvi.regression.simulate import draw_truth
from bulkvi.regression.simulate_study import LN2, Plan, analyse, draw_study, plan_study
from bulkvi.stats.effects.effect import benjamini_hochberg
from bulkvi.study.groups import gene_positions

INTERVAL = 0.95
COPIES = 40
"""Draws of each named gene in a study: the error of a chance of one half is .08 in one study, and .025 in ten."""
MAX_COPIES = 400
"""Of all named genes together: they must not be many among the genes that the priors are learned from."""


class FittedModel(Protocol):
    """A model with its fit."""

    def gene_fit(self) -> GeneFit:
        """Regressions of all genes."""


class Job(NamedTuple):
    """One study to simulate and analyse."""

    plan: Plan
    n: int
    draw: int
    seed: int
    named: np.ndarray
    """Positions of the named genes."""
    alpha: float
    delta: float
    """Natural log."""


def power(
    model: FittedModel,
    groupby: str,
    group1: Any,
    group2: Any,
    n: int | Sequence[int] = (3, 5, 10),
    *,
    genes: Sequence[str] = (),
    alpha: float = 0.05,
    delta: float = 0.5,
    depth: float = 1.0,
    latent_columns: int | Literal["auto"] = "auto",
    level: float = 0.8,
    n_draws: int = 10,
    seed: int = 0,
    n_jobs: int = 1,
    progress_bar: bool = True,
) -> pd.DataFrame:
    r"""Predict what a future study finds, by its number of samples. How many replicates are needed?

    The samples of the model are the pilot. Future studies are drawn from its posterior (:meth:`bulkvi.BulkVI.simulate`) and each is
    analysed as :meth:`bulkvi.BulkVI.differential_expression` does by default: outliers, dispersions, hidden factors and shared noise
    are estimated from the new counts. Only the network is not trained again: the leading directions of the samples' log rates are in
    the place of those that it decodes. Each draw has its own truth, the same at all n; what varies over the draws is what the pilot
    leaves open, and chance in the future study.

    Ranges are between order statistics of the draws, such that a new draw is within with probability ``level``.

    Parameters
    ----------
    model
        A :class:`bulkvi.BulkVI` with the pilot; trained, unless it has too few samples for latent columns (four against
        four has enough).
    groupby
        Column of ``obs`` in the design, not a slope.
    group1, group2
        Levels of that column.
    n
        Samples in each group of the future study, or several such numbers; at least 2.
    genes
        Genes of interest, by name: their chance to be called.
    alpha
        Genes are called at ``adj_p_value < alpha``.
    delta
        Absolute effect, log2, above which a gene counts as changed in the quantities ``power`` and ``changed``. Tests remain those of
        no effect.
    depth
        Factor on the size factors, relative to the pilot.
    latent_columns
        As in :meth:`bulkvi.BulkVI.differential_expression`, in the pilot and in future studies.
    level
        Probability of the ranges.
    n_draws
        Number of future studies of each size; at least ``2 / (1 - level) - 1``, 9 by default.
    seed
        Seed of the draws; the caller's random state does not change.
    n_jobs
        Number of threads.
    progress_bar
        Whether to show progress.

    Returns
    -------
    One row for each number of samples and quantity: ``n_per_group``, ``quantity``, ``gene`` (empty for quantities of all genes),
    ``expected``, ``low``, ``high``. Quantities are

    ``power``
        Share of the genes changed by more than ``delta`` that are called; 0 if there are none.
    ``power_any``
        Share of all changed genes that are called. How many changes are too small to be found is hardly known: prefer ``power``.
    ``calls``, ``false_calls``, ``false_share``
        Number of genes called, those of them that are not changed, and their share.
    ``interval_width``
        Width of the 95 % interval of ``log_fc_mle``, log2, of the median gene.
    ``changed``
        Number of genes changed by more than ``delta``.
    ``chance``
        For each of ``genes``: the probability that it is called, its own effect as uncertain as the pilot leaves it.

    ``attrs["power"]`` holds the arguments and the contrast.

    Raises
    ------
    KeyError
        If ``groupby`` or a gene does not exist.
    TypeError
        If ``model`` is no model, or an argument that must be a number is not one.
    ValueError
        If a number is out of range, a group has no samples, ``groupby`` is not in the design or is a slope, the model has a
        ``donor_key``, or no residual degrees of freedom are left in the pilot or a future study.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=3, n_genes=300)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    >>> table = bv.tl.power(bv.BulkVI(adata), "group", "B", "A", n=[3, 6], genes=["gene001"], progress_bar=False)
    >>> table.loc[table["quantity"] == "chance", ["n_per_group", "gene"]].to_numpy().tolist()
    [[3, 'gene001'], [6, 'gene001']]
    """
    if not hasattr(model, "gene_fit"):
        raise TypeError(f"model must be a BulkVI model with a pilot study; it is of type {type(model).__name__}.")
    sizes = check_sizes(n)
    check_number("alpha", alpha, above=0, below=1)
    check_number("delta", delta, least=0)
    check_interval(level)
    check_whole("n_draws", n_draws, least=int(np.ceil(round(2 / (1 - level) - 1, 9))))
    check_whole("seed", seed, least=0)
    check_whole("n_jobs", n_jobs, least=1)
    fit = model.gene_fit()
    named = gene_positions("genes", genes, fit.study.genes)
    plan = plan_study(fit, groupby, group1, group2, latent_columns=latent_columns, depth=depth)
    jobs = [
        Job(plan, size, draw, int(seed), named, alpha, delta * LN2) for draw in range(int(n_draws)) for size in sizes
    ]
    steps = track(
        _in_threads(found_in, jobs, n_jobs), "Future studies", total=len(jobs), disable=not progress_bar, transient=True
    )
    values = np.stack(list(steps)).reshape(int(n_draws), len(sizes), -1)
    label = [(quantity, "") for quantity in names.QUANTITIES if quantity != names.CHANCE]
    label += [(names.CHANCE, str(gene)) for gene in genes]
    table = _summarise(values, sizes, label, level)
    table.attrs[names.SETTINGS] = {
        "contrast": plan.compared.label,
        "alpha": float(alpha),
        "delta": float(delta),
        "depth": float(depth),
        "level": float(level),
        "n_draws": int(n_draws),
        "seed": int(seed),
        "pilot": [int(group.size) for group in plan.groups],
    }
    return table


def check_sizes(n: Any) -> list[int]:
    """Numbers of samples per group, ascending; raise TypeError or ValueError unless they are whole and at least 2."""
    given = [n] if np.ndim(n) == 0 else list(n)
    if not given:
        raise ValueError("n is empty: give the number of samples per group of a future study, or several numbers.")
    for size in given:
        check_whole("n", size, least=2)
    return sorted({int(size) for size in given})


def found_in(job: Job) -> np.ndarray:
    """Simulate a study, analyse it, and return the quantities of all genes and the chance of each named gene."""
    plan, n_genes = job.plan, len(job.plan.study.genes)
    copies = min(COPIES, max(MAX_COPIES // max(job.named.size, 1), 1))
    position = np.concatenate([np.arange(n_genes), np.repeat(job.named, copies)])
    # the truth does not depend on n, and a study of one size not on the other sizes
    truth = draw_truth(plan.pilot, np.random.default_rng([job.seed, job.draw]), position)
    labels = pd.Index(range(position.size)).astype(str)
    adata = draw_study(plan, truth, (job.n, job.n), np.random.default_rng([job.seed, job.draw, job.n]), labels)
    summary = analyse(plan, adata)
    tested = (np.asarray(adata.X).max(0) > 0)[:n_genes]
    p_value = np.where(tested, summary.p_value[:n_genes], np.nan)
    called = benjamini_hochberg(p_value) < job.alpha
    size = np.abs(truth.effect[:n_genes])
    large = size > job.delta
    n_called, n_false = int(called.sum()), int((called & (size == 0)).sum())
    width = 2 * norm.isf((1 - INTERVAL) / 2) * summary.se[:n_genes] / LN2
    found = {
        names.POWER: called[large].sum() / max(int(large.sum()), 1),
        names.POWER_ANY: called[size > 0].sum() / max(int((size > 0).sum()), 1),
        names.CALLS: n_called,
        names.FALSE_CALLS: n_false,
        names.FALSE_SHARE: n_false / max(n_called, 1),
        names.INTERVAL_WIDTH: float(np.median(width)),
        names.CHANGED: int(large.sum()),
    }
    # a copy is called if it were among the genes: at the p-value that the calls of the study reach, or one call more would
    limit = job.alpha * max(n_called, 1) / max(int(tested.sum()), 1)
    chance = (summary.p_value[n_genes:] < limit).reshape(job.named.size, copies).mean(1)
    return np.concatenate([list(found.values()), chance])


def _in_threads(work: Callable[[Job], np.ndarray], jobs: list[Job], n_jobs: int) -> Iterator[np.ndarray]:
    """Results in order. Compiled loops and most of numpy let other threads run."""
    if n_jobs == 1:
        yield from map(work, jobs)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        yield from pool.map(work, jobs)


def _summarise(values: np.ndarray, sizes: list[int], label: list[tuple[str, str]], level: float) -> pd.DataFrame:
    """Tabulate means and ranges of draws x sizes x quantities.

    Of S draws a new one is below the k-th smallest with probability k / (S + 1), whatever their distribution (Weibull's plotting
    positions).
    """
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    rows = [
        (size, *which, values[:, i, j].mean(), low[i, j], high[i, j])
        for i, size in enumerate(sizes)
        for j, which in enumerate(label)
    ]
    columns = [names.N_PER_GROUP, names.QUANTITY, names.GENE, names.EXPECTED, names.LOW, names.HIGH]
    return pd.DataFrame(rows, columns=columns)
