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
from bulkvi.reporting._checks import design_check, fit_facts, sample_check, warnings_for_reader
from bulkvi.reporting._code import code_of
from bulkvi.reporting._gene_pictures import Comparison, gene_pictures, is_number_in_design
from bulkvi.reporting._gene_table import NEEDED, first_rows, gene_columns
from bulkvi.reporting._methods import methods_of, seeds_of, versions
from bulkvi.reporting._query import Query, group_sizes, query_from_table
from bulkvi.reporting._tables import MAX_PRINTED, PlainTable, describe_score, latent_table, pathway_table, plain_table


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
    figures: str | Path | None = None,
) -> Path:
    """Write a comparison on one page: what did it find, and can it be trusted?

    One HTML file that opens in any browser without a network: the query, the genes that change (all genes can be
    searched and sorted), plots, pathways, checks of design, samples and fit, versions, and code that repeats the analysis.
    It can be printed, read with the keyboard alone, and mailed. :doc:`/report` walks through it.

    Parameters
    ----------
    model
        Trained model with its data attached. Neither is changed.
    de
        Table of ``model.differential_expression``. One that was read from a file has lost its ``attrs``: the page then names
        the two groups of its label, and leaves open which effect, interval and latent columns they belong to.
    path
        File to write; one that exists is replaced when the new one is whole.
    enrichment
        Table of pathways, a row for each; shown as it is, and drawn if it is one of :func:`bulkvi.tl.enrichment`.
    calibration
        Report of ``model.calibrate``.
    title
        Heading of the page; by default the comparison.
    groupby
        Column of ``obs`` that samples are coloured and checked by. By default the column of the groups compared; samples
        of a slope are coloured by its covariate.
    level
        False discovery rate at which genes are called, in (0, 1).
    warnings
        Warnings of earlier steps, to be repeated on the page.
    command
        Command line of the analysis, if there was one.
    run
        Facts for the section of methods that are not in the model and the tables, under names of the ``run.json`` of
        ``bulkvi de``: ``n_genes_read`` and ``min_counts`` (together), ``size_factors`` (``{"chosen": name}``) and
        ``gene_sets``. Other names are ignored, and missing facts are not mentioned.
    figures
        Folder that exists, to write the main plots into as PNG and PDF; None for the page alone.

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
    query = query_from_table(model, de)
    groupby = groupby or query.groupby
    de = _with_symbols(de, model, query)
    comparison = Comparison(model, de, query, groupby, query.slope, level)
    design, samples = design_check(model, groupby), sample_check(model, groupby)
    columns = gene_columns(de, de[names.SYMBOL], level, any_unit=query.slope is not None)
    called = de[de[names.ADJ_P_VALUE] < level]
    up = int((called[names.LOG_FC] > 0).sum())
    summary = f"{len(called):,} of {len(de):,} genes change: {up:,} up, {len(called) - up:,} down."
    latent, latent_summary = latent_table(model, query, design)
    path, used, seeds = Path(path), versions(), seeds_of(model)
    drawn = {
        "results": pictures.result_pictures(comparison, summary=summary),
        "top_genes": gene_pictures(comparison, comparison.drawn_genes()),
        "design_pictures": pictures.design_picture(design),
        "size_factors": [pictures.size_factor_picture(comparison)],
        "latent_pictures": pictures.latent_pictures(comparison),
        "fit_pictures": pictures.fit_pictures(comparison),
        "pathway_pictures": pictures.pathway_pictures(enrichment, level=level),
        "calibration_pictures": pictures.calibration_pictures(calibration),
    }
    page = {
        **drawn,
        "title": title or query.label,
        "query": query,
        "level": level,
        "n_genes": len(de),
        "n_samples": model.adata.n_obs,
        "n_reaching": int(((called[names.LOG_FC_LOW] <= 0) & (called[names.LOG_FC_HIGH] >= 0)).sum()),
        "n_up": up,
        "n_down": len(called) - up,
        "groupby": groupby,
        "formula": model.registry["setup_args"]["design"],
        "sizes": group_sizes(model.adata, query, groupby),
        "checks": ", ".join(["the design"] * (design is not None) + ["the samples"] * samples.checked + ["the fit"]),
        "warnings": warnings_for_reader(de, query, design, samples.warnings, warnings),
        "genes": columns,
        "rows": first_rows(columns),
        "max_printed": MAX_PRINTED,
        "pathways": None if enrichment is None else pathway_table(enrichment),
        "design": design,
        "cells": _cells(design),
        "samples": samples,
        "latent": latent,
        "latent_summary": latent_summary,
        "facts": fit_facts(de, query),
        "pathway_score": None if enrichment is None else describe_score(enrichment),
        "enrichment_in_file": path.with_name("enrichment.csv").is_file(),
        "calibration": calibration,
        "code": code_of(model, query),
        "command": command,
        "methods": methods_of(
            model, de, query, enrichment=enrichment, level=level, run=run or {}, seeds=seeds, versions=used
        ),
        "in_file": _is_in_file(path.with_name("de.csv"), de),
        "seeds": seeds,
        "versions": used,
        "date": date.today().isoformat(),
    }
    if figures is not None:
        pictures.write_pictures([each for part in drawn.values() for each in part], comparison, Path(figures))
    _write(path, _render(page))
    return path


def write_figures(
    model: BulkVI, table: pd.DataFrame, folder: str | Path, *, groupby: str | None = None, level: float = 0.05
) -> None:
    """Write the plots of an omnibus test, of which there is no page, as PNG and PDF.

    Parameters
    ----------
    model
        Trained model with its data attached.
    table
        Table of ``model.omnibus_test``.
    folder
        Folder that exists.
    groupby
        Column of ``obs`` that was tested: the most significant gene is drawn by its groups, or over its numbers if they enter
        the design as numbers. None draws no gene.
    level
        False discovery rate at which genes are called, in (0, 1).

    Examples
    --------
    >>> import bulkvi as bv
    >>> from bulkvi.reporting import write_figures
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=200)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    >>> model = bv.BulkVI(adata, n_latent=2)
    >>> model.train(max_steps=20, progress_bar=False)
    >>> Path("figures").mkdir()
    >>> write_figures(model, model.omnibus_test("group"), "figures", groupby="group")
    >>> Path("figures/gene.pdf").exists()
    True
    """
    query = Query("", {}, dict(table.attrs))
    slope = groupby if groupby is not None and is_number_in_design(model, groupby) else None
    table = _with_symbols(table, model, query)
    comparison = Comparison(model, table, query, groupby if slope is None else None, slope, level)
    drawn = [
        pictures.size_factor_picture(comparison),
        *pictures.latent_pictures(comparison),
        *pictures.fit_pictures(comparison),
    ]
    pictures.write_pictures(drawn, comparison, Path(folder))


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: an existing page stays until the new one is complete."""
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


def _with_symbols(table: pd.DataFrame, model: BulkVI, query: Query) -> pd.DataFrame:
    """Add a symbol for each gene, flags without missing values, and the known ``attrs``."""
    given = table[names.SYMBOL] if names.SYMBOL in table else model.adata.var.get(names.SYMBOL)
    ids = pd.Series(table.index.astype(str), index=table.index)
    symbols = ids if given is None else given.astype(object).where(given.notna() & (given.astype(str) != ""), ids)
    flags = table[names.FLAG].fillna("").astype(str)
    table = table.assign(**{names.SYMBOL: symbols.astype(str), names.FLAG: flags})
    table.attrs = dict(query.attrs)
    return table


def _cells(design: Any) -> PlainTable | None:
    if design is None or design.cells.empty:
        return None
    cells = design.cells.rename(columns={names.N_SAMPLES: "samples"})
    return plain_table(cells, "cells-table", "Samples in each combination of the design")


def _is_in_file(path: Path, de: pd.DataFrame) -> bool:
    """Whether a file in the folder of the page holds this table."""
    if not path.is_file():
        return False
    try:
        p_values = pd.read_csv(path, usecols=[names.P_VALUE])[names.P_VALUE]
    except (ValueError, OSError):
        return False
    return len(p_values) == len(de) and np.allclose(p_values, de[names.P_VALUE], rtol=1e-6, equal_nan=True)
