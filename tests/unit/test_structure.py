"""The rooms of the program and what each may touch (docs/structure.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_semimultipose

ROOT = Path(napari_semimultipose.__file__).parent
PACKAGE = "napari_semimultipose"
FLOORS = {
    "skeleton": 0,
    "poses": 1,
    "metrics": 1.5,
    "config": 1,
    "errors": 0,
    "sides": 1.5,
    "shapes": 2,
    "matching": 1.5,  # layers compare poses
    "io": 2,
    "models": 2.5,  # checkpoints are written through io.atomic
    "layers": 2,
    "tracking": 3,
    "data": 3,
    "losses": 3,
    "evaluation": 3,
    "inference": 3,
    "labeling": 3,
    "sources": 3,
    "training": 4,
    "recordings": 4,
    "background": 4.5,
    "crossfit": 4.5,
    "agreement": 4.4,
    "plausibility": 4.5,
    "reports": 4.7,
    "second_look": 4.5,
    "smoothing": 4,
    "api": 5,
    "demo": 6,
    "cli": 7,
    "widgets": 6,
    "_reader": 6.5,
    "_writer": 5.5,
    "_sample_data": 7,
    "__init__": 9,
}
SCREEN = ("napari", "qtpy", "superqt", "magicgui", "pyqtgraph")
FORBIDDEN = {
    "poses": ("torch", *SCREEN),
    "io": ("torch", *SCREEN),
    "layers": ("torch", "qtpy", "superqt", "magicgui", "pyqtgraph"),
    "matching": SCREEN,
    "sides": ("torch", *SCREEN),
    "models": SCREEN,
    "data": SCREEN,
    "losses": SCREEN,
    "shapes": SCREEN,
    "tracking": ("torch", *SCREEN),
    "evaluation": ("torch", *SCREEN),
    "inference": SCREEN,
    "labeling": ("torch", *SCREEN),
    "training": SCREEN,
    "background": ("torch", *SCREEN),
    "reports": ("torch", *SCREEN),
    "api": SCREEN,
    "widgets": ("torch",),
}


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Names that a file imports, except for type checkers alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only |= {id(n) for part in node.body for n in ast.walk(part)}
    package = [PACKAGE, *file.relative_to(ROOT).parent.parts]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from names


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(ROOT)))
def test_rooms_import_from_lower_floors_only(file: Path) -> None:
    room = room_of(file)
    assert room in FLOORS, f"{room} is a new room: give it a floor here and in docs/structure.md"
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == PACKAGE and len(parts) > 1 and parts[1] in FLOORS:
            other = parts[1]
            assert other == room or FLOORS[other] < FLOORS[room], f"{room} imports {name}"
        assert parts[0] not in FORBIDDEN.get(room, ()), f"{room} imports {name}"
