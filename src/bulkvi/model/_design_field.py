"""AnnData field of a design formula."""

from typing import Any

import rich.table
from anndata import AnnData
from scvi.data.fields import BaseAnnDataField

from bulkvi.model._design import INTERCEPT, Design, apply_design, design_from_state, make_design, without_intercept
from bulkvi.names import DESIGN


class DesignField(BaseAnnDataField):
    """Design matrix of a formula, stored in ``obsm`` without its intercept.

    Parameters
    ----------
    formula
        Right-hand side of a formula; ``None`` registers nothing.
    """

    def __init__(self, formula: str | None):
        super().__init__()
        self.formula = formula

    @property
    def registry_key(self) -> str:
        """Key of the field in the registry and in minibatches."""
        return DESIGN

    @property
    def attr_name(self) -> str:
        """Attribute of the AnnData that holds the matrix."""
        return "obsm"

    @property
    def attr_key(self) -> str:
        """Key of the matrix in ``obsm``."""
        return DESIGN

    @property
    def is_empty(self) -> bool:
        """Whether there is no formula."""
        return self.formula is None

    def validate_field(self, adata: AnnData) -> None:
        """Raise if the formula cannot be coded for these samples."""

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Code the samples and store the matrix."""
        if self.formula is None:
            return {}
        design, matrix = make_design(self.formula, adata.obs)
        adata.obsm[DESIGN] = without_intercept(matrix)
        return design._asdict()

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Code new samples as the training samples were."""
        design = design_from_state(state_registry)
        adata_target.obsm[DESIGN] = without_intercept(apply_design(design, adata_target.obs))
        return design._asdict()

    def get_summary_stats(self, state_registry: dict) -> dict[str, int]:
        """Number of columns without the intercept."""
        return {"n_design": len(design_columns(state_registry))}

    def view_state_registry(self, state_registry: dict) -> rich.table.Table | None:
        """Table of the formula and its columns."""
        if not state_registry:
            return None
        table = rich.table.Table(title="design State Registry")
        table.add_column("Formula")
        table.add_column("Columns")
        table.add_row(state_registry["formula"], ", ".join(state_registry["columns"]))
        return table


def design_columns(state_registry: dict) -> list[str]:
    """Columns of the stored matrix (intercept left out)."""
    if not state_registry:
        return []
    design: Design = design_from_state(state_registry)
    return [name for name in design.columns if name != INTERCEPT]
