"""Smoothing of tables: what is simulated is found again, with the right doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.inference.ensemble import fuse
from napari_semimultipose.poses import Poses, Skeleton, Source
from napari_semimultipose.tracking.cameras import Camera, read_calibration, rotation_matrix
from napari_semimultipose.tracking.smoothing.poses import smooth, smooth_cameras

K = 3
SKELETON = Skeleton(tuple(f"k{i}" for i in range(K)))


def walk(frames: int, smoothness: float, seed: int = 0, keypoints: int = K) -> NDArray:
    rng = np.random.default_rng(seed)
    return 200 + np.cumsum(rng.normal(0, np.sqrt(smoothness), (frames, keypoints, 2)), 0)


def ensemble(truth: NDArray, members: int = 5, seed: int = 1) -> NDArray:
    """Members [M, F, K, 2] that err independently, on every tenth frame much."""
    rng = np.random.default_rng(seed)
    shape = truth.shape[:2]
    deviation = np.where(rng.random(shape) < 0.1, 6.0, 1.0) * rng.uniform(0.7, 1.3, shape)
    return truth + rng.normal(size=(members, *truth.shape)) * deviation[..., None]


def table(xy: NDArray, score: float = 0.9) -> Poses:
    """One animal a frame."""
    f, k = xy.shape[:2]
    return Poses(
        Skeleton(tuple(f"k{i}" for i in range(k))),
        xy[:, None],
        np.arange(f),
        score=np.full((f, 1, k), score),
        instance_score=np.full((f, 1), score),
        source=np.full((f, 1), Source.PREDICTED),
    )


def fused(xy: NDArray) -> Poses:
    return fuse([table(member) for member in xy])


@pytest.mark.parametrize("smoothness", [0.01, 0.1, 1.0, 4.0])
def test_finds_the_simulated_smoothness_and_is_as_sure_as_it_may_be(smoothness: float) -> None:
    truth = walk(3000, smoothness)
    found = smooth(fused(ensemble(truth)))
    values = np.array(list(found.smoothness.values()))
    assert np.abs(values / smoothness - 1).max() < 0.2
    poses = found.poses[0]
    assert poses.spread is not None
    z = (poses.xy[:, 0] - truth) / poses.spread[:, 0]
    assert 0.9 < z.std() < 1.1
    median_error = np.abs(np.median(ensemble(truth), 0) - truth).mean()
    assert np.abs(poses.xy[:, 0] - truth).mean() < median_error


def test_repairs_a_corrupted_member() -> None:
    truth = walk(3000, 0.3)
    members = ensemble(truth)
    clean = smooth(fused(members)).poses[0].xy[:, 0] - truth
    rng = np.random.default_rng(2)
    bad = rng.random(truth.shape[:2]) < 0.1
    members[1][bad] += 30 * np.array([0.6, 0.8])
    error = smooth(fused(members)).poses[0].xy[:, 0] - truth
    rms = np.sqrt((error**2).mean())
    assert rms < 1.05 * np.sqrt((clean**2).mean())
    assert np.abs(error[bad]).max() < 5


def test_gaps_are_bridged_and_doubt_grows_in_them() -> None:
    truth = walk(400, 0.5)
    members = ensemble(truth)
    members[:, 100:120] = np.nan
    poses = smooth(fused(members)).poses[0]
    assert poses.frame.tolist() == list(range(400))
    assert poses.spread is not None
    variance = poses.spread[:, 0, 0, 0] ** 2
    assert (np.diff(variance[99:110]) > 0).all()
    assert (np.diff(variance[110:121]) < 0).all()
    # A bridge between two known ends: from the nearer end the variance grows by the smoothness a frame.
    growth = np.diff(variance[101:105])
    value = smooth(fused(members)).smoothness["k0"]
    np.testing.assert_allclose(growth, value, rtol=0.6)
    assert (poses.score[100:120] == 0).all()
    assert (poses.score[90:100] > 0).all()
    z = (poses.xy[100:120, 0] - truth[100:120]) / poses.spread[100:120, 0]
    assert np.abs(z).max() < 4


def test_an_open_gap_has_linearly_growing_variance() -> None:
    """Only the past is known: Var = P + n s (acceptance test 8 of the specification)."""
    from napari_semimultipose.tracking.smoothing.model import Observed, Parameters

    y = np.zeros((60, 1))
    y[50:] = np.nan
    step = np.ones(60)
    step[0] = 0
    observed = Observed(y, np.ones((60, 1)), step, np.zeros(60, np.int64), 1)
    _, covariance = observed.smooth(Parameters(np.array([0.3]), np.ones(1), np.zeros(1)))
    np.testing.assert_allclose(np.diff(covariance[49:, 0, 0]), 0.3, rtol=1e-9)


def test_long_gaps_stay_open() -> None:
    truth = walk(300, 0.5)
    members = ensemble(truth)
    members[:, 100:150, 1] = np.nan
    config = SmoothConfig(max_gap_frames=20)
    poses = smooth(fused(members), config).poses[0]
    assert np.isnan(poses.xy[100:150, 0, 1]).all()
    assert np.isfinite(poses.xy[:, 0, 0]).all()
    bridged = smooth(fused(members), SmoothConfig(max_gap_frames=50)).poses[0]
    assert np.isfinite(bridged.xy[:, 0, 1]).all()
    unfilled = smooth(fused(members), SmoothConfig(max_gap_frames=50, fill=False)).poses[0]
    assert np.isnan(unfilled.xy[100:150, 0, 1]).all()


def test_one_model_learns_the_noise_from_the_course() -> None:
    truth = walk(3000, 0.2)
    rng = np.random.default_rng(3)
    score = np.where(rng.random(truth.shape[:2]) < 0.2, 0.2, 0.9)
    y = truth + rng.normal(size=truth.shape) * (1.5 / score)[..., None]
    poses = replace(table(y), score=score[:, None])
    found = smooth(poses)
    assert np.abs(np.array(list(found.smoothness.values())) / 0.2 - 1).max() < 0.2
    result = found.poses[0]
    assert result.spread is not None
    z = (result.xy[:, 0] - truth) / result.spread[:, 0]
    assert 0.9 < z.std() < 1.1


def test_published_settings_use_the_members_variance_as_it_is() -> None:
    """Against frame-by-frame formulas with the smoothness given: nothing is fitted then."""
    truth = walk(200, 0.5, keypoints=1)
    members = ensemble(truth)
    poses = fuse([table(m) for m in members], spread="variance")
    result = smooth(poses, SmoothConfig(noise="published", smoothness=0.7)).poses[0]
    assert result.spread is not None
    center = np.median(members, 0)[:, 0, 0]
    r = members.var(0)[:, 0, 0] / 0.9
    y = center - center.mean()
    mean, var = 0.0, y.var()
    filtered = []
    for t in range(len(y)):
        predicted = var if t == 0 else var + 0.7
        gain = predicted / (predicted + r[t])
        mean, var = mean + gain * (y[t] - mean), (1 - gain) * predicted
        filtered.append((mean, var))
    smoothed = [filtered[-1]]
    for m, v in filtered[-2::-1]:
        g = v / (v + 0.7)
        after = smoothed[-1]
        smoothed.append((m + g * (after[0] - m), v + g * g * (after[1] - v - 0.7)))
    expected = np.array(smoothed[::-1])
    np.testing.assert_allclose(result.xy[:, 0, 0, 0] - center.mean(), expected[:, 0], atol=1e-9)
    np.testing.assert_allclose(result.spread[:, 0, 0, 0] ** 2, expected[:, 1], atol=1e-9)


@pytest.mark.parametrize("frames", [0, 1, 2])
@pytest.mark.parametrize("noise", ["fitted", "published"])
def test_few_frames(frames: int, noise: str) -> None:
    xy = ensemble(walk(3, 0.5))[:, :frames]
    poses = fused(xy) if frames else table(xy[0])
    found = smooth(poses, SmoothConfig.model_validate({"noise": noise}))
    result = found.poses[0]
    assert len(result) == frames
    if frames == 1:
        np.testing.assert_allclose(result.xy[0, 0], np.median(xy, 0)[0], atol=1e-6)
    assert np.isfinite(result.xy).all()


def test_every_nth_frame_and_members_that_agree() -> None:
    truth = walk(200, 0.5)
    poses = replace(fused(np.stack([truth] * 3)), frame=np.arange(200) * 5)
    result = smooth(poses).poses[0]
    assert result.frame.tolist() == poses.frame.tolist()
    np.testing.assert_allclose(result.xy[:, 0], truth, atol=0.5)


# ------------------------------------------------------------------------------- several animals


def two_animals(frames: int = 400, swap: tuple[int, int] | None = None) -> tuple[Poses, NDArray]:
    rng = np.random.default_rng(5)
    body = np.array([[0, 0], [20, 0], [0, 20.0]])
    way = np.array([[100, 100], [300, 300.0]]) + np.cumsum(rng.normal(0, 1, (frames, 2, 2)), 0)
    truth = way[:, :, None] + body
    xy = truth + rng.normal(0, 1, truth.shape)
    track = np.tile(np.arange(2), (frames, 1))
    if swap is not None:
        track[slice(*swap)] = [1, 0]
    poses = Poses(
        SKELETON, xy, np.arange(frames), track=track,
        source=np.full((frames, 2), Source.PREDICTED), track_names=("left", "right"),
    )  # fmt: skip
    return poses, truth


def test_animals_are_smoothed_each_by_itself() -> None:
    poses, truth = two_animals()
    found = smooth(poses)
    result = found.poses[0]
    assert found.jumps == []
    assert result.track_names == ("left", "right")
    for animal in range(2):
        mine = result.xy[result.track == animal]
        error = np.sqrt(((mine - truth[:, animal]) ** 2).mean())
        assert error < np.sqrt(((poses.xy[:, animal] - truth[:, animal]) ** 2).mean())


def test_an_exchange_of_identities_is_told_and_not_smoothed_over() -> None:
    poses, _ = two_animals(swap=(200, 400))
    found = smooth(poses)
    assert {(j.frame, j.kind, j.track, j.other) for j in found.jumps} == {
        (200, "swap", 0, 1),
        (200, "swap", 1, 0),
    }
    result = found.poses[0]
    for row in (199, 200):
        for animal in range(2):
            seen = poses.xy[row, poses.track[row] == animal]
            smoothed = result.xy[row, result.track[row] == animal]
            assert np.abs(seen - smoothed).max() < 6


def test_a_pose_that_is_wrong_for_a_moment_is_replaced() -> None:
    poses, truth = two_animals(swap=(200, 202))
    found = smooth(poses)
    assert {(j.frame, j.kind) for j in found.jumps} == {(200, "moment")}
    result = found.poses[0]
    for animal in range(2):
        mine = result.xy[200:202][result.track[200:202] == animal]
        assert np.abs(mine - truth[200:202, animal]).max() < 8


def test_several_animals_without_tracks_are_refused() -> None:
    poses, _ = two_animals(20)
    with pytest.raises(LabelsError, match="track them first"):
        smooth(replace(poses, track=np.full((20, 2), -1)))
    with pytest.raises(LabelsError, match="frame 0 holds one animal twice"):
        smooth(replace(poses, track=np.zeros((20, 2), int)))


# --------------------------------------------------------------------------------- several views


def cameras(distance: float = 10.0) -> list[Camera]:
    """Three cameras around the origin, with some distortion; from far away they are almost affine."""
    out = []
    for i, angle in enumerate((-0.6, 0.1, 0.7)):
        rotation = rotation_matrix(np.array([0.1 * i, angle, 0.0]))
        focal = 90 * distance
        matrix = np.array([[focal, 0, 320], [0, focal, 240], [0, 0, 1.0]])
        distortion = np.array([-0.1, 0.02, 0.001, -0.001, 0, 0, 0, 0])
        out.append(Camera(f"c{i}", matrix, distortion, rotation, np.array([0, 0, distance])))
    return out


def seen_by_cameras(distance: float, frames: int = 600) -> tuple[NDArray, NDArray, list[NDArray]]:
    """Points [F, K, 3], their true pixels [V, F, K, 2], and the members of each camera."""
    rng = np.random.default_rng(0)
    points = np.cumsum(rng.normal(0, 0.01, (frames, K, 3)), 0) + rng.uniform(-1, 1, (K, 3))
    pixels = np.stack([c.project(points) for c in cameras(distance)])
    return points, pixels, [ensemble(p, 5, seed=v) for v, p in enumerate(pixels)]


@pytest.mark.parametrize("calibrated", [True, False])
def test_views_help_each_other(calibrated: bool) -> None:
    points, pixels, members = seen_by_cameras(10.0 if calibrated else 1000.0)
    members[0][:, 300:340] = np.nan  # camera 0 sees nothing for longer than a gap may be
    members[1][:, 450:455] += 40.0  # all members agree, and are wrong
    tables = [fused(m) for m in members]
    found = smooth_cameras(tables, cameras=cameras() if calibrated else ())
    result = np.stack([p.xy[:, 0] for p in found.poses])
    error = np.sqrt(((result - pixels) ** 2).mean(-1))
    alone = np.sqrt(((smooth(tables[2]).poses[0].xy[:, 0] - pixels[2]) ** 2).mean())
    assert np.sqrt((error[2] ** 2).mean()) < alone
    assert error[0, 300:340].mean() < 3
    assert error[1, 450:455].max() < 10
    spread = np.stack([p.spread[:, 0] for p in found.poses if p.spread is not None])
    z = ((result - pixels) / spread)[:, :290]
    assert 0.85 < z.std() < 1.15
    if calibrated:
        assert found.points is not None
        assert np.linalg.norm(found.points.xyz - points, axis=-1).mean() < 0.02
        z3 = (found.points.xyz - points) / np.sqrt(found.points.variance)
        assert 0.85 < z3[:290].std() < 1.15


def test_mirrored_keypoints_are_smoothed_together() -> None:
    _, pixels, members = seen_by_cameras(1000.0)
    names = [f"{part}_{view}" for view in ("top", "bot") for part in ("a", "b", "c")]
    skeleton = Skeleton((*names, "light"))
    light = np.full((5, 600, 1, 2), 50.0)
    parts = np.concatenate([members[0], members[1], light], 2)
    parts[:, 200:220, :3] = np.nan
    poses = fuse([replace_skeleton(table(p), skeleton) for p in parts])
    result = smooth(poses, mirrored=("_top", "_bot")).poses[0]
    error = np.abs(result.xy[200:220, 0, :3] - pixels[0, 200:220])
    assert error.mean() < 2
    np.testing.assert_allclose(result.xy[:, 0, 6], 50.0, atol=1e-6)


def test_the_animal_keeps_the_name_of_its_track_in_several_cameras() -> None:
    _, _, members = seen_by_cameras(1000.0, 100)
    tables = [
        replace(fused(m), track=np.full((100, 1), 2), track_names=("x", "y", "z")) for m in members
    ]
    for found in smooth_cameras(tables).poses:
        assert [found.track_names[t] for t in np.unique(found.track)] == ["z"]


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_body_part_that_one_view_never_shows_does_not_stop_the_others(calibrated: bool) -> None:
    _, pixels, members = seen_by_cameras(10.0 if calibrated else 1000.0, 200)
    for view in (1, 2):
        members[view][:, :, 2] = np.nan
    found = smooth_cameras([fused(m) for m in members], cameras=cameras() if calibrated else ())
    assert found.alone == (SKELETON.keypoints[2],)
    result = np.stack([p.xy[:, 0] for p in found.poses])
    np.testing.assert_allclose(result[:, :, :2], pixels[:, :, :2], atol=12)
    np.testing.assert_allclose(result[0, :, 2], pixels[0, :, 2], atol=12)
    assert np.isnan(result[1:, :, 2]).all()
    if calibrated:
        assert found.points is not None
        assert np.isfinite(found.points.xyz).all((0, 2)).tolist() == [True, True, False]


def test_a_mirrored_keypoint_that_is_never_seen_does_not_stop_the_others() -> None:
    _, pixels, members = seen_by_cameras(1000.0, 200)
    names = tuple(f"{part}_{view}" for view in ("top", "bot") for part in ("a", "b", "c"))
    parts = np.concatenate([members[0], members[1]], 2)
    parts[:, :, 5] = np.nan
    poses = fuse([replace_skeleton(table(p), Skeleton(names)) for p in parts])
    found = smooth(poses, mirrored=("_top", "_bot"))
    assert found.alone == ("c_top", "c_bot")
    np.testing.assert_allclose(found.poses[0].xy[:, 0, :3], pixels[0], atol=12)


def replace_skeleton(poses: Poses, skeleton: Skeleton) -> Poses:
    return replace(poses, skeleton=skeleton)


def test_views_that_do_not_fit_are_refused() -> None:
    poses = table(walk(30, 1.0))
    with pytest.raises(LabelsError, match="no body part has keypoints"):
        smooth(poses, mirrored=("_top", "_bot"))
    with pytest.raises(LabelsError, match="two different endings"):
        smooth(poses, mirrored=("_top",))
    with pytest.raises(LabelsError, match="predictions of two cameras"):
        smooth_cameras([poses])
    other = replace_skeleton(poses, Skeleton(("x", "y", "z")))
    with pytest.raises(LabelsError, match="camera 2 has the keypoints"):
        smooth_cameras([poses, other])
    with pytest.raises(LabelsError, match="seen in all views on 10 frames only"):
        smooth_cameras([poses.select(np.arange(10)), poses.select(np.arange(10))])


def test_calibrations(tmp_path: Path, shared_data: Path) -> None:
    found = read_calibration(shared_data / "eks-ensembles" / "fly" / "calibration.toml")
    assert [c.name for c in found] == ["Cam-A", "Cam-B", "Cam-C"]
    path = tmp_path / "calibration.toml"
    with pytest.raises(LabelsError, match="there is no calibration"):
        read_calibration(path)
    path.write_text("[cam_0\n")
    with pytest.raises(LabelsError, match="cannot be read as a calibration"):
        read_calibration(path)
    path.write_text('[cam_0]\nname = "a"\nmatrix = [[1, 0, 0]]\n')
    with pytest.raises(LabelsError, match="camera a is incomplete"):
        read_calibration(path)
    path.write_text("[metadata]\nerror = 1.0\n")
    with pytest.raises(LabelsError, match="holds 0 cameras"):
        read_calibration(path)
