"""Where reviewed poses are kept: their journal, the file they are saved to, and what a crash left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.io.lock import FileLock
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.widgets.choosers import LayerBox
from napari_semimultipose.widgets.document import document_of
from napari_semimultipose.widgets.keeping import Keeping
from napari_semimultipose.widgets.layer_frames import is_frames
from napari_semimultipose.widgets.opening import restore_document, restore_without_recording
from napari_semimultipose.widgets.recordings import place_of_recording
from napari_semimultipose.widgets.restore import RestoreBanner

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

TICK_MS = 250
_ME = "review"


@dataclass(frozen=True)
class _Saving:
    """Poses on their way to a file: what they were when they were handed over."""

    layers: PredictionLayers
    keeping: Keeping | None
    lock: FileLock | None
    revision: int
    state: object


class ReviewedFile(QObject):
    """Keeps the poses that are reviewed, and offers those of a program that was killed.

    The journal of poses whose recording is not open belongs to their file; without one they are not kept, as nobody
    would find them again.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QWidget
        Whose poses they are.

    Attributes
    ----------
    banner : RestoreBanner
    """

    restored = Signal(object)
    """Points layer with poses that came from a journal."""
    said = Signal(str)
    """What happened, or why something could not be done."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: PredictionLayers | None = None
        self._keeping: Keeping | None = None
        self._saving: _Saving | None = None
        self._saved_state: object = None
        self.banner = RestoreBanner(parent)
        self.banner.restore_clicked.connect(self._restore)
        self.banner.discarded.connect(lambda path: self.said.emit(f"Put aside as {path.name}."))
        self._recordings = LayerBox(viewer, is_frames, "", parent)
        self._recordings.hide()
        self._recordings.layer_changed.connect(self._on_recording)
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    # ------------------------------------------------------------------- poses

    def take(self, layers: PredictionLayers) -> None:
        """Keep the changes of these poses from now on."""
        self._layers = layers
        self._keep()
        journal = self._keeping is not None and self._keeping.autosave.path is not None
        self._saved_state = None if journal else History.of(layers.store).state
        self.offer()

    def leave(self) -> None:
        """Let go of the poses."""
        keeping, self._keeping, self._layers = self._keeping, None, None
        if keeping is not None:
            keeping.part(_ME)

    @property
    def unsaved(self) -> bool:
        """Whether the poses hold changes that no file does."""
        return self._layers is not None and (
            History.of(self._layers.store).state is not self._saved_state
        )

    def _keep(self) -> None:
        layers = self._layers
        if layers is None or layers.closed:
            return
        image, labels = layers.view.image, self.path
        place = labels if image is None else place_of_recording(image)
        known = Keeping.known(layers.store)
        if place is not None:
            known = Keeping.of_store(layers.store, place, labels, str(id(self._viewer)))
        if known is not None:
            self._keeping = known
            known.join(_ME)

    @property
    def path(self) -> Path | None:
        """The file that the poses came from."""
        path = None if self._layers is None else self._layers.points.source.path
        return None if path is None else Path(path)

    def came_from(self, path: Path) -> bool:
        """Whether the poses came from this file, however its path is written."""
        own = self.path
        return own is not None and own.exists() and path.exists() and own.samefile(path)

    def _image(self) -> Image | None:
        """Return the recording: that of the poses, or else one that is open."""
        own = None if self._layers is None or self._layers.closed else self._layers.view.image
        return own or self._recordings.layer()

    def _tick(self) -> None:
        if self._keeping is not None:
            self._keeping.tick()

    # ----------------------------------------------------------------- restore

    def _on_recording(self) -> None:
        if isalive(self) and self._layers is None:
            self.offer()

    def offer(self) -> None:
        """Offer poses of the recording that were never saved, if there are any."""
        image, layers, labels = self._image(), self._layers, self.path
        place = labels if image is None else place_of_recording(image)
        if place is None:
            self.banner.hide()
            return
        used = set() if self._keeping is None else self._keeping.autosave.paths
        poses = None if layers is None else layers.store.snapshot
        self.banner.look(place, used, labels, poses)

    def _restore(self, path: Path) -> None:
        before, labels, image = self._layers, self.path, self._image()
        try:
            if image is None and labels is not None:
                points = restore_without_recording(self._viewer, path, labels)
                same = True
            else:
                document = restore_document(self._viewer, path, image, None)
                points, same = document.points, labels == document.path
        except SemiMultiPoseError as error:
            self.said.emit(str(error))
            return
        if before is not None and not before.closed and same:
            before.points.visible = False  # the same poses, before the changes
        self.restored.emit(points)

    # -------------------------------------------------------------------- save

    def begin_saving(self, path: Path) -> None:
        """Say that the poses as they are now are about to be written to a file.

        Raises
        ------
        LabelsError
            When another window has the file.
        """
        layers, keeping = self._layers, self._keeping
        if layers is not None:
            lock = None if keeping is None else keeping.claim.lock(path)
            store = layers.store
            state = History.of(store).state
            self._saving = _Saving(layers, keeping, lock, store.revision, state)

    def saved(self, path: Path) -> None:
        """Say that the poses have been written: the journal goes, if nothing has changed since.

        These are the poses of `begin_saving`, whichever are reviewed by now.
        """
        saving, self._saving = self._saving, None
        if saving is None:
            return
        if saving.layers is self._layers:
            self._saved_state = saving.state
        if saving.keeping is not None:
            saving.keeping.saved(path, None, saving.lock, saving.revision)
            if saving.keeping is not self._keeping:  # left meanwhile
                saving.keeping.part(_ME)
        document = document_of(saving.layers.points)
        if document is not None:
            document.saved_as(path, None, saving.state)

    def end_saving(self) -> None:
        """Give up what `begin_saving` took, if the poses have not been written."""
        saving, self._saving = self._saving, None
        if saving is not None and saving.lock is not None:
            saving.lock.release()
