"""Repairs in the Review widget survive a crash, and a file has one window that changes it."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtCore import Qt

from napari_semimultipose.io.journal import recover
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.io.video_writer import write_video
from napari_semimultipose.poses import Source, Video
from napari_semimultipose.widgets import layer_keys
from napari_semimultipose.widgets import review as review_module
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.keeping import Keeping
from napari_semimultipose.widgets.review import ReviewWidget
from napari_semimultipose.widgets.suggest import SuggestWidget

from .conftest import process_events
from .test_two_windows import OTHER_WINDOW

FRAMES = 30


@pytest.fixture
def poses_file(tmp_path: Path) -> Path:
    """A recording, and beside it the poses that a model has predicted."""
    made = SyntheticRecording(FRAMES, animals=2, size=(120, 120), length_px=30, seed=3, missing=0)
    clip = tmp_path / "clip.mp4"
    with write_video(clip, (120, 120), 25.0, 20) as writer:
        for picture in made[:]:
            writer.write(picture)
    truth = made.poses(Video(str(clip)))
    path = tmp_path / "poses.slp"
    write_poses(replace(truth, source=np.full(truth.source.shape, Source.PREDICTED)), path)
    return path


@pytest.fixture
def opened(viewer, poses_file: Path) -> Points:
    """Open both, as the user does."""
    viewer.open(poses_file.with_name("clip.mp4"), plugin="napari-semimultipose")
    viewer.open(poses_file, plugin="napari-semimultipose")
    process_events()
    viewer.dims.set_current_step(0, 10)
    return next(layer for layer in viewer.layers if isinstance(layer, Points))


def swapped(widget, hand) -> None:
    widget.form.identities.choose(0, 1)
    hand.key(Qt.Key.Key_S)


def journals(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*.semimultipose.*") if p.name[0] != ".")


def test_repairs_are_in_a_journal_and_offered_after_a_crash(
    viewer, opened, open_widget, hand, poses_file, qtbot
):
    widget = open_widget(ReviewWidget)
    folder = poses_file.parent
    assert journals(folder) == []
    before = widget.layers.store.array("track").copy()
    swapped(widget, hand)
    after = widget.layers.store.array("track").copy()
    assert (after != before).any()
    (name,) = journals(folder)
    assert name == "poses.slp.semimultipose.journal"
    np.testing.assert_array_equal(recover(folder / name).poses.track, after)
    crashed = (folder / name).read_bytes()
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(recover(folder / name).poses.track, before)

    viewer.layers.clear()  # the next start of the program
    viewer.window.remove_dock_widget(widget)
    process_events()
    (folder / name).write_bytes(crashed)
    viewer.open(folder / "clip.mp4", plugin="napari-semimultipose")
    viewer.open(poses_file, plugin="napari-semimultipose")
    again = open_widget(ReviewWidget)
    assert again.file.banner.isVisible()
    plain = again.layers.points
    qtbot.mouseClick(again.file.banner.restore, Qt.MouseButton.LeftButton)
    process_events()
    assert again.layers.points is not plain
    assert not plain.visible
    np.testing.assert_array_equal(again.layers.store.array("track"), after)
    assert again.layers.tracks is not None
    assert again.form.save_button.text().endswith("*")
    again.save_as(poses_file)
    qtbot.waitUntil(lambda: not again.saver.running, timeout=20_000)
    process_events()
    assert journals(folder) == []
    np.testing.assert_array_equal(read_poses(poses_file).track, after)


def test_without_poses_those_of_the_recording_are_offered(
    viewer, opened, open_widget, hand, poses_file, qtbot
):
    widget = open_widget(ReviewWidget)
    swapped(widget, hand)
    after = widget.layers.store.array("track").copy()
    viewer.layers.clear()
    viewer.window.remove_dock_widget(widget)
    process_events()
    again = open_widget(ReviewWidget)
    assert not again.file.banner.isVisible()
    viewer.open(poses_file.with_name("clip.mp4"), plugin="napari-semimultipose")
    process_events()
    assert again.file.banner.isVisible()
    qtbot.mouseClick(again.file.banner.restore, Qt.MouseButton.LeftButton)
    process_events()
    np.testing.assert_array_equal(again.layers.store.array("track"), after)


def test_poses_whose_recording_is_gone_are_kept_beside_their_file(
    viewer, poses_file, open_widget, hand, qtbot
):
    folder = poses_file.parent
    poses_file.with_name("clip.mp4").unlink()

    def opened_again() -> ReviewWidget:
        viewer.open(poses_file, plugin="napari-semimultipose")
        process_events()
        return open_widget(ReviewWidget)

    widget = opened_again()
    assert widget.layers.view.image is None
    swapped(widget, hand)
    after = widget.layers.store.array("track").copy()
    assert journals(folder) == ["poses.slp.semimultipose.journal"]

    viewer.layers.clear()  # the next start of the program
    viewer.window.remove_dock_widget(widget)
    process_events()
    again = opened_again()
    plain = again.layers.points
    assert (again.layers.store.array("track") != after).any()
    assert again.file.banner.isVisible()
    qtbot.mouseClick(again.file.banner.restore, Qt.MouseButton.LeftButton)
    process_events()
    assert again.layers.points is not plain
    assert not plain.visible
    np.testing.assert_array_equal(again.layers.store.array("track"), after)
    swapped(again, hand)  # goes on in the same journal
    (name,) = journals(folder)
    changed = again.layers.store.array("track").copy()
    np.testing.assert_array_equal(recover(folder / name).poses.track, changed)
    again.save_as(poses_file)
    qtbot.waitUntil(lambda: not again.saver.running, timeout=20_000)
    process_events()
    assert journals(folder) == []
    np.testing.assert_array_equal(read_poses(poses_file).track, changed)


def test_a_change_while_the_poses_are_saved_stays_in_the_journal(
    opened, open_widget, hand, poses_file, qtbot
):
    widget = open_widget(ReviewWidget)
    swapped(widget, hand)
    widget.save_as(poses_file)
    saved = widget.layers.store.array("track").copy()
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    now = widget.layers.store.array("track").copy()
    qtbot.waitUntil(lambda: not widget.saver.running, timeout=20_000)
    process_events()
    np.testing.assert_array_equal(read_poses(poses_file).track, saved)
    (name,) = journals(poses_file.parent)
    np.testing.assert_array_equal(recover(poses_file.parent / name).poses.track, now)


def test_a_save_belongs_to_the_poses_it_began_with(
    viewer, opened, open_widget, hand, poses_file, qtbot, monkeypatch
):
    other_file = poses_file.with_name("other.slp")
    write_poses(read_poses(poses_file), other_file)
    viewer.open(other_file, plugin="napari-semimultipose")
    process_events()
    widget = open_widget(ReviewWidget)

    def review(name: str) -> None:
        widget.form.layer_box.set_layer(viewer.layers[name])
        process_events()
        assert widget.layers.points is viewer.layers[name]

    for name in ("other", "poses"):
        review(name)
        swapped(widget, hand)
    store, saved = widget.layers.store, widget.layers.store.array("track").copy()
    kept = ["other.slp.semimultipose.journal", "poses.slp.semimultipose.journal"]
    assert journals(poses_file.parent) == kept

    go_on, events = threading.Event(), review_module.saving_events

    def slow(*args, **kwargs):
        go_on.wait(20)
        yield from events(*args, **kwargs)

    monkeypatch.setattr(review_module, "saving_events", slow)
    widget.save_as(poses_file)
    review("other")
    go_on.set()
    qtbot.waitUntil(lambda: not widget.saver.running, timeout=20_000)
    process_events()
    np.testing.assert_array_equal(read_poses(poses_file).track, saved)
    assert journals(poses_file.parent) == kept[:1]
    assert widget.file._keeping.claim.path == other_file
    assert widget.file._keeping.autosave.labels == other_file
    assert widget.form.save_button.text().endswith("*")
    assert Keeping.known(store).claim._lock is None  # given back: nobody works on it
    review("poses")
    qtbot.waitUntil(lambda: not widget.form.save_button.text().endswith("*"))


def test_poses_that_another_window_reviews_are_read_only(opened, open_widget, hand, poses_file):
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_WINDOW, str(poses_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout.readline()
        widget = open_widget(ReviewWidget)
        before = widget.layers.store.array("track").copy()
        assert "poses.slp is open in another window" in widget.form.read_only.text()
        swapped(widget, hand)
        assert "read-only" in widget.form.message.text()
        np.testing.assert_array_equal(widget.layers.store.array("track"), before)
        widget.save_as(poses_file)
        assert "poses.slp is open in another window" in widget.form.message.text()
        assert not widget.saver.running
    finally:
        other.communicate(b"\n", timeout=20)


def test_annotate_and_review_share_one_journal(viewer, opened, open_widget, hand, poses_file):
    review = open_widget(ReviewWidget)
    swapped(review, hand)
    annotate = open_widget(AnnotateWidget)
    annotate.layers.set_layer(opened)
    process_events()
    document = annotate.document
    assert document.store is review.layers.store
    assert document.autosave is review.file._keeping.autosave
    hand.key(Qt.Key.Key_N)  # refused: there are animals
    hand.click(60, 60, opened, Qt.KeyboardModifier.ControlModifier)
    assert journals(poses_file.parent) == ["poses.slp.semimultipose.journal"]
    viewer.window.remove_dock_widget(annotate)
    process_events()
    layer_keys.to_front(opened, review)
    swapped(review, hand)  # the journal goes on, and the file stays ours
    got = recover(poses_file.parent / "poses.slp.semimultipose.journal").poses
    np.testing.assert_array_equal(got.track, review.layers.store.snapshot().track)
    assert review.file._keeping.claim._lock is not None


def test_reviewed_predictions_do_not_become_the_labels_of_suggestions(
    viewer, opened, open_widget, hand
):
    review = open_widget(ReviewWidget)
    suggest = open_widget(SuggestWidget)
    suggest.accept_button.click()
    process_events()
    assert viewer.layers.selection.active is not opened
    assert (review.layers.store.array("source") == Source.PREDICTED).all()


def test_reviewed_poses_are_drawn_into_a_video(opened, open_widget, hand, poses_file, qtbot):
    widget = open_widget(ReviewWidget)
    swapped(widget, hand)
    button, out = widget.form.video_button, poses_file.with_name("reviewed.mp4")
    button.write(out)
    assert button.text() == "Stop video"
    qtbot.waitUntil(lambda: not button.runner.running, timeout=90_000)
    process_events()
    assert str(out) in widget.form.message.text()
    assert button.text() == "Video…"
    with open_frames(out) as drawn, open_frames(poses_file.with_name("clip.mp4")) as bare:
        assert drawn.shape == bare.shape
        assert np.abs(drawn[10].astype(int) - bare[10]).max() > 60
    button.write(out)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)  # stops it
    qtbot.waitUntil(lambda: not button.runner.running, timeout=90_000)
    process_events()
    assert "given up" in widget.form.message.text() or str(out) in widget.form.message.text()
