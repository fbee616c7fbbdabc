"""Fixtures of all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The networks of the tests are tiny: a second thread only waits, the longer the busier the machine is.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Torch imports triton where it finds it, and triton's LLVM crashes Mesa's, which draws the windows of
# the GUI tests in the same process (see widgets/preload.py). Unit tests import torch at collection.
sys.modules.setdefault("triton", None)  # type: ignore[arg-type]

# A busy machine makes examples slow; how fast things are is measured in benchmarks/.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real recordings; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared recordings (../shared/data) are not on this machine")
    return folder
