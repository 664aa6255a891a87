"""Which column of the counts is which row of the sample sheet, and what to say when names do not match."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Final, Literal, get_args

import pandas as pd

Match = Literal["exact", "case", "r_names", "file_names", "affix", "numbers", "prefix", "letters"]
Pairs = dict[str, str]
"""Name in the sample sheet -> name in the counts."""

N_SHOWN: Final = 5
ENDINGS: Final = re.compile(
    r"([._-]?(ReadsPerGene\.out\.tab|Aligned\.(sortedByCoord\.)?out|sorted|dedup|markdup|quant(\.sf)?|htseq|counts?|"
    r"genes\.results|bam|sam|cram|sf|tsv|csv|txt|out|tab|tabular|featureCounts|h5|gz|bz2))+$",
    re.IGNORECASE,
)
R_RESERVED: Final = frozenset("if else repeat while function for next break TRUE FALSE NULL Inf NaN NA in".split())


def r_name(name: str) -> str:
    """The name that R's ``make.names`` makes of it, as ``read.table`` does with column names."""
    changed = re.sub(r"[^\w.]", ".", name)
    if not re.match(r"[^\W\d_]|\.(?!\d)", changed):
        changed = f"X{changed}"
    return f"{changed}." if changed in R_RESERVED else changed


def file_name(name: str) -> str:
    """The last part of a path, without the endings that aligners and counters give to files."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return ENDINGS.sub("", last) or last


def letters(name: str) -> str:
    """Letters and digits of a file name in lower case."""
    return re.sub(r"[\W_]", "", file_name(name)).lower()


def numbers(name: str) -> str:
    """The name with its numbers as spreadsheets write them or not: without leading zeros, and without ``.0`` at the end."""
    return re.sub(r"\d+", lambda digits: str(int(digits[0])), re.sub(r"(?<=\d)\.0+$", "", name))


def _by_key(key: Callable[[str], str]) -> Callable[[Sequence[str], Sequence[str]], Pairs]:
    def pairs(given: Sequence[str], wanted: Sequence[str]) -> Pairs:
        known, asked = pd.Series(given, index=map(key, given)), pd.Series(wanted, index=map(key, wanted))
        known, asked = (names[~names.index.duplicated(keep=False)] for names in (known, asked))
        return {name: known[short] for short, name in asked.items() if short in known.index}

    return pairs


def _by_affix(given: Sequence[str], wanted: Sequence[str]) -> Pairs:
    """The same text before and after every name, in the counts or in the sheet."""
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


def _goes_on(longer: str, at: int) -> bool:
    """Whether a name may end before this position: ``s1`` begins ``s1_L001`` and ``s1A``, not ``s10``."""
    before, after = longer[at - 1], longer[at]
    return not after.isalnum() or (before.isdigit() and after.isalpha())


def beginnings(given: Sequence[str], wanted: Sequence[str]) -> dict[str, list[str]]:
    """Names in the counts that begin with each name of the sheet; or else those that each name of the sheet begins with."""
    there = set(filter(None, given))
    known = sorted(there)
    longer: dict[str, list[str]] = {}
    for name in filter(None, wanted):
        fit = []
        for other in known[bisect_left(known, name) :]:
            if not other.startswith(name):
                break
            if other == name or _goes_on(other, len(name)):
                fit.append(other)
        longer[name] = [name] if name in fit else fit
    shorter = {
        name: [name[:k] for k in range(len(name), 0, -1) if name[:k] in there and (k == len(name) or _goes_on(name, k))]
        for name in wanted
        if not longer.get(name)
    }
    return {name: longer.get(name) or shorter.get(name, [])[:1] for name in wanted}


def _by_prefix(given: Sequence[str], wanted: Sequence[str]) -> Pairs:
    """Names of which one begins with the other, where no third does; failing that, dots, dashes, capitals apart."""
    pairs = _unique(beginnings(given, wanted))
    if len(pairs) == len(wanted):
        return pairs
    short, sought = ({_marks_alike(name): name for name in names} for names in (given, wanted))
    if len(short) < len(given) or len(sought) < len(wanted):
        return pairs
    alike = _unique(beginnings(list(short), list(sought)))
    return {sought[name]: short[other] for name, other in alike.items()} if len(alike) > len(pairs) else pairs


def _marks_alike(name: str) -> str:
    return re.sub(r"^x(?=\d)", "", re.sub(r"[\W_]+", "-", name).lower())


def _unique(fits: dict[str, list[str]]) -> Pairs:
    pairs = {name: fit[0] for name, fit in fits.items() if len(fit) == 1}
    times = Counter(pairs.values())
    return {name: other for name, other in pairs.items() if times[other] == 1}


RULES: Final[dict[str, Callable[[Sequence[str], Sequence[str]], Pairs]]] = {
    "exact": _by_key(str),
    "case": _by_key(str.lower),
    "r_names": _by_key(r_name),
    "file_names": _by_key(file_name),
    "affix": _by_affix,
    "numbers": _by_key(numbers),
    "prefix": _by_prefix,
    "letters": _by_key(letters),
}
MEANING: Final = {
    "case": "capitals and small letters count as the same",
    "r_names": "names are taken as R writes them (a dot for each dash or space, an X before a digit)",
    "file_names": "names of files are read without their folders and endings (.bam and the like)",
    "affix": "the same text before or after every name is left out",
    "numbers": "leading zeros and a .0 at the end of numbers are left out",
    "letters": "only letters and digits count (no dots, dashes, underscores, capitals, folders, endings)",
    "prefix": "a name may go on where the other ends (barcodes, lanes), as long as it fits one name only",
}


def pair_names(given: Sequence[str], wanted: Sequence[str], match: Match) -> Pairs:
    """Name in the counts for each name of the sheet that has one.

    Raises
    ------
    ValueError
        If there is no such rule.
    """
    if match not in get_args(Match):
        raise ValueError(f"match={match!r} is unknown; choose one of {', '.join(map(repr, get_args(Match)))}.")
    return RULES[match](list(given), list(wanted))


def matched(given: Sequence[str], samples: pd.DataFrame, match: Match, source: str) -> list[str]:
    """Names in the counts in the order of the sample sheet.

    Raises
    ------
    ValueError
        If a sample of the sheet is not in the counts. The message says which change of names would bring them together,
        or which names come near.
    """
    wanted = samples.index.tolist()
    pairs = pair_names(given, wanted, match)
    times = Counter(given)
    repeated = [name for name in wanted if times[pairs.get(name, name)] > 1]
    if repeated:
        raise ValueError(
            f"{source}: sample names must be unique; there is more than one {repeated[:N_SHOWN]}. Rename or take out all but "
            "one, or add up what belongs to one sample."
        )
    missing = [name for name in wanted if name not in pairs]
    if missing:
        raise ValueError(_explain(list(given), samples, missing, match, source))
    return [pairs[name] for name in wanted]


def _explain(given: list[str], samples: pd.DataFrame, missing: list[str], match: Match, source: str) -> str:
    n = len(samples)
    head = f"{len(missing)} of the {n} samples in the sample sheet are not in {source}: {_listed(missing)}."
    has = f"{source} has {_listed(given)}."
    for rule, meaning in MEANING.items():
        pairs = RULES[rule](given, samples.index.tolist())
        if len(pairs) == n:
            ambiguous = _ambiguous(given, samples.index.tolist(), pairs.values()) if rule == "affix" else {}
            if ambiguous:
                return head + _choose(ambiguous, source)
            shown = next(name for name in missing if name in pairs)
            return (
                f"{head} All {n} match if {meaning}: {shown!r} in the sheet is {pairs[shown]!r} in the counts. If they are "
                f"the same samples, add match='{rule}', or rename them in one of the two files."
            )
    if ambiguous := _ambiguous(given, samples.index.tolist(), ()):
        return head + _choose(ambiguous, source)
    if given and all(name.isdecimal() for name in given) and not any(name.isdecimal() for name in missing):
        return (
            f"{head} {source} has numbers for names ({_listed(given)}): they number its rows or columns, and say nothing about "
            "the samples. Save it with the names of the samples."
        )
    for column in samples.columns:
        names = samples[column].astype(str)
        if names.is_unique and names.isin(given).all():
            return (
                f"{head} {has} The column {column!r} of the sample sheet holds these names: give sample_column='{column}', "
                "or make it the first column."
            )
    paired = set(pair_names(given, samples.index.tolist(), match).values())
    free = [name for name in given if name not in paired]
    lower = {name.lower(): name for name in free}
    near = {
        name: [lower[close] for close in get_close_matches(name.lower(), lower, n=2, cutoff=0.6)] for name in missing
    }
    misses = "; ".join(
        f"{name!r} is near {' and '.join(map(repr, to))}" for name, to in list(near.items())[:N_SHOWN] if to
    )
    return (
        f"{head} {has} {'Near misses: ' + misses + '. ' if misses else ''}Write the names in the first column of the sample "
        "sheet as the counts have them, and take out the rows of samples without counts."
    )


def _ambiguous(given: Sequence[str], wanted: Sequence[str], paired: Collection[str]) -> dict[str, list[str]]:
    """Names of the sheet that begin more than one name in the counts, of which not all are ``paired``."""
    fits = beginnings(given, wanted)
    return {name: fit for name, fit in fits.items() if len(fit) > 1 and not set(fit) <= set(paired)}


def _choose(ambiguous: dict[str, list[str]], source: str) -> str:
    name, fit = next(iter(ambiguous.items()))
    return (
        f" {len(ambiguous)} names of the sheet begin more than one name in {source}: {name!r} begins {_listed(fit)}. Write in the "
        "sheet which one is meant, as far as it tells them apart, and add match='prefix'. If they are lanes or runs of one "
        "library, give each a row in the sheet and add them up with bulkvi.pp.sum_replicates."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return ", ".join(map(repr, names[:N_SHOWN])) + more
