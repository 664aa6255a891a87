from typing import NamedTuple

from anndata import AnnData

from bulkvi.study.columns import column_of, is_number, names_groups
from bulkvi.study.formula import read_formula
from bulkvi.study.formula_names import CATEGORY, NUMBER


class DesignVariable(NamedTuple):
    """How a design reads a column of ``obs``."""

    kind: str
    """``"groups"``: an effect for each level; ``"slope"``: one for each unit."""
    is_explicit: bool
    """Whether its dtype or the formula says so, as ``C(x)`` and ``slope(x)`` do; else its name and values decide."""


def design_variables(adata: AnnData, design: str) -> dict[str, DesignVariable]:
    """Which columns of ``obs`` does a design formula read, and as what?

    Text, yes/no and categories are groups. Numbers are slopes, unless they are names of groups: whole numbers in a column that is
    called donor, batch, plate and the like, or numbers 1, 2, 3, ... that repeat in a column whose name is not that of a
    quantity (age, dose, day, score). ``C(x)`` makes groups of a column whatever it holds, ``slope(x)`` a slope.

    Parameters
    ----------
    adata
        Samples x genes; only ``obs`` is read, and values may be missing.
    design
        Right-hand side of a formula.

    Returns
    -------
    For each column that the formula reads, in alphabetical order, its kind.

    Raises
    ------
    KeyError
        If it reads a column that is not there.
    TypeError
        If it is no text, or ``adata`` is not an AnnData.
    ValueError
        If it is no formula, or holds anything but columns, numbers, operators and known transforms.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=6, n_genes=50)
    >>> adata.obs["donor"] = [1, 2, 3, 4, 5, 6] * 2
    >>> bv.tl.design_variables(adata, "~ donor + group")
    {'donor': DesignVariable(kind='groups', is_explicit=False), 'group': DesignVariable(kind='groups', is_explicit=True)}
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
    read = read_formula(design, adata.obs.columns)
    found = {}
    for name in read.variables:
        column = column_of(adata.obs, name)
        roles = {use.role for use in read.names.uses.values() if use.column == name}
        if not is_number(column) or CATEGORY in roles:
            found[name] = DesignVariable("groups", is_explicit=True)
        elif NUMBER in roles:
            found[name] = DesignVariable("slope", is_explicit=True)
        else:
            found[name] = DesignVariable("groups" if names_groups(name, column) else "slope", is_explicit=False)
    return found
