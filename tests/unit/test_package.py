"""What importing the package costs, and what it offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import napari_semimultipose

HEAVY = (
    "torch",
    "torchvision",
    "av",
    "h5py",
    "pandas",
    "napari",
    "qtpy",
    "PyQt6",
    "PySide6",
    "sleap_io",
)


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_semimultipose",
        "import napari_semimultipose.cli",
        "import napari_semimultipose.api",
        "from napari_semimultipose import Config, Poses, Skeleton, train",
    ],
)
def test_import_loads_nothing_heavy(statement: str) -> None:
    loaded = modules_after(statement)
    assert "napari_semimultipose" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_every_public_name_can_be_had() -> None:
    for name in napari_semimultipose.__all__:
        assert getattr(napari_semimultipose, name) is not None
    assert set(napari_semimultipose.__all__) <= set(dir(napari_semimultipose))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = napari_semimultipose.trian
