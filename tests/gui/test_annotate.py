"""Labelling in a real window, with clicks and keys."""

from __future__ import annotations

import time
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from napari.layers import Tracks, Vectors
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton

from napari_semimultipose.io.journal import Journal
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.layers.points import points_layer_data, poses_from_layer
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility
from napari_semimultipose.widgets import annotate_pages, unsaved
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.keys import EDITS, KEYS, actions, help_html
from napari_semimultipose.widgets.label_panel import FrameModel, LabelPanel

from .conftest import process_events

SKELETON = Skeleton(("head", "body", "tail"), edges=((0, 1), (1, 2)), name="worm")
ANIMAL = [(20.0, 30.0), (40.0, 30.0), (60.0, 30.0)]
OTHER = [(20.0, 70.0), (40.0, 70.0), (60.0, 70.0)]
SHIFT = Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def folder(tmp_path):
    """Ten images."""
    place = tmp_path / "clip"
    place.mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        iio.imwrite(place / f"img{i:02}.png", rng.integers(0, 255, (100, 120), np.uint8))
    return place


@pytest.fixture
def image(viewer, folder):
    from napari_semimultipose._reader import read_frames

    ((data, attributes, _),) = read_frames(str(folder))
    return viewer.add_image(data, **attributes)


@pytest.fixture
def widget(viewer, image, open_widget):
    viewer.dims.set_point(0, 0)
    return open_widget(AnnotateWidget)


@pytest.fixture
def labelling(widget):
    """The widget with empty labels, ready for the first click."""
    widget.new_labels(SKELETON)
    process_events()
    return widget


def label(hand, widget, points, **kwargs):
    for x, y in points:
        hand.click(x, y, widget.document.points, **kwargs)


def poses_of(widget) -> Poses:
    return poses_from_layer(widget.document.points)


def near(a, b):
    """A click is exact to half a screen pixel."""
    np.testing.assert_allclose(a, b, atol=0.3)


def make_predictions(n=10) -> Poses:
    """One animal on each frame of the recording."""
    xy = np.tile(np.array(ANIMAL), (n, 1, 1, 1))
    videos = (Video("clip"),)
    return Poses(
        SKELETON, xy, np.arange(n), source=np.full((n, 1), Source.PREDICTED), videos=videos
    )


# ------------------------------------------------------------------- labelling


def test_clicks_make_animals(labelling, hand):
    label(hand, labelling, ANIMAL + OTHER)
    poses = poses_of(labelling)
    assert poses.frame.tolist() == [0]
    near(poses.xy[0], [ANIMAL, OTHER])
    assert (poses.visible == Visibility.VISIBLE).all()
    assert (poses.source == Source.HUMAN).all()
    assert len(labelling.document.view.vectors.data) == 4
    assert labelling.panel.count.text() == "1 labelled frame · 2 animals"


def test_the_prompt_says_what_comes_next(labelling, hand):
    panel = labelling.panel
    assert panel.prompt.text() == "head"
    assert "new animal, 1st here" in panel.detail.text()
    label(hand, labelling, ANIMAL[:1])
    assert panel.prompt.text() == "body"
    assert "animal 1 of 1" in panel.detail.text()
    assert [panel.keypoints.item(i).text().split()[-1] for i in range(3)] == ["●", "body", "tail"]
    label(hand, labelling, ANIMAL[1:])
    assert panel.prompt.text() == "head"
    assert "2nd here" in panel.detail.text()


def test_quick_clicks_are_not_taken_for_a_double_click(labelling, hand):
    points = labelling.document.points
    before = hand.at(0, 0, points)
    hand.click(*ANIMAL[0], points)
    # The second of two quick clicks comes as a double click.
    spot = hand.at(*ANIMAL[1], points)
    QTest.mouseDClick(hand.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
    process_events()
    near(poses_of(labelling).xy[0, 0, :2], ANIMAL[:2])
    assert hand.at(0, 0, points) == before  # nothing zoomed


def test_a_double_click_on_one_place_is_one_point(labelling, hand):
    hand.double_click(*ANIMAL[0], labelling.document.points)
    assert poses_of(labelling).visible.sum() == Visibility.VISIBLE


def test_occluded_skip_and_delete(labelling, hand):
    points = labelling.document.points
    hand.click(*ANIMAL[0], points)
    hand.key(Qt.Key.Key_E)
    hand.key(Qt.Key.Key_Q)
    hand.click(*ANIMAL[2], points)
    poses = poses_of(labelling)
    assert poses.visible[0, 0].tolist() == [Visibility.OCCLUDED, 0, Visibility.VISIBLE]
    hand.click(*OTHER[0], points, SHIFT)
    assert poses_of(labelling).visible[0, 1, 0] == Visibility.OCCLUDED
    hand.key(Qt.Key.Key_X)
    assert poses_of(labelling).n_instances == 1
    hand.click(*ANIMAL[2], points)  # selects it
    hand.key(Qt.Key.Key_Delete)
    assert poses_of(labelling).visible[0, 0].tolist() == [Visibility.OCCLUDED, 0, 0]
    hand.click(70, 40, points)
    near(poses_of(labelling).xy[0, 0, 2], (70, 40))


def test_the_first_keypoint_of_a_complete_animal_is_deleted(labelling, hand):
    label(hand, labelling, ANIMAL)
    hand.click(*ANIMAL[0], labelling.document.points)
    hand.key(Qt.Key.Key_X)
    assert poses_of(labelling).visible[0, 0].tolist() == [0, 2, 2]
    near(labelling.document.points.data[:, 1:], [p[::-1] for p in ANIMAL[1:]])


def test_a_point_is_dragged_and_the_picture_stays(labelling, hand):
    label(hand, labelling, ANIMAL)
    points = labelling.document.points
    corner = hand.at(0, 0, points)
    hand.drag(ANIMAL[1], (45, 55), points)
    near(poses_of(labelling).xy[0, 0], [ANIMAL[0], (45, 55), ANIMAL[2]])
    assert hand.at(0, 0, points) == corner
    assert labelling.document.session.selected.keypoint == 1


def test_a_drag_out_of_the_image_is_refused(labelling, hand):
    label(hand, labelling, ANIMAL)
    hand.drag(ANIMAL[1], (45, -20), labelling.document.points)
    near(poses_of(labelling).xy[0, 0], ANIMAL)
    assert "inside the image" in labelling.message.text()


def test_dragging_the_background_moves_the_picture_and_places_nothing(labelling, hand):
    points = labelling.document.points
    corner = hand.at(0, 0, points)
    hand.drag((50, 50), (70, 60), points)
    assert hand.at(0, 0, points) != corner
    assert poses_of(labelling).n_instances == 0


def test_a_click_near_a_point_selects_it_and_control_places_on_top(labelling, hand):
    label(hand, labelling, ANIMAL)
    x, y = ANIMAL[2]
    hand.click(x + 0.3, y, labelling.document.points)
    assert poses_of(labelling).n_instances == 1
    hand.click(x + 0.3, y, labelling.document.points, CONTROL)
    assert poses_of(labelling).n_instances == 2


def test_keys_step_through_keypoints_and_animals(labelling, hand):
    label(hand, labelling, ANIMAL + OTHER)
    session = labelling.document.session
    hand.key(Qt.Key.Key_W)
    assert session.target.slot == 1
    hand.key(Qt.Key.Key_W)
    assert session.target.slot == 0
    hand.key(Qt.Key.Key_D)
    assert session.target.keypoint == 1
    assert labelling.panel.detail.text().startswith("Move 2/3 · animal 1 of 2")
    hand.key(Qt.Key.Key_A)
    hand.key(Qt.Key.Key_A)
    assert session.target.keypoint == 2
    hand.key(Qt.Key.Key_S)
    hand.key(Qt.Key.Key_S)
    assert session.target.slot is None
    hand.key(Qt.Key.Key_W)
    hand.key(Qt.Key.Key_Delete, SHIFT)
    near(poses_of(labelling).xy[0], [ANIMAL])


def test_enter_ends_an_animal_early(labelling, hand):
    label(hand, labelling, ANIMAL[:1])
    hand.key(Qt.Key.Key_Return)
    label(hand, labelling, OTHER[:1])
    assert poses_of(labelling).visible[0, :, 0].tolist() == [2, 2]


def test_numbers_give_identities(labelling, hand):
    label(hand, labelling, ANIMAL)
    hand.key(Qt.Key.Key_2)
    label(hand, labelling, OTHER)
    hand.key(Qt.Key.Key_1)
    assert poses_of(labelling).track[0].tolist() == [1, 0]
    hand.key(Qt.Key.Key_2)
    assert poses_of(labelling).track[0].tolist() == [0, 1]
    hand.key(Qt.Key.Key_0)
    assert poses_of(labelling).track[0].tolist() == [0, -1]


def test_poses_are_copied_from_the_frame_before(labelling, hand, viewer):
    label(hand, labelling, ANIMAL + OTHER)
    viewer.dims.set_point(0, 4)
    hand.key(Qt.Key.Key_C)
    poses = poses_of(labelling)
    assert poses.frame.tolist() == [0, 4]
    np.testing.assert_array_equal(poses.xy[0], poses.xy[1])
    hand.key(Qt.Key.Key_C)
    assert "has its animals already" in labelling.message.text()
    viewer.dims.set_point(0, 2)
    hand.key(Qt.Key.Key_C, SHIFT)
    assert poses_of(labelling).frame.tolist() == [0, 2, 4]


def test_frames_without_animals_and_jumps(labelling, hand, viewer):
    label(hand, labelling, ANIMAL)
    viewer.dims.set_point(0, 5)
    hand.key(Qt.Key.Key_N)
    assert labelling.panel.prompt.text() == "no animal here"
    viewer.dims.set_point(0, 8)
    label(hand, labelling, OTHER)
    assert poses_of(labelling).frame.tolist() == [0, 5, 8]
    hand.key(Qt.Key.Key_R)
    assert labelling.document.session.frame == 5
    hand.key(Qt.Key.Key_R)
    assert labelling.document.session.frame == 0
    hand.key(Qt.Key.Key_F)
    hand.key(Qt.Key.Key_N)
    assert poses_of(labelling).frame.tolist() == [0, 8]
    hand.key(Qt.Key.Key_F)
    assert viewer.dims.current_step[0] == 8
    hand.key(Qt.Key.Key_F)
    assert "no labelled frame after" in labelling.message.text()


def test_the_list_of_many_frames_is_not_gone_through_with_each_edit(qtbot, monkeypatch):
    asked = []
    count = FrameModel.rowCount
    monkeypatch.setattr(FrameModel, "rowCount", lambda *given: asked.append(1) or count(*given))
    panel = LabelPanel()
    qtbot.addWidget(panel)
    panel.show()
    many = {2 * i: 1 for i in range(20_000)}
    panel.model.set_frames(many)
    process_events()
    one_more = dict(sorted({**many, 10_001: 1}.items()))
    for changed in (one_more, {**one_more, 10_001: 2}, many):
        asked.clear()
        panel.model.set_frames(changed)
        panel.frames.setCurrentIndex(panel.model.index(5_000))
        process_events()
        assert len(asked) < 1_000
        assert panel.model.frames == list(changed.items())
        assert panel.model.row_of(10_001) == (None if changed is many else 5_001)
    assert panel.model.row_of(39_998) == 19_999
    assert panel.model.row_of(99_999) is None
    panel.model.set_frames({3: 1, 4: 1})
    assert [panel.model.index(i).data() for i in range(2)] == [
        "Frame 3   1 animal", "Frame 4   1 animal",
    ]  # fmt: skip


def test_the_list_of_frames_jumps(labelling, hand, viewer, qtbot):
    label(hand, labelling, ANIMAL)
    viewer.dims.set_point(0, 7)
    label(hand, labelling, ANIMAL)
    panel = labelling.panel
    spot = panel.frames.visualRect(panel.model.index(0)).center()
    qtbot.mouseClick(panel.frames.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    process_events()
    assert viewer.dims.current_step[0] == 0
    assert panel.frames.currentIndex().row() == 0
    spot = panel.keypoints.visualItemRect(panel.keypoints.item(2)).center()
    qtbot.mouseClick(panel.keypoints.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    process_events()
    assert panel.prompt.text() == "tail"


def test_buttons_do_what_keys_do_and_leave_the_keyboard_to_the_canvas(labelling, hand, qtbot):
    label(hand, labelling, ANIMAL[:1])
    hand.canvas.setFocus()
    focused = QApplication.focusWidget()
    buttons = {b.text().split("  ")[0]: b for b in labelling.panel.findChildren(QPushButton)}
    qtbot.mouseClick(buttons["Occluded"], Qt.MouseButton.LeftButton)
    assert poses_of(labelling).visible[0, 0].tolist() == [1, 0, 0]
    qtbot.mouseClick(buttons["Skip"], Qt.MouseButton.LeftButton)
    process_events()
    assert labelling.panel.prompt.text() == "tail"
    assert QApplication.focusWidget() is focused


def test_colours_lines_and_size(labelling, hand, viewer):
    label(hand, labelling, ANIMAL + OTHER)
    points, lines = labelling.document.points, labelling.document.view.vectors
    assert len(np.unique(points.face_color, axis=0)) == 3
    hand.key(Qt.Key.Key_K)
    assert len(np.unique(points.face_color, axis=0)) == 2
    assert labelling.panel.color_by.currentText() == "animal"
    hand.key(Qt.Key.Key_L)
    assert not lines.visible
    hand.key(Qt.Key.Key_L)
    assert lines.visible
    size = points.size[0]
    labelling.panel.size.setValue(5)
    assert points.size[0] == pytest.approx(2 * size)


def test_choosing_the_colours_that_are_there_changes_nothing(labelling):
    box, style = labelling.panel.color_by, lambda: labelling.document.view.style.color_by
    for index, name in ((0, "keypoint"), (1, "animal"), (1, "animal"), (0, "keypoint")):
        box.setCurrentIndex(index)
        box.activated.emit(index)
        assert style() == name


def test_layers_follow_a_scaled_image(viewer, image, open_widget, hand):
    image.scale, image.translate = (1, 0.25, 0.25), (0, 100, 50)
    viewer.reset_view()
    viewer.dims.set_point(0, 3)
    widget = open_widget(AnnotateWidget)
    widget.new_labels(SKELETON)
    label(hand, widget, ANIMAL)
    poses = poses_of(widget)
    assert poses.frame.tolist() == [3]
    near(poses.xy[0, 0], ANIMAL)


def test_when_another_layer_is_active_clicks_place_nothing_and_a_button_leads_back(
    labelling, hand, viewer, image, qtbot
):
    assert not labelling.resume_button.isVisible()
    viewer.layers.selection.active = image
    label(hand, labelling, ANIMAL[:1])
    assert poses_of(labelling).n_instances == 0
    labelling._tick()
    assert labelling.resume_button.isVisible()
    qtbot.mouseClick(labelling.resume_button, Qt.MouseButton.LeftButton)
    label(hand, labelling, ANIMAL[:1])
    assert poses_of(labelling).n_instances == 1
    assert not labelling.resume_button.isVisible()


def test_on_columns_over_time_nothing_is_placed_and_a_button_leads_back(
    labelling, hand, viewer, qtbot
):
    viewer.dims.roll()
    process_events()
    middle = hand.canvas.rect().center()
    QTest.mouseClick(hand.canvas, Qt.MouseButton.LeftButton, pos=middle)
    labelling.document.points.add((0, 30, 20))  # napari's own tool
    assert poses_of(labelling).n_instances == 0
    labelling._tick()
    qtbot.mouseClick(labelling.resume_button, Qt.MouseButton.LeftButton)
    assert viewer.dims.order == (0, 1, 2)
    label(hand, labelling, ANIMAL)
    assert poses_of(labelling).n_instances == 1


def test_the_tools_of_napari_work_too(labelling, hand, viewer):
    points = labelling.document.points
    label(hand, labelling, ANIMAL)
    points.mode = "add"
    label(hand, labelling, OTHER)
    near(poses_of(labelling).xy[0], [ANIMAL, OTHER])
    points.mode = "select"
    hand.drag(OTHER[2], (70, 80), points)
    near(poses_of(labelling).xy[0, 1, 2], (70, 80))
    points.selected_data = {0, 1}
    points.remove_selected()
    assert (poses_of(labelling).visible > 0).sum() == 4


def test_the_delete_key_takes_what_the_select_tool_has_selected(labelling, hand):
    label(hand, labelling, ANIMAL + OTHER)
    points = labelling.document.points
    points.mode = "select"
    points.selected_data = {0, 1}
    hand.key(Qt.Key.Key_Delete)
    assert poses_of(labelling).visible[0].tolist() == [[0, 0, 2], [2, 2, 2]]
    labelling.document.run("undo")
    assert (poses_of(labelling).visible == Visibility.VISIBLE).all()


def test_nothing_is_placed_outside_of_the_image(labelling, hand):
    label(hand, labelling, [(-5, 20)])
    assert poses_of(labelling).n_instances == 0
    assert "inside the image" in labelling.message.text()


# ------------------------------------------------------------------------ keys


def test_no_key_is_bound_twice_and_every_command_exists(labelling):
    assert EDITS <= {action.command for action in actions()}
    keys = [key for action in actions() for key in action.keys]
    assert len(set(keys)) == len(keys)
    document = labelling.document
    for action in actions():
        if action.command not in ("show_keys", "ask_frame"):
            assert hasattr(document, action.command) or hasattr(document.session, action.command)


def test_keys_change_no_hidden_labels(labelling, hand):
    label(hand, labelling, ANIMAL)
    labelling.document.points.visible = False
    for key in (Qt.Key.Key_X, Qt.Key.Key_E, Qt.Key.Key_1):
        hand.key(key)
        assert "hidden" in labelling.message.text()
    hand.key(Qt.Key.Key_Z, CONTROL)
    assert poses_of(labelling).visible.tolist() == [[[2, 2, 2]]]
    assert poses_of(labelling).track.tolist() == [[-1]]
    labelling.document.points.visible = True
    hand.key(Qt.Key.Key_X)
    assert poses_of(labelling).visible.tolist() == [[[2, 2, 0]]]


def test_the_help_comes_from_the_table(labelling, hand):
    text = help_html()
    for group, rows in KEYS.items():
        assert group in text
        for action in rows:
            if action.command != "set_track":
                assert action.title in text
    hand.key(Qt.Key.Key_H)
    assert labelling.tabs.currentIndex() == annotate_pages.KEYS
    hand.key(Qt.Key.Key_H)
    assert labelling.tabs.currentIndex() == annotate_pages.LABEL


# ----------------------------------------------------------------------- files


def wait_for_autosave(qtbot, widget):
    qtbot.waitUntil(
        lambda: not widget.document.autosave.behind and widget.document.autosave.path.exists(),
        timeout=30_000,
    )


def test_labels_are_saved_and_opened_again(labelling, hand, viewer, tmp_path, qtbot):
    label(hand, labelling, ANIMAL)
    labelling.save_as(tmp_path / "labels.slp")
    assert labelling.files.state.text() == "labels.slp · saved"
    before = poses_of(labelling)
    viewer.layers.remove(labelling.document.points)
    assert labelling.document is None
    labelling.open_labels(tmp_path / "labels.slp")
    after = poses_of(labelling)
    np.testing.assert_allclose(after.xy, before.xy)
    assert after.skeleton.edges == SKELETON.edges
    assert [layer.name for layer in viewer.layers] == ["clip", "labels skeleton", "labels"]
    label(hand, labelling, OTHER)
    assert "autosaved" in labelling.files.state.text()
    labelling.save()
    assert read_poses(tmp_path / "labels.slp").n_instances == 2


def test_labels_open_with_their_recording_when_none_is_open(viewer, open_widget, folder, tmp_path):
    names = tuple(f"img{i:02}.png" for i in (7, 2))
    poses = Poses(
        SKELETON,
        np.array([[ANIMAL], [OTHER]]),
        [0, 1],
        videos=(Video(str(folder), names, (100, 120)),),
    )
    write_poses(poses, tmp_path / "few.slp")
    widget = open_widget(AnnotateWidget)
    widget.open_labels(tmp_path / "few.slp")
    assert widget.document.image.data.shape[0] == 2
    near(poses_of(widget).xy[1, 0], OTHER)
    assert widget.document.autosave.place == folder


def test_labels_of_some_images_find_their_places_in_the_whole_folder(
    widget, folder, tmp_path, viewer
):
    names = tuple(f"img{i:02}.png" for i in (7, 2))
    poses = Poses(
        SKELETON,
        np.array([[ANIMAL], [OTHER]]),
        [0, 1],
        videos=(Video(str(folder), names, (100, 120)),),
    )
    write_poses(poses, tmp_path / "few.slp")
    widget.open_labels(tmp_path / "few.slp")
    got = poses_of(widget)
    assert got.frame.tolist() == [2, 7]
    near(got.xy[:, 0], [OTHER, ANIMAL])
    assert len(viewer.layers) == 3  # the recording was open


def test_a_recording_that_is_not_found_is_named(viewer, open_widget, tmp_path):
    write_poses(
        Poses(SKELETON, np.array([[ANIMAL]]), [0], videos=(Video("gone.mp4"),)),
        tmp_path / "lost.slp",
    )
    widget = open_widget(AnnotateWidget)
    widget.files.open_chosen.emit(tmp_path / "lost.slp")
    assert "gone.mp4" in widget.message.text()
    assert widget.document is None


def test_labels_on_another_recording_than_theirs_are_named_with_it(viewer, open_widget, tmp_path):
    viewer.add_image(np.zeros((10, 100, 120), np.uint8), name="mouse")
    widget = open_widget(AnnotateWidget)
    for path, said in (("/nowhere/fly.mp4", True), ("", False), ("mouse", False)):
        poses = Poses(SKELETON, np.array([[ANIMAL]]), [0], videos=(Video(path),))
        write_poses(poses, tmp_path / "labels.slp")
        widget.open_labels(tmp_path / "labels.slp")
        assert ("fly.mp4" in widget.message.text()) == said
        assert ("'mouse'" in widget.message.text()) == said
        viewer.layers.remove(widget.document.points)


def test_a_damaged_file_is_a_message_and_changes_nothing(labelling, hand, tmp_path):
    label(hand, labelling, ANIMAL)
    (tmp_path / "bad.slp").write_bytes(b"no labels")
    document = labelling.document
    labelling.files.open_chosen.emit(tmp_path / "bad.slp")
    assert "bad.slp" in labelling.message.text()
    assert labelling.document is document
    labelling.save_as(tmp_path / "labels.unknown")
    assert "labels.unknown" in labelling.message.text()
    assert document.unsaved


def test_what_a_format_cannot_hold_is_said(labelling, hand, tmp_path):
    label(hand, labelling, ANIMAL[:1], modifier=SHIFT)
    labelling.save_as(tmp_path / "CollectedData_me.csv", "deeplabcut")
    assert "cannot hold" in labelling.message.text()


def test_autosave_appears_beside_the_recording_and_goes_when_saved(
    labelling, hand, qtbot, folder, tmp_path
):
    label(hand, labelling, ANIMAL)
    kept = folder.parent / "clip.semimultipose.journal"
    wait_for_autosave(qtbot, labelling)
    assert labelling.document.autosave.path == kept
    near(read_poses(kept).xy[0, 0], ANIMAL)
    labelling._tick()
    assert "autosaved" in labelling.files.state.text()
    labelling.save_as(tmp_path / "labels.slp")
    assert not kept.exists()


def test_unsaved_labels_are_offered_and_restored(labelling, hand, viewer, qtbot, open_widget):
    label(hand, labelling, ANIMAL)
    points = labelling.document.points
    kept = labelling.document.autosave
    viewer.layers.remove(points)  # saves first
    assert kept.path.exists()
    process_events()
    assert labelling.banner.isVisible()
    qtbot.mouseClick(labelling.banner.restore, Qt.MouseButton.LeftButton)
    near(poses_of(labelling).xy[0, 0], ANIMAL)
    label(hand, labelling, OTHER)
    assert labelling.document.unsaved
    wait_for_autosave(qtbot, labelling)
    assert labelling.document.autosave.path == kept.path
    assert read_poses(kept.path).n_instances == 2
    assert not labelling.banner.isVisible()


def test_newer_unsaved_labels_are_offered_with_the_labels_file(
    labelling, hand, viewer, tmp_path, qtbot
):
    label(hand, labelling, ANIMAL)
    labelling.save_as(tmp_path / "labels.slp")
    time.sleep(0.05)
    label(hand, labelling, OTHER)
    viewer.layers.remove(labelling.document.points)
    labelling.banner.offer_again(tmp_path / "labels.slp.semimultipose.journal")
    labelling.open_labels(tmp_path / "labels.slp")
    assert poses_of(labelling).n_instances == 1
    assert labelling.banner.isVisible()
    qtbot.mouseClick(labelling.banner.restore, Qt.MouseButton.LeftButton)
    assert poses_of(labelling).n_instances == 2
    assert labelling.document.path == tmp_path / "labels.slp"
    labelling.save()
    assert read_poses(tmp_path / "labels.slp").n_instances == 2
    assert unsaved.found(tmp_path / "clip") == []


def test_discarded_labels_stay_on_the_disk_but_are_not_offered_again(
    labelling, hand, viewer, tmp_path, qtbot
):
    label(hand, labelling, ANIMAL)
    viewer.layers.remove(labelling.document.points)
    process_events()
    qtbot.mouseClick(labelling.banner.discard, Qt.MouseButton.LeftButton)
    assert unsaved.found(tmp_path / "clip") == []
    assert read_poses(tmp_path / "clip.discarded.semimultipose.journal").n_instances == 1


def test_unsaved_labels_of_before_are_not_overwritten(labelling, hand, viewer, qtbot, tmp_path):
    label(hand, labelling, ANIMAL)
    viewer.layers.remove(labelling.document.points)
    labelling.new_labels(SKELETON)
    label(hand, labelling, ANIMAL + OTHER)
    wait_for_autosave(qtbot, labelling)
    kept = tmp_path.glob("*.journal")
    assert sorted(read_poses(path).n_instances for path in kept) == [1, 2]
    # The second one is being written to: only the first one is to be offered.
    assert [read_poses(path).n_instances for path in unsaved.found(tmp_path / "clip")] == [1]


def test_closing_the_window_writes_the_labels(labelling, hand, viewer, tmp_path):
    label(hand, labelling, ANIMAL)
    viewer.close()
    assert read_poses(tmp_path / "clip.semimultipose.journal").n_instances == 1


def test_closing_the_dock_writes_the_labels_and_gives_mouse_and_keys_back(
    labelling, hand, viewer, tmp_path, open_widget, qtbot
):
    label(hand, labelling, ANIMAL)
    points = labelling.document.points
    viewer.window.remove_dock_widget(labelling)
    qtbot.waitUntil(lambda: not isalive(labelling), timeout=20_000)
    assert read_poses(tmp_path / "clip.semimultipose.journal").n_instances == 1
    hand.click(*OTHER[0], points)
    assert poses_from_layer(points).n_instances == 1
    again = open_widget(AnnotateWidget)
    assert again.document is not None
    assert again.document.points is points
    label(hand, again, OTHER)
    assert poses_of(again).n_instances == 2


def test_a_disk_that_cannot_be_written_to_is_said(labelling, hand, monkeypatch, tmp_path):
    def full(*args):
        raise OSError("No space left on device")

    label(hand, labelling, ANIMAL[:1])
    monkeypatch.setattr(Journal, "append", full)
    label(hand, labelling, ANIMAL[1:])
    labelling._tick()
    assert "AUTOSAVE FAILED" in labelling.files.state.text()
    monkeypatch.undo()
    labelling.document.autosave.flush()
    assert read_poses(tmp_path / "clip.semimultipose.journal").n_instances == 1


# --------------------------------------------------------------- other layers


def test_a_layer_from_a_reader_is_annotated_further(viewer, image, open_widget, hand):
    from napari.layers import Layer

    from napari_semimultipose._reader import pose_layers

    video = Video(str(image.data.frames.path), image.data.frames.names, (100, 120))
    poses = Poses(SKELETON, np.array([[ANIMAL], [ANIMAL]]), [0, 6], videos=(video,))
    for made in pose_layers(poses, "from file"):
        viewer.add_layer(Layer.create(*made))
    viewer.dims.set_point(0, 6)
    widget = open_widget(AnnotateWidget)
    assert [layer.name for layer in viewer.layers] == ["clip", "from file skeleton", "from file"]
    assert widget.document.points is viewer.layers["from file"]
    label(hand, widget, OTHER)
    got = poses_of(widget)
    assert got.present.sum(1).tolist() == [1, 2]
    assert len(viewer.layers["from file skeleton"].data) == 6


@pytest.mark.parametrize("name", ["labels", "renamed"])
def test_lines_and_paths_of_a_reader_go_when_its_points_are_edited(
    viewer, image, open_widget, tmp_path, name
):
    poses = replace(make_predictions(), track=np.zeros((10, 1), int))
    write_poses(poses, tmp_path / "labels.slp")
    viewer.open(tmp_path / "labels.slp", plugin="napari-semimultipose")
    before = list(viewer.layers)
    viewer.layers["labels"].name = name
    widget = open_widget(AnnotateWidget)
    assert widget.document.points.name == name
    kinds = [type(layer) for layer in viewer.layers]
    assert (kinds.count(Tracks), kinds.count(Vectors)) == (0, 1)
    assert widget.document.view.vectors not in before


def test_predictions_are_corrected_in_place(viewer, image, open_widget, hand):
    poses = Poses(
        SKELETON, np.array([[ANIMAL]] * 10), np.arange(10), source=[[Source.PREDICTED]] * 10
    )
    viewer.dims.set_point(0, 3)
    layers = PredictionLayers(viewer, poses, image=image)
    widget = open_widget(AnnotateWidget)
    assert widget.document.points is layers.points
    assert widget.panel.count.text().startswith("0 labelled frames")
    hand.drag(ANIMAL[0], (25, 45), layers.points)
    got = layers.poses
    near(got.xy[3, 0, 0], (25, 45))
    assert got.source[:, 0].tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert widget.panel.count.text() == "1 labelled frame · 1 animal"


def test_predictions_that_come_while_there_are_no_labels_have_one_table(widget, viewer, image):
    poses = make_predictions()
    layers = PredictionLayers(viewer, poses, image=image)
    process_events()
    assert widget.document.store is layers.store
    assert widget.document.view is layers.view is PoseView.of(layers.points)


def test_plain_points_are_taken_over_with_a_skeleton(viewer, image, open_widget, hand):
    data = [(2, y, x) for x, y in ANIMAL + OTHER]
    layer = viewer.add_points(data, name="by hand")
    widget = open_widget(AnnotateWidget)
    assert widget.document is None
    widget.skeleton_page.set_skeleton(SKELETON)
    widget.skeleton_page._list_plain()
    (action,) = widget.skeleton_page._plain_menu.actions()
    action.trigger()
    assert widget.document.points is layer
    got = poses_of(widget)
    near(got.xy[0], [ANIMAL, OTHER])
    assert widget.message.text() == ""


def test_plain_points_of_a_single_image_are_taken_over(viewer, open_widget, hand):
    viewer.add_image(np.zeros((100, 120), np.uint8), name="still", contrast_limits=(0, 255))
    plain = viewer.add_points([(y, x) for x, y in ANIMAL], name="by hand")
    widget = open_widget(AnnotateWidget)
    widget.skeleton_page.points_chosen.emit(plain, SKELETON)
    assert widget.message.text() == ""
    assert plain not in viewer.layers
    assert widget.document.points.name == "by hand"
    near(poses_of(widget).xy[0, 0], ANIMAL)
    label(hand, widget, OTHER)
    assert poses_of(widget).n_instances == 2


def test_plain_points_are_offered_while_there_are_some(widget, viewer):
    button = widget.skeleton_page.plain
    assert button.isHidden()
    layer = viewer.add_points([(0, 1, 1)])
    widget._tick()
    assert not button.isHidden()
    viewer.layers.remove(layer)
    widget._tick()
    assert button.isHidden()


def test_plain_points_that_do_not_fit_are_refused_with_the_frame(viewer, image, open_widget):
    viewer.add_points([(2, 1, 1)], name="one")
    widget = open_widget(AnnotateWidget)
    widget.skeleton_page.set_skeleton(SKELETON)
    widget.skeleton_page._list_plain()
    widget.skeleton_page._plain_menu.actions()[0].trigger()
    assert "frame 2 has 1 points" in widget.message.text()
    assert widget.document is None


def test_two_sets_of_labels_keep_apart(labelling, hand, viewer):
    label(hand, labelling, ANIMAL)
    first = labelling.document
    labelling.new_labels(Skeleton(("spot",)))
    label(hand, labelling, OTHER)
    assert first.points.name != labelling.document.points.name
    assert poses_from_layer(first.points).n_instances == 1
    assert poses_of(labelling).n_instances == 3
    labelling.layers.set_layer(first.points)
    assert labelling.document is first
    label(hand, labelling, OTHER)
    assert poses_from_layer(first.points).n_instances == 2


def test_a_second_recording_joins_the_same_labels(labelling, hand, viewer, tmp_path):
    label(hand, labelling, ANIMAL)
    other = viewer.add_image(np.zeros((6, 100, 120), np.uint8), name="second")
    labelling.images.set_layer(other)
    labelling.images.activated.emit(labelling.images.currentIndex())
    viewer.layers.selection.active = labelling.document.points
    assert len(labelling.document.view.points.data) == 0
    label(hand, labelling, OTHER)
    poses = poses_of(labelling)
    assert poses.video.tolist() == [0, 1]
    assert poses.videos[1].name == "second"
    labelling.save_as(tmp_path / "both.slp")
    assert len(read_poses(tmp_path / "both.slp").videos) == 2


def test_removing_the_recording_leaves_the_labels(labelling, hand, viewer, image):
    label(hand, labelling, ANIMAL)
    viewer.layers.remove(image)
    labelling._tick()
    assert poses_of(labelling).n_instances == 1
    assert len(poses_of(labelling).videos) == 1


def test_nothing_is_labelled_on_a_recording_that_was_closed(labelling, hand, viewer, image):
    label(hand, labelling, ANIMAL)
    viewer.layers.remove(image)
    viewer.add_image(np.zeros((20, 100, 120), np.uint8), name="other")
    viewer.layers.selection.active = labelling.document.points
    process_events()
    assert labelling.images.layer() is None
    label(hand, labelling, OTHER)
    assert poses_of(labelling).n_instances == 1
    assert "closed: open clip again" in labelling.message.text()
    viewer.add_layer(image)
    process_events()
    assert labelling.images.layer() is image
    viewer.layers.selection.active = labelling.document.points
    label(hand, labelling, OTHER)
    assert poses_of(labelling).n_instances == 2


def test_all_layers_are_removed_at_once(labelling, hand, viewer, image, qtbot):
    label(hand, labelling, ANIMAL)
    PredictionLayers(viewer, make_predictions(), image=image)
    process_events()
    viewer.layers.selection = set(viewer.layers)
    viewer.layers.remove_selected()
    qtbot.waitUntil(lambda: not len(viewer.layers))
    assert labelling.document is None


def test_labels_of_a_stack_in_memory(viewer, open_widget, hand, home, qtbot):
    viewer.add_image(np.zeros((5, 100, 120), np.uint8), name="stack", contrast_limits=(0, 255))
    viewer.dims.set_point(0, 2)
    widget = open_widget(AnnotateWidget)
    widget.new_labels(SKELETON)
    label(hand, widget, ANIMAL)
    widget.document.autosave.flush()
    assert read_poses(home / "semimultipose" / "stack.semimultipose.journal").n_instances == 1


def test_unsaved_labels_of_a_stack_of_another_size_are_not_offered(viewer, open_widget):
    first = viewer.add_image(np.zeros((5, 100, 120), np.uint8), name="stack")
    widget = open_widget(AnnotateWidget)
    widget.new_labels(SKELETON)
    widget.document.session.click((110, 90))
    viewer.layers.remove(widget.document.points)
    viewer.layers.remove(first)
    for shape, offered in (((5, 40, 50), False), ((5, 100, 120), True)):
        image = viewer.add_image(np.zeros(shape, np.uint8), name="stack")
        assert widget.banner.isVisible() == offered
        widget.banner.hide()
        viewer.layers.remove(image)


def test_a_single_image(viewer, open_widget, hand):
    viewer.add_image(np.zeros((100, 120), np.uint8), name="still", contrast_limits=(0, 255))
    widget = open_widget(AnnotateWidget)
    widget.new_labels(SKELETON)
    label(hand, widget, ANIMAL)
    poses = poses_of(widget)
    assert poses.frame.tolist() == [0]
    near(poses.xy[0, 0], ANIMAL)


def test_a_stack_with_channels_is_refused(viewer, open_widget):
    viewer.add_image(np.zeros((6, 2, 100, 120), np.uint8), name="channels")
    widget = open_widget(AnnotateWidget)
    widget._try(lambda: widget.new_labels(SKELETON))
    assert "6 x 2 x 100 x 120" in widget.message.text()
    assert widget.document is None
    assert len(viewer.layers) == 1


def test_without_a_recording_the_widget_says_what_to_do(viewer, open_widget, qtbot):
    widget = open_widget(AnnotateWidget)
    qtbot.mouseClick(widget.files.new_button, Qt.MouseButton.LeftButton)
    assert widget.tabs.currentIndex() == annotate_pages.SKELETON
    qtbot.mouseClick(widget.skeleton_page.start, Qt.MouseButton.LeftButton)
    assert "open a recording first" in widget.message.text()


def test_a_points_layer_data_tuple_keeps_its_place(viewer, image, open_widget):
    """What Train takes is what is labelled, also while the window shows other frames."""
    poses = Poses(SKELETON, np.array([[ANIMAL]] * 10), np.arange(10))
    from napari.layers import Layer

    viewer.add_layer(Layer.create(*points_layer_data(poses, "labels")))
    widget = open_widget(AnnotateWidget)
    viewer.dims.set_point(0, 9)
    assert len(poses_of(widget)) == 10


def test_docks_of_the_plugin_share_a_place_and_a_small_window_stays_small(
    viewer, image, open_widget, qtbot
):
    from qtpy.QtWidgets import QDockWidget

    from napari_semimultipose.widgets.train import TrainWidget

    window = viewer.window._qt_window
    first, second = open_widget(TrainWidget), open_widget(AnnotateWidget)
    docks = [
        next(d for d in window.findChildren(QDockWidget) if d.isAncestorOf(w))
        for w in (first, second)
    ]
    qtbot.waitUntil(lambda: window.tabifiedDockWidgets(docks[0]) == [docks[1]], timeout=10_000)
    assert second.isVisible()
    assert not second.visibleRegion().isEmpty()
    assert first.visibleRegion().isEmpty()
    assert window.height() <= 800
