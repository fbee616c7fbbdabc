"""Metrics of predictions: what they find, in which unit, and in which files."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_semimultipose import api
from napari_semimultipose.cli import app
from napari_semimultipose.errors import ConfigError, LabelsError, ModelError
from napari_semimultipose.io.labels import write_poses
from napari_semimultipose.metrics import POSE, TEMPORAL, VIEWS
from napari_semimultipose.models.checkpoint import ModelInfo, write_info
from napari_semimultipose.plausibility import Yardstick, drain, temporal_metric
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

BODY = Skeleton(("nose", "left", "right", "middle", "tail", "tip"))
SHAPE = np.array([[0, 0], [-8, 12], [8, 12], [0, 20], [0, 40], [2, 55]], float)
CAMERAS = np.random.default_rng(11).normal(0, 1, (2, 2, 3))
MIRROR = Skeleton(tuple(f"{part}_{view}" for view in ("top", "bot") for part in "abcdef"))


def bodies(rng: np.random.Generator, n: int, turned: bool = True) -> np.ndarray:
    """Animals that bend [n, 6, 2], px."""
    xy = np.repeat(SHAPE[None], n, 0)
    xy[:, :, 0] += rng.normal(0, 1, (n, 1)) * (SHAPE[:, 1] - 20) ** 2 / 150
    angle = rng.uniform(0, 2 * np.pi, n) if turned else np.zeros(n)
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    place = rng.uniform(80, 220, (n, 1, 2)) if turned else 100.0
    return np.einsum("ijn,nkj->nki", turn, xy) + place + rng.normal(0, 0.3, (n, 6, 2))


def predicted(xy: np.ndarray, skeleton: Skeleton = BODY, size: int = 300, **more: object) -> Poses:
    """Predictions [F, N, K, 2] on a video."""
    more = {"videos": (Video("video.mp4", (), (size, size)),)} | more
    source = np.full(xy.shape[:2], Source.PREDICTED)
    return Poses(skeleton, xy, np.arange(len(xy)), source=source, **more)  # type: ignore[arg-type]


@pytest.fixture
def flock() -> Poses:
    """Labels of two animals a frame that turn freely."""
    xy = bodies(np.random.default_rng(0), 120).reshape(60, 2, 6, 2)
    return Poses(BODY, xy, np.arange(60), videos=(Video("video.mp4", (), (300, 300)),))


@pytest.fixture
def herd() -> Poses:
    """Predictions of two animals that are moved a little from frame to frame, one keypoint displaced."""
    two = bodies(np.random.default_rng(5), 2)
    xy = two + 2.0 * np.arange(20)[:, None, None, None] * [[[1.0, 0.0]]]
    xy[7, 1, 4] += [0, 25]
    return predicted(xy, track=np.tile([0, 1], (20, 1)), track_names=("a", "b"))


def test_a_displaced_keypoint_of_one_animal_is_found(flock: Poses, herd: Poses) -> None:
    found = api.measure(herd, labels=flock)
    assert set(found) == {TEMPORAL, POSE}
    pose = found[POSE]
    assert np.unravel_index(np.nanargmax(pose.ratio), pose.px.shape) == (7, 1, 4)
    assert pose.px[7, 1, 4] == pytest.approx(25, abs=6)
    assert (np.delete(pose.ratio, 7, 0) <= 1).mean() > 0.95
    way = found[TEMPORAL].px
    assert np.isnan(way[0]).all()
    usual = np.ones(way.shape, bool)
    usual[[0, 7, 8]] = False
    np.testing.assert_allclose(way[usual], 2.0, atol=1e-9)
    assert way[7, 1, 4] == pytest.approx(np.hypot(2, 25))


def test_ways_go_by_tracks_and_not_by_slots(flock: Poses, herd: Poses) -> None:
    order = np.arange(20) % 2
    slots = np.stack([order, 1 - order], 1)
    mixed = predicted(
        np.take_along_axis(herd.xy, slots[..., None, None], 1),
        track=np.take_along_axis(herd.track, slots, 1),
    )
    for poses in (mixed, replace(mixed, track=np.full(mixed.track.shape, -1))):
        way = api.measure(poses, labels=flock)[TEMPORAL]
        assert np.nanmedian(way.px) == pytest.approx(2.0)
        assert np.nanmax(way.px) < 30


def test_a_gap_has_no_way(herd: Poses) -> None:
    way = temporal_metric(herd.select([0, 1, 2, 3, 9, 10]), size=55)
    assert np.isnan(way.px[4]).all()
    assert np.isfinite(way.px[[1, 2, 3, 5]]).all()


def test_few_keypoints_tell_no_pose(flock: Poses) -> None:
    xy = bodies(np.random.default_rng(1), 4)[:, None]
    xy[2, 0, 1:5] = np.nan
    pose = api.measure(predicted(xy), labels=flock)[POSE]
    assert np.isnan(pose.px[2]).all()
    assert np.isfinite(pose.px[[0, 1, 3]]).all()


def test_several_videos_and_rows_in_any_order(flock: Poses, herd: Poses) -> None:
    both = Poses.concatenate([herd, replace(herd, videos=(Video("other.mp4", (), (300, 300)),))])
    order = np.random.default_rng(2).permutation(len(both))
    one, two = api.measure(herd, labels=flock), api.measure(both.select(order), labels=flock)
    for name in one:
        back = np.empty_like(two[name].px)
        back[order] = two[name].px
        np.testing.assert_allclose(back, np.concatenate([one[name].px] * 2), atol=1e-4)


def test_labels_of_another_resolution_give_the_same_in_px_of_the_recording() -> None:
    """The heat-map network sees every frame at one size; so do the metrics."""
    rng = np.random.default_rng(3)
    labels = Poses(
        BODY,
        bodies(rng, 60, turned=False)[:, None],
        np.arange(60),
        videos=(Video("a", (), (200, 200)),),
    )
    xy = bodies(rng, 30, turned=False)[:, None]
    xy[4, 0, 2] += 12
    one = api.measure(predicted(xy, size=200), labels=labels)
    two = api.measure(predicted(2 * xy + 0.5, size=400), labels=labels)
    for name in (POSE, TEMPORAL):
        np.testing.assert_allclose(two[name].px, 2 * one[name].px, atol=2e-2)
        np.testing.assert_allclose(two[name].limit_px, 2 * one[name].limit_px, rtol=1e-3)


def in_space(rng: np.random.Generator, n: int) -> np.ndarray:
    """Six body parts of an animal in two views of affine cameras [n, 12, 2], px."""
    space = rng.normal(0, 30, (n, 6, 3))
    views = np.einsum("vij,npj->nvpi", CAMERAS, space) + 200
    return views.reshape(n, 12, 2) + rng.normal(0, 0.2, (n, 12, 2))


def test_views_that_disagree_are_found() -> None:
    rng = np.random.default_rng(4)
    labels = Poses(MIRROR, in_space(rng, 40)[:, None], np.arange(40))
    xy = in_space(rng, 15)[:, None]
    xy[6, 0, 2] += 40
    xy[9, 0, 8] = np.nan
    views = api.measure(predicted(xy, MIRROR), labels=labels)[VIEWS]
    assert views.ratio[6, 0, [2, 8]].max() > 5
    assert np.isnan(views.px[9, 0, [2, 8]]).all()
    rest = np.delete(views.ratio, 6, 0)
    assert (rest[np.isfinite(rest)] <= 1).mean() > 0.95


def test_what_cannot_be_measured_is_said(flock: Poses, herd: Poses) -> None:
    few = Yardstick.of_labels(flock.select([0, 1]))
    said = few.missing(herd)
    assert "label 4 more" in said[POSE]
    assert "mouse1_top" in said[VIEWS]
    assert set(drain(few.measure(herd))) == {TEMPORAL}
    with pytest.raises(ConfigError, match="one of them"):
        api.measure(herd)
    with pytest.raises(LabelsError, match="no labelled animal"):
        api.measure(herd, labels=herd)
    with pytest.raises(LabelsError, match="one skeleton"):
        api.measure(herd, labels=replace(flock, skeleton=Skeleton(tuple("uvwxyz"))))


def test_nothing_predicted(flock: Poses) -> None:
    assert api.measure(Poses.empty(BODY), labels=flock) == {}
    nobody = predicted(np.full((3, 1, 6, 2), np.nan))
    assert np.isnan(api.measure(nobody, labels=flock)[POSE].px).all()


def test_a_long_recording_is_measured_quickly(flock: Poses) -> None:
    import time

    xy = bodies(np.random.default_rng(6), 10_000)[:, None]
    yardstick = Yardstick.of_labels(flock)
    start = time.process_time()
    drain(yardstick.measure(predicted(xy)))
    assert time.process_time() - start < 10  # 0.5 s on an idle core


# ---------------------------------------------------------------------- files


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def model(tmp_path: Path, flock: Poses) -> Path:
    """A model folder without weights: metrics need its labels alone."""
    folder = tmp_path / "model"
    write_info(
        folder, ModelInfo(BODY, api.Config().with_settings({"model.kind": "directpose"}), 1.0)
    )
    write_poses(flock, folder / "labels.slp")
    return folder


def test_the_command_writes_a_table_for_each_metric(
    tmp_path: Path, model: Path, herd: Poses
) -> None:
    file = tmp_path / "herd.slp"
    write_poses(herd, file)
    result = CliRunner().invoke(app, ["measure", str(file), "--model", str(model)])
    assert result.exit_code == 0, result.stderr
    assert "no pca_multiview_error" in result.stderr
    assert "beyond what is plausible" in result.stderr
    animals, parts, *frames = rows_of(tmp_path / "herd_pca_singleview_error.csv")
    assert animals == ["individuals", *["a"] * 6, *["b"] * 6]
    assert parts == ["bodyparts", *BODY.keypoints, *BODY.keypoints]
    assert [row[0] for row in frames] == [str(i) for i in range(20)]
    assert np.argmax([float(row[11]) for row in frames]) == 7
    way = rows_of(tmp_path / "herd_temporal_norm.csv")
    assert set(way[2][1:]) == {""}
    assert not (tmp_path / "herd_pca_multiview_error.csv").exists()


def test_one_animal_has_the_layout_of_lightning_pose(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(7)
    labels = Poses(MIRROR, in_space(rng, 40)[:, None], np.arange(40))
    poses = predicted(in_space(rng, 5)[:, None], MIRROR)
    found = api.measure(poses, labels=labels, out=tmp_path / "video.csv")
    for name in (TEMPORAL, POSE, VIEWS):
        table = pandas.read_csv(tmp_path / f"video_{name}.csv", index_col=0)
        assert list(table.columns) == list(MIRROR.keypoints)
        assert list(table.index) == list(range(5))
        np.testing.assert_allclose(table.to_numpy(), found[name].px[:, 0], atol=1e-4)


def test_images_have_their_names_and_the_set_that_they_were_in(
    tmp_path: Path, model: Path, flock: Poses
) -> None:
    names = tuple(f"labeled-data/a/img{i}.png" for i in range(3))
    (model / "split.json").write_text(
        '{"train": [[0, "labeled-data/a/img1.png"]], "validation": [[0, "labeled-data/a/img2.png"]]}'
    )
    xy = bodies(np.random.default_rng(8), 3)[:, None]
    poses = predicted(xy, videos=(Video("", names),))
    found = api.measure(poses, model=model, out=tmp_path / "images.csv")
    assert set(found) == {POSE}  # images do not follow each other
    head, *rows = rows_of(tmp_path / f"images_{POSE}.csv")
    assert head[-1] == "set"
    assert [(row[0], row[-1]) for row in rows] == list(
        zip(names, ("unused", "train", "validation"), strict=True)
    )


def test_tables_of_files_of_one_name_are_not_written_over_each_other(
    tmp_path: Path, model: Path, herd: Poses
) -> None:
    files = [tmp_path / run / "cam0.slp" for run in ("run1", "run2")]
    for file in files:
        file.parent.mkdir()
        write_poses(replace(herd, videos=(Video(f"{file.parent.name}.mp4"),)), file)
    command = ["measure", *map(str, files), "--model", str(model)]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "tables")])
    assert result.exit_code != 0
    assert "would have the same names" in result.stderr
    assert not list((tmp_path / "tables").glob("*.csv"))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    assert all(list(file.parent.glob("cam0_*.csv")) for file in files)


def test_images_of_other_sessions_with_the_same_file_names_were_not_used(
    tmp_path: Path, model: Path, flock: Poses
) -> None:
    (model / "split.json").write_text(
        '{"train": [[0, "s1/img0.png"], [0, "s2/img0.png"]], "validation": [[0, "s1/img2.png"]]}'
    )
    xy = bodies(np.random.default_rng(8), 3)[:, None]
    names = tuple(f"img{i}.png" for i in range(3))

    def sets(folder: str) -> list[str]:
        poses = predicted(xy, videos=(Video(folder, names),))
        api.measure(poses, model=model, out=tmp_path / "images.csv")
        return [row[-1] for row in rows_of(tmp_path / f"images_{POSE}.csv")[1:]]

    assert sets("/data/s9") == ["unused"] * 3
    assert sets("/data/s2") == ["train", "unused", "unused"]
    assert sets("/moved/to/s1") == ["train", "unused", "validation"]
    # Without a folder the first fits two, which are both of one set.
    assert sets("") == ["train", "unused", "validation"]


def test_a_model_without_labels(tmp_path: Path, model: Path, herd: Poses) -> None:
    (model / "labels.slp").unlink()
    with pytest.raises(ModelError, match="give the labels"):
        api.measure(herd, model=model)


def test_real_labels_are_plausible(shared_data: Path) -> None:
    labels = api.read_poses(shared_data / "mouse-mirror" / "CollectedData.csv")
    found = api.measure(labels, labels=labels)
    assert 0.5 < np.nanmedian(found[POSE].px) < 6
    assert 0.5 < np.nanmedian(found[VIEWS].px) < 4
    for metric in found.values():
        assert (metric.ratio > 1).sum() < 0.02 * np.isfinite(metric.ratio).sum()


# ---------------------------------------------------------------- suggestions


def film(count: int) -> np.ndarray:
    return np.zeros((count, 8, 8, 1), np.uint8)


def test_frames_whose_poses_are_unlike_the_labels_are_suggested(flock: Poses) -> None:
    rng = np.random.default_rng(9)
    xy = np.repeat(bodies(rng, 1)[:, None], 200, 0) + rng.normal(0, 0.2, (200, 1, 6, 2))
    slow = np.concatenate([np.linspace(0, 1, 6), np.linspace(1, 0, 6)])[:, None]
    xy[40:52, 0, 4] += slow * [18, 0]  # never a jump
    poses, labels = predicted(xy), replace(flock, frame=np.arange(60) + 1000)
    found = api.suggest(film(200), count=1, predictions=poses, labels=labels)
    assert found[0].frame in range(43, 49)
    assert "'tail'" in found[0].reason
    assert "what labels allow" in found[0].reason
    without = api.suggest(film(200), count=1, predictions=poses)
    assert "what labels allow" not in without[0].reason


def test_frames_whose_views_disagree_are_suggested() -> None:
    rng = np.random.default_rng(10)
    labels = Poses(MIRROR, in_space(rng, 9)[:, None], np.arange(9))
    xy = in_space(rng, 60)[:, None]
    off = np.linalg.svd(CAMERAS.reshape(4, 3))[0][2:, 3]  # what no point in space can do
    xy[33, 0, 6:] += (
        40 * off
    )  # the pose in each view is as usual, and the views do not belong together
    poses = predicted(xy, MIRROR)
    (found,) = api.suggest(film(60), count=1, predictions=poses, labels=labels)
    assert (found.frame, found.kind) == (33, "views")
    assert found.reason.startswith("the views disagree by ")
