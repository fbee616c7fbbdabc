"""Reports of recordings: their numbers are those of the poses, and nothing that may be missing breaks them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose import api
from napari_semimultipose.config import Config, EvaluateConfig, ReviewConfig
from napari_semimultipose.errors import ConfigError, LabelsError, ModelError, SemiMultiPoseError
from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.labeling.problems import find_problems
from napari_semimultipose.poses import Poses, Skeleton, Source, Video

from .reading import Report

NASTY = "<b>\"ann\" & 'bob'</b>"
SIZE = (96, 120)


@pytest.fixture(scope="module")
def recording() -> tuple[np.ndarray, Poses]:
    return make_recording(40, animals=2, size=SIZE, length_px=40, seed=1, missing=0.1)


@pytest.fixture(scope="module")
def predicted(recording: tuple[np.ndarray, Poses]) -> Poses:
    """The truth, shaken, with a swap of identities, a leap and doubts."""
    truth = recording[1]
    random = np.random.default_rng(0)
    xy = truth.xy + random.normal(size=truth.xy.shape)
    xy[10, 0] += 30
    track = truth.track.copy()
    track[25:] = track[25:, ::-1]
    return replace(
        truth,
        xy=xy,
        track=track,
        score=random.uniform(0.5, 1, truth.score.shape),
        instance_score=random.uniform(0.4, 0.9, truth.instance_score.shape),
        source=np.full(truth.source.shape, Source.PREDICTED),
    )


def made(source: object, out: Path, **more: object) -> Report:
    assert api.report(source, out, **more)
    return Report(out)


def test_scores_are_those_of_evaluate(
    recording: tuple[np.ndarray, Poses], predicted: Poses, tmp_path: Path
) -> None:
    frames, truth = recording
    config = EvaluateConfig(sigma=0.03)
    report = made(predicted, tmp_path / "r.html", truth=truth, frames=frames, scores=config)
    scores = api.evaluate(predicted, truth, config=config)
    assert report.tiles["AP (OKS .50:.95)"] == f"{scores['ap']:.3f}"
    assert report.tiles["median error"] == f"{scores['median_error_px']:.2f} px"
    assert report.tiles["IDF1"] == f"{scores['tracks']['idf1']:.3f}"
    assert report.tiles["identity switches"] == str(scores["tracks"]["switches"]) == "2"
    table = report.table("score")
    assert table["PCK of all animals"] == [f"{scores['pck_all']:.3f}"]
    assert table["MOTA"] == [f"{scores['tracks']['mota']:.3f}"]
    errors = report.table("keypoint")
    for name, entry in scores["per_keypoint"].items():
        assert errors[name][0] == f"{entry['median_error_px']:.2f}"
        assert errors[name][3] == str(entry["points"])
    switches = report.table("frame")
    assert set(switches) == {"frame", "25"}
    limits = report.table("least score")
    assert limits["0.5"] == [
        f"{scores['by_score'][5][key]:.3f}" for key in ("precision", "recall_at_score")
    ]
    assert {"Worst", "Best"} <= set(report.headings)
    assert any("OKS" in caption for caption in report.captions)


@pytest.mark.usefixtures("plain_plots")
def test_only_the_predicted_part_of_the_truth_counts(
    recording: tuple[np.ndarray, Poses], predicted: Poses, tmp_path: Path
) -> None:
    truth = recording[1]
    rows = [*range(10, 15), *range(16, 20)]  # frame 15 was predicted, and nothing found
    report = made(predicted.select(rows), tmp_path / "r.html", truth=truth)
    scores = api.evaluate(predicted.select(rows), truth.select(range(10, 20)))
    assert report.tiles["recall (OKS .50)"] == f"{scores['recall']:.3f}"
    assert "30 frames before the first or after the last predicted one are left out" in report.text
    assert "1 of the 10 frames have no prediction." in report.notes


def test_what_there_is_of_a_recording(
    recording: tuple[np.ndarray, Poses], predicted: Poses, tmp_path: Path
) -> None:
    review = ReviewConfig(animals=2)
    report = made(predicted, tmp_path / "r.html", frames=recording[0], review=review)
    assert report.tiles["frames"] == "40"
    assert report.tiles["animals"] == str(predicted.n_instances)
    assert report.tiles["tracks"] == "2"
    tracks = report.table("track")
    assert tracks["animal_1"][:2] == ["0", "39"]
    assert tracks["animal_1"][2] == str(int((predicted.track == 0).sum()))
    problems = find_problems(predicted, review)
    kinds = report.table("kind")
    assert problems
    for kind in {p.kind.value for p in problems}:
        assert kinds[kind][0] == str(sum(p.kind.value == kind for p in problems))
    assert {"Tracks", "Likely problems", "Paths and speeds", "Confidences"} <= set(report.headings)
    assert {"Least sure", "Surest"} <= set(report.headings)
    assert report.images > 8
    assert report.plots == 7
    confidence = report.table("keypoint")["head"]
    present = predicted.visible[..., 0] > 0
    assert confidence[0] == f"{np.median(predicted.score[present, 0]):.2f}"
    lowest = np.where(predicted.present, predicted.instance_score, np.inf).min(1)
    assert any(f"lowest confidence {lowest.min():.2f}" in c for c in report.captions)


def test_names_are_escaped_and_no_formula(predicted: Poses, tmp_path: Path) -> None:
    poses = replace(
        predicted,
        skeleton=replace(predicted.skeleton, keypoints=(NASTY, "$x_{", *predicted.skeleton.keypoints[2:])),
        track_names=(NASTY, "$\\frac$"),
        videos=(Video(f"/clips/{NASTY}.mp4"),),
    )  # fmt: skip
    report = made(poses, tmp_path / "r.html")  # which refuses tags that do not close
    assert "<b>" not in report.source
    assert NASTY in report.table("track")
    assert "$x_{" in report.table("keypoint")


@pytest.mark.parametrize("what", ["one frame", "no animal", "no frame", "no tracks", "labels"])
def test_poor_poses_have_a_report(
    recording: tuple[np.ndarray, Poses],
    predicted: Poses,
    tmp_path: Path,
    what: str,
    request: pytest.FixtureRequest,
) -> None:
    if what in ("no tracks", "labels"):  # which have ordinary plots
        request.getfixturevalue("plain_plots")
    poses = {
        "one frame": predicted.select([3]),
        "no animal": predicted.keep(np.zeros_like(predicted.present)),
        "no frame": predicted.select([]),
        "no tracks": replace(predicted, track=np.full_like(predicted.track, -1)),
        "labels": recording[1],
    }[what]
    report = made(poses, tmp_path / "r.html", frames=recording[0])
    assert report.tiles["frames"] == str(len(poses))
    expected = {
        "one frame": "Tracks",
        "no animal": "There is no animal in these poses.",
        "no frame": "There is no animal in these poses.",
        "no tracks": "These poses have no tracks",
        "labels": "There are no confidences",
    }
    assert expected[what] in report.text
    assert ("median confidence" in report.tiles) == (what in ("one frame", "no tracks"))


@pytest.mark.usefixtures("plain_plots")
def test_several_recordings_have_sections_of_their_own(predicted: Poses, tmp_path: Path) -> None:
    several = Poses.concatenate(
        [replace(predicted, videos=(Video(f"clips/{name}.mp4"),)) for name in "ab"]
    )
    report = made(several, tmp_path / "r.html")
    assert {"Tracks: a.mp4", "Tracks: b.mp4"} <= set(report.headings)
    assert report.tiles["tracks"] == "4"
    with pytest.raises(LabelsError, match="belong to 2 recordings"):
        api.report(several, tmp_path / "s.html", frames=np.zeros((40, *SIZE), np.uint8))


@pytest.mark.usefixtures("plain_plots")
def test_frames_beside_the_poses_are_found(
    recording: tuple[np.ndarray, Poses], predicted: Poses, tmp_path: Path
) -> None:
    np.save(tmp_path / "clip.npy", recording[0])
    api.write_poses(replace(predicted, videos=(Video("clip.npy"),)), tmp_path / "poses.slp")
    with_frames = made(tmp_path / "poses.slp", tmp_path / "r.html")
    assert with_frames.images > 8
    named = made(tmp_path / "poses.slp", tmp_path / "s.html", frames=tmp_path / "clip.npy")
    assert named.images == with_frames.images
    (tmp_path / "clip.npy").unlink()
    without = made(tmp_path / "poses.slp", tmp_path / "t.html")
    assert without.images == 0
    assert "There are no pictures, because the frames were not found (--frames)." in without.notes


def test_frames_of_another_recording_are_refused(predicted: Poses, tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="poses on frame 39, but the recording has 12 frames"):
        api.report(predicted, tmp_path / "r.html", frames=np.zeros((12, *SIZE), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("plain_plots")
def test_images_are_named(
    recording: tuple[np.ndarray, Poses], predicted: Poses, tmp_path: Path
) -> None:
    from PIL import Image

    names = tuple(f"img{i:02}.png" for i in range(40))
    for name, picture in zip(names, recording[0], strict=True):
        Image.fromarray(picture).save(tmp_path / name)
    stills = replace(predicted, videos=(Video(str(tmp_path), names),)).select(range(0, 40, 2))
    api.write_poses(stills, tmp_path / "poses.slp")
    (tmp_path / names[5]).unlink()  # one without poses is lost
    report = made(tmp_path / "poses.slp", tmp_path / "r.html")
    assert report.images > 5
    assert any(caption.startswith("img") for caption in report.captions)


@pytest.mark.usefixtures("plain_plots")
def test_it_stops_when_asked_and_tells_how_far_it_is(predicted: Poses, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    assert api.report(
        predicted, tmp_path / "r.html", on_progress=lambda share, text: told.append((share, text))
    )
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert any("problems" in text for _, text in told)
    out = tmp_path / "s.html"
    assert not api.report(predicted, out, should_stop=lambda: len(told) > 0)
    assert not out.exists()


def test_wrong_arguments_are_named(predicted: Poses, tmp_path: Path) -> None:
    api.write_poses(predicted, tmp_path / "poses.slp")
    with pytest.raises(SemiMultiPoseError, match=r"reports are written as \.html"):
        api.report(predicted, tmp_path / "r.pdf")
    with pytest.raises(ConfigError, match="would be replaced"):
        api.report(tmp_path / "r.html", tmp_path / "r.html")
    with pytest.raises(ConfigError, match="these are poses"):
        api.report(predicted, tmp_path / "r.html", config=Config())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="is no model folder, and no folder of poses"):
        api.report(tmp_path / "empty", tmp_path / "r.html")
    with pytest.raises(LabelsError, match=r"no file|does not exist"):
        api.report(tmp_path / "nothing.slp", tmp_path / "r.html")
    nose = Skeleton(("nose",))
    other = Poses(nose, np.zeros((1, 1, 1, 2)), [0])
    with pytest.raises(LabelsError, match="no keypoint in common"):
        api.report(predicted, tmp_path / "r.html", truth=other)


def test_a_long_recording_stays_small(tmp_path: Path) -> None:
    count = 3000
    random = np.random.default_rng(0)
    center = 500 * random.random((count, 3, 1, 2))
    xy = center + np.array([[0, 0], [20, 5]]) + random.normal(size=(count, 3, 2, 2))
    poses = Poses(
        Skeleton(("a", "b"), ((0, 1),)),
        xy,
        np.arange(count),
        track=np.tile(np.arange(3), (count, 1)),
        score=random.random((count, 3, 2)),
        instance_score=random.random((count, 3)),
        source=np.full((count, 3), Source.PREDICTED),
    )
    out = tmp_path / "r.html"
    assert api.report(poses, out)
    assert out.stat().st_size < 1_200_000
