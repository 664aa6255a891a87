"""Answers of a trained model to the questions of ``bulkvi de``: their files, their entries in ``run.json``, their words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bulkvi.cli._figures import draw_figures
from bulkvi.cli._folder import REPORT_FILE, RESULTS, RUN_FILE, NewResult
from bulkvi.cli._progress import Say, noted
from bulkvi.cli._questions import Question, folder_of
from bulkvi.cli._results import FILES, N_SHOWN, show_files, show_notes, show_results, write_table
from bulkvi.cli._run_file import of_this_result, read_older
from bulkvi.cli._terms import ENRICHMENT, Organism, score_terms, show_terms

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from bulkvi import BulkVI

GOES_WITH: Final = 0.5
"""Share of a latent column that a column of SAMPLES must explain to be named beside it."""
SHARED: Final = (RUN_FILE, "adata.h5ad", "model/model.pt")
"""Files that several questions have in common."""
OF_QUESTION: Final = tuple(name for name in RESULTS if name not in SHARED)
N_SHOWN_OF_SEVERAL: Final = 5
FIRST: Final = "; the first time, code is compiled for this machine"
OMNIBUS_FILES: Final = {
    "de.csv": "a row for each of {n_genes:,} genes: likelihood ratio, p-values and more",
    "figures/": "p_values, dispersion, gene (the most significant one), latent, size_factors and training,\nas PNG and PDF; "
    "there is no page of an omnibus test",
}


class Answer(NamedTuple):
    """The answer to a question."""

    question: Question
    table: "pd.DataFrame"
    terms: "pd.DataFrame | None"
    notes: list[str]
    """Notes on this question alone."""
    entry: dict[str, Any]
    """What ``run.json`` holds of it."""


class Choices(NamedTuple):
    """Options that apply to all questions."""

    level: float
    delta: float
    gene_sets: str | None
    organism: Organism
    composition_shift: bool | None
    """Whether the shift that all effects share is taken off; None for the rule of the size factors."""


def files_written(out: Path, questions: Sequence[Question]) -> list[str]:
    """Files that the command may write for these questions, and those of several that an older run left in the folder."""
    folders = [] if len(questions) == 1 else [question.folder for question in questions]
    older = [str(entry.get("folder")) for entry in read_older(out / RUN_FILE).get("questions", ())]
    folders += [name for name in older if name not in {*folders, ".", ".."} and Path(name).name == name]
    return [*RESULTS, *(f"{folder}/{name}" for folder in folders for name in OF_QUESTION)]


def answer(
    model: "BulkVI",
    adata: "AnnData",
    question: Question,
    result: NewResult,
    *,
    questions: Sequence[Question],
    choices: Choices,
    run: Mapping[str, Any],
    notes: Sequence[str],
    say: Say,
) -> Answer:
    """Answer a question and write its table, figures and page.

    Parameters
    ----------
    model
        Trained on ``adata``.
    adata
        Samples x genes, with size factors and latent states.
    question
        With its groups or weights.
    result
        Folder of the results.
    questions
        All questions; where there are several, the results go into a folder in it.
    choices
        Options that apply to all questions.
    run
        What is known of the analysis, as in ``run.json``.
    notes
        Notes on the analysis so far.
    say
        Prints a line of progress.
    """
    from bulkvi import report

    folder = folder_of(result.new, question, questions)
    with noted(say) as own:
        say(f"{_announced(question)}{FIRST if question is questions[0] else ''}")
        found = _table_of(model, question, choices)
        say(f"Writing to {folder_of(result.out, question, questions)}")
        folder.mkdir(exist_ok=True)
        table = write_table(found, adata, folder / "de.csv")
        if hidden := _hidden(model, table):
            own.append(hidden)
            say(f"Note: {hidden}")
        terms = None
        if choices.gene_sets is not None and question.kind == "omnibus":
            own.append("Gene sets are not scored: an omnibus test has no direction.")
        elif choices.gene_sets is not None:
            say(f"Scoring gene sets of {choices.gene_sets}")
            try:
                terms = score_terms(table, choices.gene_sets, choices.organism, folder)
            except ValueError as error:  # the rest of the answer is valid
                own.append(f"Gene sets left out: {error}")
                say(f"Note: {own[-1]}")
        (folder / "figures").mkdir(exist_ok=True)
        along = _along(question, model)
        draw_figures(
            model,
            adata,
            table,
            folder / "figures",
            terms=terms,
            groupby=question.column if along is None else None,
            level=choices.level,
            slope=along,
        )
        entry = _entry_of(question) | of_this_result(adata, table, question.groups, choices.level, terms)
        if question.kind != "omnibus":
            report(
                model,
                table,
                folder / REPORT_FILE,
                enrichment=terms,
                groupby=entry.get("groupby"),
                level=choices.level,
                warnings=[*notes, *own],
                command=run["command"],
                run={**run, **entry},
            )
    return Answer(question, table, terms, own, entry)


def _announced(question: Question) -> str:
    if question.groups is not None:
        return f"Comparing {question.groups[1]} with {question.groups[2]}"
    return {"slope": "Estimating the slope of", "weights": "Estimating", "omnibus": "Testing"}[question.kind] + (
        f" {question.column if question.kind == 'slope' else question.label}"
    )


def _table_of(model: "BulkVI", question: Question, choices: Choices) -> "pd.DataFrame":
    if question.kind == "omnibus":
        return model.omnibus_test(str(question.column))
    delta, shift = choices.delta, choices.composition_shift
    if question.groups is not None:
        return model.differential_expression(*question.groups, delta=delta, composition_shift=shift)
    return model.differential_expression(contrast=question.weights, delta=delta, composition_shift=shift)


def _along(question: Question, model: "BulkVI") -> str | None:
    """The numeric column of a slope or an omnibus test, unless the design has it as categories."""
    if question.numbers is None or question.column is None:
        return None
    try:
        model.get_rate_curve(model.adata.var_names[:1].tolist(), question.column)
    except ValueError:
        return None
    return question.column


def _entry_of(question: Question) -> dict[str, Any]:
    """The question as ``run.json`` holds it, beside the entry ``contrast`` of groups."""
    entry: dict[str, Any] = {"question": question.label, "kind": question.kind}
    if question.kind != "contrast":
        entry[question.kind] = question.weights if question.kind == "weights" else question.column
    if question.kind == "slope":
        entry |= {"range": list(question.numbers or ()), "weights": question.weights}
    if question.kind == "weights":
        entry["groupby"] = question.column
    return entry


def summarise(answers: Sequence[Answer], run: Mapping[str, Any], notes: Sequence[str], new: Path) -> dict[str, Any]:
    """What ``run.json`` holds: with one question its findings beside the run, with several an entry for each."""
    if len(answers) == 1:
        (only,) = answers
        short = {name: only.entry[name] for name in ("question", "kind", "calls")} | {"folder": "."}
        return {**run, **only.entry, "questions": [short], "warnings": [*notes, *only.notes]}
    entries = [
        each.entry
        | {
            "folder": each.question.folder,
            "warnings": each.notes,
            "files": [name for name in OF_QUESTION if (new / each.question.folder / name).is_file()],
        }
        for each in answers
    ]
    same = {name: entries[0][name] for name in ("n_samples", "n_genes", "level")}
    return {**run, **same, "questions": entries, "warnings": list(notes)}


def show_answers(answers: Sequence[Answer], choices: Choices, notes: Sequence[str], out: Path) -> None:
    """Say on standard output what was found, and what lies where."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False)
    several = len(answers) > 1
    for each in answers:
        question = each.question
        if several:
            console.print()
            console.rule(question.label, align="left")
        larger = f" p-values test for changes larger than {choices.delta:g}." if choices.delta else ""
        show_results(
            each.table,
            level=choices.level,
            sign=question.sign_in_words() + (larger if question.kind != "omnibus" else ""),
            n_shown=N_SHOWN_OF_SEVERAL if several else N_SHOWN,
            any_unit=question.kind == "slope",
        )
        if each.terms is not None:
            show_terms(each.terms, choices.level)
        if several:
            show_notes(each.notes)
            console.print(f"In {out / question.folder}")
    only = answers[0]
    shared = {RUN_FILE: "questions and findings, the versions and the command"}
    if several:
        show_notes(notes)
        folders = {f"{each.question.folder}/": each.question.label for each in answers}
        shared = {name: text for name, text in FILES.items() if name in ("adata.h5ad", "model/")} | shared
        show_files(only.table, out, folders | shared)
        return
    show_notes([*notes, *only.notes])
    files = FILES
    if only.question.kind == "omnibus":
        files = {**OMNIBUS_FILES, **{name: FILES[name] for name in ("adata.h5ad", "model/")}}
    show_files(only.table, out, files | (ENRICHMENT if only.terms is not None else {}) | shared)


def _hidden(model: "BulkVI", table: "pd.DataFrame") -> str | None:
    """What was held fixed that the design does not say."""
    from bulkvi.names import ENTERS, N_LATENT_COLUMNS, STRENGTH, STRONGEST_WITH

    n = int(table.attrs.get(N_LATENT_COLUMNS, 0))
    if not n:
        return None
    held = model.latent_report()
    held = held[held[ENTERS] & (held[STRENGTH] > GOES_WITH)]
    obs = model.adata.obs
    free = len(obs) - model.get_design_matrix().shape[1]
    known = [name for name in dict.fromkeys(held[STRONGEST_WITH]) if name in obs]
    sizes = {name: 2 if obs[name].dtype.kind in "if" else obs[name].nunique() for name in known}
    fitting = ", ".join(repr(name) for name in known if sizes[name] - 1 < free)
    donors = [name for name in known if sizes[name] - 1 >= free and sizes[name] < len(obs)]
    advice = ""
    if fitting:
        advice = f" Of the columns in SAMPLES {fitting} goes with it: if that moves the counts, add it to the design."
    if donors:
        advice += f" {donors[0]!r} goes with it and has too many levels for the design: if samples repeat, use --donor {donors[0]}."
    return (
        f"{n} hidden direction{'s' * (n > 1)} of the data, such as a batch that the design does not name, "
        f"{'were' if n > 1 else 'was'} found and held fixed.{advice}"
    )
