"""``run.json``: the question, the settings and the findings of a run, for people and for programs."""

import json
import re
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
SEPARATOR: Final = "\x1f"
"""Between the words of an option that takes several and may be given again, which typer's lists do not know."""
WORDS: Final = {"--contrast": 3}
"""Options of that kind, and how many words each takes."""


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
        words: list[str] = []
        for arg in args:
            flag, equals, first = arg.partition("=")
            words += [flag, first] if equals and flag in WORDS else [arg]
        args = words
        _check_words(args)
        return super().parse_args(ctx, _joined(args))


def _words_after(args: list[str], at: int) -> list[str]:
    """What follows an option, up to the next one; a number below zero is no option."""
    words: list[str] = []
    for word in args[at + 1 :]:
        if word.startswith("-") and not re.fullmatch(r"-[\d.]+(e-?\d+)?", word):
            break
        words.append(word)
    return words


def _joined(args: list[str]) -> list[str]:
    """The arguments with the words of an option that takes several as one."""
    joined: list[str] = []
    k = 0
    while k < len(args):
        if args[k] == "--":
            return joined + args[k:]
        joined.append(args[k])
        n = WORDS.get(args[k], 0)
        if n:
            joined.append(SEPARATOR.join(args[k + 1 : k + 1 + n]))
        k += 1 + n
    return joined


def _check_words(args: list[str]) -> None:
    """Name the option that has too few or too many words; the parser would complain of the next one."""
    n_before = next((k for k, word in enumerate(args) if word.startswith("-")), len(args))
    for flag, wanted, remedy in (
        (
            "--contrast",
            3,
            "COLUMN TEST REFERENCE, without 'vs'; words with spaces go in quotes. For the slope of a column of numbers write "
            "--slope COLUMN, for any difference between its levels --omnibus COLUMN",
        ),
        ("--design", 1, "one formula in single quotes, '~ batch + treatment'"),
    ):
        for at in (k for k, word in enumerate(args) if word == flag):
            given = _words_after(args, at)
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
    groups: tuple[str, Any, Any] | None,
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
        Column of ``obs``, test and reference; None for a question that is not about two groups.
    level
        Genes are called where the adjusted p-value is below it.
    terms
        Scored gene sets, if any.
    """
    from bulkvi.names import ADJ_P_VALUE, FLAG, LOG_FC

    compared: dict[str, Any] = {"contrast": None}
    if groups is not None:
        factor, test, reference = groups
        compared = {
            "contrast": {"column": factor, "test": test, "reference": reference},
            "n_samples_compared": {str(group): int((adata.obs[factor] == group).sum()) for group in (test, reference)},
        }
    called = table[table[ADJ_P_VALUE] < level]
    calls = {"all": len(called)}
    if LOG_FC in table:  # an omnibus test has no direction
        up = int((called[LOG_FC] > 0).sum())
        calls |= {"up": up, "down": len(called) - up}
    flags = table.loc[table[FLAG] != "", FLAG].str.split(",").explode().str.strip().value_counts()
    return compared | {
        "n_samples": adata.n_obs,
        "n_genes": adata.n_vars,
        "level": level,
        "calls": calls,
        "flags": {str(flag): int(n) for flag, n in flags.items()},
        "fit": {str(key): value for key, value in table.attrs.items()},
        "enrichment": None if terms is None else {str(key): value for key, value in terms.attrs.items()},
    }


def read_older(path: Path) -> dict[str, Any]:
    """Return what an older run wrote down of itself; nothing if it cannot be read."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        questions = run.get("questions", [])
        whole = isinstance(questions, list) and all(isinstance(entry, dict) for entry in questions)
    except (OSError, ValueError, AttributeError):
        return {}
    return run if whole else {}


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
