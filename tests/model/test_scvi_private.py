import inspect

from scvi.model.base import ArchesMixin

from bulkvi.model._scvi_private import MODULE_KEYS, batch_codes, use_distributed_sampler


def test_private_names_mean_what_we_use_them_for() -> None:
    assert (MODULE_KEYS.Z_KEY, MODULE_KEYS.QZ_KEY, MODULE_KEYS.PX_KEY, MODULE_KEYS.PZ_KEY) == ("z", "qz", "px", "pz")
    assert list(inspect.signature(batch_codes).parameters)[1] == "category"
    assert use_distributed_sampler("ddp")
    assert not use_distributed_sampler("auto")


def test_query_loading_still_takes_our_arguments() -> None:
    ours = {"adata", "reference_model", "registry", "inplace_subset_query_vars", "accelerator", "device", "unfrozen"}
    assert ours <= set(inspect.signature(ArchesMixin.load_query_data).parameters)
