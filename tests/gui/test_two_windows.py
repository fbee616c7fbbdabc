"""Two windows on one project, and windows that were killed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import imageio.v3 as iio
import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.lock import Owner, lock_path
from napari_semimultipose.layers.points import poses_from_layer
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.poses import Poses, Skeleton, Source, Video
from napari_semimultipose.widgets import claims
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.document import document_of
from napari_semimultipose.widgets.problem_table import FINE
from napari_semimultipose.widgets.review import ReviewWidget
from napari_semimultipose.widgets.suggest import SuggestWidget

from .conftest import process_events

SKELETON = Skeleton(("head", "body", "tail"), edges=((0, 1), (1, 2)))
ANIMAL = [(20.0, 30.0), (40.0, 30.0), (60.0, 30.0)]
OTHER = [(20.0, 70.0), (40.0, 70.0), (60.0, 70.0)]

OTHER_WINDOW = """
import sys, pathlib
from napari_semimultipose.io.lock import FileLock
lock = FileLock.take(pathlib.Path(sys.argv[1]), "window")
print("open", flush=True)
sys.stdin.readline()
"""
OTHER_LABELS = """
import sys, pathlib
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.widgets.autosave import Autosave
store = PoseStore(Poses.empty(Skeleton(("head", "body", "tail")), [Video("clip")]))
keeper = Autosave(store, pathlib.Path(sys.argv[1]), window="window")
edits.place_keypoint(store, 0, 0, None, 0, (20, 30))
print("open", flush=True)
sys.stdin.readline()
"""
LABELLING_WINDOW = """
import sys, pathlib, napari
from napari_semimultipose._reader import read_frames
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.document import document_of
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
((data, attributes, _),) = read_frames(sys.argv[1])
viewer.add_image(data, **attributes)
viewer.dims.set_point(0, 0)
widget = AnnotateWidget(viewer)
viewer.window.add_dock_widget(widget)
widget.open_labels(pathlib.Path(sys.argv[2]))
for x, y in ((20, 70), (40, 70), (60, 70)):
    QApplication.processEvents()
    widget.document.session.click((x, y))
    print("clicked", flush=True)
while True:
    QApplication.processEvents()
"""


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "clip"
    place.mkdir()
    for i in range(4):
        iio.imwrite(place / f"img{i:02}.png", np.full((100, 120), 40 * i, np.uint8))
    return place


@pytest.fixture
def labels(folder, tmp_path):
    """A labels file with one animal."""
    names = tuple(sorted(p.name for p in folder.iterdir()))
    poses = Poses(SKELETON, np.array([[ANIMAL]]), [0], videos=(Video(str(folder), names),))
    write_poses(poses, tmp_path / "labels.slp")
    return tmp_path / "labels.slp"


@pytest.fixture
def processes():
    started = []

    def start(code, *arguments):
        child = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdout.readline()
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


@pytest.fixture
def widget(viewer, folder, open_widget, monkeypatch):
    from napari_semimultipose._reader import read_frames

    monkeypatch.setattr(claims, "LOOK_S", 0.0)
    ((data, attributes, _),) = read_frames(str(folder))
    viewer.add_image(data, **attributes)
    viewer.dims.set_point(0, 0)
    return open_widget(AnnotateWidget)


def other_computer(target, **changes):
    owner = replace(Owner.me("x"), host="lab-7", user="anna", **changes)
    stored = asdict(owner)
    del stored["seen"]
    lock_path(target).write_text(json.dumps(stored))


def label(hand, widget, points):
    for x, y in points:
        hand.click(x, y, widget.document.points)


def count(widget) -> int:
    return poses_from_layer(widget.document.points).n_instances


def press(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    process_events()


def test_the_second_window_is_told_and_changes_nothing(widget, hand, labels, processes, viewer):
    processes(OTHER_WINDOW, labels)
    widget.open_labels(labels)
    process_events()
    assert widget.lock_banner.isVisible()
    text = widget.lock_banner.text.text()
    assert "Read-only" in text
    assert "labels.slp is open in another window on this computer" in text
    assert widget.files.state.text() == "labels.slp · read-only"
    before = poses_from_layer(widget.document.points)
    label(hand, widget, OTHER)
    assert "read-only" in widget.message.text()
    hand.click(*ANIMAL[0], widget.document.points)
    hand.drag(ANIMAL[0], (25, 45), widget.document.points)
    for key in (Qt.Key.Key_X, Qt.Key.Key_E, Qt.Key.Key_1):
        hand.key(key)
    viewer.dims.set_point(0, 2)
    hand.key(Qt.Key.Key_N)
    viewer.dims.set_point(0, 0)
    widget._change_skeleton(Skeleton(("head", "body", "tail", "more")), [0, 1, 2, None])
    points = widget.document.points
    points.selected_data = {0}
    points.remove_selected()
    points.add([0, 50, 50])
    after = poses_from_layer(points)
    np.testing.assert_array_equal(after.xy, before.xy)
    assert after.skeleton == before.skeleton
    assert len(points.data) == 3
    assert widget.document.autosave.path is None
    widget.save()
    assert "read-only" in widget.message.text()
    assert read_poses(labels).n_instances == 1


def test_reviewing_read_only_labels_says_so_and_changes_nothing(
    widget, hand, labels, processes, open_widget, qtbot
):
    more = read_poses(labels)
    apart = np.array([[ANIMAL, [(20.0, 70.0), (40.0, 70.0), (119.0, 70.0)]]] * 25)
    apart[:-1, 1, 2, 0] = 60  # one tail is far away
    many = Poses(
        SKELETON,
        apart[[0, 1, 2, -1]],
        np.arange(4),
        track=np.tile([0, 1], (4, 1)),
        videos=more.videos,
    )
    write_poses(many, labels)
    processes(OTHER_WINDOW, labels)
    widget.open_labels(labels)
    review = open_widget(ReviewWidget)
    process_events()
    before = poses_from_layer(widget.document.points)
    store = widget.document.store
    review.form.animals.setValue(3)
    press(qtbot, review.form.find_button)
    qtbot.waitUntil(lambda: not review.runner.running, timeout=20_000)
    assert review.form.table.model.problems
    assert review.form.read_only.isVisible()
    assert review.form.read_only.text().startswith(
        "These labels are read-only: labels.slp is open in another window on this computer"
    )
    for part in (review.form.repair_button, review.form.undo_button, review.form.identities):
        assert not part.isEnabled()
    assert review.form.fine_button.isEnabled()
    assert review.layers.store is store
    for command in ("repair", "swap", "split", "delete", "undo", "redo"):
        review.form.identities.choose(0, 1)
        review.form.message.say("")
        review.run(command)
        assert "read-only" in review.form.message.text(), command
    assert not any(map(review.form.table.model.state, range(len(review.form.table.model.problems))))
    after = poses_from_layer(widget.document.points)
    np.testing.assert_array_equal(after.xy, before.xy)
    np.testing.assert_array_equal(after.track, before.track)
    review.mark_fine()  # that is no change of the labels
    assert FINE in map(review.form.table.model.state, range(len(review.form.table.model.problems)))


def test_predictions_are_not_taken_into_read_only_labels(
    widget, labels, processes, open_widget, viewer, hand
):
    processes(OTHER_WINDOW, labels)
    widget.open_labels(labels)
    image = viewer.layers["clip"]
    guess = Poses(
        SKELETON, np.array([[OTHER]]), [2], source=np.array([[Source.PREDICTED]]),
        videos=read_poses(labels).videos,
    )  # fmt: skip
    PredictionLayers(viewer, guess, image=image)
    viewer.layers.selection.active = widget.document.points
    viewer.dims.set_point(0, 2)
    suggest = open_widget(SuggestWidget)
    before = len(viewer.layers)
    suggest.accept_button.click()
    process_events()
    assert "read-only" in suggest.message.text()
    assert count(widget) == 1
    widget.document.run("accept_predictions")
    process_events()
    assert "read-only" in widget.message.text()
    assert count(widget) == 1
    assert len(viewer.layers) == before  # and no second labels layer is begun


def test_a_copy_can_be_saved_and_edited(widget, hand, labels, processes, tmp_path):
    processes(OTHER_WINDOW, labels)
    widget.open_labels(labels)
    widget.save_as(tmp_path / "copy.slp")
    process_events()
    assert not widget.lock_banner.isVisible()
    label(hand, widget, OTHER)
    assert count(widget) == 2
    widget.save()
    assert read_poses(tmp_path / "copy.slp").n_instances == 2
    assert read_poses(labels).n_instances == 1
    widget.save_as(labels)
    assert "labels.slp is open in another window" in widget.message.text()
    assert read_poses(labels).n_instances == 1
    assert widget.document.path == tmp_path / "copy.slp"


def test_when_the_first_window_has_closed_the_file_is_read_again(
    widget, hand, labels, processes, qtbot, viewer
):
    child = processes(OTHER_WINDOW, labels)
    widget.open_labels(labels)
    press(qtbot, widget.lock_banner.edit)  # "Try again": it is still open there
    assert widget.lock_banner.isVisible()
    more = read_poses(labels)
    more = replace(more, xy=np.array([[ANIMAL, OTHER]]), **dict.fromkeys(
        ("score", "instance_score", "track", "visible", "source")))  # fmt: skip
    write_poses(more, labels)  # the other window saves, and closes
    child.communicate("\n")
    qtbot.waitUntil(lambda: "free now" in widget.lock_banner.text.text(), timeout=10_000)
    label(hand, widget, OTHER[:1])  # not without reading the file again
    assert count(widget) == 1
    press(qtbot, widget.lock_banner.edit)
    assert not widget.lock_banner.isVisible()
    assert count(widget) == 2
    assert [layer.name for layer in viewer.layers] == ["clip", "labels skeleton", "labels"]
    label(hand, widget, [(80.0, 50.0)])
    assert count(widget) == 3
    widget.save()
    assert read_poses(labels).n_instances == 3


def test_the_lock_of_a_killed_window_is_taken_over_without_a_word(widget, hand, labels, processes):
    processes(OTHER_WINDOW, labels).kill()
    widget.open_labels(labels)
    process_events()
    assert not widget.lock_banner.isVisible()
    label(hand, widget, OTHER)
    assert count(widget) == 2


def test_a_lock_of_another_computer_can_be_taken_over_on_purpose(widget, hand, labels, qtbot):
    other_computer(labels)
    widget.open_labels(labels)
    process_events()
    text = widget.lock_banner.text.text()
    assert "on the computer lab-7 by anna, since" in text
    assert "last sign of life" in text
    assert widget.lock_banner.edit.text() == "Take over"
    label(hand, widget, OTHER)
    assert count(widget) == 1
    press(qtbot, widget.lock_banner.edit)
    label(hand, widget, OTHER)
    assert count(widget) == 2
    widget.save()
    assert read_poses(labels).n_instances == 2


def test_a_window_that_was_taken_over_keeps_its_labels_and_writes_no_more(
    widget, hand, labels, qtbot
):
    widget.open_labels(labels)
    label(hand, widget, OTHER)
    other_computer(labels)
    widget.save()  # at once, before the lock was looked at
    assert "read-only" in widget.message.text()
    assert read_poses(labels).n_instances == 1
    qtbot.waitUntil(widget.lock_banner.isVisible, timeout=10_000)
    label(hand, widget, [(80.0, 50.0)])
    assert count(widget) == 2
    assert read_poses(widget.document.autosave.path).n_instances == 2


def test_closing_the_labels_gives_the_file_back(widget, labels, viewer):
    widget.open_labels(labels)
    assert lock_path(labels).exists()
    viewer.layers.remove(widget.document.points)
    assert not lock_path(labels).exists()


def test_a_file_is_opened_once_in_a_window(widget, hand, labels, viewer):
    widget.open_labels(labels)
    first = widget.document
    label(hand, widget, OTHER)
    widget.new_labels(SKELETON)
    widget.open_labels(labels.parent / ".." / labels.parent.name / labels.name)
    assert widget.document is first
    assert count(widget) == 2
    assert "open already" in widget.message.text()


def test_labels_restored_in_a_window_share_the_file_with_those_it_had_open(
    widget, hand, labels, qtbot, viewer
):
    widget.open_labels(labels)
    label(hand, widget, OTHER)
    viewer.layers.remove(widget.document.points)
    widget.open_labels(labels)
    first = widget.document.points
    assert lock_path(labels).exists()
    widget.banner.offer_again(next(labels.parent.glob("*.journal")))
    widget._offer_unsaved(widget.document)
    press(qtbot, widget.banner.restore)
    assert widget.document.path == labels
    assert document_of(first).path is None
    viewer.layers.remove(first)
    assert lock_path(labels).exists()
    widget.save()
    assert read_poses(labels).n_instances == 2


def test_a_recording_that_is_labelled_elsewhere_is_said(
    viewer, folder, open_widget, processes, hand, qtbot
):
    from napari_semimultipose._reader import read_frames

    child = processes(OTHER_LABELS, folder)
    ((data, attributes, _),) = read_frames(str(folder))
    viewer.add_image(data, **attributes)
    viewer.dims.set_point(0, 0)
    widget = open_widget(AnnotateWidget)
    assert "being labelled in another window on this computer" in widget.banner.text.text()
    assert not widget.banner.restore.isVisible()
    widget.new_labels(SKELETON)
    label(hand, widget, OTHER)
    assert widget.document.autosave.path.name == "clip.2.semimultipose.journal"
    child.kill()
    child.wait()
    widget._offer_unsaved()
    assert widget.banner.restore.isVisible()
    press(qtbot, widget.banner.restore)
    assert count(widget) == 1


@pytest.mark.slow
def test_after_a_killed_window_the_next_one_offers_all_edits(
    widget, hand, labels, folder, processes, qtbot
):
    child = processes(LABELLING_WINDOW, folder, labels)
    for _ in range(2):
        child.stdout.readline()
    child.kill()
    child.wait()
    widget.open_labels(labels)
    process_events()
    assert not widget.lock_banner.isVisible()
    assert widget.banner.isVisible()
    assert count(widget) == 1
    press(qtbot, widget.banner.restore)
    got = poses_from_layer(widget.document.points)
    np.testing.assert_allclose(got.xy[0], [ANIMAL, OTHER])
    assert widget.document.path == labels
    widget.save()
    assert read_poses(labels).n_instances == 2
    assert list(labels.parent.glob("*.journal")) == []
