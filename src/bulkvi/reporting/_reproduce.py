"""Code and versions that lead back to a result."""

import inspect
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

from bulkvi.model import BulkVI
from bulkvi.reporting._asked import Asked

PACKAGES: Final = ("bulkvi", "scvi-tools", "torch", "anndata", "numpy", "pandas", "scipy", "matplotlib")
NOT_KEPT: Final = "  # as you trained it: this model keeps no record of that"
NOT_KEPT_WITH_TABLE: Final = "  # the arguments were not kept with the table"


def code_of(model: BulkVI, asked: Asked) -> str:
    """Python that repeats the analysis on the AnnData of the model."""
    setup = _given(BulkVI.setup_anndata, model.registry["setup_args"])
    start = _given(BulkVI.__init__, model.init_params_["non_kwargs"])
    trained = [f"model.train({_given(model.train, call)})" for call in model.train_params_]
    lines = [
        "import anndata as ad",
        "import bulkvi as bv",
        "",
        'adata = ad.read_h5ad("adata.h5ad")  # the samples and genes of this report, with their size factors',
        f"bv.BulkVI.setup_anndata(adata, {setup})",
        f"model = bv.BulkVI({', '.join(part for part in ('adata', start) if part)})",
        *(trained or ["model.train()" + NOT_KEPT]),
        f"de = model.differential_expression({_comparison(asked)})"
        + (NOT_KEPT_WITH_TABLE if not asked.arguments else ""),
    ]
    return "\n".join(lines)


def _comparison(asked: Asked) -> str:
    if not asked.arguments:
        return "..."
    arguments = dict(asked.arguments)
    groups = [repr(arguments.pop(name)) for name in ("groupby", "group1", "group2")] if asked.groups else []
    # it is kept resolved, and "direct" is what None resolves to wherever there is a direct effect
    if arguments["effect"] == "direct":
        del arguments["effect"]
    return ", ".join([*groups, *filter(None, [_given(BulkVI.differential_expression, arguments)])])


def _given(function: Callable[..., object], arguments: Mapping[str, Any]) -> str:
    """The arguments that are not the function's defaults, as they are written in a call."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value != defaults.get(name))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers hang on."""
    return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def seeds_of(model: BulkVI) -> str:
    """Seeds of the start and of training, in words."""
    start = model.init_params_["non_kwargs"]["seed"]
    calls = [call["seed"] for call in model.train_params_]
    training = " then ".join(str(seed) for seed in calls) if calls else "not kept with the model"
    return f"start of the networks {start}, training {training}"
