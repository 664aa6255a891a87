"""Python code that repeats the analysis of a page."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from bulkvi.model import BulkVI
from bulkvi.reference_names import DECIDED, REFERENCE
from bulkvi.reporting._query import Query

TRAINING_UNKNOWN: Final = "  # as you trained it: this model keeps no record of that"
QUERY_UNKNOWN: Final = "  # the arguments were not kept with the table"


def code_of(model: BulkVI, query: Query) -> str:
    """Write the Python code that repeats the analysis on the AnnData of the model."""
    setup = _given(BulkVI.setup_anndata, model.registry["setup_args"])
    start = _given(BulkVI.__init__, model.init_params_["non_kwargs"])
    trained = [f"model.train({_given(model.train, call)})" for call in model.train_params_]
    if model.reference_ is not None:
        start = ", ".join(part for part in (start, "reference=reference") if part)
    lines = [
        "import anndata as ad",
        "import bulkvi as bv",
        "",
        'adata = ad.read_h5ad("adata.h5ad")  # the samples and genes of this report, with their size factors',
        *([] if model.reference_ is None else [f"reference = bv.Reference.load(...)  # {model.reference_['name']}"]),
        f"bv.BulkVI.setup_anndata(adata, {setup})",
        f"model = bv.BulkVI({', '.join(part for part in ('adata', start) if part)})",
        *(trained or ["model.train()" + TRAINING_UNKNOWN]),
        f"de = model.differential_expression({_comparison(query)})" + ("" if query.is_known else QUERY_UNKNOWN),
    ]
    return "\n".join(lines)


def _comparison(query: Query) -> str:
    arguments = dict(query.arguments)
    groups = [repr(arguments.pop(name)) for name in ("groupby", "group1", "group2")] if query.groups else []
    if not query.is_known:
        return ", ".join([*groups, "..."])
    # the query has it resolved, and "direct" is what None resolves to wherever there is a direct effect
    if arguments["effect"] == "direct" or query.attrs.get(REFERENCE, {}).get(DECIDED):
        del arguments["effect"]
    return ", ".join([*groups, *filter(None, [_given(BulkVI.differential_expression, arguments)])])


def _given(function: Callable[..., object], arguments: Mapping[str, Any]) -> str:
    """Write the arguments that are not the function's defaults, as in a call."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value != defaults.get(name))
