"""Journals of unsaved labels: whatever happens to the file, all complete records are there."""

from __future__ import annotations

import errno
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.journal import (
    Edit,
    Journal,
    Origin,
    Table,
    Videos,
    origin_of,
    recover,
)
from napari_semimultipose.io.journal_records import MAGIC
from napari_semimultipose.io.labels import read_poses
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

from .pose_strategies import assert_same
from .pose_strategies import poses as some_poses

SKELETON = Skeleton(("head", "tail"), edges=((0, 1),), symmetry=((0, 1),), name="Wurm ü")
CLIPS = (Video("a.mp4", (), (48, 64)), Video("/images", ("x/1.png", "x/2.png")))
ORIGIN = Origin("/data/labels.slp", "sleap", "/data/a.mp4")


def table(frames=(3, 8)) -> Table:
    xy = np.arange(len(frames) * 8, dtype=float).reshape(len(frames), 2, 2, 2)
    return Table(Poses(SKELETON, xy, frames, videos=CLIPS), ORIGIN)


def animal(frame: int, slot: int, xy, video: int = 0) -> Edit:
    """One animal of which all is known."""
    xy = np.array([xy], float)
    return Edit(
        np.array([video]),
        np.array([frame]),
        np.array([slot]),
        {
            "xy": xy,
            "visible": np.where(np.isfinite(xy[..., 0]), 2, 0).astype(np.int8),
            "score": np.isfinite(xy[..., 0]).astype(float),
            "instance_score": np.ones(1),
            "track": np.array([7]),
            "source": np.array([Source.HUMAN], np.int8),
        },
    )


def write(path, *records) -> list[int]:
    """Write records and return the size of the file after each."""
    journal = Journal.create(path)
    sizes = []
    for record in records:
        journal.append(record)
        sizes.append(journal.size)
    journal.close()
    return sizes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "clip.semimultipose.journal"


@given(given_poses=some_poses())
@settings(max_examples=40)
def test_a_table_comes_back_as_it_was(given_poses, tmp_path_factory):
    path = tmp_path_factory.mktemp("j") / "a.semimultipose.journal"
    write(path, Table(given_poses, ORIGIN))
    found = recover(path)
    assert_same(found.poses, given_poses, atol=0)
    assert found.poses.videos == given_poses.videos
    assert found.poses.track_names == given_poses.track_names
    assert (found.origin, found.edits, found.damaged) == (ORIGIN, 0, False)


def test_edits_follow_the_table(path):
    nan = [(np.nan, np.nan)] * 2
    write(
        path,
        table(),
        animal(3, 1, [(50, 51), (52, 53)]),
        animal(5, 0, [(1.25, 2.5), (np.nan, np.nan)]),
        animal(3, 1, [(60, 61), (62, 63)]),
        animal(8, 0, nan),
    )
    found = recover(path)
    assert found.edits == 4
    assert found.poses.frame.tolist() == [3, 5, 8]
    np.testing.assert_array_equal(found.poses.xy[0], [[(0, 1), (2, 3)], [(60, 61), (62, 63)]])
    np.testing.assert_array_equal(found.poses.xy[1, 0], [(1.25, 2.5), (np.nan, np.nan)])
    assert found.poses.visible[1, 0].tolist() == [2, 0]
    assert found.poses.track.tolist() == [[-1, 7], [7, -1], [-1, -1]]
    # Slot 0 of frame 8 is gone, and the animal that is left has moved up.
    np.testing.assert_array_equal(found.poses.xy[2, 0], [(12, 13), (14, 15)])


def test_some_fields_of_many_animals_can_change_alone(path):
    one = np.array([0, 0])
    tracks = Edit(one, np.array([3, 8]), np.array([0, 1]), {"track": np.array([4, 5])})
    write(path, table(), tracks)
    poses = recover(path).poses
    assert poses.track.tolist() == [[4, -1], [-1, 5]]
    np.testing.assert_array_equal(poses.xy, table().poses.xy)


def test_marks_of_empty_frames_come_and_go(path):
    none = np.zeros(0, np.int64)

    def mark(frame, on):
        return Edit(none, none, none, {}, np.array([[1, frame]]), np.array([on]))

    write(path, table(), mark(0, True), mark(1, True), mark(0, False))
    poses = recover(path).poses
    assert list(zip(poses.video.tolist(), poses.frame.tolist(), strict=True)) == [
        (0, 3),
        (0, 8),
        (1, 1),
    ]
    assert poses.present.any(1).tolist() == [True, True, False]


def test_a_recording_that_is_added_can_have_labels(path):
    third = Video("c.mp4")
    write(path, table(), Videos((*CLIPS, third)), animal(0, 0, [(1, 2), (3, 4)], video=2))
    poses = recover(path).poses
    assert poses.videos[2] == third
    assert poses.video.tolist() == [0, 0, 2]


def test_a_later_table_counts_alone(path):
    longer = Poses(Skeleton(("head", "body", "tail")), np.ones((1, 1, 3, 2)), [2], videos=CLIPS)
    write(path, table(), animal(5, 0, [(1, 2), (3, 4)]), Table(longer, Origin()))
    found = recover(path)
    assert_same(found.poses, longer)
    assert (found.edits, found.origin) == (0, Origin())


@given(cut=st.integers(0, 10_000))
@example(cut=7)  # within the mark that journals begin with
@settings(max_examples=150)
def test_a_file_cut_anywhere_holds_all_complete_records(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("j") / "a.semimultipose.journal"
    sizes = write(path, table(), *(animal(9, 0, [(i, 0), (i, 1)]) for i in range(1, 6)))
    cut = min(cut, sizes[-1])
    path.write_bytes(path.read_bytes()[:cut])
    complete = sum(size <= cut for size in sizes)
    if complete == 0:
        assert origin_of(path) is None
        with pytest.raises(LabelsError, match="cut off"):
            recover(path)
        return
    found = recover(path)
    assert found.edits == complete - 1
    assert not found.damaged
    if complete > 1:
        assert found.poses.xy[-1, 0, 0, 0] == complete - 1
    # The next process goes on behind the last complete record.
    journal = Journal.reopen(path)
    journal.append(animal(9, 0, [(70, 0), (70, 1)]))
    journal.close()
    assert recover(path).edits == complete
    assert recover(path).poses.xy[-1, 0, 0, 0] == 70


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=150)
def test_a_flipped_bit_is_noticed(at, bit, tmp_path_factory):
    path = tmp_path_factory.mktemp("j") / "a.semimultipose.journal"
    sizes = write(path, table(), *(animal(9, 0, [(i, 0), (i, 1)]) for i in range(1, 4)))
    data = bytearray(path.read_bytes())
    at %= sizes[-1]
    data[at] ^= 1 << bit
    path.write_bytes(data)
    complete = sum(size <= at for size in sizes)
    if complete == 0:
        with pytest.raises(LabelsError):
            recover(path)
    else:
        found = recover(path)
        assert found.edits == complete - 1
        # A longer length of the last record looks like a record that was cut off.
        assert found.damaged or at >= sizes[-2]


def test_compaction_keeps_the_labels_and_frees_the_room(path):
    journal = Journal.create(path)
    journal.append(table())
    for i in range(50):
        journal.append(animal(5, 0, [(i, 0), (i, 1)]))
    full = path.stat().st_size
    journal.replace(Table(recover(path).poses, ORIGIN))
    assert path.stat().st_size == journal.size < full / 5
    journal.append(animal(6, 0, [(1, 0), (1, 1)]))
    journal.close()
    found = recover(path)
    assert (found.edits, found.origin) == (1, ORIGIN)
    assert found.poses.frame.tolist() == [3, 5, 6, 8]
    assert found.poses.xy[1, 0, 0, 0] == 49


def test_a_journal_never_takes_the_place_of_a_file(path):
    path.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        Journal.create(path)
    assert path.read_bytes() == b"somebody's"


def test_a_record_that_does_not_fit_on_the_disk_leaves_the_others(path):
    """The disk fills up in the middle of a record."""

    class FullDisk:
        def __init__(self, handle):
            self.handle = handle

        def write(self, data):
            self.handle.write(bytes(data)[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name):
            return getattr(self.handle, name)

    journal = Journal.create(path)
    journal.append(table())
    handle, journal._handle = journal._handle, FullDisk(journal._handle)
    with pytest.raises(OSError, match="No space"):
        journal.append(animal(5, 0, [(1, 0), (1, 1)]))
    assert path.stat().st_size == journal.size
    journal._handle = handle
    journal.append(animal(6, 0, [(1, 0), (1, 1)]))
    journal.close()
    assert recover(path).poses.frame.tolist() == [3, 6, 8]


def test_the_origin_is_read_from_the_beginning_alone(path):
    write(path, table(), animal(5, 0, [(1, 2), (3, 4)]))
    assert origin_of(path) == (ORIGIN, CLIPS)
    assert origin_of(path.with_name("absent")) is None


def test_journals_open_like_other_labels(path):
    write(path, table(), animal(5, 0, [(1, 2), (3, 4)]))
    assert read_poses(path).frame.tolist() == [3, 5, 8]


@pytest.mark.parametrize("data", [b"", b"no journal at all", MAGIC, MAGIC + b"\x89edt\0\0"])
def test_what_is_no_journal_is_refused_in_words(path, data):
    path.write_bytes(data)
    with pytest.raises(LabelsError, match=path.name):
        recover(path)
    assert origin_of(path) is None


def test_a_journal_of_a_newer_version_is_named_as_such(path):
    write(path, table())
    path.write_bytes(path.read_bytes().replace(MAGIC, MAGIC[:-1] + b"2"))
    with pytest.raises(LabelsError, match="newer version"):
        recover(path)


def test_a_record_of_another_skeleton_ends_the_recovery(path):
    """That can only be after damage: it must not be mixed in."""
    other = animal(5, 0, [(1, 2), (3, 4), (5, 6)])
    write(path, table(), other, animal(6, 0, [(1, 2), (3, 4)]))
    found = recover(path)
    assert found.damaged
    assert_same(found.poses, replace(table().poses))
