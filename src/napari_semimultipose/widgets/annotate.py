"""The Annotate widget: make a skeleton, click keypoints, keep the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Points
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from typing_extensions import override

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.canvas import focus_canvas, shows_pictures
from napari_semimultipose.poses import Skeleton
from napari_semimultipose.widgets import label_files, layer_keys, videos
from napari_semimultipose.widgets.annotate_pages import LABEL, SKELETON, AnnotatePages
from napari_semimultipose.widgets.docks import join_tabs
from napari_semimultipose.widgets.document import (
    LabelsDocument,
    keep,
    part_from,
)
from napari_semimultipose.widgets.keys import KeyAction
from napari_semimultipose.widgets.label_layers import holds_labels
from napari_semimultipose.widgets.labels_widget import LabelsWidget
from napari_semimultipose.widgets.layer_frames import is_points
from napari_semimultipose.widgets.lock_banner import LockBanner
from napari_semimultipose.widgets.proofreading import later
from napari_semimultipose.widgets.recordings import image_of
from napari_semimultipose.widgets.worker import DockedWidget

if TYPE_CHECKING:
    import napari

TICK_MS = 250


class AnnotateWidget(LabelsWidget):
    """Dock widget for labelling poses.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.lock_banner = LockBanner(self)
        self.resume_button = QPushButton("Go on labelling", self)
        self.tabs = AnnotatePages(self)
        self.panel = self.tabs.panel
        self.skeleton_page = self.tabs.skeleton_page
        self._timer = QTimer(self)
        self._soon = later(self._show, self)
        self._look = later(self._on_layer, self)
        self._lay_out()
        self._connect()
        self._on_layer()
        self._offer_unsaved()
        self._show()

    # ----------------------------------------------------------------- layout

    def _lay_out(self) -> None:
        self.resume_button.setToolTip(
            "Clicks and keys go to another layer or tool now: give them back to the labels"
        )
        self.resume_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(5)
        upper = (self.header, self.files, self.lock_banner, self.banner, self.message)
        for widget in (*upper, self.resume_button):
            layout.addWidget(widget)
        layout.addWidget(self.tabs, 1)
        self.setMinimumWidth(290)

    def _connect(self) -> None:
        self.images.layer_changed.connect(self._on_image)
        self.images.activated.connect(lambda _: self._on_image_chosen())
        self.layers.currentIndexChanged.connect(lambda _: self._on_layer())
        self.layers.layer_changed.connect(self._look.start)  # layers came or went: see `later`
        self.files.suggestion = self._suggested_path
        self.files.new_clicked.connect(lambda: self.tabs.setCurrentIndex(SKELETON))
        self.files.open_chosen.connect(lambda path: self._try(lambda: self.open_labels(path)))
        self.files.save_clicked.connect(self.save)
        self.files.save_as_chosen.connect(self.save_as)
        self.banner.restore_clicked.connect(lambda path: self._try(lambda: self.restore(path)))
        self.banner.discarded.connect(lambda path: self.message.say(f"Put aside as {path.name}."))
        self.lock_banner.edit_clicked.connect(lambda f: self._try(lambda: self._edit_here(f)))
        self.resume_button.clicked.connect(self._resume)
        self.panel.command.connect(self._command)
        self.tabs.history.command.connect(self._command)
        self.panel.frame_chosen.connect(self._go_to)
        self.panel.size_changed.connect(self._set_size)
        self.skeleton_page.start_clicked.connect(
            lambda skeleton: self._try(lambda: self.new_labels(skeleton))
        )
        self.skeleton_page.change_clicked.connect(self._change_skeleton)
        self.skeleton_page.points_chosen.connect(
            lambda points, skeleton: self._try(lambda: self._take(points, skeleton))
        )
        self.skeleton_page.plain_layers = self._plain_layers
        page = self.tabs.videos
        page.chosen.connect(lambda index: self._try(lambda: self.show_recording(index)))
        page.folder_chosen.connect(lambda folder: self._try(lambda: self.relink(folder)))
        page.files_chosen.connect(lambda paths: self._try(lambda: self.add_recordings(paths)))
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        layer_keys.Front(self, self._take_keys)
        # The widget is half gone when these are emitted: the closures hold what they need.
        documents = self._documents
        self.destroyed.connect(lambda: part_from(documents))
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(lambda: keep(documents))

    # ------------------------------------------------------------ other labels

    def _on_layer(self) -> None:
        """Work on the labels of another layer."""
        if self._making:
            return
        layer = self.layers.layer()
        if layer is None:
            self._set_document(None)
        elif self.document is None or layer is not self.document.points:
            self._try(lambda: self._take(layer))

    def _take(self, points: Points, skeleton: Skeleton | None = None) -> None:
        image = image_of(self._viewer, points) or self.images.layer()
        if image is None:
            raise LabelsError(
                f"open the recording of '{points.name}' first, then choose the labels above"
            )
        with self._make():
            document = LabelsDocument.of_layer(self._viewer, points, image, skeleton)
        self._set_document(document)

    def _set_document(self, document: LabelsDocument | None) -> None:
        if document is self.document:
            return
        if self.document is not None:
            self.document.deactivate()
        self.document = document
        self.message.say("")
        if document is not None:
            if document not in self._documents:
                self._documents.append(document)
                document.listeners.append(self._soon.start)  # a click changes several things
                document.close_listeners.append(self._on_document_closed)
            self.layers.set_layer(document.points)
            if document.image is not None:
                self.images.set_layer(document.image)
            self.tabs.setCurrentIndex(LABEL)
            document.activate(self._complain, self._on_key)
        self._show()

    def _on_document_closed(self, document: LabelsDocument) -> None:
        """Say where the labels of a layer went that was removed."""
        self._documents.remove(document)
        if document is self.document:
            self.document = None
        kept = document.autosave.path
        if document.unsaved and kept is not None and kept.exists():
            self.banner.offer_again(kept)
            self.message.say(f"The labels of the removed layer are kept in {kept.name}.")
            QTimer.singleShot(0, self._offer_unsaved)
        self._show()

    # --------------------------------------------------------------- new, open

    def new_labels(self, skeleton: Skeleton) -> None:
        """Begin labels of the chosen recording.

        Raises
        ------
        LabelsError
            When there is no recording.
        """
        image = self.images.layer() or self.images.only_layer()
        if image is None:
            raise LabelsError(
                "open a recording first: drop a video or a folder of images on the viewer"
            )
        with self._make():
            document = LabelsDocument.new(self._viewer, skeleton, image)
        self._set_document(document)

    def _plain_layers(self) -> list[Points]:
        return [x for x in self._viewer.layers if is_points(x) and not holds_labels(x)]

    def _change_skeleton(self, skeleton: Skeleton, origin: list[int | None]) -> None:
        document = self.document
        if document is None:
            return
        lost = label_files.lost_keypoints(document.poses(), origin)
        if lost and not self._confirm(
            f"This deletes the labels of {lost}. Undo brings them back. Go on?"
        ):
            return
        self._try(lambda: document.set_skeleton(skeleton, origin))
        self.tabs.setCurrentIndex(LABEL)

    # ------------------------------------------------------------------- input

    def _on_key(self, action: KeyAction) -> None:
        if action.command == "show_keys":
            self.tabs.toggle_keys()
        elif action.command == "ask_frame":
            self.tabs.ask_frame()
        else:
            self._command(action.command, action.argument)

    def _command(self, command: str, argument: int | None = None) -> None:
        if self.document is not None:
            self._take_keys()
            before = self.document.image
            self.message.say("")
            self.document.run(command, argument)
            if self.document.image is not before:  # undo may lead to another recording
                self.images.set_layer(self.document.image)

    def _take_keys(self) -> None:
        if self.document is not None:
            self.document.take_keys()

    def _go_to(self, frame: int) -> None:
        if self.document is not None:
            self.document.view.go_to(frame)
            focus_canvas(self._viewer)

    def _set_size(self, factor: float) -> None:
        if self.document is not None:
            self.document.view.set_look(size_factor=factor)

    def _resume(self) -> None:
        document = self.document
        if document is not None:
            dims = self._viewer.dims
            dims.ndisplay = 2
            if not shows_pictures(self._viewer):
                dims.order = tuple(range(dims.ndim))
            document.points.visible = True
            document.points.mode = "pan_zoom"
            self._viewer.layers.selection.active = document.points
            self._show()

    def _on_image(self) -> None:
        if self.document is None:
            self._offer_unsaved()
        self._soon.start()  # not before a choice of the user is acted upon

    def _on_image_chosen(self) -> None:
        """Label another recording with the same labels file; only when the user says so."""
        image = self.images.layer()
        if self.document is None or image is None or image is self.document.image:
            return
        try:
            known = self.document.show(image)
        except LabelsError as error:
            self.message.say(str(error), error=True)
            return
        if not known:
            self.message.say(f"{image.name} has been added to the recordings of these labels.")
        self._show()

    # -------------------------------------------------------------- recordings

    def show_recording(self, index: int) -> None:
        """Label another recording of the same labels.

        Raises
        ------
        SemiMultiPoseError
            When it is not found or cannot be read.
        """
        document = self.document
        if document is None:
            return
        self.message.say("")
        with self._make():
            image = videos.show_recording(document, index)
            self.images.set_layer(image)
        self._viewer.layers.selection.active = document.points
        self._show()

    def add_recordings(self, paths: Sequence[Path]) -> None:
        """Add videos to the labels."""
        if self.document is not None:
            n = videos.add_recordings(self.document, paths)
            self.message.say(f"{n} video{'' if n == 1 else 's'} added; click one to label it.")
            self._show()

    def relink(self, folder: Path) -> None:
        """Look for the missing recordings of the labels below a folder.

        Raises
        ------
        LabelsError
            When two files fit equally well.
        """
        if self.document is not None:
            n, missing = videos.relink(self.document, folder)
            lost = f"; still missing: {', '.join(missing)}" if missing else ""
            self.message.say(f"{n} recording{'' if n == 1 else 's'} found{lost}.")
            self._show()

    # ----------------------------------------------------------------- showing

    def _show(self) -> None:
        self._show_recording()
        self.tabs.show_document(self.document)
        self._show_state()

    def _show_recording(self) -> None:
        """Let the box of the recordings say what is labelled, whatever else is open."""
        document = self.document
        if document is None or document.image is None:
            return
        document.find_picture()
        if document.has_picture:
            self.images.set_layer(document.image)
        else:
            self.images.choose_none(f"closed: {document.image.name}")

    def _show_state(self) -> None:
        document = self.document
        self.files.show_document(document)
        self.lock_banner.show_claim(None if document is None else document.claim)
        self.resume_button.setVisible(document is not None and not document.listening)

    def _complain(self, text: str) -> None:
        self.message.say(text)

    # ------------------------------------------------------------------- end

    def _tick(self) -> None:
        for document in self._documents:
            document.tick()
        self.skeleton_page.look_for_plain()
        self._show_state()

    @override
    def sizeHint(self) -> QSize:
        """Leave most of a small screen to the picture."""
        return QSize(330, 640)

    @override
    def showEvent(self, event: Any) -> None:
        """Watch the window, to write the labels before it closes, and join docks of ours."""
        super().showEvent(event)
        QTimer.singleShot(0, lambda: isalive(self) and join_tabs(self, DockedWidget))
        window = self.window()
        if window is not None:
            window.installEventFilter(self)

    @override
    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Write the labels when the window is about to close."""
        if event is not None and event.type() == QEvent.Type.Close:
            keep(self._documents)
        return bool(super().eventFilter(watched, event))
