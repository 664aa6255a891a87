"""Tables of the generative benchmark for the docs."""

import numpy as np
import pandas as pd


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Title -> table; entries are means over the seeds.

    Parameters
    ----------
    rows
        From :func:`benchmarks.generative.rows`.
    """
    part = dict(tuple(rows.groupby("part")))
    held_out, replicated, latent = part["held out"], part["replicated"], part["latent"]
    found = {
        "Settings found for scVI": _search(part["search"], held_out),
        "Log likelihood of held-out counts, per sample and gene": _wide(held_out, "log_likelihood", "{:.4f}"),
        "The same less bulkvi nb: mean (standard error over the splits)": _against(held_out, "bulkvi nb"),
        "ZINB against NB": _inflation(held_out),
        "Held-out counts inside their central 95 % interval, %": _wide(held_out, "inside_95", "{:.1f}", 100),
    }
    for column, (title, form, factor) in REPLICATED.items():
        found[title] = _wide(replicated, column, form, factor)
    found["Known groups: silhouette"] = _wide(latent, "silhouette", "{:.2f}")
    found["Known groups: nearest sample of the same group, %"] = _wide(latent, "nearest", "{:.0f}", 100, chance=True)
    if "batch_silhouette" in latent:
        found["Batches (low is mixed)"] = _batches(latent.dropna(subset=["batch_silhouette"]))
    return found


REPLICATED = {
    "mean_inside": ("Genes whose mean lies in 95 % of the replicates', %", "{:.1f}", 100),
    "variance_inside": ("Genes whose variance lies in 95 % of the replicates', %", "{:.1f}", 100),
    "zeros_inside": ("Genes whose share of zeros lies in 95 % of the replicates', %", "{:.1f}", 100),
    "variance_log2_ratio": ("log2 observed / replicated variance, median gene", "{:+.2f}", 1),
    "cv2_rank_correlation": ("Rank correlation of observed and replicated variance / mean^2", "{:.3f}", 1),
}


def _order(frame: pd.DataFrame, column: str) -> list[str]:
    return list(dict.fromkeys(frame[column]))


def _wide(rows: pd.DataFrame, column: str, form: str, factor: float = 1, *, chance: bool = False) -> pd.DataFrame:
    """Methods x cohorts."""
    means = rows.pivot_table(index="method", columns="cohort", values=column, sort=False, dropna=False) * factor
    means = means.reindex(index=_order(rows, "method"), columns=_order(rows, "cohort"))
    if chance:
        by_chance = rows.groupby("cohort", sort=False)[f"{column}_by_chance"].first() * factor
        means.loc["by chance"] = by_chance.reindex(means.columns)
    text = means.map(lambda value: "" if np.isnan(value) else form.format(value))
    return text.rename_axis(index="model", columns=None)


def _paired(rows: pd.DataFrame, method: str, reference: str) -> pd.Series:
    """Differences of log likelihood by split."""
    score = rows.set_index(["method", "seed"])["log_likelihood"]
    return score[method] - score[reference]


def _mean_and_error(differences: pd.Series) -> str:
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else float("nan")
    return f"{differences.mean():+.4f} ({error:.4f})"


def _against(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    found = {
        cohort: {m: _mean_and_error(_paired(of, m, reference)) for m in _order(of, "method") if m != reference}
        for cohort, of in rows.groupby("cohort", sort=False)
    }
    return pd.DataFrame(found).rename_axis("model")


def _inflation(rows: pd.DataFrame) -> pd.DataFrame:
    """What zero inflation buys, for each family and cohort."""
    lines = {}
    for cohort, of in rows.groupby("cohort", sort=False):
        mean = of.groupby("method")[["zeros", "zeros_expected", "zeros_extra"]].mean() * 100
        for family in ("bulkvi", "scVI"):
            gained = _paired(of, f"{family} zinb", f"{family} nb")
            lines[f"{cohort}, {family}"] = {
                "ZINB - NB, log likelihood per entry (standard error)": _mean_and_error(gained),
                "splits won by ZINB": f"{(gained > 0).sum()} of {len(gained)}",
                "zeros observed, %": f"{mean.loc[f'{family} nb', 'zeros']:.2f}",
                "expected by NB": f"{mean.loc[f'{family} nb', 'zeros_expected']:.2f}",
                "by ZINB": f"{mean.loc[f'{family} zinb', 'zeros_expected']:.2f}",
                "of these inflated": f"{mean.loc[f'{family} zinb', 'zeros_extra']:.2f}",
            }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("cohort")


def _search(tried: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    """Every choice of settings with its best number of epochs on split 0; the epochs on the right are those over all splits."""
    best = tried.loc[tried.groupby(["cohort", "settings"], sort=False)["log_likelihood"].idxmax()]
    chosen = held_out[held_out["method"] == "scVI nb"].groupby("cohort")["epochs"].first()
    table = pd.DataFrame(
        {
            "settings": best["settings"].to_numpy(),
            "epochs": best["epochs"].astype(int).to_numpy(),
            "log likelihood on split 0": best["log_likelihood"].map("{:.4f}".format).to_numpy(),
            "epochs over all splits": "",
        },
        index=pd.Index(best["cohort"], name="cohort"),
    )
    winners = best.groupby("cohort", sort=False)["log_likelihood"].transform("max") == best["log_likelihood"]
    table.loc[winners.to_numpy(), "epochs over all splits"] = [
        str(int(chosen[cohort])) for cohort in best.loc[winners, "cohort"]
    ]
    return table


def _batches(latent: pd.DataFrame) -> pd.DataFrame:
    mean = latent.groupby("method", sort=False)[["batch_silhouette", "batch_nearest", "silhouette", "nearest"]].mean()
    chance = latent["batch_nearest_by_chance"].iloc[0]
    return pd.DataFrame(
        {
            "batches: silhouette": mean["batch_silhouette"].map("{:.2f}".format),
            f"nearest sample of the same batch, % (chance {100 * chance:.0f})": (100 * mean["batch_nearest"]).map(
                "{:.0f}".format
            ),
            "groups: silhouette": mean["silhouette"].map("{:.2f}".format),
            "nearest sample of the same group, %": (100 * mean["nearest"]).map("{:.0f}".format),
        }
    ).rename_axis("model")
