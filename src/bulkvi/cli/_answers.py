"""Answers of a trained model to the questions of ``bulkvi de``: files, entries of ``run.json``, terminal output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bulkvi.cli._folder import REPORT_FILE, RESULTS, RUN_FILE, NewResult
from bulkvi.cli._progress import Say, warnings_as_notes
from bulkvi.cli._questions import Question, folder_of
from bulkvi.cli._results import (
    ENRICHMENT,
    FILES,
    N_SHOWN,
    Organism,
    plain_console,
    score_terms,
    show_files,
    show_notes,
    show_results,
    show_terms,
    write_table,
)
from bulkvi.cli._run_file import describe_result, read_older

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from bulkvi import BulkVI

CLOSE: Final = 0.5
"""Share of a latent column that a column of SAMPLES must explain to be named with it."""
SHARED: Final = (RUN_FILE, "adata.h5ad", "model/model.pt")
"""Files that several questions have in common."""
OF_QUESTION: Final = tuple(name for name in RESULTS if name not in SHARED)
N_SHOWN_OF_SEVERAL: Final = 5
COMPILED: Final = "; the first time, code is compiled for this machine"
OMNIBUS_FILES: Final = {
    "de.csv": "one row for each of {n_genes:,} genes: likelihood ratio, p-values and more",
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
    """Its entry in ``run.json``."""


class Choices(NamedTuple):
    """Options that apply to all questions."""

    level: float
    delta: float
    gene_sets: str | None
    organism: Organism
    composition_shift: bool | None
    """Whether the shift that all effects share is subtracted; None for the rule of the size factors."""


def files_written(out: Path, questions: Sequence[Question]) -> list[str]:
    """List the files that the command may write, and those of several questions that an older run left in the folder."""
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
    """Answer one of the questions and write its table, figures and page; ``run`` has entries of ``run.json``."""
    from bulkvi import report
    from bulkvi.reporting import write_figures

    folder = folder_of(result.new, question, questions)
    terms = None
    with warnings_as_notes(say) as new_notes:
        say(f"{_announcement(question)}{COMPILED if question is questions[0] else ''}")
        if question.kind == "omnibus":
            table = model.omnibus_test(str(question.column))
        else:
            table = model.differential_expression(
                *(question.groups or ()),
                contrast=question.weights if question.groups is None else None,
                delta=choices.delta,
                composition_shift=choices.composition_shift,
            )
        say(f"Writing to {folder_of(result.out, question, questions)}")
        folder.mkdir(exist_ok=True)
        table = write_table(table, adata, folder / "de.csv")
        if hidden := _note_on_hidden(model, table):
            new_notes.append(hidden)
            say(f"Note: {hidden}")
        if choices.gene_sets is not None and question.kind == "omnibus":
            new_notes.append("Gene sets are not scored: an omnibus test has no direction.")
        elif choices.gene_sets is not None:
            say(f"Scoring gene sets of {choices.gene_sets}")
            try:
                terms = score_terms(table, choices.gene_sets, choices.organism, folder)
            except ValueError as error:  # the rest of the answer is valid
                new_notes.append(f"Gene sets left out: {error}")
                say(f"Note: {new_notes[-1]}")
        figures = folder / "figures"
        figures.mkdir(exist_ok=True)
        entry = _entry_of(question) | describe_result(adata, table, question.groups, choices.level, terms)
        if question.kind == "omnibus":
            write_figures(model, table, figures, groupby=question.column, level=choices.level)
        else:
            report(
                model,
                table,
                folder / REPORT_FILE,
                enrichment=terms,
                groupby=entry.get("groupby"),
                level=choices.level,
                warnings=[*notes, *new_notes],
                command=run["command"],
                run={**run, **entry},
                figures=figures,
            )
    return Answer(question, table, terms, new_notes, entry)


def _announcement(question: Question) -> str:
    if question.groups is not None:
        return f"Comparing {question.groups[1]} with {question.groups[2]}"
    return {
        "slope": f"Estimating the slope of {question.column}",
        "omnibus": f"Testing {question.label}",
    }.get(question.kind, f"Estimating {question.label}")


def _entry_of(question: Question) -> dict[str, Any]:
    """Describe the question for ``run.json``, where groups have an entry ``contrast`` of their own."""
    entry: dict[str, Any] = {"question": question.label, "kind": question.kind}
    if question.kind != "contrast":
        entry[question.kind] = question.weights if question.kind == "weights" else question.column
    if question.kind == "slope":
        entry |= {"range": list(question.numbers or ()), "weights": question.weights}
    if question.kind == "weights":
        entry["groupby"] = question.column
    return entry


def summarise(answers: Sequence[Answer], run: Mapping[str, Any], notes: Sequence[str], new: Path) -> dict[str, Any]:
    """Collect the entries of ``run.json``: findings of a single question directly, of several in an entry for each."""
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
    """Print findings and files on standard output."""
    console = plain_console()
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
            sign=question.describe_sign() + (larger if question.kind != "omnibus" else ""),
            n_shown=N_SHOWN_OF_SEVERAL if several else N_SHOWN,
            any_unit=question.kind == "slope",
        )
        if each.terms is not None:
            show_terms(each.terms, choices.level)
        if several:
            show_notes(each.notes)
            console.print(f"In {out / question.folder}")
    first = answers[0]
    model_files = {name: FILES[name] for name in ("adata.h5ad", "model/")}
    run_file = {RUN_FILE: "questions and findings, the versions and the command"}
    show_notes(notes if several else [*notes, *first.notes])
    if several:
        files = {f"{each.question.folder}/": each.question.label for each in answers} | model_files
    else:
        files = OMNIBUS_FILES | model_files if first.question.kind == "omnibus" else FILES
        files = files | (ENRICHMENT if first.terms is not None else {})
    show_files(first.table, out, files | run_file)


def _note_on_hidden(model: "BulkVI", table: "pd.DataFrame") -> str | None:
    """Describe the hidden directions that were held fixed, and the columns of SAMPLES that go with them."""
    from bulkvi.names import ENTERS, N_LATENT_COLUMNS, STRENGTH, STRONGEST_WITH
    from bulkvi.reference_names import REFERENCE

    n = int(table.attrs.get(N_LATENT_COLUMNS, 0))
    if not n:
        return None
    hidden = model.latent_report()
    # directions of a reference come first; they are held fixed in any case
    own = ~hidden.index.str.startswith(f"{REFERENCE}_")
    hidden = hidden[own & hidden[ENTERS] & (hidden[STRENGTH] > CLOSE)]
    obs = model.adata.obs
    residual_df = len(obs) - model.get_design_matrix().shape[1]
    columns = [name for name in dict.fromkeys(hidden[STRONGEST_WITH]) if name in obs]
    sizes = {name: 2 if obs[name].dtype.kind in "if" else obs[name].nunique() for name in columns}
    fitting = ", ".join(repr(name) for name in columns if sizes[name] - 1 < residual_df)
    donors = [name for name in columns if sizes[name] - 1 >= residual_df and sizes[name] < len(obs)]
    advice = ""
    if fitting:
        advice = f" Of the columns in SAMPLES {fitting} goes with it: if that moves the counts, add it to the design."
    if donors:
        advice += f" {donors[0]!r} goes with it and has too many levels for the design: if samples repeat, use --donor {donors[0]}."
    return (
        f"{n} hidden direction{'s' * (n > 1)} of the data, such as a batch that is not in the design, "
        f"{'were' if n > 1 else 'was'} found and held fixed.{advice}"
    )
