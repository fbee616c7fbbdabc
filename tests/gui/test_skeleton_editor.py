from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_semimultipose.io.labels import write_poses
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.widgets.skeleton_editor import LINES, MIRROR, NAME, SkeletonEditor
from napari_semimultipose.widgets.skeleton_page import SkeletonPage
from napari_semimultipose.widgets.skeleton_presets import PRESETS

FLY = PRESETS["Fly (13)"]


@pytest.fixture
def editor(qtbot):
    widget = SkeletonEditor()
    qtbot.addWidget(widget)
    return widget


def write(editor, row, column, text):
    editor.table.item(row, column).setText(text)


def canonical(skeleton):
    edges = {frozenset(e) for e in skeleton.edges}
    return skeleton.keypoints, edges, {frozenset(s) for s in skeleton.symmetry}, skeleton.name


@pytest.mark.parametrize("name", PRESETS)
def test_a_skeleton_survives_the_table(editor, name):
    editor.set_skeleton(PRESETS[name])
    assert canonical(editor.skeleton()) == canonical(PRESETS[name])
    assert editor.origin() == list(range(len(PRESETS[name])))


def test_presets_have_lines_and_mirrored_pairs():
    assert len(FLY.symmetry) == 5
    assert len(FLY.edges) == 12
    for skeleton in PRESETS.values():
        ends = {i for edge in skeleton.edges for i in edge}
        assert len(skeleton) == 1 or ends == set(range(len(skeleton)))


def test_a_skeleton_is_typed(editor):
    editor.set_skeleton(Skeleton(("a",)))
    write(editor, 0, NAME, "nose")
    for name in ("earL", "earR"):
        editor.add_keypoint(name)
    write(editor, 0, LINES, "earL, earR")
    editor.guess_symmetry()
    skeleton = editor.skeleton()
    assert skeleton.keypoints == ("nose", "earL", "earR")
    assert skeleton.edges == ((0, 1), (0, 2))
    assert skeleton.symmetry == ((1, 2),)
    assert editor.origin() == [0, None, None]


def test_renaming_takes_lines_and_pairs_along(editor):
    editor.set_skeleton(FLY)
    row = FLY.keypoints.index("wingL")
    write(editor, row, NAME, "left wing")
    got = editor.skeleton()
    assert {frozenset(e) for e in got.edges} == {frozenset(e) for e in FLY.edges}
    assert {frozenset(e) for e in got.symmetry} == {frozenset(e) for e in FLY.symmetry}


def test_a_name_can_be_emptied_and_written_anew(editor):
    editor.set_skeleton(FLY)
    write(editor, 0, NAME, "")
    with pytest.raises(ValueError, match="row 1"):
        editor.skeleton()
    write(editor, 0, NAME, "caput")
    assert len(editor.skeleton().edges) == len(FLY.edges)


def test_a_name_that_is_taken_does_not_mix_up_the_lines(editor):
    editor.set_skeleton(FLY)
    write(editor, 0, NAME, "thorax")
    write(editor, 0, NAME, "caput")
    got = editor.skeleton()
    assert {frozenset(e) for e in got.edges} == {frozenset(e) for e in FLY.edges}


def test_moving_and_removing_rows_keeps_what_belongs_together(editor):
    editor.set_skeleton(FLY)
    editor.table.selectRow(1)
    editor.move_selected(-1)
    got = editor.skeleton()
    assert got.keypoints[:2] == ("thorax", "head")
    assert editor.origin()[:2] == [1, 0]
    names = {frozenset((got.keypoints[a], got.keypoints[b])) for a, b in got.edges}
    assert names == {frozenset((FLY.keypoints[a], FLY.keypoints[b])) for a, b in FLY.edges}
    editor.table.clearSelection()  # a row that stayed selected would go, too
    editor.table.selectRow(1)
    editor.remove_selected()
    got = editor.skeleton()
    assert "head" not in got.keypoints
    assert len(got.edges) == len(FLY.edges) - 3


def test_the_first_row_cannot_move_up(editor):
    editor.set_skeleton(FLY)
    editor.table.selectRow(0)
    editor.move_selected(-1)
    assert editor.skeleton().keypoints == FLY.keypoints


def test_a_pair_is_entered_on_both_sides_and_replaces_others(editor):
    editor.set_skeleton(Skeleton(("a", "b", "c"), symmetry=((0, 1),)))
    write(editor, 2, MIRROR, "a")
    assert editor.skeleton().symmetry == ((0, 2),)
    write(editor, 2, MIRROR, "")
    assert editor.skeleton().symmetry == ()


@pytest.mark.parametrize(
    ("row", "column", "text", "match"),
    [
        (0, NAME, "thorax", "twice"),
        (0, NAME, "a,b", "commas"),
        (0, LINES, "nobody", "no other keypoint 'nobody'"),
        (0, LINES, "head", "no other keypoint 'head'"),
        (0, MIRROR, "nobody", "no other keypoint 'nobody'"),
    ],
)
def test_mistakes_are_named(editor, row, column, text, match):
    editor.set_skeleton(FLY)
    write(editor, row, column, text)
    with pytest.raises(ValueError, match=match):
        editor.skeleton()


# -------------------------------------------------------------------- the page


@pytest.fixture
def page(qtbot):
    widget = SkeletonPage()
    qtbot.addWidget(widget)
    widget.show()
    return widget


def test_a_mistake_is_shown_while_it_is_there_and_stops_the_button(page, qtbot):
    page.set_skeleton(FLY)
    write(page.editor, 0, LINES, "nobody")
    assert "nobody" in page.message.text()
    with qtbot.assertNotEmitted(page.start_clicked):
        qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    write(page.editor, 0, LINES, "thorax")
    assert page.message.text() == ""
    with qtbot.waitSignal(page.start_clicked) as caught:
        qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    assert caught.args[0].keypoints == FLY.keypoints


def test_a_preset_keeps_the_labels_of_keypoints_with_the_same_name(page, qtbot):
    page.set_skeleton(Skeleton(("tail", "head", "nose")))
    page.presets.setCurrentIndex(1 + list(PRESETS).index("Head, body, tail"))
    page.presets.activated.emit(page.presets.currentIndex())
    assert page.editor.skeleton().keypoints == ("head", "body", "tail")
    assert page.editor.origin() == [1, None, 0]


def test_skeletons_are_loaded_from_labels_and_models(page, tmp_path):
    from napari_semimultipose.config import Config
    from napari_semimultipose.models.checkpoint import ModelInfo, write_info

    write_poses(Poses(FLY, np.ones((1, 1, 13, 2)), [0]), tmp_path / "fly.slp")
    page.load_skeleton(tmp_path / "fly.slp")
    assert canonical(page.editor.skeleton())[:3] == canonical(FLY)[:3]
    bee = PRESETS["Honeybee (5)"]
    write_info(tmp_path / "model", ModelInfo(bee, Config(), 1.0))
    page.load_skeleton(tmp_path / "model")
    assert canonical(page.editor.skeleton()) == canonical(bee)
    page.load_skeleton(tmp_path / "nothing.slp")
    assert "nothing.slp" in page.message.text()


def test_labels_follow_a_changed_skeleton(viewer, open_widget, monkeypatch):
    """Through the Annotate widget: renaming and adding keep all, deleting asks first."""
    from napari_semimultipose.layers import edits
    from napari_semimultipose.widgets.annotate import AnnotateWidget

    viewer.add_image(np.zeros((5, 50, 50), np.uint8), name="clip", contrast_limits=(0, 255))
    widget = open_widget(AnnotateWidget)
    widget.new_labels(Skeleton(("a", "b")))
    for k in range(2):
        edits.place_keypoint(widget.document.store, 0, 3, 0 if k else None, k, (k, k))
    editor, page = widget.skeleton_page.editor, widget.skeleton_page
    write(editor, 0, NAME, "alpha")
    editor.table.selectRow(0)
    editor.add_keypoint("middle")
    page.change.click()
    poses = widget.document.poses()
    assert poses.skeleton.keypoints == ("alpha", "middle", "b")
    np.testing.assert_array_equal(poses.visible[0, 0], [2, 0, 2])
    asked = []
    answer = QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *args: asked.append(args[2]) or answer)
    editor.table.selectRow(2)
    editor.remove_selected()
    page.change.click()
    assert "'b' (1 animal)" in asked[0]
    assert widget.document.skeleton.keypoints == ("alpha", "middle", "b")
    answer = QMessageBox.StandardButton.Yes
    page.change.click()
    assert widget.document.poses().skeleton.keypoints == ("alpha", "middle")
    assert widget.panel.keypoints.count() == 2
