"""``run.json``: what was asked, with what, and what came of it, for people and for programs."""

import json
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LIBRARIES: Final = ("anndata", "numpy", "pandas", "scvi-tools", "torch")
COMMAND: Final = "bulkvi.command"


class Remembered(TyperCommand):
    """A command that knows how it was called."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the arguments as they were given."""
        ctx.meta[COMMAND] = shlex.join(["bulkvi", str(ctx.info_name), *args])
        return super().parse_args(ctx, args)


def of_this_run(ctx: typer.Context) -> dict[str, Any]:
    """The command, when it ran, and the versions that it ran with."""
    versions = {"bulkvi": version("bulkvi"), "python": python_version()}
    return {
        "command": ctx.meta[COMMAND],
        "directory": str(Path.cwd()),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": sys.platform,
        "versions": versions | {name: version(name) for name in LIBRARIES},
    }


def of_this_result(
    adata: "AnnData",
    table: "pd.DataFrame",
    groups: tuple[str, Any, Any],
    level: float,
    terms: "pd.DataFrame | None" = None,
) -> dict[str, Any]:
    """What was compared and found.

    Parameters
    ----------
    adata
        Samples x genes.
    table
        Of differential expression.
    groups
        Column of ``obs``, test and reference.
    level
        Genes are called where the adjusted p-value is below it.
    terms
        Scored gene sets, if any.
    """
    from bulkvi.names import ADJ_P_VALUE, FLAG, LOG_FC

    factor, test, reference = groups
    called = table[table[ADJ_P_VALUE] < level]
    up = int((called[LOG_FC] > 0).sum())
    flags = table.loc[table[FLAG] != "", FLAG].str.split(",").explode().str.strip().value_counts()
    return {
        "contrast": {"column": factor, "test": test, "reference": reference},
        "n_samples": adata.n_obs,
        "n_samples_compared": {str(group): int((adata.obs[factor] == group).sum()) for group in (test, reference)},
        "n_genes": adata.n_vars,
        "level": level,
        "calls": {"all": len(called), "up": up, "down": len(called) - up},
        "flags": {str(flag): int(n) for flag, n in flags.items()},
        "fit": {str(key): value for key, value in table.attrs.items()},
        "enrichment": None if terms is None else {str(key): value for key, value in terms.attrs.items()},
    }


def as_json(summary: dict[str, Any]) -> str:
    """Text of a summary; numbers of NumPy as plain ones."""
    return json.dumps(summary, indent=2, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def files_in(folder: Path, names: list[str]) -> list[str]:
    """Files below a folder, of those that a command writes, as relative paths."""
    found = []
    for name in names:
        path = folder / name
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [str(file.relative_to(folder)) for file in inside if file.is_file()]
    return found
