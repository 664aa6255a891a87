"""Registration of an AnnData: the counts, the size factor, the offset, the design and the covariates."""

from typing import Any

import numpy as np
import pandas as pd
import rich.pretty  # noqa: F401  # scvi-tools 1.4 calls it without importing it
from anndata import AnnData
from rich.console import Console
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager
from scvi.data.fields import (
    CategoricalJointObsField,
    CategoricalObsField,
    LayerField,
    NumericalJointObsField,
)
from scvi.model.base import BaseModelClass

from bulkvi.arguments import warn_user
from bulkvi.latent_names import DESIGN_VARIABLES
from bulkvi.model._fields import DesignField, OffsetField, RecordField, SizeFactorField
from bulkvi.model._restore import unchanged_on_error
from bulkvi.study.counts import (
    check_column_names,
    check_columns,
    check_joint_rank,
    check_no_empty_level,
    check_sample_number,
    check_size_factor,
    check_size_factor_scale,
    check_size_factor_varies,
    checked_counts,
    checked_offset,
)
from bulkvi.study.design import make_design, numbers_in_design
from bulkvi.study.design_check import first_warning
from bulkvi.study.formula import read_formula
from bulkvi.study.groups import check_donor_key
from bulkvi.study.study_design import add_design_matrix


class SetupMixin(BaseModelClass):
    """``setup_anndata`` of :class:`~bulkvi.BulkVI`."""

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        layer: str | None = None,
        *,
        size_factor_key: str,
        batch_key: str | None = None,
        design: str | pd.DataFrame | None = None,
        categorical_covariate_keys: list[str] | None = None,
        continuous_covariate_keys: list[str] | None = None,
        donor_key: str | None = None,
        offset_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Check an AnnData and register its counts, size factors, design and covariates for the model.

        As scvi-tools does, it adds columns and entries whose names begin with ``_scvi`` or ``_bulkvi``; after an error the AnnData is
        unchanged.

        Parameters
        ----------
        adata
            Samples x genes.
        layer
            Layer that holds the raw counts; ``adata.X`` if ``None``.
        size_factor_key
            Column of ``obs`` with the size factors (see :func:`bulkvi.pp.size_factors`): finite, > 0. They are a fixed
            offset of the model, never learned. Size factors of the user (spike-ins, cell counts) or from control genes also
            define zero (``composition_shift`` of :meth:`differential_expression`).
        batch_key
            Column of ``obs`` with a known batch.
        design
            Formula, for example ``"~ cell + dex"``, in the grammar of formulaic. Text and
            categories are coded against their first level. Numbers are slopes, unless they are names of groups (donor 1, 2, 3);
            a warning explains which, and ``C(x)`` or ``slope(x)`` decides. Or a design matrix: a table of numbers with one row per
            sample, indexed by ``obs_names``, whose columns are then written into ``adata.obs``. See :doc:`/guide/designs`.
        categorical_covariate_keys, continuous_covariate_keys
            Further columns of ``obs`` to adjust for; equivalent to terms of the design.
        donor_key
            Column of ``obs`` with the donor of each sample (patient, animal, plot), where donors gave several: samples of one
            share a random intercept in each gene, whose variance is learned. It must not be in the design as well. Few
            donors (three pairs) belong into the design instead. See :doc:`/method/donors`.
        offset_key
            Layer with a factor > 0 for each count, samples x genes, in addition to the size factor: tximport's average
            transcript lengths, for example; any unit. Each gene's factors are relative to their geometric mean over these
            samples, as in DESeq2, and the expected count is size factor x relative offset x rate. Estimate the size factors
            with it: ``pp.size_factors(adata, offset_key=...)``. New samples of a trained model need the layer in the same
            unit: the geometric means of the training samples are kept.
        **kwargs
            Arguments of scvi-tools for new data of a trained model.

        Warns
        -----
        UserWarning
            Once, if :func:`bulkvi.tl.check_design` has a serious finding: a variable of the design that is confounded with a
            column of ``obs`` whose name looks technical (lane, batch, run, ...), or a level with one sample. Once for each column
            of numbers in the design that is coded as names of groups, or that is a slope and may be meant as names.

        Raises
        ------
        KeyError
            If a column or layer does not exist.
        TypeError
            If ``adata`` is not an AnnData, a list is not a list, ``offset_key`` is not a name, or ``design`` neither a formula
            nor a table.
        ValueError
            If the counts are not raw counts, names are not unique, a sample is empty, there are fewer than 4 samples, a
            size factor or an offset is missing or not positive, a covariate or donor has missing values, a category has
            no samples, the variance between donors cannot be estimated given the design, the formula contains anything but
            columns, numbers, operators and known transforms, a column of ``obs`` has a name that no file can hold, or the design,
            with batches and covariates, is not of full rank. The message names the entry and the remedy.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.airway()
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ cell + dex")
        """
        depth = checked_counts(adata, layer).totals
        with unchanged_on_error(adata):
            if isinstance(design, pd.DataFrame):
                design = add_design_matrix(adata, design)
            given_args = {name: value for name, value in locals().items() if name != "depth"}
            setup_method_args = cls._get_setup_method_args(**given_args)
            _check(
                adata,
                depth,
                size_factor_key,
                offset_key,
                design,
                batch_key,
                donor_key,
                categorical_covariate_keys or [],
                continuous_covariate_keys or [],
                is_new="source_registry" in kwargs,
            )
            variables = () if design is None else read_formula(design, adata.obs.columns).variables
            given = [size_factor_key, batch_key, donor_key, *(categorical_covariate_keys or [])]
            columns = [key for key in (*given, *(continuous_covariate_keys or []), *variables) if key is not None]
            fields = [
                LayerField(REGISTRY_KEYS.X_KEY, layer, is_count_data=False),
                SizeFactorField(REGISTRY_KEYS.SIZE_FACTOR_KEY, size_factor_key),
                # before what adds columns: new samples whose offsets are refused stay as they are
                *([] if offset_key is None else [OffsetField(offset_key)]),
                CategoricalObsField(REGISTRY_KEYS.BATCH_KEY, batch_key),
                CategoricalJointObsField(REGISTRY_KEYS.CAT_COVS_KEY, categorical_covariate_keys),
                NumericalJointObsField(REGISTRY_KEYS.CONT_COVS_KEY, continuous_covariate_keys),
                DesignField(design),
                RecordField(columns, [layer] if offset_key is None else [layer, offset_key]),
            ]
            manager = AnnDataManager(fields=fields, setup_method_args=setup_method_args)
            manager.register_fields(adata, **kwargs)
            _record_variables(adata, [name for name in columns if name not in (size_factor_key, donor_key)])
        cls.register_manager(manager)

    def view_anndata_setup(self, adata: AnnData | None = None, hide_state_registries: bool = False) -> None:  # noqa: FBT001, FBT002
        """Print what :meth:`setup_anndata` registered.

        Parameters
        ----------
        adata
            Samples that were set up for this model; those of the model by default.
        hide_state_registries
            Whether to leave out the tables of the single fields.

        Raises
        ------
        ValueError
            If the samples were not set up for the model.

        Examples
        --------
        >>> import bulkvi as bv
        >>> adata = bv.datasets.simulate(n_per_group=3, n_genes=30)
        >>> bv.pp.size_factors(adata)
        >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
        >>> bv.BulkVI(adata).view_anndata_setup()  # doctest: +SKIP
        """
        super().view_anndata_setup(adata, hide_state_registries=True)
        if hide_state_registries:
            return
        # scvi-tools freezes what a field keeps, which fails for the codes of a design
        manager = self.get_anndata_manager(self.adata if adata is None else adata, required=True)
        console = Console()
        for field in manager.fields:
            table = field.view_state_registry(
                manager.registry["field_registries"][field.registry_key]["state_registry"]
            )
            if table is not None:
                console.print(table)


def _record_variables(adata: AnnData, names: list[str]) -> None:
    """Record which columns a latent state of these samples is adjusted for, for pictures of it."""
    adata.uns.pop(DESIGN_VARIABLES, None)
    if names:
        adata.uns[DESIGN_VARIABLES] = list(dict.fromkeys(names))


def _check(
    adata: AnnData,
    depth: np.ndarray,
    size_factor_key: str,
    offset_key: str | None,
    design: str | None,
    batch_key: str | None,
    donor_key: str | None,
    categorical: list[str],
    continuous: list[str],
    *,
    is_new: bool,
) -> None:
    """Raise or warn if the samples are unfit; new samples of a trained model need less."""
    batches = [] if batch_key is None else [batch_key]
    check_size_factor(adata, size_factor_key)
    offset = None if offset_key is None else checked_offset(adata, offset_key)
    check_size_factor_varies(adata, size_factor_key, depth, offset)
    check_columns(adata, "batch_key", batches, continuous=False)
    check_columns(adata, "categorical_covariate_keys", categorical, continuous=False)
    check_columns(adata, "continuous_covariate_keys", continuous, continuous=True)
    # new samples of a trained model need not be many, nor span the design
    if is_new:
        return
    check_column_names(adata)
    check_sample_number(adata)
    check_size_factor_scale(adata, size_factor_key)
    check_no_empty_level(adata, "batch_key", batches)
    check_no_empty_level(adata, "categorical_covariate_keys", categorical)
    check_joint_rank(adata, design, batch_key, categorical, continuous)
    held = (*batches, *categorical, *continuous)
    if donor_key is not None:
        check_donor_key(adata.obs, donor_key, design, held)
    if design is None:
        return
    for numbers in numbers_in_design(make_design(design, adata.obs)[0], adata.obs):
        warn_user(numbers)
    if (serious := first_warning(adata.obs, design, held)) is not None:
        warn_user(serious)
