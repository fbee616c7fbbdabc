"""The Review widget in a real window, on a synthetic recording with planted problems."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Points, Tracks
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import FORMATS, read_poses
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.labeling.problems import Kind
from napari_semimultipose.layers.points import points_layer_data, poses_from_layer
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.poses import Poses, Source, Video
from napari_semimultipose.tracking import repair
from napari_semimultipose.widgets import label_files, layer_keys, problem_search, worker
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.identity_panel import HERE, NEW, RANGE, TO_END
from napari_semimultipose.widgets.problem_table import FINE, OPEN, REPAIRED
from napari_semimultipose.widgets.review import ReviewWidget

from .conftest import process_events

FRAMES = 120
SWAPPED_AT, JUMP, WEAK = 60, range(30, 33), range(100, 104)


@pytest.fixture(scope="module")
def recording():
    made = SyntheticRecording(FRAMES, animals=3, size=(200, 200), length_px=40, seed=3, missing=0)
    truth = made.poses(Video("beetles"))
    predicted = replace(
        truth,
        score=np.full(truth.score.shape, 0.7),
        instance_score=np.full(truth.instance_score.shape, 0.7),
        source=np.full(truth.source.shape, Source.PREDICTED),
        track_names=(),
    )
    return made[:], predicted


@pytest.fixture
def planted(recording) -> Poses:
    """Animal 3 jumps away and back, 1 and 2 are swapped to the end, one is unsure."""
    poses = recording[1]
    xy, track, score = poses.xy.copy(), poses.track.copy(), poses.instance_score.copy()
    for row in JUMP:
        xy[row, slot_of(poses, row, 2)] += 60
    for row in range(SWAPPED_AT, FRAMES):
        a, b = (slot_of(poses, row, t) for t in (0, 1))
        track[row, [a, b]] = 1, 0
    score[WEAK.start : WEAK.stop, 0] = 0.1
    return replace(poses, xy=xy, track=track, instance_score=score)


def slot_of(poses, row, track):
    return int(np.flatnonzero(poses.track[row] == track)[0])


@pytest.fixture
def image(viewer, recording):
    return viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="beetles")


@pytest.fixture
def layers(viewer, image, planted):
    return PredictionLayers(viewer, planted, name="poses", image=image)


@pytest.fixture
def widget(open_widget, layers, qtbot):
    widget = open_widget(ReviewWidget)
    yield widget
    if worker.isalive(widget):
        for runner in (widget.runner, widget.saver):
            qtbot.waitUntil(lambda r=runner: not r.running, timeout=20_000)


def find(widget, qtbot, animals=3):
    widget.form.animals.setValue(animals)
    widget.form.find_button.click()
    assert not widget.form.find_button.isEnabled()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=20_000)
    return widget.form.table.model.problems


def test_poses_and_places_that_nobody_labelled_are_listed(
    viewer, image, recording, layers, widget, qtbot
):
    poses = recording[1]
    labels = replace(poses, source=np.zeros_like(poses.source)).select(np.arange(0, FRAMES, 6))
    data, attributes, _ = points_layer_data(labels, "labels")
    viewer.add_points(data, **attributes)
    xy = layers.poses.xy.copy()
    xy[50, slot_of(poses, 50, 2), :2] += [28, 0]  # part of it lies beside the rest
    xy[80, slot_of(poses, 80, 2)] += 400
    layers.replace(replace(layers.poses, xy=xy))
    found = find(widget, qtbot)
    where = {kind: [p.frame for p in found if p.kind is kind] for kind in (Kind.POSE, Kind.PLACE)}
    assert where == {Kind.POSE: [50], Kind.PLACE: [80]}
    row = next(i for i, p in enumerate(found) if p.kind is Kind.PLACE)
    assert "outside of where animals were labelled" in found[row].text
    assert {"new pose", "new place"} <= set(widget.form.table.kinds.names())


def index_of(widget, kind):
    return [p.kind for p in widget.form.table.model.problems].index(kind)


def tracks(layers):
    return layers.store.array("track").copy()


# ------------------------------------------------------------------- problems


def test_the_planted_problems_are_found_and_walked_through_with_keys(
    viewer, widget, layers, hand, qtbot
):
    problems = find(widget, qtbot)
    assert [p.kind for p in problems] == [Kind.JUMP, Kind.SWAP, Kind.CONFIDENCE]
    assert "3 problems found" in widget.form.status.text()
    assert viewer.dims.current_step[0] == JUMP.start
    hand.key(Qt.Key.Key_N)
    assert viewer.dims.current_step[0] == SWAPPED_AT
    assert "swap animals" in widget.form.usual.text()
    hand.key(Qt.Key.Key_N)
    assert viewer.dims.current_step[0] in WEAK
    hand.key(Qt.Key.Key_N)
    assert "no open problem after" in widget.form.message.text()
    hand.key(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert viewer.dims.current_step[0] == SWAPPED_AT


def test_all_problems_are_repaired_with_one_key_each(widget, layers, hand, qtbot, recording):
    find(widget, qtbot)
    start = layers.poses
    for _ in range(3):
        hand.key(Qt.Key.Key_R)
        hand.key(Qt.Key.Key_N)
    model = widget.form.table.model
    assert [model.state(i) for i in range(3)] == [REPAIRED] * 3
    truth = recording[1]
    np.testing.assert_array_equal(layers.poses.track, truth.track)
    away = np.nanmax(np.abs(layers.poses.xy - truth.xy)[JUMP.start : JUMP.stop])
    assert away < 10  # interpolated
    assert find(widget, qtbot) == []
    for _ in range(3):
        hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    for name in ("xy", "track", "score", "instance_score", "visible", "source"):
        np.testing.assert_array_equal(getattr(layers.poses, name), getattr(start, name))


def test_a_keypoint_that_jumps_is_repaired_alone(widget, layers, recording, hand, qtbot):
    poses = recording[1]
    wrong = poses.xy.copy()
    slot = slot_of(poses, 50, 1)
    wrong[50, slot, 0] += 60
    layers.replace(replace(poses, xy=wrong))
    process_events()
    find(widget, qtbot)
    widget.form.table.set_current(index_of(widget, Kind.JUMP))
    name = poses.skeleton.keypoints[0]
    assert f"interpolate {name} of animal 2 on frame 50" in widget.form.usual.text()
    hand.key(Qt.Key.Key_R)
    repaired = layers.store.array("xy")[50, slot]
    np.testing.assert_array_equal(repaired[1:], poses.xy[50, slot, 1:])
    around = [poses.xy[row, slot_of(poses, row, 1), 0] for row in (49, 51)]
    np.testing.assert_allclose(repaired[0], np.mean(around, axis=0), atol=1e-9)


def test_fine_goes_on_and_is_remembered(widget, viewer, hand, qtbot):
    find(widget, qtbot)
    hand.key(Qt.Key.Key_F)
    assert widget.form.table.model.state(0) == FINE
    assert viewer.dims.current_step[0] == SWAPPED_AT
    find(widget, qtbot)
    assert [widget.form.table.model.state(i) for i in range(3)] == [FINE, OPEN, OPEN]
    assert viewer.dims.current_step[0] == SWAPPED_AT  # the first open one
    widget.form.table.set_current(0)
    hand.key(Qt.Key.Key_F)
    assert widget.form.table.model.state(0) == OPEN


def test_undo_opens_a_problem_again(widget, layers, qtbot):
    find(widget, qtbot)
    index = index_of(widget, Kind.SWAP)
    widget.form.table.set_current(index)
    before = tracks(layers)
    widget.form.repair_button.click()
    assert widget.form.table.model.state(index) == REPAIRED
    assert (tracks(layers) != before).any()
    qtbot.waitUntil(widget.form.undo_button.isEnabled)
    widget.form.undo_button.click()
    assert widget.form.table.model.state(index) == OPEN
    np.testing.assert_array_equal(tracks(layers), before)
    qtbot.waitUntil(widget.form.redo_button.isEnabled)
    widget.form.redo_button.click()
    assert widget.form.table.model.state(index) == REPAIRED


def test_the_animals_of_a_problem_follow_repairs_of_others(widget, layers, qtbot):
    find(widget, qtbot)
    weak = index_of(widget, Kind.CONFIDENCE)
    problem = widget.form.table.model.problems[weak]
    model = widget.form.table.model
    before = model.data(model.index(weak, 1), Qt.ItemDataRole.DisplayRole)
    widget.form.table.set_current(index_of(widget, Kind.SWAP))
    widget.form.repair_button.click()
    after = model.data(model.index(weak, 1), Qt.ItemDataRole.DisplayRole)
    assert after == str(tracks(layers)[problem.row, problem.slots[0]] + 1)
    if before in ("1", "2"):
        assert after != before


def test_kinds_can_be_hidden_and_the_worst_ones_come_first(widget, qtbot):
    find(widget, qtbot)
    table = widget.form.table
    table.view.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    first = table._filter.mapToSource(table._filter.index(0, 0)).row()
    problems = table.model.problems
    assert problems[first].severity == max(p.severity for p in problems)
    table.kinds._buttons["swap"].click()
    assert table._filter.rowCount() == 2
    table.kinds._buttons["swap"].click()
    assert table._filter.rowCount() == 3


def test_limits_are_those_of_the_form(widget, qtbot):
    widget.form.settings.editor("jump").set_value(500.0)
    widget.form.settings.editor("confidence").set_value(0.0)
    assert [p.kind for p in find(widget, qtbot, animals=0)] == [Kind.SWAP]


# ------------------------------------------------------------------ identities


def press(widget, command):
    widget.form.identities.buttons[command].click()
    process_events()


def test_buttons_swap_on_a_frame_on_a_range_and_to_the_end(viewer, widget, layers):
    panel, start = widget.form.identities, tracks(layers)
    panel.choose(0, 2)
    for span, rows in ((HERE, range(10, 11)), (RANGE, range(20, 30)), (TO_END, range(10, FRAMES))):
        viewer.dims.set_current_step(0, 10)
        panel.set_span(20, 29)
        panel.span_box.setCurrentIndex(span)
        press(widget, "swap")
        expected = start.copy()
        part = expected[rows.start : rows.stop]
        a, b = part == 0, part == 2
        part[a], part[b] = 2, 0
        np.testing.assert_array_equal(tracks(layers), expected)
        widget.run("undo")
    np.testing.assert_array_equal(tracks(layers), start)


def test_a_click_chooses_an_animal_which_becomes_a_new_one(viewer, widget, layers, hand):
    viewer.dims.set_current_step(0, 10)
    store = layers.store
    slot = slot_of(layers.poses, 10, 1)
    other = slot_of(layers.poses, 10, 2)
    hand.click(*store.array("xy")[10, slot, 1], layers.points)
    hand.click(*store.array("xy")[10, other, 1], layers.points, Qt.KeyboardModifier.ShiftModifier)
    assert widget.form.identities.animals() == (1, 2)
    panel = widget.form.identities
    panel.second.setCurrentIndex(panel.second.findData(NEW))
    panel.span_box.setCurrentIndex(TO_END)
    press(widget, "assign")
    assert (tracks(layers)[10:] == 3).any(1).all()
    assert not (tracks(layers)[:10] == 3).any()


def test_an_animal_without_identity_gets_one_on_its_frame(viewer, widget, layers, hand):
    row = 12
    slot = slot_of(layers.poses, row, 2)
    panel = widget.form.identities
    viewer.dims.set_current_step(0, row)
    panel.choose(2, -1)
    panel.span_box.setCurrentIndex(HERE)
    press(widget, "assign")
    assert tracks(layers)[row, slot] == -1
    hand.click(*layers.store.array("xy")[row, slot, 1], layers.points)
    panel.choose(second=2)
    press(widget, "assign")
    assert tracks(layers)[row, slot] == 2


def test_an_animal_loses_its_identity_on_all_chosen_frames(widget, layers):
    panel, expected = widget.form.identities, tracks(layers)
    panel.choose(2, -1)
    panel.set_span(10, 20)
    press(widget, "assign")
    part = expected[10:21]
    part[part == 2] = -1
    np.testing.assert_array_equal(tracks(layers), expected)
    assert "11 frames" in widget.form.message.text()


def test_who_has_no_identity_gets_one_on_one_frame_only(widget, layers):
    panel = widget.form.identities
    panel.choose(2, -1)
    panel.set_span(10, 20)
    press(widget, "assign")
    panel.choose(-1, 2)
    press(widget, "assign")
    assert "no identity cannot be followed" in widget.form.message.text()
    assert not (tracks(layers)[10:21] == 2).any()


def test_frames_whose_last_one_comes_before_the_first_one_are_refused(widget, layers):
    panel, before = widget.form.identities, tracks(layers)
    panel.choose(0, 2)
    panel.set_span(20, 10)
    for command in ("swap", "assign", "delete", "interpolate", "fix_count"):
        widget.run(command)
        assert "10, comes before the first one, 20" in widget.form.message.text()
    np.testing.assert_array_equal(tracks(layers), before)


def test_split_merge_delete_interpolate_and_fix_the_number(viewer, widget, layers, qtbot):
    panel, start = widget.form.identities, layers.poses
    viewer.dims.set_current_step(0, 50)
    panel.choose(2, 1)
    press(widget, "split")
    assert (tracks(layers)[50:] == 3).any(1).all()
    qtbot.waitUntil(lambda: panel.second.findData(3) >= 0)
    panel.choose(2, 3)
    press(widget, "merge")
    np.testing.assert_array_equal(tracks(layers), start.track)
    panel.set_span(31, 31)
    panel.choose(2)
    press(widget, "interpolate")
    assert (layers.store.array("source")[31] == Source.PROPAGATED).sum() == 1
    panel.span_box.setCurrentIndex(TO_END)
    press(widget, "delete")
    assert layers.store.present().sum(1).tolist() == [3] * 50 + [2] * (FRAMES - 50)
    panel.count.setValue(1)
    panel.set_span(0, 9)
    widget.form.identities.count_button.click()
    assert layers.store.present()[:10].sum(1).tolist() == [1] * 10
    for _ in range(5):
        widget.run("undo")
    np.testing.assert_array_equal(layers.poses.xy, start.xy)
    np.testing.assert_array_equal(layers.poses.source, start.source)


def test_what_cannot_be_done_is_said_and_changes_nothing(viewer, widget, layers):
    before = tracks(layers)
    panel = widget.form.identities
    panel.choose(1, 1)
    press(widget, "swap")
    assert "two different animals" in widget.form.message.text()
    widget.run("repair")
    assert "choose a problem" in widget.form.message.text()
    widget.run("undo")
    assert "nothing to undo" in widget.form.message.text()
    viewer.dims.set_current_step(0, 0)
    press(widget, "split")
    assert "can only be split" in widget.form.message.text()
    np.testing.assert_array_equal(tracks(layers), before)


# ---------------------------------------------------------------------- layers


def test_the_layers_follow_a_repair(viewer, widget, layers, qtbot):
    viewer.dims.set_current_step(0, 80)
    paths = layers.tracks
    panel = widget.form.identities
    panel.choose(2)
    panel.span_box.setCurrentIndex(TO_END)
    press(widget, "delete")

    def ends():
        return paths.data[paths.features["track"] == 2, 1].max()

    qtbot.waitUntil(lambda: ends() == 79)  # the paths, and what is said of the points, come later
    shown = layers.points.features
    assert not (shown["track"][shown["frame"] >= 80] == 2).any()
    assert layers.tracks is paths  # changed in place
    widget.run("undo")
    qtbot.waitUntil(lambda: ends() == FRAMES - 1)


def test_lines_and_paths_have_small_pictures_once_the_frames_stand_still(
    viewer, image, layers, qtbot
):
    viewer.dims.set_current_step(0, 20)
    for layer in (layers.points, layers.vectors, layers.tracks):
        qtbot.waitUntil(lambda layer=layer: layer.thumbnail[..., :3].any(), timeout=10_000)
    before = layers.vectors.thumbnail.copy()
    viewer.dims.set_current_step(0, 60)
    qtbot.waitUntil(lambda: (layers.vectors.thumbnail != before).any(), timeout=10_000)


def test_a_plain_layer_at_its_end_is_taken_over_with_all_its_poses(
    viewer, image, planted, open_widget
):
    data, attributes, _ = points_layer_data(planted, name="plain")
    points = viewer.add_points(data, **attributes)
    viewer.dims.set_current_step(0, FRAMES - 1)
    widget = open_widget(ReviewWidget)
    assert widget.layers.points is points
    assert len(points.data) < len(data)
    np.testing.assert_array_equal(poses_from_layer(points).xy, planted.xy)
    assert isinstance(viewer.layers["plain tracks"], Tracks)
    widget.form.identities.choose(0)
    widget.form.identities.span_box.setCurrentIndex(TO_END)
    viewer.dims.set_current_step(0, FRAMES - 1)
    press(widget, "delete")
    assert widget.layers.store.present()[-1].sum() == 2


def test_points_moved_by_hand_can_be_undone_as_well(widget, layers, qtbot):
    before = layers.poses.xy.copy()
    layers.points.selected_data = {0}
    layers.points._move({0}, layers.points.data[0] + [0, 5, 5])
    layers.points.events.data(
        value=layers.points.data, action="changed", data_indices=(0,), vertex_indices=((),)
    )
    assert not np.array_equal(layers.poses.xy, before)
    widget.run("undo")
    np.testing.assert_array_equal(layers.poses.xy, before)


def test_other_poses_empty_the_list_and_a_removed_layer_is_let_go(
    viewer, widget, layers, qtbot, recording
):
    find(widget, qtbot)
    layers.replace(recording[1])
    assert widget.form.table.model.problems == []
    viewer.layers.remove(layers.points)
    process_events()
    assert widget.layers is None
    assert not widget.form.find_button.isEnabled()
    widget.run("swap")
    assert "open or predict poses" in widget.form.message.text()


@pytest.fixture
def two_videos(viewer, image, planted, recording):
    """Problems in one of two recordings of one table."""
    other = viewer.add_image(recording[0], rgb=True, contrast_limits=(0, 255), name="others")
    both = Poses.concatenate([planted, replace(planted, videos=(Video("others"),))])
    return PredictionLayers(viewer, both, name="poses", image=image), other


def test_problems_go_with_the_recording_that_they_are_in(two_videos, image, open_widget, qtbot):
    layers, other = two_videos
    widget = open_widget(ReviewWidget)
    find(widget, qtbot)
    before = tracks(layers)
    layers.view.show_video(1, other)
    assert widget.form.table.model.problems == []
    assert "Another recording is shown" in widget.form.status.text()
    widget.run("repair")
    assert "choose a problem" in widget.form.message.text()
    np.testing.assert_array_equal(tracks(layers), before)
    find(widget, qtbot)
    for _ in range(3):
        widget.run("repair")
        widget.run("next_problem", 1)
    changed = (tracks(layers) != before).any(1)
    assert changed[layers.store.array("video") == 1].any()
    assert not changed[layers.store.array("video") == 0].any()


def hold(monkeypatch, name: str) -> threading.Event:
    """Keep what a worker does from beginning until the event is set."""
    go_on, events = threading.Event(), getattr(problem_search, name)

    def slow(*args):
        go_on.wait(20)
        yield from events(*args)

    monkeypatch.setattr(problem_search, name, slow)
    return go_on


def test_what_was_found_is_not_listed_for_other_poses(
    viewer, image, recording, widget, layers, qtbot, monkeypatch
):
    go_on = hold(monkeypatch, "finding_events")
    widget.find()
    PredictionLayers(viewer, recording[1].select(range(10)), name="few", image=image)
    widget.form.layer_box.set_layer(viewer.layers["few"])
    process_events()
    assert widget.layers.points is viewer.layers["few"]
    go_on.set()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=20_000)
    assert widget.form.table.model.problems == []
    assert "other poses" in widget.form.status.text()
    assert find(widget, qtbot) == []
    assert "0 problems" in widget.form.status.text()


def test_a_search_that_fails_says_so_and_leaves_the_poses_saved(widget, qtbot, monkeypatch):
    def fails(*args):
        raise LabelsError("no room")
        yield

    monkeypatch.setattr(problem_search, "finding_events", fails)
    find(widget, qtbot)
    assert "no room" in widget.form.message.text()
    assert widget.form.status.text() == ""
    assert "*" not in widget.form.save_button.text()


def test_undo_in_another_recording_leads_there_or_names_it(viewer, two_videos, image, open_widget):
    layers, other = two_videos
    widget = open_widget(ReviewWidget)
    view, before = layers.view, tracks(layers)
    viewer.dims.set_current_step(0, 3)
    for _ in range(2):
        layers.store.apply(repair.swap(layers.store, 0, 1, 5, 5))
    view.show_video(1, other)
    widget.run("undo")
    assert "on frame 5 of beetles, which is not shown" in widget.form.message.text()
    assert (view.video, view.frame) == (1, 3)
    annotate = open_widget(AnnotateWidget)
    annotate.layers.set_layer(layers.points)
    annotate.document.show(other, 1)
    widget.run("undo")
    assert "not shown" not in widget.form.message.text()
    assert (view.video, view.frame) == (0, 5)
    assert view.image is image
    np.testing.assert_array_equal(tracks(layers), before)


def test_keys_work_with_the_focus_in_the_list_and_are_given_back(
    viewer, widget, layers, qtbot, open_widget
):
    find(widget, qtbot)
    viewer.window._qt_window.activateWindow()
    widget.form.table.view.setFocus()
    process_events()
    QTest.keyClick(widget.form.table.view, Qt.Key.Key_N)
    process_events()
    assert viewer.dims.current_step[0] == SWAPPED_AT
    assert layers.points.keymap
    widget._let_go()
    assert not [key for key, value in layers.points.keymap.items() if value is not None]


def test_repaired_poses_are_saved(widget, layers, tmp_path, qtbot):
    find(widget, qtbot)
    widget.form.table.set_current(index_of(widget, Kind.SWAP))
    widget.form.repair_button.click()
    qtbot.waitUntil(lambda: "*" in widget.form.save_button.text())
    widget.save_as(tmp_path / "repaired.slp")
    qtbot.waitUntil(lambda: "Saved to" in widget.form.message.text(), timeout=20_000)
    assert "*" not in widget.form.save_button.text()
    again = read_poses(tmp_path / "repaired.slp")
    np.testing.assert_array_equal(again.track, layers.poses.track)


def test_the_format_chosen_in_the_dialog_is_written(widget, layers, tmp_path, qtbot, monkeypatch):
    coco = label_files.filter_of(FORMATS["coco"])
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *asked: (str(tmp_path / "out"), coco)
    )
    widget.form.save_button.click()
    qtbot.waitUntil(lambda: "Saved to" in widget.form.message.text(), timeout=20_000)
    assert read_poses(tmp_path / "out.json", format="coco").n_instances


def test_it_opens_without_poses_and_takes_the_first_that_come(viewer, image, open_widget, planted):
    widget = open_widget(ReviewWidget)
    assert widget.layers is None
    made = PredictionLayers(viewer, planted, image=image)
    process_events()
    assert widget.layers is made
    assert isinstance(made.points, Points)


def test_labels_are_checked_and_repaired_in_the_same_list(
    viewer, image, open_widget, hand, qtbot, recording
):
    truth = recording[1]
    mirror = truth.skeleton.with_guessed_symmetry().mirror_index
    xy = truth.xy.copy()
    for row in (20, 70):
        xy[row, 0] = xy[row, 0][mirror]
    labels = replace(truth, xy=xy, source=np.full(truth.source.shape, Source.HUMAN))
    made = PredictionLayers(viewer, labels, name="labels", image=image)
    widget = open_widget(ReviewWidget)
    widget.form.check.button.click()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=20_000)
    problems = widget.form.table.model.problems
    assert {p.frame for p in problems if p.kind is Kind.SIDES} == {20, 70}
    assert "worth a look" in widget.form.status.text()
    first = problems[widget.form.table.current()]
    assert viewer.dims.current_step[0] == first.frame
    assert first.severity == max(p.severity for p in problems)
    assert "exchange" in widget.form.usual.text()
    hand.key(Qt.Key.Key_R)
    row = first.row
    np.testing.assert_array_equal(made.store.array("xy")[row, 0], truth.xy[row, 0])
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(made.store.array("xy")[row, 0], xy[row, 0])


def test_the_keys_of_a_layer_belong_to_the_widget_used_last(
    viewer, image, open_widget, recording, qtbot
):
    made = PredictionLayers(viewer, recording[1], name="poses", image=image)
    review = open_widget(ReviewWidget)
    assert layer_keys.owner_of(made.points) is review
    annotate = open_widget(AnnotateWidget)
    process_events()
    document = annotate.document
    assert document is not None
    assert document.points is made.points
    assert layer_keys.owner_of(made.points) is document
    review.run("next_problem", 1)
    assert layer_keys.owner_of(made.points) is review
    annotate._command("step_keypoint", 1)
    assert layer_keys.owner_of(made.points) is document
    document.deactivate()
    assert layer_keys.owner_of(made.points) is review
    review._let_go()
    assert layer_keys.owner_of(made.points) is None
    assert not [key for key, value in made.points.keymap.items() if value is not None]
