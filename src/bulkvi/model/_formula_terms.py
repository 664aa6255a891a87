"""How many terms a formula has, found before it is multiplied out."""

from typing import Any, Final

from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import ASTNode

MAX_TERMS: Final = 2_000
MAX_DEGREE: Final = 6


def check_number_of_terms(rewritten: str, formula: str) -> None:
    """Raise ValueError if a formula has more terms than anybody can read, or one of too many factors.

    Parameters
    ----------
    rewritten
        The formula, checked and rewritten: nothing in it is evaluated here.
    formula
        The formula of the user, for the message.
    """
    terms, degree, factors = _size(DefaultFormulaParser().get_ast(rewritten))
    degree = min(degree, factors)
    if terms <= MAX_TERMS and degree <= MAX_DEGREE:
        return
    much = f"{MAX_TERMS:,} terms" if terms > MAX_TERMS else f"{MAX_DEGREE} columns in one interaction"
    shown = formula if len(formula) <= 200 else f"{formula[:100]} ... {formula[-40:]}"
    raise ValueError(
        f"The design {shown!r} multiplies out to more than {much}. Write the interactions that you mean, such as a:b, with + "
        "between them."
    )


def _size(root: Any) -> tuple[int, int, int]:
    """Upper bounds of the number of terms and of factors in a term, and the number of different factors."""
    sizes: dict[int, tuple[int, int]] = {}
    leaves: set[str] = set()
    todo = [root]
    while todo:  # no recursion: sums of many terms are deep
        node = todo.pop()
        if not isinstance(node, ASTNode):
            leaves.add(str(node))
            sizes[id(node)] = (1, 1)
            continue
        missing = [child for child in node.args if id(child) not in sizes]
        if missing:
            todo += [node, *missing]
            continue
        sizes[id(node)] = _combined(node, [sizes[id(child)] for child in node.args])
    return *sizes[id(root)], len(leaves)


def _combined(node: ASTNode, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    symbol = node.operator.symbol
    if len(sizes) == 1:
        return sizes[0]
    (a, of_a), (b, of_b) = sizes
    if symbol in ("**", "^"):
        times = str(node.args[1])
        k = min(int(times), 60) if times.isdecimal() and len(times) < 6 else 60
        return min(a, MAX_TERMS + 1) ** k, of_a * k
    if symbol in ("*", ":"):
        return a * b + (a + b) * (symbol == "*"), of_a + of_b
    if symbol in ("/", "in"):
        return a + b, max(of_a * a + of_b, of_b * b + of_a)
    return a + (b if symbol != "-" else 0), max(of_a, of_b)
