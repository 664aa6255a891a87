"""Tables of the generative benchmark for the docs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.generative_whole import WIDTHS

REFERENCE = "bulkvi"
DEEP = "bulkvi, deep"
NARROW, WIDE = "bulkvi, 10 directions at most", "bulkvi, 30 directions at most"
ZINB_AGAINST_NB = {
    "bulkvi's decoder alone": ("bulkvi, decoder alone, ZINB", "bulkvi, decoder alone"),
    "scVI": ("scVI, ZINB", "scVI, best found"),
}
DIFFERENCE = "mean difference over the splits (standard error; number of splits if not all)"


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Title -> table.

    Parameters
    ----------
    rows
        From :func:`benchmarks.generative.rows`.
    """
    part = dict(tuple(rows.groupby("part", sort=False)))
    held_out, latent = part["held out"], part["latent"]
    compared = held_out[~held_out["method"].isin([NARROW, WIDE])]
    found = {
        "Log likelihood per held-out count, the state of a sample inferred from one half of the genes and the other half scored": _wide(
            compared, "completion", "{:.3f}"
        ),
        f"The same less that of bulkvi on the same splits: {DIFFERENCE}": _against(compared, "completion"),
        "Log likelihood per held-out count, the state inferred from all genes": _wide(compared, "fit", "{:.3f}"),
        f"The same less that of bulkvi: {DIFFERENCE}": _against(compared, "fit"),
        "Held-out counts inside their central 95 % interval, %": _wide(compared, "inside_95", "{:.1f}", 100),
        "Held-out counts inside their central 50 % interval, %": _wide(compared, "inside_50", "{:.1f}", 100),
        "ZINB against NB": _inflation(held_out),
        "20 directions more: completed log likelihood with at most 30 directions less that with at most 10": _wider(
            held_out, part.get("deep")
        ),
        "Known groups: silhouette": _latent(latent, "silhouette", "{:.2f}"),
        "Known groups: nearest sample of the same group, %": _latent(latent, "nearest", "{:.0f}", 100, chance=True),
    }
    if "batch_silhouette" in latent and latent["batch_silhouette"].notna().any():
        of_batches = latent[latent["batch_silhouette"].notna()]
        found["Batches: silhouette (low is mixed)"] = _latent(of_batches, "batch_silhouette", "{:.2f}")
        found["Batches: nearest sample of the same batch, %"] = _latent(
            of_batches, "batch_nearest", "{:.0f}", 100, chance=True
        )
    found["Deep against linear: completed log likelihood of held-out counts"] = _deep(held_out, part.get("deep"))
    found["CPU seconds of training, mean over the splits"] = _wide(compared, "train_cpu", "{:.1f}")
    if "search" in part:
        found["Settings found for scVI on the first split of each cohort"] = _search(part["search"])
    return found


def _order(frame: pd.DataFrame, column: str) -> list[str]:
    return list(dict.fromkeys(frame[column]))


def _text(value: float, form: str) -> str:
    return "" if np.isnan(value) else form.format(value)


def _wide(rows: pd.DataFrame, column: str, form: str, factor: float = 1) -> pd.DataFrame:
    """Methods x cohorts, means over the splits."""
    means = rows.pivot_table(index="method", columns="cohort", values=column, sort=False, dropna=False) * factor
    means = means.reindex(index=_order(rows, "method"), columns=_order(rows, "cohort"))
    return means.map(lambda value: _text(value, form)).rename_axis(index="model", columns=None)


def paired(rows: pd.DataFrame, method: str, reference: str, column: str) -> pd.Series:
    """Differences on the splits that both methods have, of one cohort."""
    score = rows.set_index(["method", "seed"])[column]
    if method not in score or reference not in score:
        return pd.Series(dtype=float)
    return (score[method] - score[reference]).dropna()


def mean_and_error(differences: pd.Series, splits: int) -> str:
    """Mean with its standard error, and the number of splits if there are fewer than ``splits``."""
    n = len(differences)
    if n == 0:
        return ""
    error = f"{differences.std(ddof=1) / np.sqrt(n):.3f}" if n > 1 else "-"
    return f"{differences.mean():+.3f} ({error}{f'; {n}' if n < splits else ''})"


def _against(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    methods, splits = [m for m in _order(rows, "method") if m != REFERENCE], rows["seed"].nunique()
    found = {
        cohort: {m: mean_and_error(paired(of, m, REFERENCE, column), splits) for m in methods}
        for cohort, of in rows.groupby("cohort", sort=False)
    }
    return pd.DataFrame(found).rename_axis("model")


def _inflation(rows: pd.DataFrame) -> pd.DataFrame:
    """What zero inflation gains, for each family and cohort."""
    lines = {}
    for cohort, of in rows.groupby("cohort", sort=False):
        for family, (zinb, nb) in ZINB_AGAINST_NB.items():
            gained = paired(of, zinb, nb, "completion")
            if gained.empty:
                continue
            shared = of[of["seed"].isin(gained.index)]
            mean = shared.groupby("method")[["zeros", "zeros_expected"]].mean() * 100
            lines[f"{cohort}, {family}"] = {
                "ZINB - NB, completed log likelihood (standard error)": mean_and_error(gained, len(gained)),
                "splits won by ZINB": f"{(gained > 0).sum()} of {len(gained)}",
                "zeros observed, %": f"{mean.loc[nb, 'zeros']:.2f}",
                "expected by NB, %": f"{mean.loc[nb, 'zeros_expected']:.2f}",
                "expected by ZINB, %": f"{mean.loc[zinb, 'zeros_expected']:.2f}",
            }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("cohort")


def _wider(held_out: pd.DataFrame, simulated: pd.DataFrame | None) -> pd.DataFrame:
    """On cohorts, whose further directions may be real, and on simulated ones, where they are useless."""
    found = {}
    for cohort, of in held_out.groupby("cohort", sort=False):
        found[cohort] = paired(of, WIDE, NARROW, "completion")
    if simulated is not None:
        for (scenario, n), of in simulated.groupby(["cohort", "n"], sort=False):
            found[f"simulated: {scenario}, {n:.0f} samples"] = paired(of, WIDE, NARROW, "completion")
    lines = {name: {DIFFERENCE: mean_and_error(each, len(each))} for name, each in found.items() if len(each)}
    return pd.DataFrame.from_dict(lines, orient="index", columns=[DIFFERENCE]).rename_axis("data")


def _latent(rows: pd.DataFrame, column: str, form: str, factor: float = 1, *, chance: bool = False) -> pd.DataFrame:
    """Methods at their default width and at equal widths x cohorts; in brackets the standard error over trainings."""
    cohorts, lines = _order(rows, "cohort"), {}
    for width in (0, *WIDTHS):
        of_width = rows[rows["dimensions"] == width]
        for method in _order(of_width, "method"):
            of_method = of_width[of_width["method"] == method]
            name = f"{method}, {width} dimensions" if width else f"{method}, all dimensions"
            lines[name] = {
                c: _over_trainings(of_method[of_method["cohort"] == c][column] * factor, form) for c in cohorts
            }
    if chance:
        by_chance = rows.groupby("cohort", sort=False)[f"{column}_by_chance"].first() * factor
        lines["by chance"] = {c: _text(by_chance[c], form) for c in cohorts}
    return pd.DataFrame.from_dict(lines, orient="index", columns=cohorts).rename_axis("model")


def _over_trainings(values: pd.Series, form: str) -> str:
    values = values.dropna()
    if values.empty:
        return ""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return _text(values.mean(), form) + (f" ({form.format(error)})" if form.format(error) != form.format(0.0) else "")


def _deep(held_out: pd.DataFrame, simulated: pd.DataFrame | None) -> pd.DataFrame:
    """Deep less linear on simulated and real data, with what there is to gain and what it costs."""
    lines = {}
    if simulated is not None:
        for (scenario, n), of in simulated.groupby(["cohort", "n"], sort=False):
            lines[f"simulated: {scenario}, {n:.0f} samples"] = _deep_line(of, truth=True)
    for cohort, of in held_out.groupby("cohort", sort=False):
        if DEEP in set(of["method"]):
            lines[cohort] = _deep_line(of, truth=False)
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("data")


def _deep_line(of: pd.DataFrame, *, truth: bool) -> dict[str, str]:
    mean = of.groupby("method")[["completion", "train_cpu"]].mean()
    gained = paired(of, DEEP, REFERENCE, "completion")
    ratio = mean.loc[DEEP, "train_cpu"] / mean.loc[REFERENCE, "train_cpu"]
    return {
        "linear": f"{mean.loc[REFERENCE, 'completion']:.3f}",
        "deep - linear (standard error)": mean_and_error(gained, len(gained)),
        "sets or splits won by deep": f"{(gained > 0).sum()} of {len(gained)}",
        "truth - linear": mean_and_error(paired(of, "truth", REFERENCE, "completion"), 0) if truth else "",
        "training time, deep / linear": f"{ratio:.1f}",
    }


def _search(tried: pd.DataFrame) -> pd.DataFrame:
    """All settings with their best number of epochs."""
    best = tried.loc[tried.groupby(["cohort", "settings"], sort=False)["fit"].idxmax()]
    return pd.DataFrame(
        {
            "settings": best["settings"].to_numpy(),
            "epochs": best["epochs"].astype(int).to_numpy(),
            "log likelihood per count, state from all genes": best["fit"].map("{:.3f}".format).to_numpy(),
        },
        index=pd.Index(best["cohort"], name="cohort"),
    )


def shown_methods(rows: pd.DataFrame) -> Sequence[str]:
    """Methods of the comparison of held-out counts, in order."""
    return [method for method in _order(rows, "method") if method not in (NARROW, WIDE)]
