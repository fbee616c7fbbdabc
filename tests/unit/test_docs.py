"""The documentation says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from napari_semimultipose.cli import app
from napari_semimultipose.config import PRESETS, Config
from napari_semimultipose.io.labels import FORMATS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def format_rows() -> list[str]:
    """Rows of the table of formats, as they must stand in docs/formats.md."""
    rows = []
    for known in FORMATS.values():
        verbs = (
            "read, write" if known.reads and known.writes else "read" if known.reads else "write"
        )
        files = ", ".join(f"`{suffix}`" for suffix in known.suffixes) or "folder"
        rows.append(
            f"| {known.title} | `{known.name}` | {files} | {verbs} | {known.holds} | {known.loses} |"
        )
    return rows


def test_the_readme_begins_with_the_two_commands() -> None:
    commands = re.findall(r"^ {4}(\S.*?)(?:\s+#.*)?$", (ROOT / "README.md").read_text(), re.M)
    assert commands[:2] == ["bash run.sh demo", "bash run.sh test"]


@pytest.mark.parametrize("row", format_rows(), ids=list(FORMATS))
def test_every_format_is_described(row: str) -> None:
    assert row in (ROOT / "docs" / "formats.md").read_text()


def test_the_readme_names_every_format() -> None:
    text = (ROOT / "README.md").read_text()
    assert [known.title for known in FORMATS.values() if known.title not in text] == []


def test_every_option_of_every_command_is_described() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    sections = {part.split()[0]: part for part in text.split("\n## ")[1:]}
    for name, command in typer.main.get_command(app).commands.items():
        for parameter in command.params:
            names = [option for option in parameter.opts if option.startswith("--")]
            if names and names != ["--help"]:
                assert any(option in sections[name] for option in names), f"{name} {names}"


def test_presets_and_settings_in_the_documentation_exist() -> None:
    text = (ROOT / "docs" / "presets.md").read_text()
    for name in PRESETS:
        assert f"`{name}`" in text
    groups = Config().model_dump()
    names = re.findall(r"\b(model|data|augment|loss|train|predict|track)\.([a-z_]+)\b", text)
    assert len(names) > 20
    for group, setting in names:
        assert setting in groups[group] or setting == "py", f"{group}.{setting}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
