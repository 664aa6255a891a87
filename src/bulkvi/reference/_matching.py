"""Genes of a study matched to those of a reference by name."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

MIN_SHARED: Final = 50
"""Genes from which the spread of loadings is estimated with a standard error of 10 %, 1 / sqrt(2 x 50); fewer do not show whether
a reference fits a study."""
SHOWN: Final = 3
VERSION: Final = re.compile(r"^(ENS[A-Z]*G\d{6,}|[NX][MR]_\d+)\.\d+(?:_\d+)?(?=$|_PAR_Y$)")
"""Versions of Ensembl's genes and RefSeq's transcripts only: ids of yeasts, clones and flies have points and digits of their own."""
MAJORITY: Final = 0.5
"""Share of names of one kind that makes all of them that kind."""
KINDS: Final = {
    "human Ensembl ids": re.compile(r"ENSG\d{6,}"),
    "mouse Ensembl ids": re.compile(r"ENSMUSG\d{6,}"),
    "rat Ensembl ids": re.compile(r"ENSRNOG\d{6,}"),
    "zebrafish Ensembl ids": re.compile(r"ENSDARG\d{6,}"),
    "fly ids of FlyBase": re.compile(r"FBgn\d{7}"),
    "worm ids of WormBase": re.compile(r"WBGene\d{8}"),
    "baker's yeast ids": re.compile(r"Y[A-P][LR]\d{3}[WC]"),
    "fission yeast ids": re.compile(r"SP[ABCMN][A-Z]*\d"),
    "Arabidopsis ids": re.compile(r"AT[1-5CM]G\d{5}", re.IGNORECASE),
    "numbers, as of NCBI Gene": re.compile(r"\d+$"),
}
ORGANISMS: Final = {kind: kind.split(" ids")[0] for kind in KINDS if " ids" in kind}
OTHER_ENSEMBL: Final = re.compile(r"ENS[A-Z]+G\d{6,}")


class GeneMatch(NamedTuple):
    """Positions in the reference of the genes of a study."""

    position: np.ndarray
    """Position of each gene of the study in the reference; -1 where the reference lacks it."""
    n_reference: int
    """Genes of the reference that could be matched."""
    n_by_rule: dict[str, int]
    """Number of genes by the rule that matched them."""
    n_ambiguous: int
    """Genes that were not matched because several names become the same."""

    @property
    def n_shared(self) -> int:
        """Number of genes of the study that the reference has."""
        return int((self.position >= 0).sum())

    def describe(self) -> str:
        """Describe in one sentence how many genes are shared and how they were matched."""
        n = len(self.position)
        rules = [f"{number:,} {rule}" for rule, number in self.n_by_rule.items() if rule and number]
        how = f" ({', '.join(rules)})" if rules else ""
        ambiguous = (
            f"; {self.n_ambiguous:,} were left out because several genes have the same name without version, or the same symbol"
            if self.n_ambiguous
            else ""
        )
        return (
            f"The reference has {self.n_shared:,} of the {n:,} genes of the study ({self.n_shared / max(n, 1):.0%}){how}; "
            f"the study has {self.n_shared / max(self.n_reference, 1):.0%} of the {self.n_reference:,} genes of the reference{ambiguous}."
        )


def without_version(name: str) -> str:
    """Return the part of a name before ``|``, without the version of an Ensembl gene or RefSeq transcript."""
    return VERSION.sub(r"\1", name.partition("|")[0])


def match_genes(
    names: Iterable[str], genes: pd.Index, symbols: pd.Index | None = None, known: np.ndarray | None = None
) -> GeneMatch:
    """Match names of a study to ids, ids without versions and symbols of a reference, in this order; upper and lower case differ.

    A name that becomes the same as another one, in the study or in the reference, is not matched by that rule: which of the two
    is meant cannot be told. ``known`` are the genes of the reference with counts; the others match nothing.
    """
    names = [str(name) for name in names]
    known = np.ones(len(genes), bool) if known is None else known
    position = np.full(len(names), -1)
    n_by_rule: dict[str, int] = {}
    ambiguous: set[int] = set()
    short = [without_version(name) for name in names]
    rules: list[tuple[str, Sequence[str], Sequence[str]]] = [
        ("", names, [str(gene) for gene in genes]),
        ("without versions", short, [without_version(str(gene)) for gene in genes]),
    ]
    if symbols is not None:
        rules.append(("by symbol", names, [str(symbol) for symbol in symbols]))
    free = known.copy()
    for rule, ours, theirs in rules:
        repeated = {name for name, count in Counter(ours).items() if count > 1}
        repeated |= {
            name for name, count in Counter(theirs[k] for k in np.flatnonzero(known).tolist()).items() if count > 1
        }
        place = {theirs[k]: k for k in np.flatnonzero(free).tolist()}
        before = int((position >= 0).sum())
        for at in np.flatnonzero(position < 0).tolist():
            found = place.get(ours[at])
            if found is None:
                continue
            if ours[at] in repeated:
                ambiguous.add(at)
                continue
            position[at] = found
            free[found] = False
        n_by_rule[rule] = int((position >= 0).sum()) - before
    n_ambiguous = sum(position[at] < 0 for at in ambiguous)
    return GeneMatch(position, int(known.sum()), n_by_rule, n_ambiguous)


def kind_of(names: Iterable[str]) -> str:
    """Describe the kind of most names: the database and its organism, ``gene symbols or other names`` if it is not known."""
    names = [str(name) for name in names]
    for kind, pattern in KINDS.items():
        if sum(pattern.match(name) is not None for name in names) > MAJORITY * len(names):
            return kind
    prefixes = Counter(re.match(r"ENS[A-Z]+G", name)[0] for name in names if OTHER_ENSEMBL.match(name))  # type: ignore[index]
    if prefixes and prefixes.most_common(1)[0][1] > MAJORITY * len(names):
        return f"Ensembl ids {prefixes.most_common(1)[0][0]}"
    return "gene symbols or other names"


def check_match(match: GeneMatch, names: Sequence[str], genes: pd.Index, symbols: pd.Index | None) -> None:
    """Raise ValueError unless enough genes are shared, with the reason that the names give."""
    if match.n_shared >= MIN_SHARED:
        return
    names = [str(name) for name in names]
    ours, theirs = kind_of(names), kind_of(genes)
    counted = f"The reference has {match.n_shared:,} of the {len(names):,} genes of the study, and at least {MIN_SHARED} are needed"
    shown = f"The study names genes like {names[:SHOWN]}, the reference like {[str(gene) for gene in genes[:SHOWN]]}"
    organisms = ORGANISMS.get(ours, ours), ORGANISMS.get(theirs, theirs)
    both_known = ours != theirs and all(kind in ORGANISMS or kind.startswith("Ensembl") for kind in (ours, theirs))
    if both_known and organisms[0].split()[0] != organisms[1].split()[0]:
        remedy = (
            f"The study has {ours}, the reference {theirs}: it is a reference of another organism. Use a reference of the study's "
            "organism, or name the genes of the study by their one-to-one orthologues"
        )
    elif ours != theirs:
        other = "has no symbols" if symbols is None else "has symbols too"
        remedy = (
            f"The study has {ours}, the reference {theirs} (which {other}). Name the genes alike: set adata.var_names to the ids of the "
            "reference, or build the reference with symbols="
        )
    elif _folded(names, genes, symbols) >= MIN_SHARED:
        remedy = (
            "The names are the same but for upper and lower case, as symbols of mouse (Actb) and human (ACTB) are. Use a reference of "
            "the study's organism, or change the names if the organism is the same"
        )
    else:
        remedy = "Use the same gene ids as the reference, and do not filter the genes of the study to a panel"
    raise ValueError(f"{counted}. {shown}. {remedy}.")


def _folded(names: Sequence[str], genes: pd.Index, symbols: pd.Index | None) -> int:
    known = {str(name).lower() for name in [*genes, *(() if symbols is None else symbols)]}
    return sum(name.lower() in known for name in names)
