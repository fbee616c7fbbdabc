"""The search for problems of the poses that are reviewed, in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_semimultipose.background.process import run_apart
from napari_semimultipose.crossfit import FoldProgress
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.training.events import Failed
from napari_semimultipose.widgets.proofreading import other_labels
from napari_semimultipose.widgets.review_form import ReviewForm
from napari_semimultipose.widgets.review_jobs import Found, checking_events, finding_events
from napari_semimultipose.widgets.worker import EventRunner

if TYPE_CHECKING:
    import napari


class ProblemSearch(QObject):
    """Looks for problems of predictions, or for labels that are likely to be wrong.

    Parameters
    ----------
    viewer : napari.Viewer
    form : ReviewForm
        Says what counts as a problem, and how far the search is.
    parent : QWidget
        The widget whose life bounds the work.

    Attributes
    ----------
    runner : EventRunner
    """

    found = Signal(object)
    """What was found, a `Found`; nothing, if other poses or another recording are shown by then."""

    def __init__(self, viewer: napari.Viewer, form: ReviewForm, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._form = viewer, form
        self._searched: tuple[PoseStore, int, int] | None = None
        self.runner = EventRunner("search for problems", "The search is being stopped.", parent)
        self.runner.received.connect(self._on_events)

    @property
    def _shown(self) -> tuple[PoseStore, int, int] | None:
        """What is reviewed: the table, its generation and the video."""
        layers = self._form.layers
        if layers is None or layers.closed:
            return None
        return layers.store, layers.store.generation, layers.view.video

    def find(self, store: PoseStore, video: int) -> None:
        """Look for problems of predictions.

        Raises
        ------
        ConfigError
            When something that was typed is no value of its setting.
        """
        config = self._form.config()
        copy, others = store.copy(), other_labels(self._viewer, store)
        if self.runner.start(lambda should_stop: finding_events(copy, config, video, others)):
            self._begin("Looking for problems…")

    def check(self) -> None:
        """Look for labels that are likely to be wrong; see `labeling.label_check`.

        Raises
        ------
        LabelsError
            When there are no labels, or their recording is needed and not open.
        """
        job = self._form.check.job(self._form.layers)
        if self.runner.start(
            lambda should_stop: run_apart(checking_events, job, should_stop=should_stop)
        ):
            self._begin("Checking the labels…")

    def _begin(self, text: str) -> None:
        self._searched = self._shown
        self._form.status.setText(text)

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Found):
                self._on_found(event)
            elif isinstance(event, FoldProgress):
                self._form.check.show_progress(event)
            elif isinstance(event, Failed):
                self._form.status.setText("")
                self._form.message.say(event.message, error=True, details=event.details)

    def _on_found(self, found: Found) -> None:
        if self._searched == self._shown:
            self._form.status.setText(found.summary)
            self.found.emit(found)
        else:
            self._form.status.setText(
                "What was found is of other poses than those that are shown now: search again."
            )
