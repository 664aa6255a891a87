"""Array functions: arrays in, arrays or named tuples out. The names below are public, all modules are private."""

from importlib import import_module
from typing import Any

_MODULES = {
    "benjamini_hochberg": "effects.effect",
    "effect_likelihood": "effects.effect",
    "effect_ridge": "genes",
    "empirical_fdr": "permutation",
    "find_outliers": "outliers.outliers",
    "fit_genes": "genes",
    "latent_number": "hidden.hidden_factors",
    "median_of_ratios": "counts.size_factors",
    "omnibus_test": "effects.likelihood_ratio",
    "poscounts": "counts.size_factors",
    "s_value": "effects.effect",
    "shrink": "effects.shrinkage",
    "shrinkage_prior": "effects.shrinkage",
    "summarise_effect": "effects.summary",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import the module of a public function on first use: compiled functions make these imports slow."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
