"""What the Annotate widget does with files: open labels, save them, restore what was never saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.layers.geometry import image_shape
from napari_semimultipose.widgets import label_files, unsaved
from napari_semimultipose.widgets.choosers import Message
from napari_semimultipose.widgets.document import LabelsDocument, document_on
from napari_semimultipose.widgets.file_bar import FileBar
from napari_semimultipose.widgets.label_layers import LabelLayers
from napari_semimultipose.widgets.opening import open_document, restore_document
from napari_semimultipose.widgets.recordings import place_of_recording, stand_in
from napari_semimultipose.widgets.restore import RestoreBanner
from napari_semimultipose.widgets.worker import DockedWidget

if TYPE_CHECKING:
    import napari


class LabelsWidget(DockedWidget):
    """A dock widget that works on labels, with the files that they come from and go to.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.document: LabelsDocument | None = None
        self._documents: list[LabelsDocument] = []
        self._making = False
        self.header = LabelLayers(viewer, self)
        self.images, self.layers = self.header.images, self.header.labels
        self.files = FileBar(self)
        self.banner = RestoreBanner(self)
        self.message = Message(self)

    def _set_document(self, document: LabelsDocument | None) -> None:
        """Work on other labels."""
        raise NotImplementedError

    def _show(self) -> None:
        """Show the labels and their file."""
        raise NotImplementedError

    def _show_state(self) -> None:
        """Show the file alone."""
        raise NotImplementedError

    @contextmanager
    def _make(self) -> Iterator[None]:
        """While labels are made, the boxes follow the layers without acting on them."""
        self._making = True
        try:
            yield
        finally:
            self._making = False

    def open_labels(self, path: Path) -> None:
        """Open a labels file or project folder, with its recording if that is found.

        Of a file that is open already, the labels are shown as they are in the viewer.

        Raises
        ------
        SemiMultiPoseError
            When the labels or their recording cannot be read, or the recording is not found.
        """
        if path.name.endswith(unsaved.SUFFIX):
            self.restore(path)
            return
        known = document_on(self._viewer, path)
        if known is not None:
            self._set_document(known)
            self.message.say(f"{path.name} is open already: these are its labels.")
            return
        with self._make():
            document = open_document(self._viewer, path, self.images.layer())
        self._set_document(document)
        if document.image is not None:
            video = document.store.videos[document.view.video]
            self.message.say(stand_in(document.image, video))
        self._offer_unsaved(document)

    def _edit_here(self, force: bool) -> None:
        """Get the labels file from another window, and read it as it is now."""
        document = self.document
        if document is None or document.path is None:
            return
        if document.claim.take(document.path, force=force):
            self._viewer.layers.remove(document.points)
            self.open_labels(document.path)
        self._show_state()

    # -------------------------------------------------------------------- save

    def save(self) -> None:
        """Save the labels to their file, or ask for one."""
        document = self.document
        if document is None:
            return
        if document.path is None or not label_files.can_write(document.path):
            self.files.ask_save_as()
        else:
            self.save_as(document.path, document.format)

    def save_as(self, path: Path, format: str | None = None) -> None:
        """Save the labels to a file and say what it cannot hold."""
        document = self.document
        if document is None:
            return
        try:
            lost = document.save(path, format)
        except SemiMultiPoseError as error:
            self.message.say(str(error), error=True)
            return
        self.message.say(f"{path.name} cannot hold: {'; '.join(lost)}" if lost else "")
        self._show()

    def _suggested_path(self) -> Path:
        document, image = self.document, self.images.layer()
        if document is not None and document.path is not None:
            return document.path
        place = Path.home() / "labels" if image is None else place_of_recording(image)
        return unsaved.folder_of(place) / f"{place.stem}.labels.slp"

    # ----------------------------------------------------------------- restore

    def _offer_unsaved(self, opened: LabelsDocument | None = None) -> None:
        """Offer labels of the recording, or of labels just opened, that were never saved."""
        image = self.images.layer()
        if image is None:
            self.banner.hide()
        else:
            used = {path for document in self._documents for path in document.autosave.paths}
            place = place_of_recording(image)
            shape = None if place.exists() else image_shape(image)
            if opened is None:
                self.banner.look(place, used, shape=shape)
            else:
                self.banner.look(place, used, opened.path, opened.poses, shape)

    def restore(self, path: Path) -> None:
        """Go on with labels that were never saved."""
        file = self.document.path if self.document is not None else None
        with self._make():
            document = restore_document(self._viewer, path, self.images.layer(), file)
        for other in self._documents:
            if other.path == document.path:
                other.path = None  # the file is that of the labels just restored
        self._set_document(document)

    def _try(self, action: Callable[[], None]) -> None:
        QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            action()
        except SemiMultiPoseError as error:
            self.message.say(str(error), error=True)
        finally:
            QApplication.restoreOverrideCursor()

    def _confirm(self, question: str) -> bool:
        yes = QMessageBox.StandardButton.Yes
        return bool(QMessageBox.question(self, "SemiMultiPose", question) == yes)
