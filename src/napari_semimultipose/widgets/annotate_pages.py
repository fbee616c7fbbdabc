"""The pages of the Annotate widget: labelling, skeleton, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QStackedWidget, QTabWidget, QWidget

from napari_semimultipose.poses import Skeleton
from napari_semimultipose.widgets.choosers import scrollable
from napari_semimultipose.widgets.help_pages import keys_page, start_page
from napari_semimultipose.widgets.history_buttons import HistoryButtons
from napari_semimultipose.widgets.keys import key_of
from napari_semimultipose.widgets.label_panel import LabelPanel
from napari_semimultipose.widgets.skeleton_page import SkeletonPage
from napari_semimultipose.widgets.video_list import VideoList
from napari_semimultipose.widgets.videos import recordings_of

if TYPE_CHECKING:
    from napari_semimultipose.widgets.document import LabelsDocument

LABEL, VIDEOS, SKELETON, KEYS = range(4)


class AnnotatePages(QTabWidget):
    """Tabs with what there is to see of a document, and Undo and Redo beside them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panel = LabelPanel(self)
        self.skeleton_page = SkeletonPage(self)
        self.history = HistoryButtons(self)
        self._label = QStackedWidget(self)
        self._label.addWidget(scrollable(start_page(self)))
        self._label.addWidget(scrollable(self.panel))
        self._skeleton: Skeleton | None = None
        self.addTab(self._label, "Label")
        self.videos = VideoList(self)
        self.addTab(self.videos, "Videos")
        self.addTab(scrollable(self.skeleton_page), "Skeleton")
        self.addTab(scrollable(keys_page(self)), f"Keys [{key_of('show_keys')}]")
        self.setCornerWidget(self.history)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._document: LabelsDocument | None = None
        self.currentChanged.connect(lambda _: self._show_videos())

    def show_document(self, document: LabelsDocument | None) -> None:
        """Show the labels that are worked on; None: there are none."""
        self._label.setCurrentIndex(0 if document is None else 1)
        self._document = document
        self._show_videos()
        self.skeleton_page.set_has_labels(document is not None)
        self.history.show_history(None if document is None else document.session.history)
        if document is None:
            self._skeleton = None
            return
        self.panel.show_document(document)
        if document.skeleton is not self._skeleton:  # also after undo
            self._skeleton = document.skeleton
            self.skeleton_page.set_skeleton(document.skeleton)

    def _show_videos(self) -> None:
        """Look for the recordings, which takes a moment, only while their page is seen."""
        if self.currentIndex() == VIDEOS:
            document = self._document
            self.videos.show_recordings([] if document is None else recordings_of(document))

    def toggle_keys(self) -> None:
        """Show the keys, or the labels again."""
        self.setCurrentIndex(LABEL if self.currentIndex() == KEYS else KEYS)

    def ask_frame(self) -> None:
        """Let the user type the number of a frame."""
        self.setCurrentIndex(LABEL)
        self.panel.ask_frame()
