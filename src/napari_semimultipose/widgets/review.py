"""The Review widget: walk through the problems of predictions and repair them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget
from typing_extensions import override

from napari_semimultipose.config import ReviewConfig
from napari_semimultipose.errors import LabelsError, SemiMultiPoseError
from napari_semimultipose.labeling.problems import Problem
from napari_semimultipose.layers.canvas import camera_of
from napari_semimultipose.layers.history import History, Step
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.tracking import repair
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets import layer_keys
from napari_semimultipose.widgets.choosers import plain_viewer, scrollable
from napari_semimultipose.widgets.identity_changes import IdentityChanges
from napari_semimultipose.widgets.jobs import Saved, saving_events
from napari_semimultipose.widgets.keys import KeyAction
from napari_semimultipose.widgets.label_files import ask_save
from napari_semimultipose.widgets.problem_search import ProblemSearch
from napari_semimultipose.widgets.problem_table import FINE, OPEN, REPAIRED
from napari_semimultipose.widgets.proofreading import (
    can_be_reviewed,
    later,
    layer_to_review,
    layers_of,
    show_place,
)
from napari_semimultipose.widgets.review_form import ReviewForm
from napari_semimultipose.widgets.review_jobs import Found
from napari_semimultipose.widgets.review_keys import KEYS
from napari_semimultipose.widgets.reviewed_file import ReviewedFile
from napari_semimultipose.widgets.usual_repairs import animals_of, tracks_now, usual_repair
from napari_semimultipose.widgets.worker import EventRunner, WorkWidget

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Points


class ReviewWidget(WorkWidget):
    """Dock widget for proofreading predictions.

    The commands of `widgets.review_keys.KEYS` are methods of this class or of `IdentityChanges`.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    # napari looks for exactly this annotation
    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer = plain_viewer(viewer)
        self.layers: PredictionLayers | None = None
        self.steps: History | None = None
        self._found = ReviewConfig()
        self._fine: set[tuple[str, int, tuple[int, ...]]] = set()
        self._repaired: list[tuple[Change, Problem]] = []
        self._clicked: tuple[int, int] | None = None
        self.form = ReviewForm(viewer, can_be_reviewed, self)
        self.file = ReviewedFile(viewer, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.file.banner)
        layout.addWidget(scrollable(self.form))
        self.setMinimumWidth(320)
        self.search = ProblemSearch(viewer, self.form, self)
        self.runner = self.search.runner
        self.saver = EventRunner("saving poses", "Poses are being saved.", self)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(30)
        self._later = later(self._on_layer, self)
        self._connect()
        self._choose_first()
        self._on_layer()
        if self.layers is None:
            self.file.offer()

    def _connect(self) -> None:
        form = self.form
        form.layer_box.layer_changed.connect(self._later.start)
        form.find_button.clicked.connect(lambda: self.find())
        form.check.started.connect(lambda: self._try(self._start_check))
        form.check.stopped.connect(self.runner.stop)
        form.table.chosen.connect(self._on_problem)
        form.command.connect(self.run)
        self.file.said.connect(form.message.say)
        self.file.restored.connect(form.layer_box.set_layer)
        self.saver.ended.connect(self.file.end_saving)
        self._soon.timeout.connect(self._show)
        self.search.found.connect(self._on_found)
        self.saver.received.connect(self._on_saver)
        for runner in (self.runner, self.saver):
            runner.ended.connect(self._show)
        layer_keys.Front(self, self._take_keys)
        layer_keys.bind_shortcuts(self, KEYS, self._on_key)

    # ------------------------------------------------------------------- poses

    def _choose_first(self) -> None:
        """Begin with the layer that the user looks at, or else the topmost one with poses."""
        first = layer_to_review(self._viewer)
        if first is not None:
            self.form.layer_box.set_layer(first)

    def _on_layer(self) -> None:
        points = self.form.layer_box.layer()
        if self.layers is not None and points is self.layers.points:
            return
        self._let_go()
        if points is not None:
            self._try(lambda: self._take(points))
        self.form.table.set_problems([], [])
        self._show()

    def _take(self, points: Points) -> None:
        self.layers = self.form.layers = layers = layers_of(self._viewer, points)
        self.steps = History.of(layers.store)
        layers.store.listeners.append(self._on_store)
        self._fine.clear()
        layers.view.frame_listeners.append(self._on_frame)
        layers.view.video_listeners.append(self._on_video)
        self.file.take(layers)
        layer_keys.bind(points, self, KEYS, self._on_key)
        points.mouse_drag_callbacks.append(self._on_press)

    def _let_go(self) -> None:
        layers, self.layers, self.form.layers = self.layers, None, None
        if layers is None:
            return
        self.file.leave()
        if self._on_store in layers.store.listeners:
            layers.store.listeners.remove(self._on_store)
        self.steps = None
        self._repaired.clear()
        self._clicked = None
        if self._on_frame in layers.view.frame_listeners:
            layers.view.frame_listeners.remove(self._on_frame)
        if self._on_video in layers.view.video_listeners:
            layers.view.video_listeners.remove(self._on_video)
        if self._on_press in layers.points.mouse_drag_callbacks:
            layers.points.mouse_drag_callbacks.remove(self._on_press)
        layer_keys.unbind(layers.points, self)
        if not layers.closed:
            layers.view.mark(None, None)

    def _take_keys(self) -> None:
        if self.layers is not None and not self.layers.closed:
            layer_keys.to_front(self.layers.points, self)

    @override
    def _leave(self) -> None:
        self._let_go()
        super()._leave()

    @property
    def _here(self) -> int:
        """The frame that the viewer shows."""
        return 0 if self.layers is None else self.layers.view.frame

    def _need(self) -> tuple[PoseStore, int]:
        """Return the table and its video.

        Raises
        ------
        LabelsError
            When there are no poses.
        """
        if self.layers is None or self.layers.closed:
            raise LabelsError("open or predict poses first")
        return self.layers.store, self.layers.view.video

    def _need_writable(self) -> tuple[PoseStore, int]:
        """Return the table and its video.

        Raises
        ------
        LabelsError
            When there are no poses, or they may not be changed.
        """
        store, video = self._need()
        if store.read_only:  # more to the point than that nothing would change
            raise LabelsError(store.read_only)
        return store, video

    # ----------------------------------------------------------------- problems

    def find(self) -> None:
        """Look for problems in the background."""
        if not self.runner.running:
            self._try(self._start)

    def _start(self) -> None:
        self.search.find(*self._need())
        self._show()

    def _start_check(self) -> None:
        """Look for labels that are likely to be wrong; see `labeling.label_check`."""
        self._need()
        self.search.check()
        self._show()

    def _on_saver(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Saved):
                lost = f". This format cannot hold: {'; '.join(event.lost)}" if event.lost else ""
                self.form.message.say(f"Saved to {event.path}{lost}")
                self.file.saved(event.path)
                self._show()
            elif isinstance(event, Failed):
                self.form.message.say(event.message, error=True, details=event.details)

    def _on_found(self, found: Found) -> None:
        self._found = found.config
        self._repaired.clear()
        self.form.table.model.names = self._names
        fine = [problem.key in self._fine for problem in found.problems]
        self.form.table.set_problems(found.problems, fine)
        if found.by_doubt:
            self.form.table.sort_by_severity()
        self._show()
        self.form.table.step(1)

    def _names(self, problem: Problem) -> str:
        if self.layers is None or self.layers.closed:
            return ""
        return animals_of(self.layers.store, problem)

    def _problem(self) -> tuple[int, Problem]:
        index = self.form.table.current()
        if index is None:
            raise LabelsError("choose a problem of the list first")
        return index, self.form.table.model.problems[index]

    def _on_problem(self) -> None:
        """Show the frame of the problem, and offer what is usually done about it."""
        index = self.form.table.current()
        if index is None or self.layers is None or self.layers.closed:
            return
        problem = self.form.table.model.problems[index]
        view = self.layers.view
        view.go_to(problem.frame)
        self._clicked = (problem.row, problem.slots[0]) if problem.slots else None
        view.mark(None, problem.slots[0] if problem.slots else None)
        tracks = tracks_now(self.layers.store, problem)
        panel = self.form.identities
        panel.choose(*tracks[:2])
        panel.set_span(problem.first, None if problem.onward else problem.last)
        if self._found.animals:
            panel.count.setValue(self._found.animals)
        self._show()

    def next_problem(self, direction: int) -> None:
        """Go to the next or previous open problem."""
        where = "after" if direction > 0 else "before"
        if not self.form.table.step(direction):
            self.form.message.say(f"There is no open problem {where} this one.")

    def mark_fine(self) -> None:
        """Say that nothing is wrong, and go to the next problem; pressed again, take that back."""
        index, problem = self._problem()
        model = self.form.table.model
        if model.state(index) == FINE:
            self._fine.discard(problem.key)
            model.set_state(index, OPEN)
        else:
            self._fine.add(problem.key)
            model.set_state(index, FINE)
            self.next_problem(1)
        self._show()

    def repair(self) -> None:
        """Do what is usually done about the problem."""
        index, problem = self._problem()
        store, video = self._need_writable()
        change = usual_repair(store, problem, self._found.animals, video).make()
        self._apply(change)
        self._repaired.append((change, problem))
        self.form.table.model.set_state(index, REPAIRED)
        self._show()

    # ------------------------------------------------------------------ repairs

    def _repair_identity(self, command: str) -> None:
        """Do what a button of the identities says."""
        store, video = self._need_writable()
        changes = IdentityChanges(store, video, self.form.identities, self._here, self._clicked)
        self._apply(getattr(changes, command)())

    def _apply(self, change: Change) -> None:
        store, _ = self._need()
        store.apply(change)
        n = len(set(store.array("frame")[change.row].tolist()))
        self.form.message.say(f"Done: {change.name}, {n} frame{'s' if n > 1 else ''}.")

    def undo(self) -> None:
        """Take the last change back."""
        self._step(lambda steps: steps.undo(), OPEN, "Undone")

    def redo(self) -> None:
        """Do again what was taken back."""
        self._step(lambda steps: steps.redo(), REPAIRED, "Done again")

    def _step(self, step: Callable[[History], Step], state: str, word: str) -> None:
        if self.steps is None or self.layers is None:
            return
        self._need_writable()
        done = step(self.steps)
        place = self.steps.place_of(done, self.layers.view.video, self._here)
        elsewhere = "" if place is None else show_place(self.layers, *place)
        self.form.message.say(f"{word}: {done.name}{elsewhere}.")
        for made, problem in self._repaired:
            if any(made is part for part in done.parts):
                self.form.table.model.set_state_of(problem, state)
        self._show()

    # --------------------------------------------------------------------- save

    def save_as(self, path: Path | None = None, format: str | None = None) -> None:
        """Write the poses to a file of any format; asks for its name when none is given."""
        if self.layers is None or self.layers.closed or self.saver.running:
            return
        if path is None:
            chosen = ask_save(self, None, title="Save poses")
            if chosen is None:
                return
            path, format = chosen
        try:
            self.file.begin_saving(path)
        except LabelsError as error:
            self.form.message.say(str(error), error=True)
            return
        copy, target, kind = self.layers.store.copy(), path, format
        whole = self.file.came_from(path)
        self.saver.start(
            lambda stop: saving_events(copy.snapshot(), target, format=kind, whole=whole)
        )
        self._show()

    def show_plot(self) -> None:
        """Open the plot of the trajectories, or bring it to the front."""
        from napari_semimultipose.widgets.trajectories import open_trajectories

        open_trajectories(self._viewer)

    # ------------------------------------------------------------------- events

    def _on_key(self, action: KeyAction) -> None:
        self.run(action.command, action.argument)

    def run(self, command: str, argument: int | None = None) -> None:
        """Do what a key or button says, and say why if it cannot be done."""
        self.form.message.say("")
        self._take_keys()
        if hasattr(IdentityChanges, command):
            self._try(lambda: self._repair_identity(command))
        else:
            method = getattr(self, command)
            self._try(method if argument is None else lambda: method(argument))

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except SemiMultiPoseError as error:
            self.form.message.say(str(error), error=True)

    def _on_press(self, layer: Any, event: Any) -> None:
        """Choose the animal that is clicked."""
        if self.layers is None or event.button != 1:
            return
        key = self.layers.view.hit(event.position, camera_of(self._viewer).zoom)
        if key is None:
            return
        track = int(self.layers.store.array("track")[key.row, key.slot])
        if "Shift" in event.modifiers:
            self.form.identities.choose(second=track)
        else:
            self._clicked = key.row, key.slot
            self.form.identities.choose(first=track)
            self.layers.view.mark(None, key.slot)

    def _on_frame(self, frame: int) -> None:
        if not isalive(self) or self.layers is None:
            return
        self.layers.view.mark(None, None)
        self._clicked = None

    def _on_video(self, video: int) -> None:
        """Empty the list: its problems are those of the recording that was shown before."""
        if not isalive(self) or self.layers is None:
            return
        if self.form.table.model.problems:
            self.form.table.set_problems([], [])
            self.form.status.setText("Another recording is shown: find its problems.")
        self._on_frame(self._here)
        self._soon.start()

    def _on_store(self, change: Change | None) -> None:
        """Follow the table, also when its points are dragged or deleted by hand."""
        if isalive(self):
            if change is None:
                self.form.table.set_problems([], [])  # another table
            self._soon.start()

    def _show(self) -> None:
        layers = self.layers
        if layers is None or layers.closed:
            self.form.show_poses({}, None, None, unsaved=False)
            self.form.show_state(busy=False, saving=False, problem="")
            return
        store, video = layers.store, layers.view.video
        tracks = sorted(repair.tracks_of(store, video).tolist())
        names = {track: repair.track_name(store, track) for track in tracks}
        steps = History.of(store)
        self.form.show_poses(names, steps.undo_name, steps.redo_name, unsaved=self.file.unsaved)
        self.form.table.model.renamed()
        index, text = self.form.table.current(), ""
        if index is not None:
            problem = self.form.table.model.problems[index]
            text = usual_repair(store, problem, self._found.animals, video).text
        self.form.show_state(
            busy=self.runner.running,
            saving=self.saver.running,
            problem=text,
            read_only=store.read_only,
        )
