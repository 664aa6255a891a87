import numpy as np
import pandas as pd

from bulkvi import enrichment_names as en
from bulkvi.datasets._gene_sets import Organism
from bulkvi.tl._gene_set_input import GeneSets, members_of
from bulkvi.tl._tested_genes import names_in_sets


def check_gene_sets(genes: pd.DataFrame, gene_sets: GeneSets, *, organism: Organism = "human") -> pd.DataFrame:
    """Do these gene sets speak of these genes? To be asked before a model is trained.

    Parameters
    ----------
    genes
        Table indexed by gene, such as ``adata.var``, with symbols in a column ``symbol`` if there are any: the names are
        those of the index or the symbols, whichever are more in the sets.
    gene_sets, organism
        As in :func:`~bulkvi.tl.enrichment`.

    Returns
    -------
    A row for each set, in order: ``term``, ``term_id``, ``n_genes`` of the set, and ``n_found`` of them in ``genes``.
    ``attrs["gene_names"]`` says where the names were taken from.

    Raises
    ------
    TypeError, KeyError
        If ``gene_sets`` is not what is asked for, or a network lacks a column.
    ValueError
        If the names of the genes do not fit the sets, or a file cannot be read.
    FileNotFoundError
        If there is no such file.
    ConnectionError
        If sets by name are not at hand and cannot be downloaded.

    Examples
    --------
    >>> import pandas as pd
    >>> import bulkvi as bv
    >>> genes = pd.DataFrame({"symbol": ["IL6", "TNF", "WAP"]}, index=["ENSG1", "ENSG2", "ENSG3"])
    >>> bv.tl.check_gene_sets(genes, {"inflammation": ["IL6", "TNF", "CXCL8"], "milk": ["WAP"]})
               term term_id  n_genes  n_found
    0  inflammation                3        2
    1          milk                1        1
    """
    members = members_of(gene_sets, organism)
    names, origin = names_in_sets(genes, set(members.gene))
    found = np.isin(members.gene.astype(str), names.astype(str))
    n_sets = len(members.terms)
    table = pd.DataFrame(
        {
            en.TERM: members.terms,
            en.TERM_ID: members.accessions,
            en.N_GENES: np.bincount(members.one, minlength=n_sets),
            en.N_FOUND: np.bincount(members.one[found], minlength=n_sets),
        }
    )
    table.attrs = {en.GENE_NAMES: origin}
    return table
