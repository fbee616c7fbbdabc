"""Nothing that a person did is lost when the program is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose.io.journal import Journal, recover, write_whole
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.lock import Owner, lock_path
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.history import History
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Source, Video
from napari_semimultipose.widgets import autosave, spare_journal, unsaved
from napari_semimultipose.widgets.autosave import Autosave

from .labeller import SKELETON, new_store, work

FIELDS = ("video", "frame", "xy", "visible", "score", "instance_score", "track", "source")


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(Path, "home", lambda: folder)
    return folder


@pytest.fixture
def place(tmp_path) -> Path:
    """A recording."""
    folder = tmp_path / "clip"
    folder.mkdir()
    return folder


def place_point(store: PoseStore, frame: int = 0, x: float = 1.0) -> None:
    edits.place_keypoint(store, 0, frame, None, 0, (x, 2))


def assert_equal(a: Poses, b: Poses, fields: tuple[str, ...] = FIELDS) -> None:
    assert (a.skeleton.keypoints, a.skeleton.edges) == (b.skeleton.keypoints, b.skeleton.edges)
    for name in fields:
        left, right = getattr(a, name), getattr(b, name)
        if left.ndim > 1:  # slots that no frame needs are no difference
            n = min(left.shape[1], right.shape[1])
            left, right = left[:, :n], right[:, :n]
        np.testing.assert_array_equal(left, right, err_msg=name)
    assert a.n_instances == b.n_instances


@pytest.mark.parametrize("end", ["tick", "close"])
def test_edits_that_were_all_undone_leave_no_journal(place, tmp_path, monkeypatch, end) -> None:
    monkeypatch.setattr(autosave, "QUIET_S", 0.0)
    store = new_store()
    place_point(store, frame=3)
    labels = tmp_path / "labels.slp"
    keeper, history = Autosave(store, place, labels), History.of(store)
    place_point(store)
    kept = keeper.path
    history.undo()
    getattr(keeper, end)()
    assert not kept.exists()
    if end == "tick":
        history.redo()
        assert recover(keeper.path).poses.n_instances == 2
        assert keeper.labels == labels


def test_unsaved_labels_stay_when_later_edits_are_undone(place) -> None:
    store = new_store()
    keeper = Autosave(store, place)
    place_point(store)
    kept = keeper.path
    keeper.close()
    again = Autosave(store, place)
    again.adopt(kept)
    place_point(store, frame=1)
    History.of(store).undo()
    again.close()
    assert recover(kept).poses.n_instances == 1


# ----------------------------------------------------------------------- kill


def kill_and_recover(folder: Path, seed: int) -> int:
    """Kill a process that labels, check that all is there, and return the number of its edits."""
    rng = np.random.default_rng(seed)
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("labeller.py")), str(folder), str(seed)],
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    wanted = 0 if seed % 10 == 0 else rng.integers(300)
    told = b""
    while told.count(b"\n") <= wanted:  # by edits, and not by time, which a busy machine stretches
        told += child.stdout.read(4096)
    time.sleep(rng.uniform(0, 0.01))
    child.kill()
    told += child.stdout.read()
    child.wait()
    last = told.splitlines()[-1]
    done = 0 if last == b"ready" else int(last)

    store = new_store()
    worker = work(store, seed)
    for _ in islice(worker, done):
        pass
    states = [store.snapshot()]
    next(worker)
    states.append(store.snapshot())

    labels = folder / "labels.json"
    fields = FIELDS
    offered = unsaved.found(folder / "clip", labels)
    if offered:
        got = unsaved.read(offered[0]).poses
        assert not recover(offered[0]).damaged
    elif labels.exists():
        got = read_poses(labels)
        fields = ("video", "frame", "xy", "visible", "source")  # tracks get names in a file
    else:
        got = PoseStore(Poses.empty(SKELETON)).snapshot()
    errors = []
    for state in states:
        try:
            assert_equal(got, state, fields)
            return done
        except AssertionError as error:
            errors.append(str(error))
    raise AssertionError(f"seed {seed}, {done} edits:\n" + "\n".join(errors))


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_process_loses_no_more_than_the_edit_in_flight(seed, tmp_path):
    kill_and_recover(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_killed_processes_lose_no_more_than_the_edit_in_flight(tmp_path_factory):
    done = [kill_and_recover(tmp_path_factory.mktemp("kill"), seed) for seed in range(100, 150)]
    assert np.median(done) > 20  # they were killed at work


# -------------------------------------------------------------------- writing


def test_an_edit_is_in_the_journal_before_the_next_one(place):
    store = new_store()
    keeper = Autosave(store, place)
    assert keeper.path is None  # looking at labels leaves no file
    for i in range(5):
        place_point(store, i)
        assert not keeper.behind
        assert recover(keeper.path).poses.frame.tolist() == list(range(i + 1))
    assert keeper.path == place.with_name("clip.semimultipose.journal")
    keeper.close()


def test_the_journal_of_a_labels_file_lies_beside_it_and_names_it(place, tmp_path):
    labels = tmp_path / "elsewhere" / "mine.slp"
    labels.parent.mkdir()
    store = new_store()
    keeper = Autosave(store, place, labels, "sleap")
    place_point(store)
    keeper.close()
    assert keeper.path == labels.with_name("mine.slp.semimultipose.journal")
    assert unsaved.found(place, labels) == [keeper.path]
    assert unsaved.found(place) == []
    kept = unsaved.read(keeper.path)
    assert (kept.labels, kept.format) == (labels, "sleap")


def test_labels_in_the_folder_of_the_recording_are_found_with_it_alone(place, tmp_path):
    store = new_store()
    keeper = Autosave(store, place, tmp_path / "mine.slp")
    place_point(store)
    keeper.close()
    assert unsaved.found(place) == [keeper.path]
    assert unsaved.found(tmp_path / "another") == []


def test_saving_ends_the_journal_and_the_next_edit_begins_one_anew(place, tmp_path):
    store, labels = new_store(), tmp_path / "labels.json"
    keeper = Autosave(store, place)
    place_point(store)
    first = keeper.path
    write_poses(store.snapshot(), labels)
    keeper.saved(labels, "coco")
    assert not first.exists()
    assert not keeper.behind
    place_point(store, 5)
    assert keeper.path.name == "labels.json.semimultipose.journal"
    assert recover(keeper.path).poses.frame.tolist() == [0, 5]
    keeper.close()


def test_a_long_journal_is_written_anew_in_a_quiet_moment(place, monkeypatch):
    monkeypatch.setattr(autosave, "GROWTH_BYTES", 5000)
    monkeypatch.setattr(autosave, "QUIET_S", 0.0)
    store = new_store()
    keeper = Autosave(store, place)
    for i in range(40):
        place_point(store, 3, x=i)
    size = keeper.path.stat().st_size
    assert size > 5000
    keeper.tick()
    keeper.flush()
    assert keeper.path.stat().st_size < size / 2
    assert recover(keeper.path).edits == 0
    place_point(store, 4)
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()


def test_predictions_alone_need_no_journal_and_corrected_ones_do(place):
    poses = Poses(
        SKELETON, np.ones((3, 1, 3, 2)), range(3), source=np.full((3, 1), Source.PREDICTED)
    )
    store = PoseStore(poses.select([0]))
    keeper = Autosave(store, place)
    store.add(poses.select([1]))
    assert keeper.path is None
    assert not keeper.behind
    edits.move_keypoints(store, [0], [0], [0], [(5, 5)])
    store.add(poses.select([2]))
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()


def test_another_skeleton_is_kept_at_once(place):
    store = new_store()
    keeper = Autosave(store, place)
    history = History.of(store)
    history.set_skeleton(Skeleton(("a", "b")), [0, None])
    assert recover(keeper.path).poses.skeleton.keypoints == ("a", "b")
    history.undo()
    assert recover(keeper.path).poses.skeleton == SKELETON
    keeper.close()


def test_half_of_an_edit_is_never_in_the_journal(place, monkeypatch):
    store = new_store()
    keeper = Autosave(store, place)
    history = History.of(store)
    for k in range(3):
        edits.place_keypoint(store, 0, 0, None if k == 0 else 0, k, (k, 2))
    before = store.snapshot()
    seen = []
    append = Journal.append

    def note(self, record):
        append(self, record)
        seen.append(recover(keeper.path).poses)

    monkeypatch.setattr(Journal, "append", note)
    history.set_skeleton(Skeleton(("body", "tail")), [1, 2])  # deletes the labels of the head first
    after = store.snapshot()
    history.undo()
    history.redo()
    assert len(seen) == 3
    for got, wanted in zip(seen, (after, before, after), strict=True):
        assert_equal(got, wanted)
    keeper.close()


# ------------------------------------------------------------- many labels, ahead


@pytest.fixture
def all_large(monkeypatch):
    """Every table is a large one."""
    monkeypatch.setattr(autosave, "MANY_KEYPOINTS", 0)
    monkeypatch.setattr(autosave, "PATIENCE_S", 0.0)


def some_labels() -> PoseStore:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 100, (5, 2, 3, 2))
    return PoseStore(Poses(SKELETON, xy, range(5), source=np.full((5, 2), Source.PREDICTED)))


def files_of(place: Path, n: int) -> list[str]:
    """Files beside a recording, as soon as there are no more than `n`: a thread removes some."""
    end = time.monotonic() + 10
    while True:
        files = sorted(p.name for p in place.parent.iterdir() if p.is_file())
        if len(files) <= n or time.monotonic() > end:
            return files
        time.sleep(0.005)


def test_many_labels_are_written_before_the_first_edit(place, all_large, monkeypatch):
    store = some_labels()
    keeper = Autosave(store, place)
    keeper.tick()
    assert keeper._spare.wait()
    assert unsaved.found(place) == []  # nobody has changed anything
    monkeypatch.setattr(Autosave, "_table", None)  # nobody waits for a table
    edits.move_keypoints(store, [0], [0], [0], [(5, 5)])
    got = recover(keeper.path)
    assert got.edits == 1
    assert_equal(got.poses, store.snapshot())
    edits.move_keypoints(store, [1], [0], [0], [(6, 6)])
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()
    assert files_of(place, 1) == ["clip.semimultipose.journal"]


def test_an_edit_before_they_are_written_waits_for_them(place, all_large, monkeypatch):
    def slowly(*args):
        time.sleep(0.2)
        return write_whole(*args)

    monkeypatch.setattr(spare_journal, "write_whole", slowly)
    store = some_labels()
    keeper = Autosave(store, place)
    keeper.tick()
    assert not keeper._spare.ready
    edits.move_keypoints(store, [0], [0], [0], [(5, 5)])
    assert recover(keeper.path).edits == 1
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()


def test_what_was_written_ahead_and_does_not_fit_any_more_is_not_used(place, all_large):
    store = some_labels()
    keeper = Autosave(store, place)
    keeper.tick()
    store.replace(some_labels().take([1, 2]))
    edits.move_keypoints(store, [0], [0], [0], [(5, 5)])
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()
    assert files_of(place, 1) == ["clip.semimultipose.journal"]


def test_labels_that_nobody_changes_leave_no_file(place, all_large):
    left = place.with_name("clip.semimultipose.part")
    left.write_bytes(b"of a process that was killed")
    keeper = Autosave(some_labels(), place)
    keeper.tick()
    assert keeper._spare.path == left
    assert keeper._spare.wait()
    assert recover(left).edits == 0
    keeper.close()
    assert files_of(place, 0) == []


def test_another_window_writes_ahead_to_another_file(place, all_large):
    keepers = [Autosave(some_labels(), place, window=name) for name in "ab"]
    for keeper in keepers:
        keeper.tick()
    assert len({keeper._spare.path for keeper in keepers}) == 2
    for keeper in keepers:
        edits.move_keypoints(keeper.store, [0], [0], [0], [(5, 5)])
        assert_equal(recover(keeper.path).poses, keeper.store.snapshot())
    assert keepers[0].path != keepers[1].path
    for keeper in keepers:
        keeper.close()


def test_a_disk_that_has_no_room_for_them_is_tried_again_with_the_edit(
    place, all_large, monkeypatch
):
    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(spare_journal, "write_whole", full)
    store = some_labels()
    keeper = Autosave(store, place)
    keeper.tick()
    edits.move_keypoints(store, [0], [0], [0], [(5, 5)])
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()


def test_a_long_journal_of_many_labels_is_written_anew_in_the_background(
    place, all_large, monkeypatch
):
    monkeypatch.setattr(autosave, "GROWTH_BYTES", 3000)
    monkeypatch.setattr(autosave, "QUIET_S", 0.0)
    store = some_labels()
    keeper = Autosave(store, place)
    for i in range(40):
        edits.move_keypoints(store, [0], [0], [0], [(5, i)])
    size = keeper.path.stat().st_size
    end = time.monotonic() + 10
    while recover(keeper.path).edits and time.monotonic() < end:
        keeper.tick()
        time.sleep(0.005)
    assert recover(keeper.path).edits == 0
    assert keeper.path.stat().st_size < size / 2
    edits.move_keypoints(store, [0], [0], [0], [(7, 7)])
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()
    assert files_of(place, 1) == ["clip.semimultipose.journal"]


def test_what_could_not_be_written_is_written_later(place, monkeypatch):
    def full(*args):
        raise OSError("No space left on device")

    store = new_store()
    keeper = Autosave(store, place)
    place_point(store)
    monkeypatch.setattr(Journal, "append", full)
    place_point(store, 1)
    assert keeper.behind
    assert "No space left" in keeper.error
    monkeypatch.undo()
    place_point(store, 2)  # too early to try again: not every click shall wait for a full disk
    assert keeper.behind
    monkeypatch.setattr(autosave, "QUIET_S", 0.0)
    keeper._retry_at = 0.0
    keeper.tick()
    assert not keeper.behind
    assert keeper.error == ""
    assert_equal(recover(keeper.path).poses, store.snapshot())
    keeper.close()


# -------------------------------------------------------------------- restoring


def left_behind(place: Path, *frames: int) -> Path:
    """Labels of a program that ended without saving them."""
    store = new_store()
    keeper = Autosave(store, place)
    for frame in frames:
        place_point(store, frame)
    keeper.close()
    return keeper.path


def test_restored_labels_are_continued_in_the_same_file(place):
    path = left_behind(place, 0, 1)
    store = PoseStore(unsaved.read(path).poses)
    keeper = Autosave(store, place)
    keeper.adopt(path)
    before = path.read_bytes()
    place_point(store, 7)
    assert keeper.path == path
    assert path.read_bytes().startswith(before)  # what was there stays until the labels are saved
    assert recover(path).poses.frame.tolist() == [0, 1, 7]
    keeper.saved(place.with_name("labels.slp"), None)
    assert not path.exists()


def test_a_damaged_journal_is_kept_as_it_is(place):
    path = left_behind(place, 0, 1, 2)
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    data += b"more"
    path.write_bytes(data)
    keeper = Autosave(PoseStore(unsaved.read(path).poses), place)
    keeper.adopt(path)
    place_point(keeper.store, 9)
    aside = place.with_name("clip.damaged.semimultipose.journal")
    assert aside.read_bytes() == data
    keeper.close()
    assert unsaved.found(place) == [path]


def test_labels_of_an_earlier_version_are_found_and_go_when_saved(place, tmp_path):
    old = tmp_path / "clip.semimultipose.slp"
    store = new_store()
    place_point(store, 4)
    write_poses(store.snapshot(), old)
    assert unsaved.found(place) == [old]
    assert unsaved.read(old).poses.frame.tolist() == [4]
    keeper = Autosave(PoseStore(unsaved.read(old).poses), place)
    keeper.adopt(old)
    place_point(keeper.store, 5)
    assert keeper.paths == {old, tmp_path / "clip.semimultipose.journal"}
    keeper.saved(tmp_path / "labels.slp", None)
    assert unsaved.found(place) == []
    assert not old.exists()


def test_two_sets_of_labels_of_one_recording_have_two_journals(place):
    paths = {left_behind(place, 0), left_behind(place, 1)}
    assert {p.name for p in paths} == {
        "clip.semimultipose.journal",
        "clip.2.semimultipose.journal",
    }
    assert set(unsaved.found(place)) == paths


def test_discarding_never_overwrites(place):
    for frame in (0, 1):
        unsaved.discard(left_behind(place, frame))
    assert unsaved.found(place) == []
    kept = place.parent.glob("clip.discarded*.journal")
    assert sorted(recover(p).poses.frame.tolist()[0] for p in kept) == [0, 1]


def test_journals_that_others_write_to_are_left_to_them(place):
    path = left_behind(place, 0)
    stored = asdict(replace(Owner.me(), host="lab-7"))
    del stored["seen"]
    lock_path(path).write_text(json.dumps(stored))
    # Of another computer nobody knows: offered, but not written to.
    assert unsaved.found(place) == [path]
    before = path.read_bytes()
    keeper = Autosave(PoseStore(unsaved.read(path).poses), place)
    keeper.adopt(path)
    place_point(keeper.store, 3)
    assert keeper.path.name == "clip.2.semimultipose.journal"
    assert path.read_bytes() == before
    keeper.close()


def test_a_journal_that_is_written_to_is_not_offered(place):
    keeper = Autosave(new_store(), place, window="a")
    place_point(keeper.store)
    assert unsaved.found(place) == []
    assert unsaved.busy(place).pid == os.getpid()
    keeper.close()
    assert unsaved.busy(place) is None
    assert unsaved.found(place) == [keeper.path]


def test_a_journal_that_was_paused_and_taken_by_another_window_is_left_to_it(place):
    keeper = Autosave(new_store(), place, window="a")
    place_point(keeper.store)
    path = keeper.path
    keeper.pause()
    other = Autosave(PoseStore(unsaved.read(path).poses), place, window="b")
    other.adopt(path)
    place_point(keeper.store, 1)
    assert keeper.path != path
    assert recover(keeper.path).poses.frame.tolist() == [0, 1]
    keeper.close()
    other.close()


def test_labels_of_a_read_only_folder_are_kept_in_the_users_folder(place, home, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *args: False)
    keeper = Autosave(new_store(), place)
    place_point(keeper.store)
    assert keeper.path == home / "semimultipose" / "clip.semimultipose.journal"
    keeper.close()


def test_the_same_labels_are_recognised(place):
    store = PoseStore(Poses(SKELETON, np.ones((2, 1, 3, 2)), [0, 1], videos=(Video("clip"),)))
    keeper = Autosave(store, place)
    edits.move_keypoints(store, [0], [0], [0], [(5, 5)])
    assert unsaved.holds_no_more(keeper.path, store.snapshot())
    place_point(store, 1)
    assert not unsaved.holds_no_more(keeper.path, PoseStore(store.take([0])).snapshot())
    keeper.close()


def test_namesakes_in_read_only_folders_do_not_get_each_others_labels(tmp_path, monkeypatch):
    """All their journals lie together in the user's folder."""
    days = [tmp_path / day / "cam1.mp4" for day in ("day1", "day2")]
    for path in days:
        path.parent.mkdir()
        path.write_bytes(b"x")
    monkeypatch.setattr(unsaved.os, "access", lambda path, mode: False)
    store = PoseStore(replace(new_store().snapshot(), videos=(Video(str(days[0])),)))
    keeper = Autosave(store, days[0])
    place_point(store)
    keeper.close()
    assert keeper.path.parent == unsaved.user_folder()
    assert unsaved.found(days[0]) == [keeper.path]
    assert unsaved.found(days[1]) == []
    # A recording that was moved is the only one of its name, and is found by that.
    days[0].unlink()
    assert unsaved.found(days[1]) == [keeper.path]
    # A copied project has its journals beside it.
    days[0].write_bytes(b"x")
    copied = days[1].with_name("cam1.semimultipose.journal")
    copied.write_bytes(keeper.path.read_bytes())
    assert unsaved.found(days[1]) == [copied]
