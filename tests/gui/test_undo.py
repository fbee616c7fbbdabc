"""Undo, redo and the way through the frames in a real window, with clicks and keys."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_semimultipose.layers.points import poses_from_layer
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.widgets import annotate_pages
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.skeleton_editor import LINES, MIRROR, NAME

from .conftest import process_events

SKELETON = Skeleton(("head", "wingL", "wingR"), edges=((0, 1), (0, 2)), symmetry=((1, 2),))
ANIMAL = [(20.0, 30.0), (40.0, 30.0), (60.0, 30.0)]
OTHER = [(20.0, 70.0), (40.0, 70.0), (60.0, 70.0)]
SHIFT = Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def widget(viewer, open_widget):
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 255, (30, 100, 120), np.uint8)
    viewer.add_image(stack, name="clip", contrast_limits=(0, 255))
    viewer.dims.set_point(0, 0)
    made = open_widget(AnnotateWidget)
    made.new_labels(SKELETON)
    process_events()
    return made


def label(hand, widget, points):
    for x, y in points:
        hand.click(x, y, widget.document.points)


def poses_of(widget) -> Poses:
    return poses_from_layer(widget.document.points)


def undo(hand):
    hand.key(Qt.Key.Key_Z, CONTROL)


def redo(hand):
    hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)


def near(a, b):
    """A click is exact to half a screen pixel."""
    np.testing.assert_allclose(a, b, atol=0.3)


def test_clicks_and_keys_are_undone_and_done_again(widget, hand):
    label(hand, widget, ANIMAL + OTHER)
    hand.key(Qt.Key.Key_E)
    hand.key(Qt.Key.Key_2)
    hand.key(Qt.Key.Key_Delete, SHIFT)
    near(poses_of(widget).xy[0], [ANIMAL])
    undo(hand)
    poses = poses_of(widget)
    near(poses.xy[0], [ANIMAL, OTHER])
    assert poses.track[0].tolist() == [-1, 1]
    assert poses.visible[0, 1].tolist() == [2, 2, 1]
    undo(hand)
    undo(hand)
    assert poses_of(widget).track[0].tolist() == [-1, -1]
    assert poses_of(widget).visible[0, 1].tolist() == [2, 2, 2]
    for _ in range(6):
        undo(hand)
    assert poses_of(widget).n_instances == 0
    assert len(widget.document.points.data) == 0
    undo(hand)
    assert "nothing to undo" in widget.message.text()
    for _ in range(8):
        redo(hand)
    hand.key(Qt.Key.Key_Y, CONTROL)
    near(poses_of(widget).xy[0], [ANIMAL])
    assert widget._viewer.dims.ndisplay == 2  # which is what the key does elsewhere in napari
    redo(hand)
    assert "nothing to redo" in widget.message.text()


def test_the_buttons_name_what_they_do(widget, hand, qtbot):
    buttons = widget.tabs.history
    assert not buttons.undo.isEnabled()
    assert not buttons.redo.isEnabled()
    label(hand, widget, ANIMAL[:2])
    assert buttons.undo.toolTip().startswith("Undo: place wingL")
    focused = QApplication.focusWidget()
    qtbot.mouseClick(buttons.undo, Qt.MouseButton.LeftButton)
    process_events()
    assert poses_of(widget).visible[0, 0].tolist() == [2, 0, 0]
    assert widget.panel.prompt.text() == "wingL"
    assert buttons.undo.toolTip().startswith("Undo: place head")
    assert buttons.redo.toolTip().startswith("Redo: place wingL")
    qtbot.mouseClick(buttons.redo, Qt.MouseButton.LeftButton)
    process_events()
    near(poses_of(widget).xy[0, 0, 1], ANIMAL[1])
    assert not buttons.redo.isEnabled()
    assert QApplication.focusWidget() is focused


def test_a_drag_is_one_step(widget, hand):
    label(hand, widget, ANIMAL)
    hand.drag(ANIMAL[1], (45, 55), widget.document.points)
    near(poses_of(widget).xy[0, 0, 1], (45, 55))
    undo(hand)
    near(poses_of(widget).xy[0, 0], ANIMAL)
    near(widget.document.points.data[1, 1:], ANIMAL[1][::-1])


def test_undo_leads_to_the_frame_of_the_edit(widget, hand, viewer):
    label(hand, widget, ANIMAL)
    viewer.dims.set_point(0, 29)
    process_events()
    undo(hand)
    assert viewer.dims.current_step[0] == 0
    assert widget.panel.prompt.text() == "wingR"
    label(hand, widget, [(70, 40)])
    near(poses_of(widget).xy[0, 0, 2], (70, 40))


def test_copied_animals_and_marks_are_undone(widget, hand, viewer):
    label(hand, widget, ANIMAL + OTHER)
    viewer.dims.set_point(0, 4)
    hand.key(Qt.Key.Key_C)
    assert poses_of(widget).present.sum(1).tolist() == [2, 2]
    undo(hand)
    assert poses_of(widget).frame.tolist() == [0]
    hand.key(Qt.Key.Key_N)
    assert poses_of(widget).frame.tolist() == [0, 4]
    undo(hand)
    assert poses_of(widget).frame.tolist() == [0]


def test_what_is_done_with_the_tools_of_napari_is_undone_too(widget, hand, viewer):
    label(hand, widget, ANIMAL + OTHER)
    points: Points = widget.document.points
    before = poses_of(widget)
    points.mode = "select"
    hand.drag(OTHER[2], (70, 80), points)
    near(poses_of(widget).xy[0, 1, 2], (70, 80))
    undo(hand)
    np.testing.assert_array_equal(poses_of(widget).xy, before.xy)
    points.selected_data = {0, 1, 2, 3}
    points.remove_selected()
    assert (poses_of(widget).visible > 0).sum() == 2
    undo(hand)
    np.testing.assert_array_equal(poses_of(widget).xy, before.xy)
    points.mode = "add"
    hand.click(80, 20, points)
    assert poses_of(widget).n_instances == 3
    points.add(np.array([[0, 30, 80], [0, 40, 80]]))
    assert (poses_of(widget).visible > 0).sum() == 9
    undo(hand)  # both at once
    assert (poses_of(widget).visible > 0).sum() == 7
    undo(hand)
    np.testing.assert_array_equal(poses_of(widget).xy, before.xy)


def test_the_skeleton_is_changed_and_undone_with_the_labels_on_it(widget, hand, monkeypatch):
    monkeypatch.setattr(widget, "_confirm", lambda question: True)
    label(hand, widget, ANIMAL + OTHER)
    before = poses_of(widget)
    editor = widget.skeleton_page.editor
    widget.tabs.setCurrentIndex(annotate_pages.SKELETON)
    editor.table.selectRow(0)
    editor.remove_selected()
    editor.add_keypoint("tail")
    widget.skeleton_page.change.click()
    process_events()
    changed = poses_of(widget)
    assert set(changed.skeleton.keypoints) == {"wingL", "wingR", "tail"}
    near(changed.xy[0, :, changed.skeleton.keypoints.index("wingR")], [ANIMAL[2], OTHER[2]])
    assert widget.tabs.history.undo.toolTip().startswith("Undo: change the skeleton")
    undo(hand)
    poses = poses_of(widget)
    assert poses.skeleton == SKELETON
    np.testing.assert_array_equal(poses.xy, before.xy)
    assert editor.skeleton() == SKELETON
    assert [widget.panel.keypoints.item(i).text().split()[0] for i in range(3)] == [
        "head",
        "wingL",
        "wingR",
    ]
    undo(hand)  # also what was done before the skeleton was changed
    assert (poses_of(widget).visible > 0).sum() == 5
    redo(hand)
    redo(hand)
    assert poses_of(widget).skeleton == changed.skeleton
    np.testing.assert_array_equal(poses_of(widget).xy, changed.xy)


def test_every_change_of_the_skeleton_is_undone_without_loss(widget, hand, monkeypatch, qtbot):
    monkeypatch.setattr(widget, "_confirm", lambda question: True)
    label(hand, widget, ANIMAL + OTHER)
    editor, table = widget.skeleton_page.editor, widget.skeleton_page.editor.table

    def write(row, column, text):
        table.item(row, column).setText(text)

    def click(button, row):
        table.clearSelection()
        table.setCurrentCell(row, NAME)
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    steps = {
        "rename 'head' to 'caput'": lambda: write(0, NAME, "caput"),
        "reorder the keypoints": lambda: click(editor.down_button, 0),
        "change the lines": lambda: write(0, LINES, "wingR"),
        "change the mirrored pairs": lambda: write(0, MIRROR, ""),
        "add keypoint 'tail'": lambda: editor.add_keypoint("tail"),
        "delete keypoint 'wingR'": lambda: click(editor.remove_button, 2),
    }
    states = [poses_of(widget)]
    for name, change in steps.items():
        widget.tabs.setCurrentIndex(annotate_pages.SKELETON)
        change()
        widget.skeleton_page.change.click()
        process_events()
        states.append(poses_of(widget))
        assert widget.tabs.history.undo.toolTip().startswith(f"Undo: {name}")
        assert states[-1].skeleton != states[-2].skeleton

    def check(wanted):
        poses = poses_of(widget)
        assert poses.skeleton == wanted.skeleton == editor.skeleton()
        for field in ("xy", "visible", "score", "track", "source", "frame"):
            np.testing.assert_array_equal(getattr(poses, field), getattr(wanted, field))

    for wanted in states[-2::-1]:
        undo(hand)
        check(wanted)
    assert len(widget.document.view.vectors.data) == 4
    for wanted in states[1:]:
        redo(hand)
        check(wanted)


def test_undo_is_remembered_when_the_dock_is_closed_and_opened(widget, hand, viewer, open_widget):
    label(hand, widget, ANIMAL)
    viewer.window.remove_dock_widget(widget)
    process_events()
    again = open_widget(AnnotateWidget)
    undo(hand)
    assert poses_of(again).visible[0, 0].tolist() == [2, 2, 0]


def test_undo_leads_to_another_recording_of_the_labels(widget, hand, viewer):
    label(hand, widget, ANIMAL)
    other = viewer.add_image(np.zeros((6, 100, 120), np.uint8), name="second")
    widget.images.set_layer(other)
    widget.images.activated.emit(widget.images.currentIndex())
    viewer.layers.selection.active = widget.document.points
    label(hand, widget, OTHER[:1])
    assert poses_of(widget).video.tolist() == [0, 1]
    undo(hand)
    assert widget.document.image is other
    undo(hand)
    assert widget.document.image is viewer.layers["clip"]
    assert widget.images.layer() is viewer.layers["clip"]
    assert poses_of(widget).visible[0, 0].tolist() == [2, 2, 0]
    viewer.layers.remove(other)
    redo(hand)
    redo(hand)  # cannot be shown, but is done
    assert "second, which is not open" in widget.message.text()
    assert poses_of(widget).video.tolist() == [0, 1]


# ------------------------------------------------------------------ other keys


def test_left_and_right_are_swapped(widget, hand):
    label(hand, widget, ANIMAL)
    hand.click(*ANIMAL[0], widget.document.points)
    hand.key(Qt.Key.Key_M)
    near(poses_of(widget).xy[0, 0], [ANIMAL[0], ANIMAL[2], ANIMAL[1]])
    undo(hand)
    near(poses_of(widget).xy[0, 0], ANIMAL)


def test_one_keypoint_is_placed_on_many_frames(widget, hand, viewer):
    hand.key(Qt.Key.Key_D)
    hand.key(Qt.Key.Key_T)
    assert widget.panel.walk.currentText().startswith("same keypoint, next frame")
    for x in (20, 30, 40):
        hand.click(x, 50, widget.document.points)
    assert viewer.dims.current_step[0] == 3
    assert widget.panel.prompt.text() == "wingL"
    poses = poses_of(widget)
    assert poses.frame.tolist() == [0, 1, 2]
    near(poses.xy[:, 0, 1], [(20, 50), (30, 50), (40, 50)])
    viewer.dims.set_point(0, 1)
    process_events()
    hand.click(30, 50, widget.document.points)  # it is where it should be
    assert viewer.dims.current_step[0] == 2
    hand.click(45, 55, widget.document.points)
    near(poses_of(widget).xy[2, 0, 1], (45, 55))
    undo(hand)
    assert viewer.dims.current_step[0] == 2
    near(poses_of(widget).xy[2, 0, 1], (40, 50))
    hand.key(Qt.Key.Key_T)
    assert widget.panel.walk.currentText() == "next keypoint"


def test_a_number_leads_to_its_frame(widget, hand, viewer):
    hand.key(Qt.Key.Key_G)
    box = widget.panel.frame
    window = viewer.window._qt_window
    assert window.focusWidget() is box
    QTest.keyClicks(box, "23")
    QTest.keyClick(box, Qt.Key.Key_Return)
    process_events()
    assert viewer.dims.current_step[0] == 23
    assert window.focusWidget() is hand.canvas
    assert box.value() == 23
    hand.key(Qt.Key.Key_G)
    QTest.keyClicks(box, "7")
    QTest.keyClick(box, Qt.Key.Key_Escape)
    process_events()
    assert viewer.dims.current_step[0] == 23
    assert box.value() == 23
    hand.key(Qt.Key.Key_G)
    QTest.keyClicks(box, "99")  # there are 30 frames
    QTest.keyClick(box, Qt.Key.Key_Return)
    process_events()
    assert viewer.dims.current_step[0] < 30


def test_back_to_the_frame_edited_last(widget, hand, viewer):
    label(hand, widget, ANIMAL[:1])
    viewer.dims.set_point(0, 12)
    label(hand, widget, ANIMAL[:1])
    viewer.dims.set_point(0, 25)
    hand.key(Qt.Key.Key_B)
    assert viewer.dims.current_step[0] == 12
    hand.key(Qt.Key.Key_B)
    assert viewer.dims.current_step[0] == 0


def test_after_undo_back_to_what_was_saved_the_file_bar_says_so(widget, hand, tmp_path):
    label(hand, widget, ANIMAL)
    widget.save_as(tmp_path / "labels.slp")
    assert "saved" in widget.files.state.text()
    label(hand, widget, OTHER[:1])
    process_events()
    widget._show_state()
    assert not widget.files.state.text().endswith("· saved")
    undo(hand)
    widget._show_state()
    assert widget.files.state.text().endswith("· saved")
    redo(hand)
    widget._show_state()
    assert not widget.files.state.text().endswith("· saved")
