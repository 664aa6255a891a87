"""Design formulas: from columns of obs to a full-rank matrix, also for new samples."""

import re
import warnings
from collections.abc import Mapping
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from formulaic import ModelMatrix, ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError

from bulkvi.stats.rank import aliased_columns
from bulkvi.study.columns import coded_columns, is_number, numbers_by_themselves, require_columns, warnings_of_numbers
from bulkvi.study.formula import Formula, read_formula

INTERCEPT = "Intercept"
PLAIN_TEXT: Final = re.compile(r"[\w .+-]*")
MAX_COLUMNS: Final = 1_000
MAX_COLUMNS_PER_SAMPLE: Final = 20
MAX_NAMED: Final = 8
MAX_TERMS_PER_SAMPLE: Final = 2


class Design(NamedTuple):
    """A formula, and the state that codes new samples as the training samples were coded."""

    formula: str
    """Right-hand side, for example ``"~ cell + dex"``."""
    variables: tuple[str, ...]
    """Columns of obs that enter."""
    levels: dict[str, list[Any]]
    """Levels of the categorical variables, reference first."""
    encoder_state: dict[str, Any]
    """How formulaic coded each categorical factor."""
    transform_state: dict[str, Any]
    """What stateful transforms such as ``scale()`` remember of the training samples."""
    columns: tuple[str, ...]
    """Names of the columns of the matrix, intercept included."""


def make_design(formula: str, obs: pd.DataFrame) -> tuple[Design, pd.DataFrame]:
    """Code the samples of ``obs`` by a formula in the grammar of formulaic; return the design and its float64 matrix.

    Raise KeyError if a variable is not a column of ``obs``, and ValueError if the formula cannot be parsed, a column is not
    accepted (`bulkvi.study.columns`) or not finite, or the matrix is not of full rank.
    """
    parsed = read_formula(formula, obs.columns)
    columns, levels = coded_columns(parsed, obs)
    _check_size(parsed, columns)
    matrix = _build(parsed, ModelSpec.from_spec(parsed.rewritten), columns)
    design = Design(
        formula=formula,
        variables=parsed.variables,
        levels=levels,
        encoder_state=parsed.keys_shown(matrix.model_spec.encoder_state),
        transform_state=parsed.keys_shown(matrix.model_spec.transform_state),
        columns=tuple(parsed.shown(name) for name in matrix.columns),
    )
    matrix = pd.DataFrame(matrix, dtype=float).set_axis(pd.Index(design.columns), axis=1)
    _check_names(design, parsed)
    _check_finite(matrix, formula)
    confounded = (
        _same_groups(obs[[name for name in levels if name in obs]]) if aliased_columns(matrix.to_numpy()) else None
    )
    if confounded:
        raise ValueError(
            f"The design {formula!r} is not of full rank: {confounded}. No analysis of these samples can separate their effects. "
            "Add samples that cross them, or leave one out and report with the results that the other may be their cause."
        )
    check_full_rank(matrix, f"The design {formula!r}")
    return design, matrix


def _same_groups(groups: pd.DataFrame) -> str | None:
    """Describe the first two variables that divide the samples into the same groups; None without any."""
    divisions: dict[bytes, Any] = {}
    for second in groups:
        first = divisions.setdefault(pd.factorize(groups[second])[0].tobytes(), second)
        if first != second:
            pairs = groups[[first, second]].drop_duplicates()
            shown = ", ".join(f"{a} is {b}" for a, b in pairs.head(3).itertuples(index=False))
            return f"{first!r} and {second!r} divide the samples alike ({shown}{', ...' if len(pairs) > 3 else ''})"
    return None


def apply_design(design: Design, obs: pd.DataFrame) -> pd.DataFrame:
    """Code new samples as the training samples were coded; raise ValueError on missing values and unknown levels."""
    parsed, matrix = _matrix_of(design, obs)
    coded = pd.DataFrame(matrix, dtype=float).set_axis([parsed.shown(name) for name in matrix.columns], axis=1)
    coded = coded[list(design.columns)]
    _check_finite(coded, design.formula)
    return coded


def columns_of_variable(design: Design, obs: pd.DataFrame, variable: str) -> list[str]:
    """Return the columns of the matrix that depend on a variable, interactions included; ``obs`` may lack levels of it."""
    parsed, matrix = _matrix_of(design, obs)
    spec = matrix.model_spec
    words = [word for word, use in parsed.names.uses.items() if use.column == variable]
    places = sorted({k for word in words for k in spec.variable_indices.get(word, [])})
    return [parsed.shown(spec.column_names[k]) for k in places]


class PlainDesign(NamedTuple):
    """A design for other packages that use formulaic: it contains no name and no text of the user."""

    formula: str
    columns: pd.DataFrame
    """Samples x words, each for one column of obs."""
    word_of: dict[str, list[str]]
    """Words for each column of obs."""
    read: Formula


def plain_design(formula: str, obs: pd.DataFrame) -> PlainDesign:
    """Return the checked formula under other names, and the samples under these; raise as `make_design` does.

    A text in the formula that has brackets or quotes raises ValueError.
    """
    make_design(formula, obs)
    parsed = read_formula(formula, obs.columns)
    rewritten = parsed.rewritten
    for word, text in parsed.names.texts.items():
        if not PLAIN_TEXT.fullmatch(text):
            raise ValueError(
                f"The design {formula!r}: the text {text!r} must be of letters, digits, spaces and . _ + - here."
            )
        rewritten = rewritten.replace(word, repr(text))
    words: dict[str, list[str]] = {}
    for word, use in parsed.names.uses.items():
        words.setdefault(use.column, []).append(word)
    return PlainDesign(rewritten, coded_columns(parsed, obs).table, words, parsed)


def numbers_in_design(design: Design, obs: pd.DataFrame) -> list[str]:
    """Describe how a design uses each column of numbers that is a term by itself: as groups or as a slope."""
    by_itself = numbers_by_themselves(read_formula(design.formula, design.variables), obs)
    labels = [name for name in by_itself if name in design.levels]
    return warnings_of_numbers(obs, labels, [name for name in by_itself if name not in design.levels])


def _matrix_of(design: Design, obs: pd.DataFrame) -> tuple[Formula, ModelMatrix]:
    require_columns(design.variables, obs)
    parsed = read_formula(design.formula, design.variables)  # again: a saved model may come from anywhere
    columns, _ = coded_columns(parsed, obs, known=design.levels)
    spec = ModelSpec.from_spec(
        parsed.rewritten,
        encoder_state=parsed.keys_rewritten(design.encoder_state),
        transform_state=parsed.keys_rewritten(design.transform_state),
    )
    matrix = _build(parsed, spec, columns)
    if set(parsed.keys_shown(matrix.model_spec.transform_state)) - set(design.transform_state):
        raise ValueError(
            f"The design {design.formula!r} does not hold how its transforms coded the training samples: the model was saved by an "
            "older version. Set the samples up and train it again."
        )
    return parsed, matrix


def _build(parsed: Formula, spec: ModelSpec, columns: pd.DataFrame) -> ModelMatrix:
    """Let formulaic build the matrix; it receives neither names nor texts of the user."""
    try:
        # formulaic only warns, and codes an unknown level as if it were the reference
        with warnings.catch_warnings(action="error", category=DataMismatchWarning), np.errstate(all="ignore"):
            return spec.get_model_matrix(columns, context=parsed.names.texts, na_action="ignore", output="pandas")
    except DataMismatchWarning as error:
        raise ValueError(
            f"The samples have levels that the design {parsed.text!r} was not fitted with, or does not list: {parsed.shown(str(error))}"
        ) from error
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, FormulaicError) as error:
        reason = parsed.shown(str(error)).strip()
        raise ValueError(f"The design {parsed.text!r} cannot be built from adata.obs: {reason}") from error


def _check_size(parsed: Formula, columns: pd.DataFrame) -> None:
    """Raise ValueError if there are far more terms, or columns of an interaction, than samples."""
    if len(parsed.terms) > MAX_TERMS_PER_SAMPLE * len(columns):
        raise ValueError(
            f"The design has {len(parsed.terms):,} terms for {len(columns)} samples; there must be fewer columns than samples. Leave "
            "some out."
        )
    for term in parsed.terms:
        n_levels = [
            columns[str(f)].nunique() for f in term.factors if str(f) in columns and not is_number(columns[str(f)])
        ]
        if (n := prod(n_levels)) > max(MAX_COLUMNS, MAX_COLUMNS_PER_SAMPLE * len(columns)):
            raise ValueError(
                f"The design {parsed.text!r}: {parsed.shown(str(term))!r} has {n:,} columns for {len(columns)} samples; there must be "
                "fewer columns than samples. Leave it out, or merge levels."
            )


def _check_names(design: Design, parsed: Formula) -> None:
    """Raise ValueError if names of columns are not unique, or a column of obs has the name of the intercept."""
    named = [use.column for use in parsed.names.uses.values() if use.column == INTERCEPT]
    repeated = sorted({name for name in design.columns if design.columns.count(name) > 1})
    if named or repeated:
        raise ValueError(
            f"The design {design.formula!r} has two columns that are called {(named or repeated)[0]!r}"
            f"{', which is the name of the constant one' if named else ''}. Rename a column of adata.obs, or leave one out."
        )


def _check_finite(matrix: pd.DataFrame, formula: str) -> None:
    """Raise ValueError with the first column that has values that are not finite, and its samples."""
    wrong = ~np.isfinite(matrix.to_numpy())
    if not wrong.any():
        return
    column = int(wrong.any(0).argmax())
    found = matrix.iloc[wrong[:, column], column]
    raise ValueError(
        f"The design {formula!r}: {matrix.columns[column]!r} is not a finite number in {len(found)} samples, for example "
        f"{found.head(3).to_dict()}. A logarithm needs numbers > 0 (log(x + 1) takes 0). Correct these samples, or leave them out."
    )


def check_full_rank(matrix: pd.DataFrame, what: str) -> None:
    """Raise ValueError with the aliased columns if ``matrix`` is not of full column rank."""
    aliased = aliased_columns(matrix.to_numpy())
    if not aliased:
        return
    names = matrix.columns
    described = "; ".join(
        f"{names[column]!r} follows from {', '.join(repr(names[k]) for k in others[:MAX_NAMED])}"
        f"{', ...' if len(others) > MAX_NAMED else ''}"
        if others
        else f"{names[column]!r} is zero in every sample"
        for column, others in list(aliased.items())[:MAX_NAMED]
    )
    described += f"; and {len(aliased) - MAX_NAMED} more" if len(aliased) > MAX_NAMED else ""
    raise ValueError(
        f"{what} is not of full rank: {described}. Leave out one of the redundant variables; an effect that "
        "is confounded with another cannot be estimated from these samples. Donors (subjects, animals) that are in one group "
        "each go into donor_key of setup_anndata, not into the design."
    )


def without_intercept(matrix: pd.DataFrame) -> pd.DataFrame:
    """Return the matrix without its intercept column, float32, the input of the network."""
    return matrix.drop(columns=INTERCEPT, errors="ignore").astype(np.float32)


def design_from_state(state: Mapping[str, Any]) -> Design:
    """Return the design of its stored fields."""
    return Design(**{field: state[field] for field in Design._fields})
