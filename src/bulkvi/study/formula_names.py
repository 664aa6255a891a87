"""Columns and texts of a formula, and the words that replace them during evaluation."""

import ast
import keyword
import unicodedata
from dataclasses import dataclass, field
from typing import Final, NamedTuple

CATEGORY: Final = "category"
NUMBER: Final = "number"
PLAIN: Final = "plain"
MAX_LISTED: Final = 30
ROLES: Final = (CATEGORY, NUMBER, PLAIN)


class Use(NamedTuple):
    """A column in the role that a formula gives it."""

    column: str
    role: str
    """``"category"`` in C(...), ``"number"`` in arithmetic, ``"plain"`` by itself."""


@dataclass
class Names:
    """Columns and texts of a formula, and the words that replace them in the rewritten one."""

    columns: list[str] = field(default_factory=list)
    formula: str = ""
    uses: dict[str, Use] = field(default_factory=dict)
    """Column of each rewritten word."""
    texts: dict[str, str] = field(default_factory=dict)
    """Text of each rewritten word."""
    quoted: dict[str, str] = field(default_factory=dict)
    """Column of each word that replaces backticks, on the way."""
    bare: set[str] = field(default_factory=set)
    """Those of ``quoted`` that the user wrote without backticks."""
    shown: dict[str, str] = field(default_factory=dict)
    """What the user wrote in the place of each rewritten word and call."""

    def __post_init__(self) -> None:
        self.mark = "bulkvi"
        while self.mark in self.formula or any(self.mark in name for name in self.columns):
            self.mark += "_i"

    def quoted_column(self, name: str, *, bare: bool = False) -> str:
        """Return the word for a name in backticks."""
        word = f"{self.mark}_quoted_{len(self.quoted)}_"
        self.quoted[word] = name
        if bare:
            self.bare.add(word)
        return word

    def text(self, literal: str) -> str:
        """Return the word for a text in quotes."""
        word = f"{self.mark}_text_{len(self.texts)}_"
        try:
            self.texts[word] = ast.literal_eval(literal)
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"The design {brief(self.formula)}: {literal[:50]} is no text.") from error
        self.shown[word] = repr(self.texts[word])
        return word

    def restored(self, text: str) -> str:
        """Return a part of the formula as the user wrote it."""
        for word, name in self.quoted.items():
            text = text.replace(word, name if word in self.bare or text.strip() == word else f"`{name}`")
        for word, literal in self.texts.items():
            text = text.replace(word, repr(literal))
        return text.strip()

    def find(self, word: str) -> str | None:
        """Return the column that a word names; None without one."""
        if word in self.quoted:
            name = self.quoted[word]
            return name if name in self.columns else None
        if word in self.columns:
            return word
        # Python reads some letters, such as the micro sign, as others that look alike
        alike = [name for name in self.columns if unicodedata.normalize("NFKC", name) == word]
        return alike[0] if len(alike) == 1 else None

    def use(self, column: str, role: str) -> str:
        """Return the rewritten word for a column in a role."""
        word = f"{self.mark}_{self.columns.index(column)}{role[0]}_"
        self.uses[word] = Use(column, role)
        self.shown.setdefault(word, column)
        return word

    def top_level(self, text: str) -> str:
        """Return the rewritten word for a name that is a term by itself."""
        if text in self.texts:
            raise ValueError(
                f"The design {brief(self.formula)}: {self.texts[text]!r} is in quotes. Names of columns go in backticks, or "
                "without marks."
            )
        return self.use(self.column(text), "plain")

    def column(self, word: str) -> str:
        """Return the column that a word names; raise MissingColumnError."""
        if (found := self.find(word)) is not None:
            return found
        name = self.quoted.get(word, word)
        raise MissingColumnError(
            f"The design {brief(self.formula)} needs a column that adata.obs lacks: {name!r}. It has {listed(self.columns)}."
            f"{hint(self.formula, self.columns)}",
            name,
        )


class MissingColumnError(KeyError):
    """A formula reads a column that is not there."""

    def __init__(self, message: str, column: str):
        super().__init__(message)
        self.column = column


def backticked(name: object) -> str:
    """Write a column's name for a formula: in backticks unless it is a plain word; raise ValueError if it has one."""
    text = str(name)
    if "`" in text:
        raise ValueError(f"The column {text!r} has a backtick in its name, which no formula can hold: rename it.")
    return text if text.isidentifier() and not keyword.iskeyword(text) else f"`{text}`"


def hint(formula: str, columns: list[str]) -> str:
    """Explain how to write the column that a formula seems to mean."""
    for name in sorted(columns, key=len, reverse=True):
        if (
            any(map(str.isalnum, name))
            and not name.isidentifier()
            and name in formula
            and f"`{name}`" not in formula
            and "`" not in name
        ):
            return f" Such a name goes in backticks: `{name}`."
    return ""


def brief(formula: str) -> str:
    """Quote a formula, shortened if it is long."""
    return repr(formula if len(formula) <= 200 else f"{formula[:100]} ... {formula[-40:]}")


def listed(names: list[str]) -> str:
    """Show names as a list, the first ones only if there are many."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{names[:MAX_LISTED]}{more}"
