import ast
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bulkvi.cli
from bulkvi.cli import app

SOURCES = sorted(Path(bulkvi.cli.__file__).parent.glob("*.py"))


def test_version_is_that_of_the_package():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"bulkvi {version('bulkvi')}\n"


def test_help_lists_the_commands():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "demo" in result.stdout


def test_without_a_command_the_help_is_shown():
    result = CliRunner().invoke(app, [])
    assert "demo" in result.output


def test_an_unknown_command_is_an_error():
    result = CliRunner().invoke(app, ["dmeo"])
    assert result.exit_code == 2
    assert "demo" in result.stderr


def test_the_installed_command_is_this_app():
    (script,) = entry_points(group="console_scripts", name="bulkvi")
    assert script.load() is app


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_top_level_imports_are_light(path: Path):
    """`bulkvi --help` is to answer at once; PyTorch and scvi-tools take seconds to import."""
    tree = ast.parse(path.read_text())
    modules = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    tops = {module.partition(".")[0] for module in modules if not module.startswith("bulkvi.cli")}
    assert tops <= {*sys.stdlib_module_names, "typer"}


def test_help_does_not_wait_for_pytorch():
    """`bulkvi --help` took 7 s of CPU while `import bulkvi` imported scvi-tools at once."""
    code = "import sys; from bulkvi.cli import app; app(['--help'], standalone_mode=False); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
