"""Folders of a small table of counts, to be made hostile."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi import io

SAMPLES = ["s1", "s2", "s3", "s4"]
GENES = [f"ENSG{k:011d}" for k in (7, 3, 9, 1, 5, 4, 8, 2)]  # in no order, as in annotations
TAIL = "__no_feature\t100\n__ambiguous\t3\n__too_low_aQual\t0\n__not_aligned\t0\n__alignment_not_unique\t4\n"


def sheet(names: list[str] = SAMPLES) -> pd.DataFrame:
    return pd.DataFrame({"condition": (["a", "b"] * len(names))[: len(names)]}, index=names)


def table() -> pd.DataFrame:
    """Genes x samples."""
    drawn = np.random.default_rng(3).integers(50, 3000, (len(GENES), len(SAMPLES)))
    return pd.DataFrame(drawn, GENES, SAMPLES)


PLAIN = table().T


def read(path: Path, samples: pd.DataFrame | None = None, **options: object) -> pd.DataFrame:
    """Samples x genes, genes in the order of ``GENES``, without what is warned of."""
    return read_all(path, samples, **options).to_df()[GENES].astype(int)


def read_all(path: Path, samples: pd.DataFrame | None = None, **options: object) -> AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return io.read_counts(path, sheet() if samples is None else samples, **options)  # type: ignore[arg-type]


def notes(path: Path, **options: object) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        io.read_counts(path, sheet(), **options)  # type: ignore[arg-type]
    return " ".join(str(one.message) for one in caught if issubclass(one.category, UserWarning))


def two_columns(column: pd.Series, tail: str = TAIL) -> str:
    return column.to_csv(sep="\t", header=False) + tail


def htseq(home: Path, name: str = "{}.txt") -> Path:
    for sample, column in table().items():
        path = home / name.format(sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(two_columns(column))
    return home


def zipped(home: Path, how: Callable[[bytes], bytes], ending: str) -> Path:
    """The same files with another content, under a name with an ending."""
    for path in sorted(home.iterdir()):
        content = how(path.read_bytes())
        path.unlink()
        path.with_name(path.name + ending).write_bytes(content)
    return home


def with_clutter(home: Path) -> Path:
    (home / ".DS_Store").write_bytes(b"\0\1Bud1")
    (home / "._s1.txt").write_bytes(b"\0\5\26\7")
    (home / "multiqc_report.html").write_text("<html></html>")
    (home / "pipeline.log").write_text("done\t1\n")
    (home / "README.txt").write_text("Counts of the first run.\nAsk Ann.\n")
    (home / "multiqc_data").mkdir()
    (home / "multiqc_data" / "multiqc_general_stats.txt").write_text("Sample\tp\tq\tr\ns1\t1\t2\t3\n")
    (home / "tmp").mkdir()
    (home / "tmp" / "loop").symlink_to(home, target_is_directory=True)
    return home


def each(home: Path, change: Callable[[str], str]) -> Path:
    for path in home.iterdir():
        path.write_text(change(path.read_text()))
    return home


def damage(path: Path, content: bytes | str) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
