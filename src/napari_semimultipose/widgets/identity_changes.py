"""From the animals and frames that are chosen to the repair that a button or key stands for."""

from __future__ import annotations

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.tracking import counting, repair
from napari_semimultipose.widgets.identity_panel import NEW, IdentityPanel, Span


class IdentityChanges:
    """Makes the change for each button of an `IdentityPanel`; the methods have their names.

    Parameters
    ----------
    store : PoseStore
    video : int
    panel : IdentityPanel
        Says which animals and frames are chosen.
    here : int
        The frame that the viewer shows.
    clicked : (int, int) or None
        Row and slot of the animal that was clicked on this frame.
    """

    def __init__(
        self,
        store: PoseStore,
        video: int,
        panel: IdentityPanel,
        here: int,
        clicked: tuple[int, int] | None,
    ) -> None:
        self._store = store
        self._video = video
        self._panel = panel
        self._here = here
        self._clicked = clicked
        self._first, self._second = panel.animals()

    @property
    def _span(self) -> Span:
        """The chosen frames.

        Raises
        ------
        LabelsError
            When the last one comes before the first one.
        """
        span = self._panel.span(self._here)
        if span.last is not None and span.last < span.first:
            raise LabelsError(
                f"the last frame, {span.last}, comes before the first one, {span.first}: exchange them"
            )
        return span

    def swap(self) -> Change:
        """Exchange the two animals on the chosen frames."""
        return repair.swap(self._store, self._first, self._second, *self._span, video=self._video)

    def assign(self) -> Change:
        """Call the first animal the second one on the chosen frames."""
        store, a, (first, last) = self._store, self._first, self._span
        track = repair.new_track(store) if self._second == NEW else self._second
        if a >= 0 and last is not None and last > first:
            if track < 0:
                return repair.unassign(store, a, first, last, self._video)
            return repair.swap(store, a, track, first, last, self._video)
        if a < 0 and last is not None and last > first:
            raise LabelsError(
                "who has no identity cannot be followed over several frames: choose 'on this frame', and click on the animal"
            )
        row = store.row(self._video, first)
        slots = [s for s in store.slots(row) if store.array("track")[row, s] == a]
        if self._clicked is not None and self._clicked[0] == row and self._clicked[1] in slots:
            slots = [self._clicked[1]]
        if row is None or not slots:
            raise LabelsError("the first animal is not on this frame: click on it")
        if len(slots) > 1:
            raise LabelsError("several animals of this frame have no identity: click on one")
        return repair.assign(store, row, slots[0], track, onward=last is None)

    def merge(self) -> Change:
        """Make the second animal the first one."""
        return repair.merge(self._store, self._first, self._second, self._video)

    def split(self) -> Change:
        """Let the first animal be a new one from this frame on."""
        return repair.split(self._store, self._first, self._here, self._video)

    def delete(self) -> Change:
        """Delete the poses of the first animal on the chosen frames."""
        if self._first >= 0:
            return repair.delete(self._store, self._first, *self._span, video=self._video)
        row = self._store.row(self._video, self._here)
        if self._clicked is None or self._clicked[0] != row:
            raise LabelsError("click on the animal to delete, or choose it")
        return repair.delete_pose(self._store, *self._clicked)

    def interpolate(self) -> Change:
        """Replace the poses of the first animal on the chosen frames by lines."""
        first, last = self._span
        if last is None:
            raise LabelsError("choose the frames to interpolate: poses after them are needed")
        return repair.interpolate(self._store, self._first, first, last, self._video)

    def fix_count(self) -> Change:
        """Leave no more than a known number of animals on the chosen frames."""
        animals = self._panel.count.value()
        return counting.fix_count(self._store, animals, *self._span, video=self._video)
