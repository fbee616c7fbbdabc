"""Which image layer shows which recording of a labels file."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from napari.layers import Image

from napari_semimultipose.io.layer_data import image_layer
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.widgets.recordings import (
    choose,
    fit,
    place_of_recording,
    shows,
    video_of,
)

SKELETON = Skeleton(("a",))


def folder_of_images(place: Path, n: int = 4) -> Path:
    place.mkdir(parents=True)
    for i in range(n):
        iio.imwrite(place / f"img{i}.png", np.full((20, 30), i, np.uint8))
    return place


def layer_of(source) -> Image:
    data, attributes, _ = image_layer(open_frames(source), "layer")
    return Image(data, **attributes)


def labels(video: Video, frames) -> Poses:
    return Poses(SKELETON, np.ones((len(frames), 1, 1, 2)), frames, videos=(video,))


def test_a_layer_names_its_recording(tmp_path):
    folder = folder_of_images(tmp_path / "day1")
    video = video_of(layer_of(folder))
    assert video.path == str(folder)
    assert video.images == tuple(f"img{i}.png" for i in range(4))
    assert video.shape == (20, 30)
    assert shows(layer_of(folder), video)


def test_folders_with_images_of_the_same_names_are_two_recordings(tmp_path):
    a, b = (layer_of(folder_of_images(tmp_path / day)) for day in ("day1", "day2"))
    assert not shows(a, video_of(b))


@pytest.mark.parametrize(
    ("root", "names"),
    [
        ("", ("day1/img2.png", "day1/img0.png")),
        ("/elsewhere/day1", ("img2.png", "img0.png")),
        ("C:\\data", ("day1\\img2.png", "day1\\img0.png")),
        ("", ("img2.png", "img0.png")),
    ],
)
def test_images_are_found_by_name_in_whatever_order(tmp_path, root, names):
    layer = layer_of(folder_of_images(tmp_path / "day1"))
    poses = labels(Video(root, names), [0, 1])
    assert shows(layer, poses.videos[0])
    fitted = fit(poses, 0, layer)
    assert fitted.frame.tolist() == [2, 0]
    assert fitted.image_name(0) == names[0]
    assert len(fitted.videos[0].images) == 4


def test_labels_of_an_image_that_is_not_there_do_not_fit(tmp_path):
    layer = layer_of(folder_of_images(tmp_path / "day1"))
    assert fit(labels(Video("", ("img1.png", "img9.png")), [0, 1]), 0, layer) is None
    assert fit(labels(Video("", ("img1.png", "img9.png")), [0]), 0, layer) is not None


def test_videos_are_compared_by_name_but_two_that_exist_are_two(tmp_path):
    files = []
    for day in ("day1", "day2"):
        (tmp_path / day).mkdir()
        files.append(tmp_path / day / "clip.npy")
        np.save(files[-1], np.zeros((3, 20, 30), np.uint8))
    layer = layer_of(files[0])
    assert shows(layer, Video(str(files[0])))
    assert shows(layer, Video("/moved/clip.npy"))
    assert not shows(layer, Video(str(files[1])))
    assert not shows(layer, Video("/moved/other.npy"))
    assert not shows(layer, Video(""))


def test_the_video_with_the_most_labels_is_chosen(tmp_path):
    layers = [layer_of(folder_of_images(tmp_path / f"day{i}")) for i in range(3)]
    parts = [labels(video_of(layers[i]), range(n)) for i, n in ((0, 1), (1, 3))]
    _, video, image = choose(Poses.concatenate(parts), layers)
    assert (video, image) == (1, layers[1])
    assert choose(labels(Video("gone.mp4"), [0]), layers) is None


def test_what_belongs_to_a_recording_lies_beside_it(tmp_path, home):
    folder = folder_of_images(tmp_path / "day1")
    assert place_of_recording(layer_of(folder)) == folder
    assert place_of_recording(layer_of(sorted(folder.iterdir()))) == folder
    stack = Image(np.zeros((3, 20, 30), np.uint8), name="stack")
    assert place_of_recording(stack) == home / "semimultipose" / "stack"
