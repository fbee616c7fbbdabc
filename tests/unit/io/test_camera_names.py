"""Names of cameras in names of files: what is seen by which camera, and in which session."""

from __future__ import annotations

import pytest

from napari_semimultipose.errors import ConfigError
from napari_semimultipose.io.camera_names import check_cameras, sightings

VIEWS = ("top", "side")


def sorted_names(names: list[str], cameras: tuple[str, ...] = VIEWS) -> list[tuple[int, int]]:
    found, _ = sightings(names, cameras)
    return [(one.camera, one.session) for one in found]


@pytest.mark.parametrize(
    ("top", "side"),
    [
        ("videos/run_top.mp4", "videos/run_side.avi"),
        ("/a/run/top.mp4", "/a/run/side.mp4"),
        ("labeled-data/run_top/img1.png", "labeled-data/run_side/img1.png"),
        ("/disk1/run.top.mp4", "/disk2/run.side.mp4"),
        ("top/top_run.mp4", "side/side_run.mp4"),
        (r"C:\data\run_top.mp4", r"C:\data\run_side.mp4"),
        ("2020.01.05_top", "2020.01.05_side"),
        ("laptop/run-top", "laptop/run-side"),
        ("runtop.mp4", "runside.mp4"),  # no word of its own: still told apart
    ],
)
def test_names_that_differ_in_the_camera_are_one_session(top: str, side: str) -> None:
    assert sorted_names([top, side, "other_top.mp4"]) == [(0, 0), (1, 0), (0, 1)]


def test_folders_tell_sessions_apart_where_files_do_not() -> None:
    names = ["a/top.mp4", "a/side.mp4", "b/top.mp4", "b/side.mp4", "b/notes.mp4"]
    assert sorted_names(names) == [(0, 0), (1, 0), (0, 1), (1, 1), (-1, -1)]
    _, titles = sightings(names, VIEWS)
    assert titles == ["a/*", "b/*"]


def test_a_project_that_is_called_like_a_camera() -> None:
    names = ["/top/a/run_top.mp4", "/top/a/run_side.mp4", "/top/b/run_top.mp4"]
    assert sorted_names(names) == [(0, 0), (1, 0), (0, 1)]


def test_the_longest_name_of_a_camera_counts() -> None:
    cameras = ("cam1", "cam10", "cam1-low")
    names = ["run_cam1.mp4", "run_cam10.mp4", "run_cam1-low.mp4"]
    assert sorted_names(names, cameras) == [(0, 0), (1, 0), (2, 0)]


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"several cameras in it \(top, side\)"):
        sightings(["top_of_side.mp4"], VIEWS)
    with pytest.raises(ConfigError, match="both of camera top"):
        sightings(["top/run_side/top.mp4", "side/run_top/top.mp4"], VIEWS)


def test_cameras_are_checked() -> None:
    check_cameras(VIEWS, ["run_top.mp4", "run_side/img1.png"])
    with pytest.raises(
        ConfigError, match=r"the camera front, low in its name; there are .*run_top"
    ):
        check_cameras(("top", "front", "low"), ["run_top.mp4", "a/run_side.mp4"])
    with pytest.raises(ConfigError, match="there are none"):
        check_cameras(VIEWS, [])
    for wrong in (("top",), ("top", "top"), ("top", "")):
        with pytest.raises(ConfigError, match="two different cameras"):
            check_cameras(wrong, ["run_top.mp4"])
