"""The README's code runs as it stands, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_quick_start_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "ZBTB16" in printed
    assert "adj_p_value" in printed
    assert "..." not in printed
    assert (tmp_path / "model" / "model.pt").is_file()


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!https?:)[^)]+)\)", README))
def test_link_leads_somewhere(target: str):
    path, _, heading = target.partition("#")
    page = ROOT / path if path else ROOT / "README.md"
    assert page.is_file()
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE) if heading else []
    assert not heading or heading in [title.lower().replace(" ", "-") for title in titles]
