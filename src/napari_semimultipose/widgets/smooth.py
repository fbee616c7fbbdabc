"""The Smooth widget: join the predictions of several models, smooth them, show what is unsure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout, QWidget
from typing_extensions import override

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.layers.ellipses import Ellipses
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.points import info_from_metadata
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets.choosers import plain_viewer, scrollable
from napari_semimultipose.widgets.jobs import Saved, saving_events
from napari_semimultipose.widgets.label_files import ask_save
from napari_semimultipose.widgets.proofreading import can_be_reviewed, later, layers_of
from napari_semimultipose.widgets.smooth_form import SmoothForm
from napari_semimultipose.widgets.smooth_jobs import (
    SmoothedPoses,
    SmoothingJob,
    smoothing_events,
)
from napari_semimultipose.widgets.worker import EventRunner, WorkWidget

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer


SMALL = 0.4
"""Size of points within ellipses, relative to the usual one."""


class SmoothWidget(WorkWidget):
    """Dock widget that smooths poses over time.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    # napari looks for exactly this annotation
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer = plain_viewer(viewer)
        self.result: PredictionLayers | None = None
        self.before: PoseStore | None = None
        self._source: PredictionLayers | None = None
        self._made: tuple[PredictionLayers, str] | None = None
        self.form = form = SmoothForm(viewer, can_be_reviewed, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(scrollable(form))
        self.setMinimumWidth(320)
        self.runner = EventRunner("smoothing", "Poses are still being smoothed.", self)
        self._later = later(self._on_layers, self)
        form.layer_box.layer_changed.connect(self._later.start)
        form.smooth_button.clicked.connect(lambda: self.smooth())
        form.plot_button.clicked.connect(lambda: self.show_plot())
        form.save_button.clicked.connect(lambda: self.save_as())
        form.ellipses.toggled.connect(lambda _: self._show_ellipses())
        form.jump_chosen.connect(self._go_to)
        self.runner.received.connect(self._on_events)
        self.runner.ended.connect(self._show_state)
        viewer.layers.events.inserted.connect(self._later_layers)
        viewer.layers.events.removed.connect(self._later_layers)
        active = viewer.layers.selection.active
        if active is not None:
            form.layer_box.set_layer(active)
        self._on_layers()

    def _later_layers(self, event: Any = None) -> None:
        self._later.start()

    def _on_layers(self) -> None:
        """Offer the other layers of the same keypoints as members."""
        chosen = self.form.layer_box.layer()
        info = None if chosen is None else info_from_metadata(chosen.metadata)
        others: list[Layer] = []
        for layer in self._viewer.layers:
            mine = info_from_metadata(layer.metadata) if can_be_reviewed(layer) else None
            if layer is chosen or info is None or mine is None or layer is self._own():
                continue
            if set(mine.skeleton.keypoints) == set(info.skeleton.keypoints):
                others.append(layer)
        self.form.show_layers(others)
        self._show_state()

    def _own(self) -> Layer | None:
        """Return the layer of the result, which is no model."""
        return None if self.result is None else self.result.points

    @override
    def _leave(self) -> None:
        for emitter in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            emitter.disconnect(self._later_layers)
        super()._leave()

    # ------------------------------------------------------------------ smooth

    def smooth(self) -> None:
        """Smooth in the background."""
        if not self.runner.running:
            self.form.message.say("")
            self._try(self._start)

    def _start(self) -> None:
        form = self.form
        points = form.layer_box.layer()
        if points is None:
            return
        self._source = source = layers_of(self._viewer, points)
        members = [layers_of(self._viewer, layer).store for layer in form.ticked_layers()]
        job = SmoothingJob(
            source.store.copy(),
            [store.copy() for store in members],
            form.files(),
            form.endings(),
            form.config(),
        )
        form.status.setText("Smoothing…")
        self.runner.start(lambda should_stop: smoothing_events(job))
        self._show_state()

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, SmoothedPoses):
                self._on_smoothed(event)
            elif isinstance(event, Saved):
                lost = f". This format cannot hold: {'; '.join(event.lost)}" if event.lost else ""
                self.form.message.say(f"Saved to {event.path}{lost}")
            elif isinstance(event, Failed):
                self.form.status.setText("")
                self.form.message.say(event.message, error=True, details=event.details)

    def _on_smoothed(self, event: SmoothedPoses) -> None:
        source, poses = self._source, event.poses
        if source is None:
            return
        self.before = PoseStore(event.observed)
        self._show_result(source, poses)
        self._show_ellipses()
        models = "one model" if event.observed.spread is None else "an ensemble"
        said = f"{poses.n_instances} animals on {len(poses)} frames, from {models}"
        if event.left_out:
            said += f"; {event.left_out} without a track are left out"
        self.form.status.setText(said)
        self.form.show_jumps(event.jumps, poses.track_names)
        self._show_state()

    def _show_result(self, source: PredictionLayers, poses: Poses) -> None:
        """Show poses in the layer of the last result, or in one of their own.

        A result that is of other poses, has another name now or was corrected by hand is left alone.
        """
        result = self.result
        if result is not None and not result.closed:
            ellipses = Ellipses.of(result.points)
            if ellipses is not None:
                ellipses.close()
            mine = self._made == (source, result.points.name)
            if mine and not len(History.of(result.store)):
                result.replace(poses)
                return
            result.view.set_look(size_factor=1.0)
            if mine:
                self.form.message.say(
                    f"'{result.points.name}' was corrected by hand and stays as it is: "
                    "the new result has a layer of its own."
                )
        view, image = source.view, source.view.image
        self.result = made = PredictionLayers(
            self._viewer,
            poses,
            name=f"{source.points.name} smoothed",
            video=view.video,
            image=image if image in self._viewer.layers else None,
        )
        self._made = source, made.points.name
        History.of(made.store)  # from now on

    def _show_ellipses(self) -> None:
        """Draw the ellipses, or take them away."""
        if self.result is None or self.result.closed:
            return
        known = Ellipses.of(self.result.points)
        if self.form.ellipses.isChecked() and known is None and self.result.store.has_spread:
            # Positions are often surer than a point is large: it would hide the ellipse.
            self.result.view.set_look(size_factor=SMALL)
            Ellipses(self.result.view)
        elif known is not None and not self.form.ellipses.isChecked():
            known.close()
            self.result.view.set_look(size_factor=1.0)

    # ------------------------------------------------------------------ result

    def show_plot(self) -> None:
        """Open the courses of the smoothed poses, and of those before."""
        from napari_semimultipose.widgets.trajectories import open_trajectories

        if self.result is not None and self.before is not None and not self.result.closed:
            open_trajectories(self._viewer).compare(self.result.points, self.before)

    def save_as(self, path: Path | None = None, format: str | None = None) -> None:
        """Write the smoothed poses to a file; asks for its name when none is given."""
        if self.result is None or self.result.closed or self.runner.running:
            return
        if path is None:
            chosen = ask_save(self, None, title="Save poses")
            if chosen is None:
                return
            path, format = chosen
        copy, target, kind = self.result.store.copy(), path, format
        self.runner.start(lambda should_stop: saving_events(copy.snapshot(), target, format=kind))
        self._show_state()

    def _go_to(self, frame: int) -> None:
        if self.result is not None and not self.result.closed:
            self.result.view.go_to(frame)

    def _show_state(self) -> None:
        done = self.result is not None and not self.result.closed
        self.form.show_state(busy=self.runner.running, done=done)

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except SemiMultiPoseError as error:
            self.form.message.say(str(error), error=True)
