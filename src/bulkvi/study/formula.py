"""Parse formulas: each is checked against a fixed language and rewritten before anything is evaluated.

formulaic evaluates the calls of a formula as Python code, and finds names among columns, transforms and builtins alike.
It therefore never receives a formula as a user wrote it: names and texts become identifiers without another meaning.
"""

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from formulaic import Formula as Terms
from formulaic.errors import FormulaicError
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.types import Term, Token

from bulkvi.study.formula_calls import check_number_of_terms, rewrite_call
from bulkvi.study.formula_names import ROLES, Names, brief, hint

MAX_CHARACTERS: Final = 10_000
MAX_DEPTH: Final = 40
OPERATORS: Final = re.compile(r"[-+*/:^~]+|in")
NUMBER: Final = re.compile(r"\d+\.?\d*|\.\d+")
WORD: Final = re.compile(r"[^\W\d][\w.]*")
RANDOM_EFFECT: Final = re.compile(r"\(?\s*([^()|]*?)\s*\|\|?\s*([^()|+]*?)\s*(\)|$|\+)")


@dataclass
class Formula:
    """A formula after parsing and checks."""

    text: str
    """As the user wrote it."""
    rewritten: str = ""
    """As formulaic gets it, with names of `names` in the place of columns and texts."""
    names: Names = field(default_factory=Names)
    """Which column, or which text, each rewritten name means."""
    terms: list[Term] = field(default_factory=list)
    """Its terms, multiplied out."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns that the formula reads, sorted."""
        return tuple(sorted({use.column for use in self.names.uses.values()}))

    def shown(self, text: str) -> str:
        """Translate a name of a column of the matrix, or a message of formulaic, into the words of the user's formula."""
        words = self.names.shown
        if not words:
            return text
        longest_first = sorted(words, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda found: words[found[0]], text)

    def keys_shown(self, state: dict[str, Any]) -> dict[str, Any]:
        """Key a state of formulaic by the user's expressions."""
        return {self.shown(key): value for key, value in state.items()}

    def keys_rewritten(self, state: dict[str, Any]) -> dict[str, Any]:
        """Key a state by rewritten expressions, for formulaic."""
        uses = self.names.uses  # of the words for one column, that of the column by itself counts
        by_role = sorted(self.names.shown, key=lambda word: ROLES.index(uses[word].role) if word in uses else 0)
        back = {self.names.shown[word]: word for word in by_role}
        return {back.get(key, key): value for key, value in state.items()}


def read_formula(formula: str, columns: Iterable[object]) -> Formula:
    """Parse a formula over these columns, and check that it does nothing but code them.

    Raise MissingColumnError (a KeyError) for an unknown column, TypeError if it is not text, and ValueError if it cannot be
    parsed, has a left-hand side or a random effect, has too many terms, or contains anything but columns, numbers, operators
    and the transforms of `bulkvi.study.formula_calls`.
    """
    if not isinstance(formula, str):
        raise TypeError(f"The design must be a formula such as '~ batch + condition', not {type(formula).__name__}.")
    if not formula.strip(" ~\t\n"):
        raise ValueError(
            f"The design {formula!r} is empty. Write '~ batch + condition', or '~ 1' for a constant alone."
        )
    names = Names(columns=[str(name) for name in columns], formula=formula)
    plain = _without_quotes(formula, names)
    _check_sides(formula, plain, names)
    parsed = Formula(formula, names=names)
    try:
        parsed.rewritten = " ".join(_rewritten(token, names) for token in tokenize(plain))
        check_number_of_terms(parsed.rewritten, formula)
        parsed.terms = list(Terms(parsed.rewritten))
    except RecursionError as error:
        raise ValueError(
            f"The design {brief(formula)} is nested too deeply. Write it with fewer parentheses."
        ) from error
    except (FormulaicError, SyntaxError) as error:
        raise ValueError(
            f"The design {brief(formula)} is not a formula ({_reason(error, parsed)}). Example: '~ batch + condition'."
            f"{hint(formula, names.columns)}"
        ) from error
    return parsed


def _without_quotes(formula: str, names: Names) -> str:
    """Replace names in backticks and texts in quotes by words: no quote and no backslash is left."""
    if len(formula) > MAX_CHARACTERS:
        raise ValueError(
            f"The design has {len(formula):,} characters, more than {MAX_CHARACTERS:,}: {brief(formula)}. Give so many columns "
            "as a matrix, design=DataFrame."
        )
    parts, k, depth = [], 0, 0
    while k < len(formula):
        sign = formula[k]
        if sign == "`":
            end = formula.find("`", k + 1)
            if end < 0:
                raise ValueError(f"The design {brief(formula)}: a backtick is opened and not closed.")
            parts.append(f" {names.quoted_column(formula[k + 1 : end])} ")
            k = end + 1
            continue
        if sign in "'\"":
            end = _end_of_text(formula, k)
            parts.append(f" {names.text(formula[k:end])} ")
            k = end
            continue
        if word := WORD.match(formula, k):
            parts.append(_plain_word(word[0], formula[word.end() :], names))
            k = word.end()
            continue
        depth += (sign in "([{") - (sign in ")]}")
        if depth > MAX_DEPTH:
            raise ValueError(f"The design {brief(formula)} is nested too deeply. Write it with fewer parentheses.")
        if sign in "\\;@$?" or not (sign.isprintable() or sign.isspace()):
            advice = hint(formula, names.columns) or " Names with such a sign go in backticks."
            raise ValueError(f"The design {brief(formula)}: {sign!r} is no part of a formula.{advice}")
        parts.append(" " if sign.isspace() else sign)
        k += 1
    return "".join(parts)


def _plain_word(word: str, rest: str, names: Names) -> str:
    """Return a bare word, or the word of a column whose name Python would parse otherwise (``class``, ``cell.line``)."""
    if rest[:1] in ("'", '"'):
        raise ValueError(f"The design {brief(names.formula)}: no mark may stand before a text, as {word!r} does.")
    is_call = rest.lstrip()[:1] == "("
    strange = keyword.iskeyword(word) or "." in word
    if word in names.columns and strange and not is_call and word not in ("True", "False", "None"):
        return f" {names.quoted_column(word, bare=True)} "
    return word


def _end_of_text(formula: str, start: int) -> int:
    k = start + 1
    while k < len(formula):
        if formula[k] == "\\":
            k += 2
            continue
        if formula[k] == formula[start]:
            return k + 1
        k += 1
    raise ValueError(
        f"The design {brief(formula)}: a quote is opened and not closed. Names with a quote go in backticks."
    )


def _check_sides(formula: str, plain: str, names: Names) -> None:
    if "|" in plain and (found := RANDOM_EFFECT.search(plain)):
        inside = found[0].strip(" +()")
        effect, group = (
            names.restored(side.strip(" ()`")) for side in (inside.rsplit("|", 1)[0].rstrip("|"), found[2])
        )
        slope = effect not in ("1", "") and "+" not in effect and "~" not in effect
        more = f" A slope of {effect!r} that differs between levels cannot be fitted." if slope else ""
        raise ValueError(
            f"The design {brief(formula)} has a random effect of {group!r}: take it out of the formula and give "
            f"donor_key={group!r} of setup_anndata, a random intercept.{more}"
        )
    if "~" in plain and plain.split("~", 1)[0].strip():
        raise ValueError(f"The design {brief(formula)} has a left-hand side; counts are implied. Write '~ ...'.")


def _rewritten(token: Token, names: Names) -> str:
    kind, text = token.kind, str(token.token)
    if kind is Token.Kind.PYTHON:
        return "{" + rewrite_call(text, names) + "}"
    if kind is Token.Kind.VALUE and NUMBER.fullmatch(text):
        return text
    if kind is Token.Kind.CONTEXT and text in "()":
        return text
    if kind is Token.Kind.OPERATOR and OPERATORS.fullmatch(text):
        return "%in%" if text == "in" else text
    if text == ".":
        raise ValueError(
            f"The design {brief(names.formula)}: '.' is no abbreviation of columns here. Name the columns."
        )
    if kind is Token.Kind.NAME:
        return names.top_level(text)
    raise ValueError(
        f"The design {brief(names.formula)}: {names.restored(text)!r} is no operator of a formula, which has + - * / : ** and "
        f"parentheses. Arithmetic goes into I(...), as in I(age / 10).{hint(names.formula, names.columns)}"
    )


def _reason(error: Exception, parsed: Formula) -> str:
    """Return the first line of a library's message, in the user's words."""
    first = str(error).strip().splitlines()[:1]
    return parsed.shown(parsed.names.restored(first[0])).rstrip(".")[:200] if first else type(error).__name__
