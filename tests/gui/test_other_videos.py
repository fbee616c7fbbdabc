"""Labels of several videos that were dropped on the window: saving those of one loses no others."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtCore import Qt

from napari_semimultipose import _reader
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.widgets.annotate import AnnotateWidget
from napari_semimultipose.widgets.review import ReviewWidget

from .conftest import process_events

SKELETON = Skeleton(("head", "tail"), edges=((0, 1),))


@pytest.fixture(params=["plain layers", "windows"])
def project(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch) -> Path:
    """Labels of three recordings, in layers of both kinds that the reader makes."""
    if request.param == "windows":
        monkeypatch.setattr(_reader, "MANY_POINTS", 1)
    rng = np.random.default_rng(0)
    for name in "abc":
        iio.imwrite(tmp_path / f"{name}.tif", rng.integers(0, 255, (6, 40, 50), dtype=np.uint8))
    videos = tuple(Video(str(tmp_path / f"{name}.tif")) for name in "abc")
    xy = np.tile([[10.0, 20.0], [30.0, 25.0]], (6, 2, 1, 1))
    xy[:, 1] += 5
    poses = Poses(
        SKELETON,
        xy,
        [0, 1, 2, 0, 1, 0],
        video=[0, 0, 0, 1, 1, 2],
        videos=videos,
        track=np.tile([0, 1], (6, 1)),
        track_names=("one", "two"),
    )
    path = tmp_path / "labels.slp"
    write_poses(poses, path)
    return path


def layers(viewer) -> list[str]:
    return sorted(layer.name for layer in viewer.layers if isinstance(layer, Points))


def counts(poses: Poses) -> list[int]:
    """Animals of each video, by name."""
    order = np.argsort([video.path for video in poses.videos])
    return [int(poses.select(poses.video == v).n_instances) for v in order]


@pytest.fixture
def opened(viewer, project: Path):
    viewer.open(project, plugin="napari-semimultipose")
    process_events()
    assert layers(viewer) == ["labels a.tif", "labels b.tif", "labels c.tif"]
    return viewer.layers["labels a.tif"]


def test_annotate_takes_the_labels_of_all_videos(viewer, opened, project, open_widget, hand):
    # What was changed in another layer comes along; a layer that was removed comes from the file.
    points = viewer.layers["labels b.tif"]
    viewer.layers.remove("labels c.tif")
    gone = points.data[:, 0] == 1
    points.selected_data = set(np.flatnonzero(gone)[:2].tolist())  # one animal of its frame 1
    points.remove_selected()
    widget = open_widget(AnnotateWidget)
    widget.layers.set_layer(opened)
    process_events()
    assert layers(viewer) == ["labels a.tif"]
    assert not [layer.name for layer in viewer.layers if "b.tif" in layer.name]
    document = widget.document
    assert counts(document.poses()) == [6, 3, 2]
    viewer.dims.set_current_step(0, 5)
    hand.key(Qt.Key.Key_N)
    hand.click(20, 20, opened)
    hand.click(22, 30, opened)
    widget.save()
    process_events()
    saved = read_poses(project)
    assert counts(saved) == [7, 3, 2]
    assert saved.track_names == ("one", "two")
    assert [Path(v.path).name for v in sorted(saved.videos, key=lambda v: v.path)] == [
        "a.tif",
        "b.tif",
        "c.tif",
    ]


def test_review_keeps_what_the_file_holds_of_other_videos(
    viewer, opened, project, open_widget, qtbot
):
    widget = open_widget(ReviewWidget)
    widget.form.layer_box.set_layer(opened)
    process_events()
    widget.form.identities.choose(0, 1)
    widget.run("swap")
    changed = widget.layers.store.snapshot()
    # However the path is written: napari may have been started with a relative one.
    widget.save_as(project.parent / ".." / project.parent.name / project.name)
    qtbot.waitUntil(lambda: not widget.saver.running, timeout=20_000)
    process_events()
    saved = read_poses(project)
    assert counts(saved) == [6, 4, 2]
    first = saved.select(saved.video == [Path(v.path).name for v in saved.videos].index("a.tif"))
    mine = changed.select(changed.video == opened.metadata["semimultipose"].video)
    np.testing.assert_array_equal(np.sort(first.track), np.sort(mine.track))
    # Under another name only what is shown is written.
    other = project.with_name("one.slp")
    widget.save_as(other)
    qtbot.waitUntil(lambda: not widget.saver.running, timeout=20_000)
    process_events()
    assert read_poses(other).n_instances == 6
