"""The smooth command and verb: files of members and cameras in, smoothed tables out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from napari_semimultipose import api, smoothing
from napari_semimultipose.cli import app
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Source
from napari_semimultipose.smoothing import by_camera

COORDS = ["x", "y", "likelihood"]
EKS_COORDS = [
    *COORDS, "x_ens_median", "y_ens_median", "x_ens_var", "y_ens_var", "x_posterior_var", "y_posterior_var",
]  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def lightning_pose_file(path: Path, xy: NDArray, names: list[str], likelihood: float = 0.9) -> Path:
    """Write predictions as Lightning Pose does: three header rows, a row for each frame."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scorer", *["heatmap_tracker"] * (3 * len(names))])
        writer.writerow(["bodyparts", *[n for n in names for _ in COORDS]])
        writer.writerow(["coords", *COORDS * len(names)])
        for i, row in enumerate(xy):
            cells = [c for x, y in row for c in ((x, y, likelihood) if x == x else ("", "", ""))]
            writer.writerow([i, *cells])
    return path


@pytest.fixture
def truth() -> NDArray:
    return 100 + np.cumsum(np.random.default_rng(0).normal(0, 0.5, (300, 2, 2)), 0)


@pytest.fixture
def members(tmp_path: Path, truth: NDArray) -> list[Path]:
    rng = np.random.default_rng(1)
    out = []
    for i in range(5):
        xy = truth + rng.normal(0, 1.5, truth.shape)
        xy[100:105] = np.nan
        out.append(lightning_pose_file(tmp_path / f"rng={i}.csv", xy, ["nose", "tail"]))
    return out


def test_members_become_one_table_with_the_columns_of_the_published_smoother(
    members: list[Path], truth: NDArray, tmp_path: Path
) -> None:
    out = tmp_path / "smoothed.csv"
    result = run("smooth", *members, "--out", out)
    assert result.exit_code == 0, result.output
    assert "300 frames" in result.stderr
    rows = list(csv.reader(out.open()))
    assert rows[0][1] == "ensemble-kalman_tracker"
    assert rows[1][1:] == ["nose"] * 9 + ["tail"] * 9
    assert rows[2][1:] == EKS_COORDS * 2
    assert len(rows) == 303
    table = np.array([[float(c or "nan") for c in row] for row in rows[3:]])
    assert table[:, 0].tolist() == list(range(300))
    assert np.abs(table[:, 1:3] - truth[:, 0]).mean() < 1.0
    assert np.isnan(table[100:105, 4:8]).all()
    assert np.isfinite(table[:, 8:10]).all()
    back = read_poses(out)
    assert back.spread is not None
    np.testing.assert_allclose(back.spread[:, 0, 0] ** 2, table[:, 8:10])


def test_other_formats_keep_the_uncertainty_or_say_that_they_cannot(
    members: list[Path], tmp_path: Path
) -> None:
    smoothed = {}
    for name in ("a.slp", "a.csv", "a.h5"):
        assert run("smooth", *members, "--out", tmp_path / name).exit_code == 0
        smoothed[name] = read_poses(tmp_path / name)
    for name in ("a.csv", "a.h5"):
        np.testing.assert_allclose(smoothed[name].xy, smoothed["a.slp"].xy)
        np.testing.assert_allclose(smoothed[name].spread, smoothed["a.slp"].spread, rtol=1e-6)
    result = run("smooth", *members, "--out", tmp_path / "a.json")
    assert "holds no uncertainty" in result.stderr


def test_an_ensemble_joined_before_is_smoothed_the_same(
    members: list[Path], tmp_path: Path
) -> None:
    from napari_semimultipose.inference.ensemble import fuse

    joined = fuse([read_poses(m) for m in members])
    for name in ("joined.slp", "joined.csv"):
        write_poses(joined, tmp_path / name)
        again = api.smooth(tmp_path / name).result.poses[0]
        straight = api.smooth(members).result.poses[0]
        np.testing.assert_allclose(again.xy, straight.xy, atol=1e-3)
        np.testing.assert_allclose(again.spread, straight.spread, atol=1e-3)


def test_mirrored_views(tmp_path: Path, truth: NDArray) -> None:
    rng = np.random.default_rng(2)
    depth = 50 + np.cumsum(rng.normal(0, 0.5, (300, 1, 1)), 0)
    bottom = np.concatenate([truth[:, :1, :1], depth], 2)
    xy = np.concatenate([truth[:, :1], bottom], 1)
    files = [
        lightning_pose_file(
            tmp_path / f"{i}.csv", xy + rng.normal(0, 1, xy.shape), ["paw_top", "paw_bot"]
        )
        for i in range(3)
    ]
    out = tmp_path / "out.csv"
    result = run("smooth", *files, "--out", out, "--mirrored", "_top,_bot")
    assert result.exit_code == 0, result.output
    error = np.abs(read_poses(out).xy[:, 0] - xy).mean()
    assert error < np.abs(np.median([read_poses(f).xy[:, 0] for f in files], 0) - xy).mean()
    result = run("smooth", *files, "--out", out, "--mirrored", "_top")
    assert (result.exit_code, "two names" in result.stderr) == (1, True)


def test_cameras_of_real_files(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "eks-ensembles" / "fly"
    files = sorted(folder.glob("*.csv"))
    out = tmp_path / "out"
    result = run("smooth", *files, "--out", out, "--calibration", folder / "calibration.toml")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == [
        "Cam-A.csv", "Cam-B.csv", "Cam-C.csv", "points3d.csv",
    ]  # fmt: skip
    for name in ("Cam-A", "Cam-B", "Cam-C"):
        seen = np.median([read_poses(f).xy[:, 0] for f in files if name in f.name], 0)
        moved = np.linalg.norm(read_poses(out / f"{name}.csv").xy[:, 0] - seen, axis=-1)
        assert np.median(moved) < 3
    rows = list(csv.reader((out / "points3d.csv").open()))
    assert len(rows) == 501
    assert rows[0][:8] == [
        "frame",
        "track",
        "L1A_x",
        "L1A_y",
        "L1A_z",
        "L1A_x_var",
        "L1A_y_var",
        "L1A_z_var",
    ]


def test_several_animals_are_joined_tracked_and_smoothed(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    body = np.array([[0, 0], [30, 0.0]])
    way = np.array([[100, 100], [300, 120.0]]) + np.cumsum(rng.normal(0, 1, (100, 2, 2)), 0)
    files = []
    for i in range(3):
        xy = way[:, :, None] + body + rng.normal(0, 1, (100, 2, 2, 2))
        xy = xy[:, ::-1] if i == 1 else xy
        poses = Poses(
            Skeleton(("head", "tail")), xy, np.arange(100), source=np.full((100, 2), Source.PREDICTED),
            score=np.full((100, 2, 2), 0.8), instance_score=np.full((100, 2), 0.8),
        )  # fmt: skip
        files.append(tmp_path / f"{i}.slp")
        write_poses(poses, files[-1])
    out = tmp_path / "out.csv"
    assert run("smooth", *files, "--out", out, "--animals", 2).exit_code == 0
    header = out.read_text().splitlines()[1]
    assert header.startswith("individuals")
    back = read_poses(out)
    assert (back.present.sum(1) == 2).all()
    for track in range(2):
        mine = back.xy[back.track == track].mean(1)
        assert np.linalg.norm(np.diff(mine, axis=0), axis=-1).max() < 10


def test_what_is_left_out_is_counted() -> None:
    def poses(track: list[list[int]]) -> Poses:
        xy = np.random.default_rng(0).uniform(0, 50, (40, len(track[0]), 3, 2))
        tracks = [*track] + [track[-1]] * (40 - len(track))
        kind = np.full((40, len(track[0])), Source.PREDICTED)
        return Poses(Skeleton(("a", "b", "c")), xy, np.arange(40), track=tracks, source=kind)

    assert smoothing.smooth_members([poses([[0, -1], [0, 1]])]).left_out == 1
    assert smoothing.smooth_members([poses([[0, 1]])]).left_out == 0
    # One animal in several cameras needs no tracks, and is not left out without one.
    alone = {"left": [poses([[-1], [0]])], "right": [poses([[0]])]}
    assert smoothing.smooth_views(alone).left_out == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "IN"], "would be replaced"),
        (["--set", "max_gap=3", "--out", "o.csv"], "must have the form name=value"),
        (["--cameras", "left", "--out", "o"], "two names"),
        (["--cameras", "left,right", "--out", "o"], "no camera's name"),
        (
            ["--cameras", "rng,=1", "--animals", "2", "--out", "o"],
            "leave out the number of animals",
        ),
        (["--calibration", "none.toml", "--out", "o"], "no calibration none.toml"),
        (["--cameras", "rng,=1", "--mirrored", "_a,_b", "--out", "o"], "leave out the cameras"),
    ],
)
def test_what_is_wrong_is_said(members: list[Path], arguments: list[str], words: str) -> None:
    given = [members[0] if a == "IN" else a for a in arguments]
    result = run("smooth", *members[:2], *given)
    assert result.exit_code == 1
    assert words in result.stderr


def test_bad_files(members: list[Path], tmp_path: Path) -> None:
    text = members[0].read_text()
    bad = tmp_path / "bad.csv"
    for content, words in (
        ("", "is empty"),
        ("a,b\n1,2\n", "bad.csv"),
        (text.replace("nose", "ear"), "has the keypoints"),
        (text.rstrip()[:-20], "cut off"),
        (text.replace("0.9", "high", 1), "cannot be read"),
    ):
        bad.write_text(content)
        with pytest.raises(LabelsError, match=words):
            api.smooth([members[1], bad])


def test_files_are_sorted_by_camera() -> None:
    files = [Path(f"{c}.rng={i}.csv") for c in ("Cam-A", "Cam-AB") for i in range(2)]
    assert by_camera(files, ["Cam-AB", "Cam-A"]) == {"Cam-AB": files[2:], "Cam-A": files[:2]}
    with pytest.raises(ConfigError, match="no predictions of camera C"):
        by_camera([Path("A.csv")], ["A", "C"])
    with pytest.raises(ConfigError, match="several cameras"):
        by_camera([Path("A B.csv")], ["A", "B"])
    with pytest.raises(ConfigError, match="different numbers of members"):
        by_camera([Path("A1.csv"), Path("A2.csv"), Path("B1.csv")], ["A", "B"])
