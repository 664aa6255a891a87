"""The house rules that can be read off the source, and proof that each of them can fail."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bulkvi"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What a floor may import from the other floors. The stairs go one way.
FLOORS = {
    "names": set(),
    "arguments": set(),
    "calibration_names": set(),
    "comparison_names": {"names"},
    "design_names": set(),
    "enrichment_names": set(),
    "gene_order": {"names"},
    "latent_names": set(),
    "outlier_names": {"names"},
    "power_names": set(),
    "reference_names": set(),
    "stats": {"names"},
    "study": {"names", "arguments", "design_names", "stats"},
    "regression": {
        "names",
        "outlier_names",
        "calibration_names",
        "power_names",
        "reference_names",
        "arguments",
        "stats",
        "study",
    },
    "model": {"names", "latent_names", "arguments", "stats", "study", "regression"},
    "reference": {"names", "reference_names", "arguments", "stats", "study", "regression", "model"},
    "pp": {"names", "arguments", "stats", "study"},
    "tl": {
        "names",
        "arguments",
        "design_names",
        "comparison_names",
        "enrichment_names",
        "outlier_names",
        "power_names",
        "gene_order",
        "stats",
        "study",
        "regression",
        "datasets",
    },
    "baselines": {"names", "comparison_names", "stats", "study", "regression", "model"},
    "pl": {
        "names",
        "calibration_names",
        "arguments",
        "design_names",
        "comparison_names",
        "enrichment_names",
        "latent_names",
        "outlier_names",
        "power_names",
        "gene_order",
        "stats",
        "study",
    },
    "datasets": {"names", "stats"},
    "io": {"names", "arguments", "study"},
    # the page of a result reads all that came before it
    "reporting": {
        "names",
        "reference_names",
        "latent_names",
        "design_names",
        "enrichment_names",
        "gene_order",
        "stats",
        "study",
        "regression",
        "model",
        "pp",
        "tl",
        "pl",
    },
}
# Libraries that would pull a floor into another one's work.
NOT_FOR = {
    "stats": {"anndata", "pandas", "scvi", "scanpy", "matplotlib", "seaborn", "lightning", "torch"},
    "study": {"scvi", "scanpy", "matplotlib", "seaborn", "lightning", "torch"},
    "regression": {"scvi", "scanpy", "matplotlib", "seaborn", "lightning", "torch"},
    "reference": {"scvi", "scanpy", "matplotlib", "seaborn", "lightning"},
    "pp": {"scvi", "scanpy", "matplotlib", "seaborn", "lightning", "torch"},
    "tl": {"scvi", "lightning", "torch"},
    "pl": {"scvi", "torch", "lightning"},
    "datasets": {"scvi", "torch", "lightning", "matplotlib"},
    "io": {"scvi", "torch", "lightning", "matplotlib"},
    "baselines": {"matplotlib", "seaborn"},
    "reporting": {"scvi", "torch", "lightning"},
}
GLOBAL_STATE = re.compile(
    r"warnings\.(filterwarnings|simplefilter|resetwarnings)"
    r"|numpy\.random\.(?!default_rng$|Generator$|SeedSequence$|BitGenerator$|PCG64$|PCG64DXSM$|Philox$|SFC64$)\w+"
    r"|random\.\w+"
    r"|lightning\.(pytorch\.|fabric\.)?seed_everything"
    r"|torch\.(set_\w+|use_deterministic_algorithms)"
    r"|matplotlib\.(pyplot\.)?(rc|use|style\.use|switch_backend|rcParams\.update)"
    r"|(scvi\.settings\.\w+|matplotlib\.(pyplot\.)?rcParams) ="
)
NUMPY_SEED = re.compile(r"numpy\.random\.(seed|get_state|set_state)")
TORCH_SEED = re.compile(r"torch\.(random\.|cuda\.)?(manual_seed(_all)?|seed(_all)?)")
SEEDING = "bulkvi.model._restore"
# scvi-tools draws from NumPy's global generator: there it is set, and put back whatever happens
NUMPY_SEEDING = "bulkvi.baselines._scvi"
SCVI_PRIVATE = "bulkvi.model._scvi_private"
STORE_ROOMS = {"utils", "util", "helpers", "helper", "core", "common", "misc"}
MAX_LINES = 300
# Parts of one feature whose tests are together.
TESTED_IN = {
    "cli/_answers.py": "cli/test_questions.py",
    "cli/_options.py": "cli/test_app.py",
    "cli/_progress.py": "cli/test_command.py",
    "cli/_weighing.py": "cli/test_questions.py",
    "reporting/_picture.py": "reporting/test_pictures.py",
    "tl/_scored_sets.py": "tl/test_enrichment.py",
    "tl/_sexes.py": "tl/test_check_samples.py",
    "tl/_tested_genes.py": "tl/test_enrichment.py",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def imports(source: str) -> Iterator[str]:
    """What is imported, at any depth of the source."""
    for node in nodes(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def mentions(source: str) -> list[tuple[int, str]]:
    """Line and full name (``numpy.random.seed`` for ``np.random.seed``) of all that leads to an import; " =" if set."""
    bound = {}
    for node in nodes(source):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    found = []
    for node in nodes(source):
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            stored = isinstance(node.ctx, ast.Store)
            head, _, rest = ast.unparse(node.value if isinstance(node, ast.Subscript) else node).partition(".")
            if head in bound:
                found.append((node.lineno, f"{bound[head]}.{rest}".rstrip(".") + " =" * stored))
    return found


def wrong_floor(source: str, module: str) -> list[str]:
    floor = module.split(".")[1] if "." in module else ""
    found = []
    for target in imports(source):
        top, _, rest = target.partition(".")
        if top in NOT_FOR.get(floor, set()):
            found.append(f"{target}: {floor} knows no {top}")
        if top != "bulkvi" or floor in {"", "__main__"}:
            continue
        other = rest.split(".")[0]
        if floor == "cli":
            if other != "cli" and any(part.startswith("_") for part in rest.split(".")):
                found.append(f"{target}: cli calls the public API only")
        elif other not in FLOORS.get(floor, set()) | {floor}:
            found.append(f"{target}: {floor} may import {FLOORS.get(floor, 'nothing: give it a floor here')}")
    return found


def private_scvi(source: str, module: str) -> list[str]:
    names = [*imports(source), *(name for _, name in mentions(source))]
    return [name for name in names if re.match(r"scvi\b.*\._(?!_)", name) and module != SCVI_PRIVATE]


def global_state(source: str, module: str) -> list[str]:
    put_back = any(
        "np.random.set_state(before)" in map(ast.unparse, node.finalbody)
        for node in nodes(source)
        if isinstance(node, ast.Try)
    )
    allowed = NUMPY_SEED if module == NUMPY_SEEDING and put_back else re.compile(r"(?!)")
    found = [(line, name) for line, name in mentions(source) if GLOBAL_STATE.fullmatch(name)]
    return [f"{name} in line {line}" for line, name in found if not allowed.fullmatch(name)]


def torch_seeds(source: str, module: str) -> list[str]:
    forked = set()
    for node in nodes(source):
        if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0]) and module == SEEDING:
            forked |= {inner.lineno for inner in ast.walk(node) if isinstance(inner, ast.Call)}
    seeds = [(line, name) for line, name in mentions(source) if TORCH_SEED.fullmatch(name)]
    return [f"{name} in line {line}" for line, name in seeds if line not in forked]


def relative_imports(source: str, module: str) -> list[str]:
    return [ast.unparse(node) for node in nodes(source) if isinstance(node, ast.ImportFrom) and node.level > 0]


def asserts(source: str, module: str) -> list[str]:
    return [ast.unparse(node) for node in nodes(source) if isinstance(node, ast.Assert)]


def too_long(source: str, module: str) -> list[str]:
    n_lines = len(source.splitlines())
    return [f"{n_lines} lines, at most {MAX_LINES}"] if n_lines > MAX_LINES else []


def store_room(source: str, module: str) -> list[str]:
    return [part for part in module.split(".") if part.strip("_") in STORE_ROOMS]


Rule = Callable[[str, str], list[str]]
RULES: dict[Rule, list[tuple[str, str]]] = {
    # each rule with sources that break it
    wrong_floor: [
        ("import anndata as ad", "bulkvi.stats.counts.blocks"),
        ("def f():\n    from scvi import settings", "bulkvi.stats.counts.blocks"),
        ("from bulkvi.model import BulkVI", "bulkvi.stats.counts.blocks"),
        ("from bulkvi import model", "bulkvi.stats.counts.blocks"),
        ("import bulkvi", "bulkvi.pl._latent"),
        ("from bulkvi.pp import size_factors", "bulkvi.model._model"),
        ("from bulkvi.regression.fit import GeneFit", "bulkvi.pl._latent"),
        ("from bulkvi.pl import latent", "bulkvi.tl._compare"),
        ("from bulkvi.tl import compare", "bulkvi.baselines._scvi"),
        ("from bulkvi.baselines import scvi", "bulkvi.tl._compare"),
        ("from bulkvi.model import BulkVI", "bulkvi.datasets._airway"),
        ("from bulkvi.model._model import BulkVI", "bulkvi.cli._demo"),
        ("from bulkvi.names import LATENT", "bulkvi.attic.x"),
        ("from bulkvi.reporting import report", "bulkvi.tl._compare"),
        ("from bulkvi.cli import app", "bulkvi.reporting._report"),
    ],
    private_scvi: [
        ("from scvi.model._utils import use_distributed_sampler", "bulkvi.model._model"),
        ("from scvi.utils import _docstrings", "bulkvi.model._model"),
        ("import scvi.module._constants as c", "bulkvi.model._model"),
        ("import scvi\nscvi.model._utils.f()", "bulkvi.tl._x"),
    ],
    global_state: [
        ("import warnings\nwarnings.simplefilter('ignore')", "bulkvi.pp._x"),
        ("from warnings import filterwarnings as quiet\nquiet('ignore')", "bulkvi.pp._x"),
        ("import numpy as np\nnp.random.seed(0)", "bulkvi.pp._x"),
        ("import numpy as np\nx = np.random.permutation(3)", "bulkvi.pp._x"),
        ("from numpy import random\nrandom.normal()", "bulkvi.pp._x"),
        ("import numpy.random\nnumpy.random.shuffle(x)", "bulkvi.pp._x"),
        ("import random\nrandom.shuffle(x)", "bulkvi.pp._x"),
        ("from random import random\nrandom()", "bulkvi.pp._x"),
        ("import scvi\nscvi.settings.seed = 1", "bulkvi.model._x"),
        ("import matplotlib.pyplot as plt\nplt.rcParams['font.size'] = 8", "bulkvi.pl._x"),
        ("import torch\ntorch.set_num_threads(1)", "bulkvi.model._x"),
        ("import warnings\nquiet = warnings.simplefilter", "bulkvi.pp._x"),
        ("from lightning.pytorch import seed_everything\nseed_everything(1)", "bulkvi.model._x"),
        ("import numpy as np\nnp.random.seed(0)\nf()", NUMPY_SEEDING),
        (
            "import numpy as np\ntry:\n    np.random.shuffle(x)\nfinally:\n    np.random.set_state(before)",
            NUMPY_SEEDING,
        ),
        ("import numpy as np\ntry:\n    np.random.seed(0)\nfinally:\n    np.random.set_state(before)", "bulkvi.pp._x"),
    ],
    torch_seeds: [
        ("import torch\ntorch.manual_seed(0)", SEEDING),
        ("import torch\ntorch.cuda.manual_seed_all(0)", "bulkvi.model._model"),
        ("import torch\nwith torch.random.fork_rng():\n    torch.manual_seed(0)", "bulkvi.model._model"),
    ],
    relative_imports: [("from .blocks import by_rows", "bulkvi.stats.x"), ("from . import x", "bulkvi.stats.x")],
    asserts: [("assert x > 0, 'give x'", "bulkvi.pp._x")],
    too_long: [("x = 1\n" * (MAX_LINES + 1), "bulkvi.pp._x")],
    store_room: [("", "bulkvi.pp._utils"), ("", "bulkvi.model.core.net"), ("", "bulkvi.stats.helpers")],
}
INNOCENT = [
    ("import numpy as np\nrng = np.random.default_rng(0)\nrng.random(3)", "bulkvi.stats.x"),
    ("import warnings\nwarnings.warn('x')\nwith warnings.catch_warnings(action='ignore'):\n    f()", "bulkvi.pp._x"),
    ("import torch\nwith torch.random.fork_rng():\n    torch.manual_seed(0)", SEEDING),
    ("import numpy as np\ntry:\n    np.random.seed(0)\nfinally:\n    np.random.set_state(before)", NUMPY_SEEDING),
    ("import torch\nrng = torch.Generator()\nrng.manual_seed(0)", "bulkvi.model._x"),
    ("import matplotlib.pyplot as plt\nsize = plt.rcParams['font.size']", "bulkvi.pl._x"),
    ("import scvi\nprint(scvi.__version__, scvi.settings.seed)", "bulkvi.model._x"),
    ("from scvi.model._utils import use_distributed_sampler", SCVI_PRIVATE),
    ("from scvi import REGISTRY_KEYS, __version__", "bulkvi.model._model"),
    ("import bulkvi as bv\nfrom bulkvi.cli._app import app", "bulkvi.cli._demo"),
    ("from bulkvi.stats.counts.blocks import by_rows\nfrom bulkvi.names import LATENT", "bulkvi.pp._x"),
    ("x = 1\n" * MAX_LINES, "bulkvi.pl._corelation"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_sources_keep_the_rule(rule: Rule):
    broken = {module_name(path): rule(path.read_text(), module_name(path)) for path in SOURCES}
    assert {module: found for module, found in broken.items() if found} == {}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_sees_what_breaks_it(rule: Rule):
    assert [case for case in RULES[rule] if not rule(*case)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_lets_the_innocent_pass(rule: Rule):
    assert [case for case in INNOCENT if rule(*case)] == []


def circle(imported: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; none if there is no circle."""
    sorter = TopologicalSorter(imported)
    try:
        sorter.prepare()
    except CycleError as error:
        return error.args[1]
    return []


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a module imports when it runs, in functions too; for types alone does not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = set()
    for target in imports(ast.unparse(tree)):
        parts = target.split(".")
        found |= {".".join(parts[:n]) for n in range(2, len(parts) + 1)}
    return (found & modules) - {module_name(path)}


def test_no_module_imports_itself_through_others():
    modules = {module_name(path) for path in SOURCES if path.name != "__init__.py"}
    graph = {module_name(path): imported_modules(path, modules) for path in SOURCES if path.name != "__init__.py"}
    assert len(graph) > 100
    assert circle(graph) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def test_every_source_has_its_test_file():
    """``tests/<room>/test_<name>.py`` for ``src/bulkvi/<room>/<name>.py``, but for what only other files make sense of."""
    tests = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    absent = []
    for path in SOURCES:
        source = path.relative_to(PACKAGE)
        named = source.with_name(f"test_{source.name.removeprefix('_')}").as_posix()
        without_code = path.name == "__init__.py" or path.name.endswith("names.py")
        if not without_code and TESTED_IN.get(source.as_posix(), named) not in tests:
            absent.append(source.as_posix())
    assert absent == []
    assert [source for source in TESTED_IN if not (PACKAGE / source).exists()] == []
