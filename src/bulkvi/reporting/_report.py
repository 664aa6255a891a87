import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from bulkvi import names
from bulkvi.model import BulkVI
from bulkvi.reporting import _pictures as pictures
from bulkvi.reporting._asked import Asked, asked_of, group_sizes
from bulkvi.reporting._checks import design_check, sample_check
from bulkvi.reporting._fit_facts import fit_facts, to_watch
from bulkvi.reporting._gene_table import NEEDED, first_rows, gene_columns
from bulkvi.reporting._latent_table import latent_table
from bulkvi.reporting._methods import methods_of
from bulkvi.reporting._pathway_table import MAX_PRINTED, pathway_table, score_in_words
from bulkvi.reporting._plain_table import PlainTable, plain_table
from bulkvi.reporting._reproduce import code_of, seeds_of, versions
from bulkvi.reporting._trend_pictures import trend_pictures


def report(
    model: BulkVI,
    de: pd.DataFrame,
    path: str | Path,
    *,
    enrichment: pd.DataFrame | None = None,
    calibration: Any = None,
    title: str | None = None,
    groupby: str | None = None,
    level: float = 0.05,
    warnings: Sequence[str] = (),
    command: str | None = None,
    run: Mapping[str, Any] | None = None,
) -> Path:
    """What did the comparison find, and can it be trusted? Write it all on one page, for people.

    One HTML file that opens in any browser without a network: what was asked, the genes that change (all genes can be
    searched and sorted), plots, pathways, checks of design, samples and fit, versions, and code that repeats the analysis.
    It can be printed, read with the keyboard alone, and mailed. :doc:`/report` walks through it.

    Parameters
    ----------
    model
        Trained model with its data attached. Neither is changed.
    de
        Table of ``model.differential_expression``. One that was read from a file has lost its ``attrs``: the comparison is
        then made again with default arguments, and what the page says about it is left open where that gives other numbers.
    path
        File to write; one that exists is replaced when the new one is whole.
    enrichment
        Table of pathways, a row for each; shown as it is, and drawn if it is one of :func:`bulkvi.tl.enrichment`.
    calibration
        What ``model.calibrate`` gave.
    title
        Heading of the page; by default the comparison.
    groupby
        Column of ``obs`` that samples are coloured and checked by. By default the column of the groups compared; samples
        of a slope are coloured by its covariate.
    level
        False discovery rate at which genes are called, in (0, 1).
    warnings
        What was warned of on the way, to be repeated on the page.
    command
        Command line that made the result, if it was one.
    run
        What model and tables do not know of the analysis, for the section of methods, under names of the ``run.json`` that
        ``bulkvi de`` leaves: ``n_genes_read`` and ``min_counts`` (together), ``size_factors`` (``{"chosen": name}``) and
        ``gene_sets``. Others are not read, and what is left out is not mentioned.

    Returns
    -------
    The path.

    Raises
    ------
    TypeError
        If ``model`` is not a BulkVI or ``de`` not a table.
    KeyError
        If a column is missing.
    ValueError
        If the model has no data, the table is not of its genes, or ``level`` is out of range.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=300)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    >>> model = bv.BulkVI(adata, n_latent=2)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> de = model.differential_expression("group", "B", "A")
    >>> bv.report(model, de, "report.html").name
    'report.html'
    """
    _check(model, de, enrichment, groupby, level)
    asked = asked_of(model, de)
    groupby = groupby or asked.groupby
    colour = groupby or asked.slope
    de = _with_symbols(de, model, asked)
    design, samples = design_check(model, groupby), sample_check(model, groupby)
    columns = gene_columns(de, de[names.SYMBOL], level, any_unit=asked.slope is not None)
    called = de[de[names.ADJ_P_VALUE] < level]
    up = int((called[names.LOG_FC] > 0).sum())
    said = f"{len(called):,} of {len(de):,} genes change: {up:,} up, {len(called) - up:,} down."
    latent, latent_said = latent_table(model, asked, design)
    path, used, seeds = Path(path), versions(), seeds_of(model)
    page = {
        "title": title or asked.label,
        "asked": asked,
        "level": level,
        "n_genes": len(de),
        "n_samples": model.adata.n_obs,
        "n_reaching": int(((called[names.LOG_FC_LOW] <= 0) & (called[names.LOG_FC_HIGH] >= 0)).sum()),
        "n_up": up,
        "n_down": len(called) - up,
        "groupby": groupby,
        "formula": model.registry["setup_args"]["design"],
        "sizes": group_sizes(model.adata, asked, groupby),
        "looked_at": ", ".join(["the design"] * (design is not None) + ["the samples"] * samples.checked + ["the fit"]),
        "watch": to_watch(de, asked, design, samples.watch, warnings),
        "genes": columns,
        "rows": first_rows(columns),
        "results": pictures.result_pictures(de, level=level, said=said, asked=asked),
        "top_genes": trend_pictures(model, de, asked, level=level, digits=columns["digits"])
        or pictures.gene_pictures(model, de, groupby, asked, level=level),
        "max_printed": MAX_PRINTED,
        "pathways": None if enrichment is None else pathway_table(enrichment),
        "design": design,
        "cells": _cells(design),
        "design_pictures": pictures.design_picture(design),
        "samples": samples,
        "size_factors": pictures.size_factor_picture(model, colour),
        "latent": latent,
        "latent_said": latent_said,
        "latent_pictures": pictures.latent_pictures(model, colour),
        "facts": fit_facts(de, asked),
        "fit_pictures": pictures.fit_pictures(model, de, level=level),
        "pathways_explained": None if enrichment is None else score_in_words(enrichment),
        "enrichment_in_file": path.with_name("enrichment.csv").is_file(),
        "pathway_pictures": [] if enrichment is None else pictures.pathway_pictures(enrichment, level=level),
        "calibration": calibration,
        "calibration_pictures": [] if calibration is None else pictures.calibration_pictures(calibration),
        "code": code_of(model, asked),
        "command": command,
        "methods": methods_of(
            model, de, asked, enrichment=enrichment, level=level, run=run or {}, seeds=seeds, versions=used
        ),
        "in_file": _table_beside(path, de),
        "seeds": seeds,
        "versions": used,
        "date": date.today().isoformat(),
    }
    _write(path, _render(page))
    return path


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a page that exists stays until the new one is there."""
    # halves of characters, as a name from a damaged file may hold, have no place in UTF-8
    content = text.encode(errors="replace")
    if path.exists() and not path.is_file():  # a pipe, say
        path.write_bytes(content)
        return
    target = Path(os.path.realpath(path))
    new = target.with_name(f".bulkvi-{uuid.uuid4().hex[:8]}")
    try:
        new.write_bytes(content)
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)


def _render(page: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("bulkvi.reporting", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    return environment.get_template("report.html").render(page)


def _check(model: BulkVI, de: pd.DataFrame, enrichment: pd.DataFrame | None, groupby: str | None, level: float) -> None:
    if not isinstance(model, BulkVI):
        raise TypeError(f"`model` must be a BulkVI, not {type(model).__name__}.")
    if not isinstance(de, pd.DataFrame):
        raise TypeError(f"`de` must be the table of model.differential_expression, not {type(de).__name__}.")
    if model.adata is None:
        raise ValueError("The model has no samples attached; load it with BulkVI.load(folder, adata=adata).")
    missing = [column for column in NEEDED if column not in de]
    if missing:
        raise KeyError(f"`de` has no columns {missing}; give the table of model.differential_expression.")
    if len(de) != model.adata.n_vars or not (de.index == model.adata.var_names).all():
        raise ValueError(
            f"`de` has {len(de):,} rows and the model {model.adata.n_vars:,} genes, or they are not the same genes in the same "
            "order: give the whole table of this model."
        )
    if not isinstance(enrichment, pd.DataFrame | None):
        raise TypeError(f"`enrichment` must be a table of pathways, not {type(enrichment).__name__}.")
    if groupby is not None and groupby not in model.adata.obs:
        raise KeyError(f"groupby={groupby!r} is not a column of adata.obs; it has {list(model.adata.obs.columns)}.")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: give a false discovery rate between 0 and 1.")


def _with_symbols(de: pd.DataFrame, model: BulkVI, asked: Asked) -> pd.DataFrame:
    """The table with a symbol for each gene, flags without missing values, and the ``attrs`` as far as they are known."""
    given = de[names.SYMBOL] if names.SYMBOL in de else model.adata.var.get(names.SYMBOL)
    ids = pd.Series(de.index.astype(str), index=de.index)
    symbols = ids if given is None else given.astype(object).where(given.notna() & (given.astype(str) != ""), ids)
    table = de.assign(**{names.SYMBOL: symbols.astype(str), names.FLAG: de[names.FLAG].fillna("").astype(str)})
    table.attrs = dict(asked.attrs)
    return table


def _cells(design: Any) -> PlainTable | None:
    if design is None or design.cells.empty:
        return None
    cells = design.cells.rename(columns={names.N_SAMPLES: "samples"})
    return plain_table(cells, "cells-table", "Samples in each combination of the design")


def _table_beside(path: Path, de: pd.DataFrame) -> bool:
    """Whether ``de.csv`` lies beside the page, and is this table."""
    beside = path.with_name("de.csv")
    if not beside.is_file():
        return False
    try:
        there = pd.read_csv(beside, usecols=[names.P_VALUE])
    except (ValueError, OSError):
        return False
    return len(there) == len(de) and np.allclose(there[names.P_VALUE], de[names.P_VALUE], rtol=1e-6, equal_nan=True)
