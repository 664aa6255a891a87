from collections import Counter
from collections.abc import Collection
from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from bulkvi.arguments import warn_user
from bulkvi.names import LENGTH, REPLICATES, SAMPLE, SIZE_FACTOR
from bulkvi.study.counts import checked_counts

N_SHOWN: Final = 5
MIN_GENES: Final = 20
"""Replicates with equal counts in at most this many expressed genes may be equal by chance."""


def sum_replicates(
    adata: AnnData, key: str, *, constant: Collection[str] = (), layer: str | None = None, length_key: str = LENGTH
) -> AnnData:
    r"""Sum the counts of technical replicates, such as the lanes or runs of one library.

    Technical replicates carry no information about biological variation: analysed as separate samples they make p-values
    too small. Keep biological replicates (other animals, patients, cultures) separate.

    Parameters
    ----------
    adata
        Raw counts, samples x genes.
    key
        Column of ``obs`` with the library of each sample.
    constant
        Columns of ``obs`` that must not differ within a library, such as those of the design.
    layer
        Layer that holds the counts; None for ``adata.X``.
    length_key
        Layer with average transcript lengths, if there is one.

    Returns
    -------
    A new AnnData, libraries x genes, in the order in which the libraries first occur, named by ``key``.

    - ``X`` (or the layer): the sum of the counts
    - ``obs``: the columns that are the same within each library; a warning names those that differ and are left out.
      Size factors are left out: estimate them from the sums.
    - ``layers[length_key]``: average of the lengths, weighted by the counts of the replicates
    - ``uns["replicates"]``: the library of each sample

    ``var`` and ``uns`` are kept. Other layers, ``obsm`` and ``obsp`` describe single samples and are left out.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData or does not hold numbers.
    KeyError
        If a column or layer does not exist.
    ValueError
        If a sample has no library, a column of ``constant`` differs within one, or two replicates have the same counts.

    Notes
    -----
    The expected counts of a library of replicates :math:`r` with depths :math:`d_r` and lengths :math:`l_r` are
    proportional to :math:`\sum_r d_r l_r`, so its length is :math:`\sum_r d_r l_r / \sum_r d_r`.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np, pandas as pd
    >>> obs = pd.DataFrame(
    ...     {"library": ["A", "A", "B"], "lane": [1, 2, 1], "drug": ["no", "no", "yes"]}, index=list("xyz")
    ... )
    >>> adata = AnnData(np.array([[1, 20], [2, 30], [7, 0]]), obs=obs)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # about the lanes
    ...     summed = sum_replicates(adata, "library", constant=["drug"])
    >>> summed.to_df()
       0   1
    A  3  50
    B  7   0
    >>> list(summed.obs)
    ['library', 'drug']
    """
    checked = checked_counts(adata, layer)
    for name in (key, *constant):
        if name not in adata.obs:
            raise KeyError(f"{name!r} is not a column of adata.obs; it has {list(adata.obs.columns)}.")
    library = _library_names(adata.obs[key], key)
    names = pd.Index(list(dict.fromkeys(library)))
    codes = names.get_indexer(pd.Index(library))
    matrix: Any = checked.matrix if sparse.issparse(checked.matrix) else np.asarray(checked.matrix)
    _refuse_copies(matrix, codes, adata.obs_names)
    obs = _constant_columns(adata.obs, codes, names, key, constant)
    if len(names) == adata.n_obs:
        warn_user(f"Column {key!r} has a different value in every sample: there is nothing to sum.")
    membership = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    summed = _as_integers(membership @ matrix.astype(float))
    result = AnnData(None if layer else summed, obs=obs, var=adata.var.copy(), shape=summed.shape if layer else None)
    if layer:
        result.layers[layer] = summed
    if length_key in adata.layers:
        lengths = adata.layers[length_key]
        lengths = lengths.toarray() if sparse.issparse(lengths) else np.asarray(lengths)
        depth = checked.totals.astype(float)
        weight = np.where((membership @ depth)[codes] > 0, depth, 1.0)[:, None]
        result.layers[length_key] = (membership @ (weight * lengths)) / (membership @ weight)
    # keys with a leading underscore are registries of single samples
    result.uns = {name: value for name, value in adata.uns.items() if not str(name).startswith("_")}
    result.uns[REPLICATES] = pd.DataFrame({SAMPLE: adata.obs_names.astype(str), key: library})
    return result


def _library_names(column: pd.Series, key: str) -> list[str]:
    missing = column.index[column.isna()]
    if len(missing):
        raise ValueError(
            f"Column {key!r}: {len(missing)} samples have no value, first {missing[0]!r}, so their library is unknown. "
            "Fill them in: a sample without replicates is a library of its own."
        )
    texts = {
        value: str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
        for value in column.unique()
    }
    if len(set(texts.values())) < len(texts):
        repeated = [text for text, n in Counter(texts.values()).items() if n > 1]
        raise ValueError(
            f"Column {key!r}: different values have one name, such as {repeated[0]!r}. Give each library one name."
        )
    return [texts[value] for value in column]


def _refuse_copies(matrix: Any, codes: np.ndarray, names: pd.Index) -> None:
    """Raise if two replicates have equal counts: one file was given twice, and the sum would count its reads twice."""
    seen: dict[tuple[int, bytes], int] = {}
    for row, code in enumerate(codes.tolist()):
        counts = matrix[[row]].toarray().ravel() if sparse.issparse(matrix) else matrix[row]
        content = (code, np.asarray(counts, dtype=float).tobytes())
        if np.count_nonzero(counts) > MIN_GENES and content in seen:
            raise ValueError(
                f"Samples {names[seen[content]]!r} and {names[row]!r} have the same count in every gene: one file was given twice. Leave "
                "one of them out."
            )
        seen[content] = row


def _constant_columns(
    obs: pd.DataFrame, codes: np.ndarray, names: pd.Index, key: str, constant: Collection[str]
) -> pd.DataFrame:
    """Return one row per library, with the columns that are constant within each."""
    differs: dict[str, int] = {}
    for column in obs.columns:
        values, _ = pd.factorize(obs[column], use_na_sentinel=False)
        spread = pd.Series(values).groupby(codes).nunique()
        if spread.max() > 1:
            differs[column] = int(spread.idxmax())
    for column in constant:
        if column in differs:
            rows = obs.loc[codes == differs[column], column]
            raise ValueError(
                f"Column {column!r} differs within {names[differs[column]]!r} of column {key!r}: "
                f"{', '.join(f'{sample} is {value}' for sample, value in rows.items())}. Samples of different groups are no technical "
                f"replicates: correct one of the two columns."
            )
    left_out = [*differs, *({SIZE_FACTOR} & {*obs.columns} - {*differs})]
    if left_out:
        warn_user(
            f"Columns that differ within {key!r} were left out, and so were size factors: {left_out[:N_SHOWN]}"
            f"{' and others' if len(left_out) > N_SHOWN else ''}."
        )
    first = [int(np.argmax(codes == code)) for code in range(len(names))]
    return obs.drop(columns=left_out).iloc[first].set_axis(names, axis=0)


def _as_integers(values: np.ndarray | sparse.spmatrix) -> np.ndarray | sparse.csr_matrix:
    largest = values.max() if values.shape[1] else 0
    kind = np.int32 if largest <= np.iinfo(np.int32).max else np.int64
    return sparse.csr_matrix(values).astype(kind) if sparse.issparse(values) else np.asarray(values).astype(kind)
