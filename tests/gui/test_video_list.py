"""The list of recordings of the Annotate widget, in a real window."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.widgets import annotate_pages
from napari_semimultipose.widgets.annotate import AnnotateWidget

from .conftest import process_events

SKELETON = Skeleton(("head", "tail"), edges=((0, 1),))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Labels of three recordings; two of them were moved to other folders."""
    rng = np.random.default_rng(0)
    for name in ("a.tif", "moved/b.tif", "moved/deep/c.tif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(path, rng.integers(0, 255, (6, 40, 50), dtype=np.uint8))
    videos = tuple(Video(str(tmp_path / f"{name}.tif")) for name in "abc")
    xy = np.full((6, 1, 2, 2), 20.0)
    video = [0, 0, 0, 1, 1, 2]
    poses = Poses(SKELETON, xy, [0, 1, 2, 0, 1, 0], video=video, videos=videos)
    path = tmp_path / "labels.slp"
    write_poses(poses, path)
    return path


@pytest.fixture
def widget(open_widget, project: Path):
    made = open_widget(AnnotateWidget)
    made.open_labels(project)
    made.tabs.setCurrentIndex(annotate_pages.VIDEOS)
    process_events()
    return made


def rows(widget) -> list[tuple[str, str, str]]:
    tree = widget.tabs.videos.tree
    items = [tree.topLevelItem(i) for i in range(tree.topLevelItemCount())]
    return [tuple(item.text(column) for column in range(3)) for item in items]


def test_all_recordings_are_listed_with_their_labels(widget) -> None:
    assert rows(widget) == [
        ("a.tif", "3", ""),
        ("b.tif", "2", "missing"),
        ("c.tif", "1", "missing"),
    ]
    assert "6 labelled frames in 3 recordings; 2 missing" in widget.tabs.videos.summary.text()


def test_missing_recordings_are_found_together_and_a_click_shows_one(widget, project: Path) -> None:
    videos = widget.tabs.videos
    first = widget.document.image
    videos.chosen.emit(1)
    assert "Find missing" in widget.message.text()
    videos.folder_chosen.emit(project.parent / "moved")
    assert [state for _, _, state in rows(widget)] == ["", "", ""]
    assert widget.document.unsaved
    item = videos.tree.topLevelItem(2)
    videos.tree.itemClicked.emit(item, 0)
    process_events()
    document = widget.document
    assert document.view.video == 2
    assert document.image is not first
    assert document.image.visible
    assert not first.visible
    assert len(document.store.videos) == 3
    videos.chosen.emit(0)
    assert document.image is first
    assert first.visible


def test_videos_are_added_once(widget, project: Path) -> None:
    path = project.parent / "new.tif"
    iio.imwrite(path, np.zeros((3, 20, 20), np.uint8))
    for _ in range(2):
        widget.tabs.videos.files_chosen.emit([path])
    assert rows(widget)[-1] == ("new.tif", "0", "")
    assert widget.document.unsaved
    kept = widget.document.autosave.path
    assert read_poses(kept).videos[-1].path == str(path)
    assert len(rows(widget)) == 4
