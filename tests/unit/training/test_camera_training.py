"""Training on the recordings of several cameras: what is read, what it costs, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_semimultipose.config import Config, VideoConfig
from napari_semimultipose.data.batch import BatchSize
from napari_semimultipose.data.batches import BatchMaker
from napari_semimultipose.data.session_data import meetings, with_sessions
from napari_semimultipose.data.sessions import animals, moments
from napari_semimultipose.data.single import WholeFrameMaker
from napari_semimultipose.data.split import TrainingData, prepare
from napari_semimultipose.data.views import apply
from napari_semimultipose.errors import ConfigError, FramesError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Video
from napari_semimultipose.training.events import Done, Event, Failed, Notice, Step
from napari_semimultipose.training.loop import train
from napari_semimultipose.training.video import VideoLosses, prepare_video_losses

from .rig import NAMES, SIZES, film, in_space, seen, session, without_camera

TINY = [
    "heatmap.side_px=64",
    "heatmap.batch=2",
    "heatmap.posture=fixed",
    "model.channels=8",
    "model.backbone=mobilenet_v3_small",
    "video.losses=[multiview]",
    "video.every=1",
    "video.start=0",
    "train.minutes=0",
    "train.iterations=10",
    "train.precision='32'",
    "train.device=cpu",
    "train.validate_every=1",
]
CPU = torch.device("cpu")


def config(*changes: str, cameras: int = 2) -> Config:
    named = f"video.cameras=[{', '.join(NAMES[:cameras])}]"
    return Config().with_settings([*TINY, named, "model.kind=heatmap", *changes])


def data_of(labels: Poses, frames: dict[int, Frames], settings: Config) -> TrainingData:
    data = prepare(labels, frames, settings.data, cameras=settings.video.cameras)
    return with_sessions(data, settings.video.cameras)


def run(
    out: Path, labels: Poses, frames: dict[int, Frames], settings: Config, **more: Any
) -> list[Event]:
    return list(train(labels, out, settings, frames=frames, **more))


def notes_of(events: list[Event]) -> str:
    return " ".join(e.message for e in events if isinstance(e, Notice))


# ----------------------------------------------------------- who saw what when


def test_pictures_of_one_moment_are_found_by_session_and_frame() -> None:
    labels, _ = session(labelled=3, count=3)
    found = moments(labels, range(len(labels)), NAMES)
    assert found.camera.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert found.moment[:3].tolist() == found.moment[3:6].tolist() == found.moment[6:].tolist()
    assert len(set(found.moment.tolist())) == 3
    images = tuple(f"labeled-data/run{i}_{name}/img7.png" for i in (1, 2) for name in NAMES)
    as_images = Poses(
        labels.skeleton, labels.xy[:6], np.arange(6), videos=(Video("/data", images),)
    )
    found = moments(as_images, range(6), NAMES)
    assert found.camera.tolist() == [0, 1, 2] * 2
    assert found.moment.tolist() == [0, 0, 0, 1, 1, 1]
    found = moments(as_images, [0, 4], ("top", "back"))
    assert found.camera.tolist() == [0, -1]
    assert found.moment[0] >= 0 > found.moment[1]


def test_tracks_tell_which_animals_are_the_same() -> None:
    labels, _ = session(labelled=2, animals=2)
    assert animals(labels).tolist() == [[0, 1]] * 4
    numbers = np.array([[0, 1]] * 2 + [[2, 3]] * 2)
    by_name = replace(labels, track=numbers, track_names=("a_top", "b_top", "a_side", "b_side"))
    assert animals(by_name).tolist() == [[0, 1]] * 4
    one, _ = session(labelled=2)
    assert animals(one).tolist() == [[0]] * 4
    unknown = animals(replace(labels, track=np.full_like(labels.track, -1)))
    assert (unknown == -1).all()


def test_sessions_are_found_and_checked() -> None:
    labels, frames = session()
    settings = config()
    data = data_of(labels, frames, settings)
    assert data.sessions.complete == ((0, 1),)
    # A session of unlabelled recordings, and one that lacks a camera; the order of files does not matter.
    xy = seen(in_space(20), 2)
    others = []
    for name, camera in (("b_side", 1), ("b_top", 0), ("c_top", 0)):
        one = open_frames(film(xy[camera], SIZES[camera], 5))
        one.path = f"/videos/{name}.mp4"
        others.append(one)
    data = prepare(labels, frames, settings.data, unlabeled=others)
    found = with_sessions(data, settings.video.cameras)
    assert found.sessions.complete == ((0, 1), (3, 2))
    assert "c_* (no side)" in found.notes[-1]
    with pytest.raises(ConfigError, match="the camera back in its name"):
        with_sessions(data, ("top", "back"))
    short = open_frames(film(xy[0][:13], SIZES[0], 5))
    short.path = "/videos/b_top.mp4"
    data = prepare(labels, frames, settings.data, unlabeled=[others[0], short])
    with pytest.raises(FramesError, match=r"session b_\* have different .*top: 13, side: 20"):
        with_sessions(data, settings.video.cameras)


def test_a_moment_validates_with_the_pictures_of_all_cameras() -> None:
    labels, frames = session(labelled=20, count=3)
    settings = config("data.validation_fraction=0.2", cameras=3)
    data = prepare(labels, frames, settings.data, cameras=settings.video.cameras)
    assert len(data.validation) == 12
    held = {(int(labels.video[r.row]), r.index) for r in data.validation}
    assert {v for v, _ in held} == {0, 1, 2}
    assert len({f for _, f in held}) == 4


# -------------------------------------------------------------- what is read


def oracle(maker: BatchMaker, iteration: int, truth: np.ndarray) -> tuple[torch.Tensor, Any]:
    """Return what a perfect network would say on the clip of an iteration, in px of the views, and the clip."""
    size = BatchSize(1, 0, 8)
    batch = maker(iteration, size)
    assert batch.clip is not None
    refs = maker.clips.refs(iteration, size.clip)
    out = []
    for camera, (one, back) in enumerate(zip(refs, batch.clip.to_frame, strict=True)):
        height, width = maker.scaled(one[0]).shape[1:]
        ratio = np.array([width / SIZES[camera][1], height / SIZES[camera][0]])
        xy = (truth[camera, [r.index for r in one], 0] + 0.5) * ratio - 0.5
        inverse = np.linalg.inv(np.vstack([back.numpy(), [0, 0, 1]]))[:2]
        out.append(apply(inverse, xy))
    return torch.from_numpy(np.concatenate(out)).float(), batch.clip


@pytest.mark.parametrize("count", [2, 3])
def test_what_is_seen_in_augmented_pictures_agrees_once_the_maps_are_undone(count: int) -> None:
    """An oracle that marks the painted animal in every view has no loss; one picture that errs has."""
    labels, frames = session(count=count, labelled=20)
    settings = config(cameras=count)
    data = data_of(labels, frames, settings)
    maker = WholeFrameMaker(data, settings)
    losses, notes = prepare_video_losses(settings, data, CPU)
    assert losses is not None, notes
    truth = seen(in_space(24), count)
    for iteration in range(4):
        said, clip = oracle(maker, iteration, truth)
        assert clip.n_cameras == count
        maps = clip.to_frame
        assert (maps[0] - maps[1]).abs().max() > 1e-3
        for wrong in (False, True):
            views = said.clone()
            if wrong:
                views[0, 1] += torch.tensor([6.0, 6.0])
            views.requires_grad_()
            output = clip.undo(views)
            image = torch.arange(len(output))
            poses = torch_poses(output, image % clip.length, clip.camera_of(image))
            terms, active = losses.terms(poses)
            if not wrong:
                assert terms["multiview"] < 0.01
                continue
            assert active["multiview"] > 0
            (gradient,) = torch.autograd.grad(terms["multiview"], views)
            assert gradient[0, 1].abs().sum() > 0
            # Only this keypoint at this moment, in all cameras.
            touched = torch.nonzero(gradient.abs().sum(-1) > 1e-8).tolist()
            assert {(i % clip.length, k) for i, k in touched} == {(0, 1)}


def torch_poses(xy: torch.Tensor, frame: torch.Tensor, camera: torch.Tensor | None) -> Any:
    from napari_semimultipose.training.video import ClipPoses

    pairs = torch.zeros((0, 2), dtype=torch.long)
    return ClipPoses(
        xy, torch.ones(xy.shape[:2]), pairs, torch.full((len(xy),), 20.0), frame, camera
    )


def test_clips_of_lone_recordings_have_no_term() -> None:
    labels, frames = session(labelled=20)
    settings = config()
    losses, _ = prepare_video_losses(settings, data_of(labels, frames, settings), CPU)
    assert losses is not None
    xy = torch.rand(4, 4, 2)
    assert losses.terms(torch_poses(xy, torch.arange(4), None)) == ({}, {})


def test_cameras_look_at_one_animal_where_pictures_are_cut() -> None:
    labels, frames = session(labelled=20, animals=2)
    settings = Config().with_settings(
        [
            "data.crop_px=32",
            "video.losses=[multiview]",
            "video.cameras=[top, side]",
            "video.every=1",
        ]
    )
    data = data_of(labels, frames, settings)
    places = meetings(data)
    assert places.shape == (len(data.train), 2, 2)  # two animals in two pictures
    maker = BatchMaker(data, settings.data, settings.augment, 0)
    shapes = [maker.scaled(refs[0]).shape[1:] for refs in maker.clips.refs(0, 8)]
    for seed in range(10):
        views = maker._clip_views(shapes, np.random.default_rng(seed))
        middle = [np.linalg.inv(np.vstack([v, [0, 0, 1]]))[:2] @ [15.5, 15.5, 1] for v in views]
        share = np.array([m / [w - 1, h - 1] for m, (h, w) in zip(middle, shapes, strict=True)])
        assert np.abs(places.clip(0, 1) - share).max((1, 2)).min() < 1e-6


# ------------------------------------------------------------ from end to end


def test_one_animal_before_two_cameras_is_learnt(tmp_path: Path) -> None:
    labels, frames = session()
    events = run(tmp_path / "m", labels, frames, config("video.losses=[temporal, multiview]"))
    assert isinstance(events[-1], Done), events[-1]
    assert "left out" not in notes_of(events)
    names = {name for e in events if isinstance(e, Step) for name in e.losses}
    assert {"heatmap", "multiview", "multiview_active"} <= names
    state = torch.load(tmp_path / "m" / "resume.pt", weights_only=True)["video"]
    assert state["weights"]["multiview"] > 0


def test_both_heads_of_the_context_network_follow_all_cameras(tmp_path: Path) -> None:
    labels, frames = session()
    settings = config("model.context=true", "train.iterations=2")
    events = run(tmp_path / "m", labels, frames, settings)
    assert isinstance(events[-1], Done), events[-1]
    losses = [e.losses for e in events if isinstance(e, Step)]
    assert "multiview" in losses[-1]


def test_several_animals_before_two_cameras(tmp_path: Path) -> None:
    labels, frames = session(animals=2)
    settings = config(
        "model.kind=directpose",
        "train.method=directpose",
        "train.iterations=2",
        "data.crop_px=64",
        "data.batch_labeled=2",
    )
    events = run(tmp_path / "m", labels, frames, settings)
    assert isinstance(events[-1], Done), events[-1]
    assert "left out" not in notes_of(events)
    data = data_of(labels, frames, settings)
    losses, _ = prepare_video_losses(settings, data, CPU)
    assert losses is not None
    assert losses.names == ["multiview"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.select(p.frame < 2), "there are 8 at 2"),
        (lambda p: without_camera(p, 1, range(1, 16)), "Of 16 labelled moments, 15 lack a camera"),
        (lambda p: without_camera(p, 1, range(16)), "none of side"),
    ],
)
def test_too_few_common_labels_are_told(change: Any, said: str) -> None:
    labels, frames = session()
    settings = config("data.validation_fraction=0")
    losses, notes = prepare_video_losses(settings, data_of(change(labels), frames, settings), CPU)
    assert losses is None
    assert said in notes[0]
    assert notes[0].startswith("the loss 'multiview' is left out")


def test_one_camera_alone_is_told(tmp_path: Path) -> None:
    labels, frames = session()
    only = labels.select(labels.video == 0)
    events = run(tmp_path / "m", only, {0: frames[0]}, config())
    assert isinstance(events[-1], Failed)
    assert "camera side in its name; there are run_top.mp4" in events[-1].message
    # Labels of both, but a recording of one: no clip of all cameras can be read.
    image = Video("", tuple(f"run_side/{i}.png" for i in range(16)), SIZES[1])
    stills = replace(labels, videos=(labels.videos[0], image))
    data = prepare(stills, frames, config().data)
    data = with_sessions(replace(data, footage=data.footage[:1]), NAMES[:2])
    losses, notes = prepare_video_losses(config(), data, CPU)
    assert losses is None
    assert "no session with a recording of each of the cameras top, side" in notes[0]


def test_mirrors_and_cameras_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"either views .* or cameras, not both$"):
        config("video.views=[[head], [tail]]")
    assert VideoConfig(cameras=("a", "b")).views == ()


def test_the_loss_needs_cameras_or_mirrors() -> None:
    labels, frames = session()
    settings = config("video.cameras=[]")
    losses, notes = prepare_video_losses(settings, prepare(labels, frames, settings.data), CPU)
    assert losses is None
    assert "video.cameras" in notes[0]


def test_a_tolerance_that_is_given_is_in_px_of_each_camera() -> None:
    labels, frames = session(labelled=20)
    settings = config("video.pca_px=4")
    losses, _ = prepare_video_losses(settings, data_of(labels, frames, settings), CPU)
    assert isinstance(losses, VideoLosses)
    # px of each camera's frames become px of the network: 64 px for the longer side, of 80 and of 64
    assert losses.views is not None
    assert losses.views.epsilon.tolist() == pytest.approx([4 * 0.8, 4], rel=0.02)
