"""Names of samples in the counts paired with those of the sample sheet, with an explanation if they do not match."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Final, Literal, get_args

import pandas as pd

from bulkvi.arguments import warn_user

Match = Literal["exact", "case", "r_names", "file_names", "affix", "numbers", "prefix", "letters"]
SamplesIn = Literal["columns", "rows"]
Pairs = dict[str, str]
"""Name in the counts by name in the sample sheet."""

N_SHOWN: Final = 5
ENDINGS: Final = re.compile(
    r"([._-]?(ReadsPerGene\.out\.tab|Aligned\.(sortedByCoord\.)?out|sorted|dedup|markdup|quant(\.sf)?|htseq|counts?|"
    r"genes\.results|bam|sam|cram|sf|tsv|csv|txt|out|tab|tabular|featureCounts|h5|gz|bz2))+$",
    re.IGNORECASE,
)
R_RESERVED: Final = frozenset("if else repeat while function for next break TRUE FALSE NULL Inf NaN NA in".split())


def r_name(name: str) -> str:
    """Change a name as R's ``make.names`` does, which ``read.table`` applies to column names."""
    changed = re.sub(r"[^\w.]", ".", name)
    if not re.match(r"[^\W\d_]|\.(?!\d)", changed):
        changed = f"X{changed}"
    return f"{changed}." if changed in R_RESERVED else changed


def file_name(name: str) -> str:
    """Return the last part of a path, without the endings that aligners and counting tools add."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return ENDINGS.sub("", last) or last


def letters(name: str) -> str:
    """Return the letters and digits of a file name in lower case."""
    return re.sub(r"[\W_]", "", file_name(name)).lower()


def numbers(name: str) -> str:
    """Remove leading zeros of numbers, and a ``.0`` at the end, which spreadsheets may add or remove."""
    return re.sub(r"\d+", lambda digits: str(int(digits[0])), re.sub(r"(?<=\d)\.0+$", "", name))


def _by_key(key: Callable[[str], str]) -> Callable[[Sequence[str], Sequence[str]], Pairs]:
    def pairs(given: Sequence[str], wanted: Sequence[str]) -> Pairs:
        known, sought = (pd.Series(names, index=map(key, names)) for names in (given, wanted))
        known, sought = (names[~names.index.duplicated(keep=False)] for names in (known, sought))
        return {name: known[short] for short, name in sought.items() if short in known.index}

    return pairs


def _by_affix(given: Sequence[str], wanted: Sequence[str]) -> Pairs:
    """Pair names that differ by the same text before and after all names of the counts, or of the sheet."""
    known = set(given)
    for name in filter(None, given):
        before, found, after = name.partition(wanted[0])
        longer = {short: f"{before}{short}{after}" for short in wanted}
        if found and known.issuperset(longer.values()):
            return longer
        before, found, after = wanted[0].partition(name)
        if found and all(long.startswith(before) and long.endswith(after) for long in wanted):
            shorter = {long: long[len(before) : len(long) - len(after)] for long in wanted}
            if known.issuperset(shorter.values()):
                return shorter
    return {}


def _may_end(longer: str, at: int) -> bool:
    """Whether a shorter name may end before this position: ``s1`` is a prefix of ``s1_L001`` and ``s1A``, not of ``s10``."""
    before, after = longer[at - 1], longer[at]
    return not after.isalnum() or (before.isdigit() and after.isalpha())


def prefix_matches(given: Sequence[str], wanted: Sequence[str]) -> dict[str, list[str]]:
    """Return the names in the counts that begin with each name of the sheet; if there are none, its longest prefix among them."""
    present = set(filter(None, given))
    known = sorted(present)
    longer: dict[str, list[str]] = {}
    for name in filter(None, wanted):
        fit = []
        for other in known[bisect_left(known, name) :]:
            if not other.startswith(name):
                break
            if other == name or _may_end(other, len(name)):
                fit.append(other)
        longer[name] = [name] if name in fit else fit
    shorter = {
        name: [
            name[:k] for k in range(len(name), 0, -1) if name[:k] in present and (k == len(name) or _may_end(name, k))
        ]
        for name in wanted
        if not longer.get(name)
    }
    return {name: longer.get(name) or shorter.get(name, [])[:1] for name in wanted}


def _by_prefix(given: Sequence[str], wanted: Sequence[str]) -> Pairs:
    """Pair names of which one is a prefix of the other only; if that fails, ignore punctuation and capitals."""
    pairs = _unique(prefix_matches(given, wanted))
    if len(pairs) == len(wanted):
        return pairs
    short, sought = ({_plain_marks(name): name for name in names} for names in (given, wanted))
    if len(short) < len(given) or len(sought) < len(wanted):
        return pairs
    alike = _unique(prefix_matches(list(short), list(sought)))
    return {sought[name]: short[other] for name, other in alike.items()} if len(alike) > len(pairs) else pairs


def _plain_marks(name: str) -> str:
    return re.sub(r"^x(?=\d)", "", re.sub(r"[\W_]+", "-", name).lower())


def _unique(fits: dict[str, list[str]]) -> Pairs:
    pairs = {name: fit[0] for name, fit in fits.items() if len(fit) == 1}
    times = Counter(pairs.values())
    return {name: other for name, other in pairs.items() if times[other] == 1}


RULES: Final[dict[str, tuple[Callable[[Sequence[str], Sequence[str]], Pairs], str]]] = {
    "exact": (_by_key(str), "names are equal"),
    "case": (_by_key(str.lower), "capitals are ignored"),
    "r_names": (
        _by_key(r_name),
        "names are taken as R writes them (a dot for each dash or space, an X before a digit)",
    ),
    "file_names": (_by_key(file_name), "names of files are read without their folders and endings (.bam and the like)"),
    "affix": (_by_affix, "the same text before or after every name is left out"),
    "numbers": (_by_key(numbers), "leading zeros and a .0 at the end of numbers are left out"),
    "letters": (_by_key(letters), "only letters and digits count (no dots, dashes, capitals, folders, endings)"),
    "prefix": (
        _by_prefix,
        "a name may be a prefix of another (barcodes, lanes), as long as it is that of one name only",
    ),
}
"""How to pair names, and the meaning for readers; in the order in which they are tried."""


def pair_names(given: Sequence[str], wanted: Sequence[str], match: Match) -> Pairs:
    """Return the name in the counts of each name of the sheet that has one."""
    if match not in get_args(Match):
        raise ValueError(f"match={match!r} is unknown; choose one of {', '.join(map(repr, get_args(Match)))}.")
    return RULES[match][0](list(given), list(wanted))


def match_samples(given: Sequence[str], samples: pd.DataFrame, match: Match, source: str) -> list[str]:
    """Return the names in the counts in the order of the sample sheet; a warning lists samples that the sheet lacks.

    Raises a ValueError if a sample of the sheet is not in the counts. The message names a rule that would match all names,
    or similar names.
    """
    wanted = samples.index.tolist()
    pairs = pair_names(given, wanted, match)
    times = Counter(given)
    repeated = [name for name in wanted if times[pairs.get(name, name)] > 1]
    if repeated:
        raise ValueError(
            f"{source}: sample names must be unique; there is more than one {repeated[:N_SHOWN]}. Rename or remove all but "
            "one, or sum those of one sample."
        )
    missing = [name for name in wanted if name not in pairs]
    if missing:
        raise ValueError(_explain(list(given), samples, missing, match, source))
    chosen = [pairs[name] for name in wanted]
    unused = sorted({*filter(None, given)} - {*chosen})
    if unused:
        more = " and others" if len(unused) > N_SHOWN else ""
        warn_user(
            f"{source}: {len(unused)} samples are not in the sample sheet and were left out: {unused[:N_SHOWN]}{more}."
        )
    return chosen


def _explain(given: list[str], samples: pd.DataFrame, missing: list[str], match: Match, source: str) -> str:
    n = len(samples)
    head = f"{len(missing)} of the {n} samples in the sample sheet are not in {source}: {_listed(missing)}."
    has = f"{source} has {_listed(given)}."
    wanted = samples.index.tolist()
    for rule, (pair, meaning) in RULES.items():
        pairs = pair(given, wanted)
        if len(pairs) == n and rule != "exact":
            ambiguous = _ambiguous(given, wanted, pairs.values()) if rule == "affix" else {}
            if ambiguous:
                return head + _explain_ambiguous(ambiguous, source)
            shown = next(name for name in missing if name in pairs)
            return (
                f"{head} All {n} match if {meaning}: {shown!r} in the sheet is {pairs[shown]!r} in the counts. If they are "
                f"the same samples, add match='{rule}', or rename them in one of the two files."
            )
    if ambiguous := _ambiguous(given, wanted, ()):
        return head + _explain_ambiguous(ambiguous, source)
    if given and all(name.isdecimal() for name in given) and not any(name.isdecimal() for name in missing):
        return (
            f"{head} {source} has numbers for names ({_listed(given)}): they are row or column numbers, which do not identify "
            "samples. Save it with the names of the samples."
        )
    for column in samples.columns:
        names = samples[column].astype(str)
        if names.is_unique and names.isin(given).all():
            return (
                f"{head} {has} The column {column!r} of the sample sheet holds these names: give sample_column='{column}', "
                "or make it the first column."
            )
    paired = set(pair_names(given, wanted, match).values())
    lower = {name.lower(): name for name in given if name not in paired}
    similar = {name: get_close_matches(name.lower(), lower, n=2, cutoff=0.6) for name in missing[:N_SHOWN]}
    misses = "; ".join(
        f"{name!r} is near {' and '.join(repr(lower[other]) for other in others)}"
        for name, others in similar.items()
        if others
    )
    return (
        f"{head} {has} {'Near misses: ' + misses + '. ' if misses else ''}Write the names in the first column of the sample "
        "sheet as the counts have them, and remove the rows of samples without counts."
    )


def _ambiguous(given: Sequence[str], wanted: Sequence[str], paired: Collection[str]) -> dict[str, list[str]]:
    """Return the names of the sheet that are prefixes of several names in the counts, unless all of these are ``paired``."""
    fits = prefix_matches(given, wanted)
    return {name: fit for name, fit in fits.items() if len(fit) > 1 and not set(fit) <= set(paired)}


def _explain_ambiguous(ambiguous: dict[str, list[str]], source: str) -> str:
    name, fit = next(iter(ambiguous.items()))
    return (
        f" {len(ambiguous)} names of the sheet begin more than one name in {source}: {name!r} begins {_listed(fit)}. Write in the "
        "sheet enough of the right name to distinguish it, and add match='prefix'. If they are lanes or runs of one "
        "library, give each a row in the sheet and sum them with bulkvi.pp.sum_replicates."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return ", ".join(map(repr, names[:N_SHOWN])) + more


def find_samples(
    columns: Sequence[str], rows: Sequence[str], wanted: Sequence[str], match: Match, source: str
) -> SamplesIn:
    """Whether the samples of a sheet are the columns or the rows of a table, by their names and not by its shape."""
    n_columns, n_rows = (len(pair_names(names, wanted, match)) for names in (columns, rows))
    complete = {"columns": n_columns == len(wanted), "rows": n_rows == len(wanted)}
    if complete["columns"] != complete["rows"]:
        return "columns" if complete["columns"] else "rows"
    if n_columns and n_rows:
        raise ValueError(
            f"{source}: {n_columns} of the {len(wanted)} sample names are names of columns and {n_rows} are names of rows, so "
            "samples cannot be told from genes. Choose with samples_in='columns' or samples_in='rows', or give "
            "the samples names that no gene has."
        )
    if n_columns or n_rows:
        return "columns" if n_columns else "rows"
    n_similar = [max(len(pair(names, wanted)) for pair, _ in RULES.values()) for names in (columns, rows)]
    if n_similar[0] == n_similar[1]:
        return "columns" if len(columns) <= len(rows) else "rows"
    return "columns" if n_similar[0] > n_similar[1] else "rows"
