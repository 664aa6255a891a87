"""`bulkvi de` on files, as a user runs it."""

import shlex
from pathlib import Path

from typer.testing import CliRunner, Result

from bulkvi.cli import app
from tests.cli.conftest import Files

DESIGN = "~ `library type` + treatment"


def run(files: Files, out: Path, *options: str, **changed: str) -> Result:
    asked = {
        "counts": str(files.counts),
        "samples": str(files.samples),
        "--design": DESIGN,
        "--contrast": "treatment drug control",
    } | changed
    arguments = ["de", asked.pop("counts"), asked.pop("samples"), "--out", str(out)]
    for flag, value in asked.items():
        arguments += [flag, *(shlex.split(value) if flag == "--contrast" else [value])]
    return CliRunner().invoke(app, [*arguments, *options])
