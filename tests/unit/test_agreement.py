"""The disagreement of synchronous cameras as a metric of their predictions."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_semimultipose import api
from napari_semimultipose.agreement import join
from napari_semimultipose.cli import app
from napari_semimultipose.config import Config
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.labels import write_poses
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.labeling.suggest import Suggestion, drain, suggest_frames
from napari_semimultipose.metrics import POSE, TEMPORAL, VIEWS
from napari_semimultipose.models.checkpoint import ModelInfo, write_info
from napari_semimultipose.plausibility import Yardstick, judge_of
from napari_semimultipose.plausibility import drain as measured_at_once
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

K, VIEW = 5, ("top", "side")
BODY = Skeleton(tuple("abcde"))
SIZES = ((300, 400), (240, 240))
CAMERAS = np.random.default_rng(2).normal(0, 1, (2, 2, 3))
NORMAL = np.linalg.svd(CAMERAS.reshape(4, 3))[0][:, 3].reshape(2, 2)
"""What no point in space can look like."""


def poses_of(
    seed: int, frames: int, animals: int = 1, *, name: str = "run", predicted: bool = True
) -> list[Poses]:
    """Poses of one session, a table for each camera."""
    rng = np.random.default_rng(seed)
    space = rng.normal(0, 12, (frames, animals, K, 3)) + rng.uniform(
        -50, 50, (frames, animals, 1, 3)
    )
    xy = np.einsum("vij,fakj->vfaki", CAMERAS, space) + 130
    xy += rng.normal(0, 0.3, xy.shape)
    return [
        Poses(
            BODY,
            one,
            np.arange(frames),
            source=np.full((frames, animals), Source.PREDICTED if predicted else Source.HUMAN),
            track=np.tile(np.arange(animals), (frames, 1)),
            videos=(Video(f"/videos/{name}_{VIEW[v]}.mp4", (), SIZES[v]),),
            track_names=tuple("xy"[:animals]),
        )
        for v, one in enumerate(xy)
    ]


def labels_of(animals: int = 1) -> Poses:
    return Poses.concatenate(poses_of(0, 30, animals, name="labelled", predicted=False))


def displaced(parts: list[Poses], frame: int, keypoint: int, by: float = 40) -> list[Poses]:
    """Move a keypoint of the second camera to where no point in space is for both."""
    xy = parts[1].xy.copy()
    xy[frame, 0, keypoint] += by * NORMAL[1] / np.linalg.norm(NORMAL[1])
    return [parts[0], replace(parts[1], xy=xy)]


@pytest.mark.parametrize("animals", [1, 2])
def test_a_keypoint_on_which_the_cameras_disagree_is_found(animals: int) -> None:
    parts = displaced(poses_of(1, 20, animals), 7, 3)
    found = api.measure(parts, labels=labels_of(animals), cameras=VIEW)
    assert [set(one) for one in found] == [{TEMPORAL, POSE, VIEWS}] * 2
    both = np.stack([one[VIEWS].ratio for one in found])
    frame, slot, keypoint = np.unravel_index(np.nanargmax(both.max(0)), both.shape[1:])
    assert (frame, slot, keypoint) == (7, 0, 3)
    assert both[:, 7, 0, 3].max() > 10
    rest = both.copy()
    rest[:, 7, 0, 3] = np.nan
    known = np.isfinite(rest)
    assert known.mean() > 0.9
    assert (rest[known] <= 1).mean() > 0.95


def test_the_size_of_the_pictures_does_not_matter() -> None:
    """A camera that films at twice the resolution, or labels that were made at half of it."""
    parts = displaced(poses_of(1, 20), 7, 3)
    labels = labels_of()
    config = Config().with_settings(["model.kind=heatmap"])
    yardstick = Yardstick(labels, config).with_cameras(VIEW)

    def measured(second: Poses) -> list[np.ndarray]:
        joined = join([parts[0], second], [None, None], VIEW)
        found = measured_at_once(yardstick.measure(joined.poses))
        return [joined.of_part(found, i)[VIEWS].px for i in range(2)]

    large = replace(
        parts[1],
        xy=(parts[1].xy + 0.5) * 2 - 0.5,
        videos=(replace(parts[1].videos[0], shape=(480, 480)),),
    )
    one, two = measured(parts[1]), measured(large)
    np.testing.assert_allclose(two[0], one[0], atol=1e-3)
    np.testing.assert_allclose(two[1], 2 * one[1], atol=2e-3)


def test_moments_that_a_camera_lacks_are_not_known() -> None:
    parts = poses_of(1, 20)
    gone = parts[1].select(np.r_[0:5, 8:20])
    first, second = api.measure([parts[0], gone], labels=labels_of(), cameras=VIEW)
    assert np.isnan(first[VIEWS].px[5:8]).all()
    assert np.isfinite(first[VIEWS].px[:5]).all()
    assert np.isfinite(second[VIEWS].px).all()
    assert len(second[VIEWS].px) == 17


def test_rows_and_slots_stay_where_they_were() -> None:
    parts = displaced(poses_of(1, 20, 2), 7, 3)
    order = np.random.default_rng(0).permutation(20)
    wide = np.full((20, 4, K, 2), np.nan)
    wide[:, [3, 1]] = parts[1].xy  # empty slots between
    mixed = Poses(BODY, wide, np.arange(20), videos=parts[1].videos, source=np.ones((20, 4), int))
    labels = labels_of(2)
    _, plain = api.measure(parts, labels=labels, cameras=VIEW)
    _, found = api.measure([parts[0], mixed.select(order)], labels=labels, cameras=VIEW)
    np.testing.assert_allclose(found[VIEWS].px[:, [3, 1]], plain[VIEWS].px[order], atol=1e-4)
    assert np.isnan(found[VIEWS].px[:, [0, 2]]).all()


def test_one_table_of_all_cameras_and_of_several_sessions() -> None:
    parts = displaced(poses_of(1, 10), 7, 3)
    others = poses_of(4, 6, name="other")
    whole = api.measure(Poses.concatenate([*parts, *others]), labels=labels_of(), cameras=VIEW)
    single = api.measure(parts, labels=labels_of(), cameras=VIEW)
    np.testing.assert_allclose(
        whole[VIEWS].px[:20, 0], np.concatenate([m[VIEWS].px[:, 0] for m in single]), atol=1e-4
    )
    assert np.isfinite(whole[VIEWS].px[20:]).all()


def test_what_is_missing_is_said() -> None:
    parts = poses_of(1, 10)
    yardstick = api.yardstick_of(None, labels_of(), cameras=VIEW)
    assert "of camera top alone: give those of side" in yardstick.missing(parts[0])[VIEWS]
    nameless = replace(parts[0], videos=(Video("new.mp4"),))
    assert "have a camera (top, side) in them" in yardstick.missing(nameless)[VIEWS]
    strangers = Poses.concatenate([parts[0], poses_of(1, 10, name="other")[1]])
    assert "no two cameras saw one moment" in yardstick.missing(strangers)[VIEWS]
    assert VIEWS not in yardstick.missing(Poses.concatenate(parts))
    few = labels_of()
    few = few.select((few.frame < 1) | (few.video == 0))
    few = api.yardstick_of(None, few, cameras=VIEW)  # type: ignore[assignment]
    said = few.missing(Poses.concatenate(parts))[VIEWS]  # type: ignore[attr-defined]
    assert "Of 30 labelled moments, 29 lack a camera" in said
    with pytest.raises(ConfigError, match="the camera back in its name; there are"):
        api.yardstick_of(None, labels_of(), cameras=("top", "back"))
    with pytest.raises(LabelsError, match="predictions of one recording"):
        api.measure([parts[0], parts[0]], labels=labels_of(), cameras=VIEW)


# ---------------------------------------------------------------------- files


def column(path: Path, name: str) -> list[float]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    place = rows[-len(rows)].index(name)
    return [float(row[place] or "nan") for row in rows[1:]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder without weights that knows the cameras."""
    folder = tmp_path / "model"
    config = Config().with_settings(["model.kind=heatmap", "video.cameras=[top, side]"])
    write_info(folder, ModelInfo(BODY, config, 1.0))
    write_poses(replace(labels_of(), track=np.full((60, 1), -1)), folder / "labels.slp")
    return folder


def untracked(parts: list[Poses]) -> list[Poses]:
    return [replace(p, track=np.full(p.track.shape, -1), track_names=()) for p in parts]


def test_the_command_takes_the_files_of_all_cameras(tmp_path: Path, model: Path) -> None:
    """Tables of DeepLabCut do not say what video they are of: their own names do."""
    parts = untracked(displaced(poses_of(1, 12), 7, 3))
    files = [tmp_path / f"new_{name}.csv" for name in VIEW]
    for part, file in zip(parts, files, strict=True):
        write_poses(part, file)
    out = tmp_path / "tables"
    result = CliRunner().invoke(
        app, ["measure", *map(str, files), "--model", str(model), "--out", str(out)]
    )
    assert result.exit_code == 0, result.stderr
    assert "pca_multiview_error: median" in result.stderr
    values = column(out / "new_side_pca_multiview_error.csv", "d")
    assert np.argmax(values) == 7
    assert (out / "new_top_pca_multiview_error.csv").is_file()
    assert (out / "new_top_temporal_norm.csv").is_file()
    alone = CliRunner().invoke(app, ["measure", str(files[0]), "--model", str(model)])
    assert "no pca_multiview_error: the predictions are of camera top alone" in alone.stderr
    assert not (tmp_path / "new_top_pca_multiview_error.csv").exists()


def test_one_file_of_all_cameras_gets_a_table_for_each(tmp_path: Path) -> None:
    labels, file = tmp_path / "labels.slp", tmp_path / "both.slp"
    write_poses(labels_of(), labels)
    write_poses(Poses.concatenate(displaced(poses_of(1, 12), 7, 3)), file)
    arguments = ["measure", str(file), "--labels", str(labels), "--cameras", "top,side"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    for name in VIEW:
        assert (tmp_path / f"both_run_{name}_pca_multiview_error.csv").is_file()


def test_pictures_of_one_folder_get_tables_by_camera(tmp_path: Path, model: Path) -> None:
    """Labelled images of a project, whose videos have one path: their names tell the cameras."""
    parts = untracked(poses_of(1, 12))
    images = [
        replace(p, videos=(Video("/data", tuple(f"run_{name}/img{i}.png" for i in range(12))),))
        for p, name in zip(parts, VIEW, strict=True)
    ]
    file = tmp_path / "images.slp"
    write_poses(Poses.concatenate(images), file)
    result = CliRunner().invoke(app, ["measure", str(file), "--model", str(model)])
    assert result.exit_code == 0, result.stderr
    for name in VIEW:
        table = tmp_path / f"images_{name}_pca_multiview_error.csv"
        assert np.isfinite(column(table, "d")).all()


@pytest.mark.parametrize(
    ("folder", "cameras", "most"),
    [("fly", ("Cam-A", "Cam-B", "Cam-C"), 2.0), ("mirror-mouse-separate", ("top", "bot"), 3.0)],
)
def test_real_cameras_agree(
    shared_data: Path, folder: str, cameras: tuple[str, ...], most: float
) -> None:
    """An affine model of real cameras holds within a few px, and not for frames of different moments.

    There are no labels of these recordings: every tenth frame of one network stands for them, and the other
    frames of another one are measured.
    """

    def member(number: int) -> list[Poses]:
        files = sorted((shared_data / "eks-ensembles" / folder).glob(f"*rng={number}*csv"))
        return [api.read_poses(next(f for f in files if name in f.name)) for name in cameras]

    parts = [replace(p, source=np.zeros(p.source.shape, int)) for p in member(0)]
    labels = Poses.concatenate([p.select(p.frame % 10 == 0) for p in parts])
    others = [p.select(p.frame % 10 != 0) for p in member(1)]
    found = api.measure(others, labels=labels, cameras=cameras)
    assert all(np.isfinite(one[VIEWS].px).mean() > 0.9 for one in found)
    median = np.array([np.nanmedian(one[VIEWS].px) for one in found])
    assert (median < most).all()
    if folder == "fly":
        return  # it is tied and walks on a ball: its body parts are nearly where they were
    others[-1] = replace(others[-1], frame=np.roll(others[-1].frame, 150))
    mixed = api.measure(others, labels=labels, cameras=cameras)
    assert (np.array([np.nanmedian(one[VIEWS].px) for one in mixed]) > 5 * median).all()


# ---------------------------------------------------------------- suggestions


def test_frames_on_which_the_cameras_disagree_are_suggested(model: Path) -> None:
    other, own = untracked(displaced(poses_of(1, 40), 23, 3))
    frames = open_frames(np.zeros((40, 8, 8, 1), np.uint8))
    frames.path = "/videos/run_side.mp4"

    def first(*beside: Poses) -> Suggestion:
        judge = judge_of((), model, beside)
        found = suggest_frames(frames, "uncertain", 1, predictions=[own], judge=judge)
        return drain(found)[0]

    assert (first(other, own).frame, first(other, own).kind) == (23, "views")
    assert first(own).kind != "views"
    with pytest.raises(ConfigError, match="a model that compares cameras"):
        api.suggest(frames, predictions=own, other_cameras=[other])
