"""Pages of text in the Annotate widget."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_semimultipose.widgets.keys import help_html

START_HTML = (
    "<p><b>1.</b> Open a recording: drop a video or a folder of images on the viewer, or take "
    "<i>File › Open Sample › SemiMultiPose</i>.</p>"
    "<p><b>2.</b> Press <i>New</i> and say which keypoints an animal has, or <i>Open</i> labels "
    "that you have already.</p>"
    "<p><b>3.</b> Click the keypoints one after the other.</p>"
)


def start_page(parent: QWidget) -> QLabel:
    """Return what to do first."""
    return _page(START_HTML, parent)


def keys_page(parent: QWidget) -> QLabel:
    """Return all keys and what they do."""
    return _page(help_html(), parent)


def _page(html: str, parent: QWidget) -> QLabel:
    label = QLabel(html, parent)
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    label.setMargin(6)
    return label
