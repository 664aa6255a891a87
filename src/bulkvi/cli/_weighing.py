"""Questions of ``bulkvi de`` found in the sample sheet and in the design, before training starts."""

import re
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from bulkvi.cli._design import find_groups, in_backticks
from bulkvi.cli._questions import Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from bulkvi import BulkVI

NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def find_questions(
    questions: Sequence[Question], obs: "pd.DataFrame", in_design: set[str], design: str
) -> list[Question]:
    """Find the columns and levels of the questions in the sample sheet; ValueError if one is missing or of the wrong kind."""
    return [_found(question, obs, in_design, design) for question in questions]


def _found(question: Question, obs: "pd.DataFrame", in_design: set[str], design: str) -> Question:
    if question.kind == "weights":
        return question
    column = question.words[0].strip("`")
    if question.kind == "contrast":
        groups = _groups_of(question, column, obs, in_design, design)
        return question._replace(column=groups[0], groups=groups)
    if column not in obs.columns:
        near = get_close_matches(column, list(map(str, obs.columns)), n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{question.flag}: the sample sheet has no such column; it has {list(obs.columns)}.{meant}")
    numeric = _is_numeric(obs[column])
    numbers = (float(obs[column].min()), float(obs[column].max())) if numeric else None
    if question.kind == "slope" and not numeric:
        levels = obs[column].dropna().unique().tolist()
        shown = ", ".join(map(str, levels[:5])) + (", ..." if len(levels) > 5 else "")
        raise ValueError(
            f"{question.flag}: {column!r} is no column of numbers; it has {shown}. Compare two groups, --contrast {column} TEST "
            f"REFERENCE, or all together, --omnibus {column}."
        )
    return question._replace(column=column, numbers=numbers)


def _groups_of(
    question: Question, column: str, obs: "pd.DataFrame", in_design: set[str], design: str
) -> tuple[str, Any, Any]:
    _, test, reference = question.words
    try:
        return find_groups((column, test, reference), obs, in_design, design)
    except ValueError as error:
        if column not in obs.columns or column not in in_design or not _is_numeric(obs[column]) or test == reference:
            raise
        raise ValueError(
            f"{question.flag}: {column!r} is a column of numbers, {obs[column].min():g} to {obs[column].max():g}. For its effect "
            f"per unit write --slope {column}. To compare two of its values as groups write C({in_backticks(column)}) in the design, "
            "and values that samples have."
        ) from error


def weigh_questions(questions: Sequence[Question], model: "BulkVI") -> list[Question]:
    """Find the weights of the questions in the design of a model, which need not be trained.

    Raises ValueError if the design lacks a column, the samples cannot answer a question, or two questions are the same.
    """
    import numpy as np

    weighed: list[Question] = []
    vectors: list[np.ndarray] = []
    matrix = model.get_design_matrix()
    for question in questions:
        try:
            found, vector = _weighed(question, model, matrix)
        except (KeyError, ValueError) as error:
            text = str(error.args[0]) if error.args else str(error)
            raise ValueError(text if text.startswith("--") else f"{question.flag}: {text}") from error
        for other, known in zip(weighed, vectors, strict=True):
            if (other.kind == "omnibus") == (found.kind == "omnibus") and np.allclose(known, vector, rtol=1e-9):
                same = "given twice" if other.flag == found.flag else f"the same question as {other.flag}"
                raise ValueError(f"{found.flag} is {same}: leave one out.")
        weighed.append(found)
        vectors.append(vector)
    return weighed


def _weighed(question: Question, model: "BulkVI", matrix: "pd.DataFrame") -> tuple[Question, "np.ndarray"]:
    """Return the question with its weights, and the weights, or the columns of an omnibus test, as an array."""
    columns = list(matrix.columns)
    match question.kind:
        case "omnibus":
            tested = model.get_tested_columns(question.column or "")
            return question, matrix.columns.isin(tested).astype(float)
        case "contrast":
            factor, test, reference = question.groups or ("", None, None)
            _note_numbers(question, model)
            return question, model.get_contrast_weights(factor, test, reference).to_numpy()
        case "slope":
            weights = model.get_slope_weights(question.column or "")
            return question._replace(weights=_nonzero(weights)), weights.to_numpy()
        case _:
            weights = model.get_contrast_weights(contrast=parse_weights(question.words[0], columns))
            return question._replace(
                weights=_nonzero(weights), column=_only_factor(_nonzero(weights), model)
            ), weights.to_numpy()


def parse_weights(text: str, columns: Sequence[str]) -> dict[str, float]:
    """Read ``'COLUMN=WEIGHT,...'``; names of columns may include commas and equals signs, so they are looked up."""
    known = {column.replace("`", ""): column for column in columns}
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    item = re.compile(rf"\s*({names})\s*=\s*({NUMBER})(?:\s*/\s*({NUMBER}))?\s*(?:,|$)")
    weights: dict[str, float] = {}
    rest = text.replace("`", "")
    while rest.strip():
        found = item.match(rest)
        if found is None:
            raise ValueError(
                f"--weights: {rest.strip()!r} is not COLUMN=WEIGHT with a column of the design and a number, such as "
                f"'{columns[-1]}=1'. Columns of the design: {list(columns)}."
            )
        name, over, under = found.groups()
        if known[name] in weights:
            raise ValueError(f"--weights {text}: {name!r} comes twice; give each column one weight.")
        if under is not None and float(under) == 0:
            raise ValueError(f"--weights {text}: the weight {over}/{under} of {name!r} divides by zero.")
        weights[known[name]] = float(over) / (1.0 if under is None else float(under))
        rest = rest[found.end() :]
    if not weights:
        raise ValueError(f"--weights is empty; give 'COLUMN=WEIGHT,...' of these columns: {list(columns)}.")
    return weights


def _nonzero(weights: "pd.Series") -> dict[str, float]:
    return {str(column): float(weight) for column, weight in weights.items() if weight}


def _only_factor(weights: dict[str, float], model: "BulkVI") -> str | None:
    """Return the column with groups that all weights belong to, if there is one."""
    for column in map(str, model.adata.obs.columns):
        if _is_numeric(model.adata.obs[column]):
            continue
        try:
            tested = model.get_tested_columns(column)
        except (KeyError, ValueError):
            continue
        if set(weights) <= set(tested) and not any(":" in name for name in weights):
            return column
    return None


def _note_numbers(question: Question, model: "BulkVI") -> None:
    """Warn of a contrast between two of many numbers: it is a multiple of the slope."""
    column = question.column or ""
    if not _is_numeric(model.adata.obs[column]) or model.adata.obs[column].nunique() <= 2:
        return
    try:
        model.get_slope_weights(column)
    except ValueError:
        return
    _, test, reference = question.groups or ("", 0, 0)
    warnings.warn(
        f"{column!r} is a number in the design: {test} vs {reference} is {test - reference:g} times its effect per unit, which "
        f"all samples determine (--slope {column}). As groups: C({in_backticks(column)}) in the design.",
        UserWarning,
        stacklevel=1,
    )


def _is_numeric(column: "pd.Series") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(column) and not is_bool_dtype(column)
