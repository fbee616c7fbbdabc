"""Fixtures of the tests of reports."""

from __future__ import annotations

import pytest

from napari_semimultipose.reports import page


@pytest.fixture
def plain_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing of the plots, which takes a second a report."""
    monkeypatch.setattr(page, "svg_of", lambda figure: "<svg></svg>")
