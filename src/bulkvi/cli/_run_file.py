"""``run.json``: the question, the settings and the findings of a run, for people and for programs."""

import json
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any, Final

import typer

from bulkvi.cli._command import Command

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LIBRARIES: Final = ("anndata", "numpy", "pandas", "scvi-tools", "torch")
COMMAND: Final = "bulkvi.command"


class Remembered(Command):
    """A command that keeps how it was called."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the arguments as they were given.

        Raises
        ------
        typer.BadParameter
            If a design lacks its quotes, or a contrast does not have three words.
        """
        ctx.meta[COMMAND] = shlex.join(["bulkvi", str(ctx.info_name), *args])
        _check_words(args)
        return super().parse_args(ctx, args)


def _check_words(args: list[str]) -> None:
    """Name the option that has too few or too many words; the parser would complain of the next one."""
    n_before = next((k for k, word in enumerate(args) if word.startswith("-")), len(args))
    for flag, wanted, remedy in (
        ("--contrast", 3, "COLUMN TEST REFERENCE, without 'vs'; words with spaces go in quotes"),
        ("--design", 1, "one formula in single quotes, '~ batch + treatment'"),
    ):
        if flag not in args:
            continue
        after = args[args.index(flag) + 1 :]
        given = after[: next((k for k, word in enumerate(after) if word.startswith("-")), len(after))]
        # COUNTS and SAMPLES may stand behind the options
        if len(given) < wanted or n_before == 2 and len(given) > wanted:
            raise typer.BadParameter(f"{flag} takes {remedy}. Given: {shlex.join(given) or 'nothing'}.")


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
    """Text of a summary; numbers of NumPy as plain ones, and those that are missing or infinite, unknown to JSON, as null."""
    return json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    import pandas as pd

    if hasattr(value, "tolist"):
        value = value.tolist()
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float():
            return value if isfinite(value) else None
        case str() | int() | None:
            return value
        case _:
            return None if pd.isna(value) is True else str(value)
