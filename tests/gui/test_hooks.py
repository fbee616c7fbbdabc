"""What napari finds in the manifest: readers, writers, samples, menus."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image, Points, Tracks, Vectors
from npe2 import PluginManifest

import napari_semimultipose
from napari_semimultipose._reader import VIDEO_PATTERNS, get_frames_reader, get_labels_reader
from napari_semimultipose.io.labels import FORMATS, read_poses, write_poses
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.layers.points import points_layer_data, poses_from_layer
from napari_semimultipose.poses import Poses, Skeleton, Video

from .conftest import process_events

PACKAGE = Path(napari_semimultipose.__file__).parent
NAME = "napari-semimultipose"
HEAVY = ("torch", "torchvision", "av", "h5py", "sleap_io", "lightning_fabric", "matplotlib")


@pytest.fixture
def manifest():
    return PluginManifest.from_file(PACKAGE / "napari.yaml")


@pytest.fixture
def plugin(npe2pm):
    """Our plugin and the readers and writers of napari, which the fixtures hide."""
    for package in ("napari", NAME):
        manifest = PluginManifest.from_distribution(package)
        if manifest.name not in npe2pm:
            npe2pm.register(manifest)
    return npe2pm


def small_poses(videos=1):
    xy = np.random.default_rng(0).uniform(5, 60, (4, 2, 3, 2)).round(2)
    return Poses(
        Skeleton(("head", "body", "tail"), edges=((0, 1), (1, 2))),
        xy,
        np.arange(4),
        track=np.tile([0, 1], (4, 1)),
        track_names=("a", "b"),
        video=np.arange(4) % videos,
        videos=tuple(Video(f"clip{i}.mp4") for i in range(videos)),
    )


# ---------------------------------------------------------------- the manifest


def test_the_manifest_at_the_root_is_the_one_in_the_package():
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").exists():
        pytest.skip("the tests run outside of the repository")
    assert (root / "napari.yaml").read_text() == (PACKAGE / "napari.yaml").read_text()


def test_every_command_can_be_imported(manifest):
    for command in manifest.contributions.commands:
        assert callable(command.python_name and manifest_import(command.python_name))


def manifest_import(python_name):
    from importlib import import_module

    module, attribute = python_name.split(":")
    return getattr(import_module(module), attribute)


def test_the_manifest_covers_every_format_that_is_a_file(manifest):
    patterns = {p for r in manifest.contributions.readers for p in r.filename_patterns}
    endings = tuple(e for w in manifest.contributions.writers for e in w.filename_extensions)
    for known in FORMATS.values():
        for suffix in known.suffixes:
            assert not known.reads or any(fnmatch(f"x{suffix}", p) for p in patterns)
            assert not known.writes or suffix.endswith(endings)


def test_the_manifest_lists_the_videos_that_the_reader_takes(manifest):
    (reader,) = (r for r in manifest.contributions.readers if "frames" in r.command)
    assert tuple(reader.filename_patterns) == VIDEO_PATTERNS


def test_menus_of_napari_take_our_commands(manifest):
    from napari._app_model.constants._menus import MenuId, is_menu_contributable

    known = set(MenuId)
    for menu in manifest.contributions.menus:
        assert menu in known
        assert is_menu_contributable(menu)


def child(code: str) -> str:
    """Run a fresh interpreter; it has the display of this one."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_discovery_imports_nothing_heavy():
    code = f"""
import sys
from npe2 import PluginManager
pm = PluginManager.instance()
pm.discover(include_npe1=False)
assert {NAME!r} in pm, list(pm._manifests)
import napari_semimultipose
print([m for m in {(*HEAVY, "pandas")!r} if m in sys.modules])
"""
    assert child(code).strip() == "[]"


@pytest.mark.parametrize(
    "widget", ["annotate:AnnotateWidget", "train:TrainWidget", "predict:PredictWidget"]
)
def test_opening_a_widget_imports_nothing_heavy(widget):
    module, name = widget.split(":")
    code = f"""
import sys, os
import napari, numpy as np
before = set(sys.modules)
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros((4, 32, 32), np.uint8), contrast_limits=(0, 255))
from napari_semimultipose.widgets.{module} import {name}
viewer.window.add_dock_widget({name}(viewer))
print([m for m in {HEAVY!r} if m in sys.modules], flush=True)
os._exit(0)
"""
    assert child(code).strip() == "[]"


@pytest.mark.parametrize(
    "name", ["Annotate", "Train", "Predict", "Review", "Smooth", "Trajectories"]
)
def test_widgets_open_from_the_menu(viewer, plugin, name):
    dock, widget = viewer.window.add_plugin_dock_widget(NAME, name)
    process_events()
    assert widget.isVisible()
    assert dock.windowTitle().startswith(name)


# --------------------------------------------------------------------- readers


def test_labels_open_with_their_video(tmp_path, viewer, plugin):
    frames, truth = make_recording(4, size=(64, 64), animals=2)
    folder = tmp_path / "clip"
    folder.mkdir()
    import imageio.v3 as iio

    for i, frame in enumerate(frames):
        iio.imwrite(folder / f"{i}.png", frame)
    images = tuple(f"{i}.png" for i in range(4))
    poses = truth.select([0, 2])
    poses = Poses.concatenate([poses])
    labels = replace(poses, videos=(Video(str(folder), images=images, shape=(64, 64)),))
    write_poses(labels, tmp_path / "labels.slp")
    layers = viewer.open(tmp_path / "labels.slp", plugin=NAME)
    assert {type(layer) for layer in layers} >= {Image, Points, Vectors}
    image = next(layer for layer in layers if isinstance(layer, Image))
    np.testing.assert_array_equal(np.asarray(image.data[2]), frames[2])
    again = viewer.open(tmp_path / "labels.slp", plugin=NAME)
    assert not any(isinstance(layer, Image) for layer in again)  # the frames are there already


def test_tracked_labels_have_tracks_and_keep_everything(tmp_path, viewer, plugin):
    poses = small_poses()
    write_poses(poses, tmp_path / "labels.slp")
    layers = viewer.open(tmp_path / "labels.slp", plugin=NAME)
    assert [type(layer) for layer in layers] == [Tracks, Vectors, Points]
    again = poses_from_layer(layers[-1])
    np.testing.assert_allclose(again.xy, poses.xy)
    np.testing.assert_array_equal(again.track, poses.track)


def test_labels_of_two_videos_are_two_layers_that_save_as_one_file(tmp_path, viewer, plugin):
    poses = small_poses(videos=2)
    write_poses(poses, tmp_path / "labels.slp")
    layers = [x for x in viewer.open(tmp_path / "labels.slp", plugin=NAME) if type(x) is Points]
    assert [layer.visible for layer in layers] == [True, False]
    viewer.layers.selection = set(layers)
    viewer.layers.save(str(tmp_path / "again.slp"), selected=True, plugin=NAME)
    again = read_poses(tmp_path / "again.slp")
    assert len(again.videos) == 2
    np.testing.assert_allclose(np.sort(again.xy[..., 0].ravel()), np.sort(poses.xy[..., 0].ravel()))


@pytest.mark.parametrize("named", [True, False])
def test_animals_of_several_layers_stay_different_animals(tmp_path, viewer, plugin, named):
    """Each layer numbers its tracks for itself."""
    poses = small_poses()
    first = replace(poses, track_names=("mouse", "rat") if named else ())
    second = replace(poses, track_names=("beetle", "mouse") if named else ())
    for one, name in ((first, "first"), (second, "second")):
        data, attributes, _ = points_layer_data(one, name=name)
        viewer.add_points(data, **attributes)
    viewer.layers.selection = {x for x in viewer.layers if type(x) is Points}
    viewer.layers.save(str(tmp_path / "both.slp"), selected=True, plugin=NAME)
    both = read_poses(tmp_path / "both.slp")
    wanted = {"mouse", "rat", "beetle", "mouse (2)"} if named else {"0", "1", "0 (2)", "1 (2)"}
    for row in both.track.tolist():
        assert {both.track_names[t] for t in row} == wanted


def test_of_many_points_the_viewer_gets_those_near_the_current_frame(tmp_path, viewer, plugin):
    xy = np.random.default_rng(0).uniform(0, 60, (5000, 2, 3, 2)).round(2)
    skeleton = Skeleton(("head", "body", "tail"), edges=((0, 1), (1, 2)))
    track = np.tile([0, 1], (5000, 1))
    poses = Poses(skeleton, xy, np.arange(5000), track=track, videos=(Video("clip.mp4"),))
    write_poses(poses, tmp_path / "long.slp")
    image = np.broadcast_to(np.zeros((64, 64), np.uint8), (5000, 64, 64))
    viewer.add_image(image, contrast_limits=(0, 255), name="clip.mp4")
    viewer.open(tmp_path / "long.slp", plugin=NAME)
    names = [layer.name for layer in viewer.layers]
    assert names == ["clip.mp4", "long tracks", "long skeleton", "long"]
    points = viewer.layers["long"]
    for frame in (0, 4999, 2500):
        viewer.dims.set_point(0, frame)
        here = points.data[points.data[:, 0] == frame]
        np.testing.assert_allclose(np.sort(here[:, 2]), np.sort(xy[frame, ..., 0], axis=None))
        assert len(points.data) < 2000
    np.testing.assert_allclose(poses_from_layer(points).xy, xy)
    viewer.layers.selection = {points}
    viewer.layers.save(str(tmp_path / "again.slp"), selected=True, plugin=NAME)
    assert len(read_poses(tmp_path / "again.slp")) == 5000


def test_a_folder_of_images_opens_lazily(tmp_path, viewer, plugin):
    import imageio.v3 as iio

    for i in range(3):
        iio.imwrite(tmp_path / f"img{i}.png", np.full((20, 30 + i, 3), 50 * i, np.uint8))
    (layer,) = viewer.open(tmp_path, plugin=NAME)
    assert layer.data.shape == (3, 20, 32, 3)
    assert layer.rgb
    viewer.dims.set_point(0, 2)
    assert (np.asarray(layer.data[2]) == 100).all()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table.csv", b"time,x,y\n0,1,2\n"),
        ("settings.json", b'{"a": [1, 2, 3]}'),
        ("boxes.json", b'{"annotations": [{"bbox": [0, 0, 1, 1]}], "images": []}'),
        ("volume.h5", b"\x89HDF\r\n\x1a\nrubbish"),
        ("cells.nwb", b"\x89HDF\r\n\x1a\nrubbish"),
        ("empty.slp", b""),
        ("renamed.slp", b"this is a text"),
        ("empty.json", b""),
    ],
)
def test_files_of_others_are_left_alone(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert get_labels_reader(str(tmp_path / name)) is None
    assert get_frames_reader(str(tmp_path / name)) is None


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert get_labels_reader(str(tmp_path)) is None
    assert get_frames_reader(str(tmp_path)) is None
    assert get_frames_reader([str(tmp_path)]) is None


def test_real_labels_are_recognised(shared_data):
    labels = [
        shared_data / "honeybee" / "annotations_labeled.json",
        shared_data / "mouse-mirror" / "CollectedData.csv",
        *sorted((shared_data / "fly-pair-demo").glob("*.slp")),
        *sorted((shared_data / "formats" / "nwb").glob("*.nwb")),
    ]
    for path in labels:
        assert get_labels_reader(str(path)) is not None


# --------------------------------------------------------------------- writers


@pytest.mark.parametrize("suffix", [".slp", ".json", ".csv", ".h5", ".analysis.h5", ".nwb"])
def test_a_points_layer_is_saved_in_every_format(tmp_path, viewer, plugin, suffix):
    poses = small_poses()
    write_poses(poses, tmp_path / "labels.slp")
    layers = viewer.open(tmp_path / "labels.slp", plugin=NAME)
    target = tmp_path / f"saved{suffix}"
    viewer.layers.selection = {layers[-1]}
    viewer.layers.save(str(target), selected=True, plugin=NAME)
    assert get_labels_reader(str(target)) is not None
    np.testing.assert_allclose(
        np.sort(read_poses(target).xy, axis=None), np.sort(poses.xy, axis=None), atol=1e-3
    )


def test_plain_points_stay_with_the_writer_of_napari(tmp_path, viewer, plugin):
    layer = viewer.add_points(np.ones((2, 3)))
    viewer.layers.selection = {layer}
    viewer.layers.save(str(tmp_path / "points.csv"), selected=True)
    assert (tmp_path / "points.csv").read_text().startswith("index")


# --------------------------------------------------------------------- samples


@pytest.mark.parametrize("key", ["beetles", "mice", "beetles-without-labels"])
def test_samples_open_quickly_and_can_be_learnt_from(viewer, plugin, key):
    layers = viewer.open_sample(NAME, key)
    image = layers[0]
    assert isinstance(image, Image)
    assert image.data.shape[0] == 120
    if key != "beetles-without-labels":
        poses = poses_from_layer(layers[-1])
        assert len(poses) == 20
        assert viewer.dims.current_step[0] in poses.frame  # the viewer opens where labels are
        assert (poses.track == -1).all()
        x, y = np.moveaxis(poses.xy[poses.visible > 0], -1, 0)
        assert x.max() < image.data.shape[2]
        assert y.max() < image.data.shape[1]


def test_a_lightning_pose_folder_opens_with_its_images(tmp_path):
    """The folder itself, its configuration, and one of several cameras."""
    from PIL import Image as Picture

    for view in ("top", "side"):
        folder = tmp_path / "labeled-data" / view
        folder.mkdir(parents=True)
        lines = ["scorer,me,me", "bodyparts,nose,nose", "coords,x,y"]
        for i in range(3):
            Picture.fromarray(np.zeros((20, 30), np.uint8)).save(folder / f"img{i}.png")
            lines.append(f"labeled-data/{view}/img{i}.png,{i},5")
        (tmp_path / f"CollectedData_{view}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "config.yaml").write_text(
        "data:\n  csv_file: [CollectedData_top.csv, CollectedData_side.csv]\n"
    )
    manifest = PluginManifest.from_file(PACKAGE / "napari.yaml")
    (labels,) = (r for r in manifest.contributions.readers if "labels" in r.command)
    assert any(fnmatch("config.yaml", pattern) for pattern in labels.filename_patterns)
    for place in (tmp_path, tmp_path / "config.yaml"):
        reader = get_labels_reader(str(place))
        assert reader is not None
        layers = reader(str(place))
        kinds = [kind for _, _, kind in layers]
        assert kinds.count("image") == 1
        assert kinds.count("points") == 2
    (tmp_path / "other.yaml").write_text("a: 1")
    assert get_labels_reader(str(tmp_path / "other.yaml")) is None
