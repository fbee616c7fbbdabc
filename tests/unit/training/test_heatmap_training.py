"""Training of the heat-map tracker, alone and with losses on video, from start to end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_semimultipose.config import Config, VideoConfig
from napari_semimultipose.inference.pictures import PicturePredictor
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.checkpoint import describe_model, load_model
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.models.peaks import HeatmapOutput
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.training.events import Done, Event, Failed, Notice, Step
from napari_semimultipose.training.kind import with_kind
from napari_semimultipose.training.loop import train
from napari_semimultipose.training.video import ClipPoses, VideoLosses, gradient_norm

TINY = [
    "heatmap.side_px=64",
    "heatmap.batch=2",
    "heatmap.posture=fixed",
    "model.channels=8",
    "model.backbone=mobilenet_v3_small",
    "video.clip_frames=3",
    "video.every=1",
    "video.start=0.2",
    "train.minutes=0",
    "train.iterations=4",
    "train.precision='32'",
    "train.device=cpu",
    "train.validate_every=0.5",
]
FRAMES = 24


def animal(n: int = FRAMES) -> tuple[Poses, np.ndarray]:
    """One animal of three keypoints that swims to and fro [n frames of 48 x 64 px]."""
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 40, (n, 48, 64, 1)).astype(np.uint8)
    phase = np.arange(n) / 4
    middle = np.stack([32 + 14 * np.sin(phase), 24 + 8 * np.cos(phase)], 1)
    xy = middle[:, None] + np.array([[-8.0, 0], [0, 3], [8, 0]])
    for f in range(n):
        for (x, y), value in zip(xy[f].round().astype(int), (250, 190, 130), strict=True):
            stack[f, y - 1 : y + 2, x - 1 : x + 2] = value
    skeleton = Skeleton(("head", "middle", "tail"), edges=((0, 1), (1, 2)))
    return Poses(skeleton, xy[:, None], np.arange(n)), stack


def run(out: Path, *changes: str, labelled: int = 14, **more: Any) -> list[Event]:
    poses, stack = animal()
    config = Config().with_settings([*TINY, *changes])
    frames = {0: open_frames(stack)}
    labels = poses.select(np.arange(labelled))
    return list(train(labels, out, config, frames=frames, **more))


def of(events: list[Event], kind: type) -> list[Any]:
    return [e for e in events if isinstance(e, kind)]


def test_one_animal_a_frame_gets_heat_maps_and_predicts_every_frame(tmp_path: Path) -> None:
    events = run(tmp_path / "m")
    assert isinstance(events[-1], Done), events[-1]
    assert {name for e in of(events, Step) for name in e.losses} == {"heatmap", "total"}
    assert describe_model(tmp_path / "m")["kind"] == "heatmap"
    network, info = load_model(tmp_path / "m")
    assert isinstance(network, HeatmapTracker)
    assert info.config.track.animals == 1
    config = info.config.predict.model_copy(update={"score_threshold": 0.0, "device": "cpu"})
    predictor = Predictor(network, info, config)
    _, stack = animal()
    found = [a for _, part in predictor.stream(open_frames(stack), range(10)) for a in part]
    assert [len(a) for a in found] == [1] * 10
    assert all(np.isfinite(a.xy).all() for a in found)
    assert all(((a.score >= 0) & (a.score <= 1)).all() for a in found)


def test_it_learns_where_the_keypoints_are(tmp_path: Path) -> None:
    events = run(
        tmp_path / "m",
        "train.iterations=150",
        "train.validate_every=1",
        "heatmap.batch=6",
        "train.ema=0",  # a short run: the average would still hold the beginning
        "augment.noise=0",
        labelled=20,
    )
    assert isinstance(events[-1], Done), events[-1]
    network, info = load_model(tmp_path / "m")
    config = info.config.predict.model_copy(update={"score_threshold": 0.0, "device": "cpu"})
    poses, stack = animal()
    found = [
        a.xy[0]
        for _, part in Predictor(network, info, config).stream(
            open_frames(stack), range(20, FRAMES)
        )
        for a in part
    ]
    error = np.linalg.norm(np.stack(found) - poses.xy[20:, 0], axis=-1)
    assert np.median(error) < 2


def test_a_model_knows_the_poses_it_learnt_and_prefers_peaks_that_are_like_them(
    tmp_path: Path,
) -> None:
    assert isinstance(run(tmp_path / "m", labelled=20)[-1], Done)
    network, info = load_model(tmp_path / "m")
    assert isinstance(network, HeatmapTracker)
    assert set(info.shapes) == {"pose"}  # the keypoints are not those of several views
    poses, _ = animal()
    cells = (poses.xy[3, 0] + 0.5) / network.stride - 0.5  # frames are not scaled: 64 px long
    y, x = np.mgrid[:16, :16]
    maps = np.stack([np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2) for a, b in cells])
    maps[2] = 0.45 * maps[2] + 0.55 * np.exp(-((x - 1) ** 2 + (y - 14) ** 2) / 2)
    output = HeatmapOutput(torch.from_numpy(maps[None] + 1e-9).log().float(), network.stride)
    far = {}
    for plausible in (True, False):
        config = info.config.predict.model_copy(
            update={"plausible": plausible, "score_threshold": 0.0, "device": "cpu"}
        )
        predictor = PicturePredictor(network, info, config)
        loaded = predictor.load([np.zeros((48, 64, 1), np.uint8)])
        (found,) = predictor.animals(output, loaded)
        far[plausible] = np.linalg.norm(found.xy[0] - poses.xy[3, 0], axis=-1)
    assert far[True].max() < 1
    assert far[False][2] > 15


def test_frames_without_labels_teach_plausible_poses(tmp_path: Path) -> None:
    changes = (
        "train.iterations=60",
        "train.validate_every=1",
        "heatmap.batch=6",
        "train.ema=0",
        "augment.noise=0",
        "video.pca_px=20",  # after so few steps, poses are far from the labelled ones
    )
    events = run(tmp_path / "m", *changes, "heatmap.teach_mass=0", labelled=14)
    assert isinstance(events[-1], Done), events[-1]
    notes = [n.message for n in of(events, Notice)]
    assert sum(m.startswith("learning from") for m in notes) == 2
    assert any("teacher" in e.losses for e in of(events, Step))
    state = torch.load(tmp_path / "m" / "resume.pt", weights_only=True)
    assert state["batch_size"] == [3, 3, 0]
    frames = state["pseudo"]["frames"]
    assert frames
    assert all(key[1] >= 14 for key, *_ in frames)  # those without a label
    assert all(known.sum() >= 1 for _, _, known, *_ in frames)

    short = ("train.iterations=10", "train.validate_every=1", "heatmap.batch=4")
    alone = run(tmp_path / "n", *short, "heatmap.teach=0", labelled=14)
    assert isinstance(alone[-1], Done)
    assert not any("teacher" in e.losses for e in of(alone, Step))
    labelled_only = run(tmp_path / "o", *short, "train.method=directpose", labelled=14)
    assert not any("teacher" in e.losses for e in of(labelled_only, Step))


def test_unsure_keypoints_teach_nothing(tmp_path: Path) -> None:
    changes = ("train.iterations=20", "train.validate_every=1", "heatmap.batch=4", "train.ema=0")
    run(tmp_path / "m", *changes, "heatmap.teach_mass=1", labelled=14)
    state = torch.load(tmp_path / "m" / "resume.pt", weights_only=True)
    assert state["pseudo"]["frames"] == []


def test_few_labels_make_no_shape(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "m", labelled=6)[-1], Done)
    _, info = load_model(tmp_path / "m")
    assert info.shapes == {}


def test_which_network_is_used_follows_from_the_labels() -> None:
    poses, _ = animal()
    assert with_kind(Config(), poses).model.kind == "heatmap"
    two = Poses(poses.skeleton, np.concatenate([poses.xy, poses.xy + 9], 1), poses.frame)
    assert with_kind(Config(), two).model.kind == "directpose"
    asked = Config().with_settings(["model.kind=directpose"])
    assert with_kind(asked, poses) == asked


def test_heat_maps_of_several_animals_are_refused(tmp_path: Path) -> None:
    poses, stack = animal()
    two = Poses(poses.skeleton, np.concatenate([poses.xy, poses.xy + 9], 1), poses.frame)
    config = Config().with_settings([*TINY, "model.kind=heatmap"])
    (event,) = train(two, tmp_path / "m", config, frames={0: open_frames(stack)})
    assert isinstance(event, Failed)
    assert "model.kind=directpose" in event.message


def test_losses_on_video_act_once_they_are_weighed(tmp_path: Path) -> None:
    changes = ("video.losses=[temporal, pca]", "train.iterations=30", "train.validate_every=1")
    events = run(tmp_path / "m", *changes)
    assert isinstance(events[-1], Done), events[-1]
    names = {name for e in of(events, Step) for name in e.losses}
    assert {"heatmap", "temporal", "pca", "temporal_active", "pca_active"} <= names
    state = torch.load(tmp_path / "m" / "resume.pt", weights_only=True)["video"]
    assert len(state["epsilon"]) == 3
    assert state["weights"]["pca"] > 0
    resumed = run(tmp_path / "m", *changes[:1], "train.iterations=34", resume=True)
    assert isinstance(resumed[-1], Done), resumed[-1]


def test_a_loss_that_cannot_act_says_why(tmp_path: Path) -> None:
    events = run(tmp_path / "m", "video.losses=[pca, multiview]", labelled=6)
    notes = " ".join(e.message for e in of(events, Notice))
    assert "label" in notes
    assert "nose_bot" in notes
    assert isinstance(events[-1], Done)


def poses_of(xy: torch.Tensor) -> ClipPoses:
    step = torch.arange(len(xy) - 1)
    ones = torch.ones(xy.shape[:2])
    return ClipPoses(xy, ones, torch.stack([step, step + 1], 1), torch.full((len(xy),), 40.0))


def test_weights_bring_gradients_to_the_ratio_that_was_asked_for() -> None:
    torch.manual_seed(0)
    losses = VideoLosses(
        VideoConfig(losses=("temporal",), ramp=0, start=0),
        40.0,
        3,
        temporal=True,
        pose=None,
        views=None,
        jump=2.0,
        device=torch.device("cpu"),
    )
    weight = torch.nn.Parameter(torch.randn(6, 4))

    def both() -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        supervised = 50 * (torch.randn(5, 6) @ weight).square().mean()
        terms, active = losses.terms(poses_of(30 * (torch.randn(8, 3, 6) @ weight)[..., :2]))
        total = losses.add(supervised, terms, active, [weight], 0.5)
        return supervised, total, terms

    for _ in range(8):
        supervised, total, _ = both()
        assert total is supervised  # nothing acts before the weights are known
    ratios = []
    for _ in range(30):
        supervised, total, _ = both()
        ratios.append(
            gradient_norm(total - supervised, [weight]) / gradient_norm(supervised, [weight])
        )
    assert 0.05 <= np.median(ratios) <= 0.2


def test_the_tolerated_jump_is_measured_on_clips() -> None:
    losses = VideoLosses(
        VideoConfig(losses=("temporal",)),
        40.0,
        2,
        temporal=True,
        pose=None,
        views=None,
        jump=0.0,
        device=torch.device("cpu"),
    )
    walk = torch.arange(9.0)[:, None, None] * torch.tensor([[4.0, 0.0], [0.0, 0.1]])
    for _ in range(8):
        assert losses.terms(poses_of(walk))[0] == {}
    assert losses.epsilon is not None
    # 1.5 times the steady step, and not less than 3 % of the animal
    assert losses.epsilon.tolist() == pytest.approx([6.0, 1.2], rel=1e-3)
    assert losses.terms(poses_of(walk))[0]["temporal"] == 0


def temporal(jump: float = 2.0) -> VideoLosses:
    return VideoLosses(
        VideoConfig(losses=("temporal",), ramp=0.2, start=0),
        40.0,
        2,
        temporal=True,
        pose=None,
        views=None,
        jump=jump,
        device=torch.device("cpu"),
    )


def saved(losses: VideoLosses) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(losses.state(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_losses_of_a_training_that_has_grown_do_not_turn_round() -> None:
    losses = temporal()
    losses.weights, losses.since = {"temporal": 0.5}, {"temporal": 0.6}
    longer = temporal()
    longer.restore(saved(losses), 0.3)
    totals = [
        float(longer.add(torch.tensor(1.0), {"temporal": torch.tensor(2.0)}, {}, [], share))
        for share in (0.2, 0.3, 0.4, 0.6)
    ]
    assert totals == pytest.approx([1.0, 1.0, 1.5, 2.0])


def test_a_stop_while_weights_are_measured_loses_nothing() -> None:
    walk = torch.arange(9.0)[:, None, None] * torch.tensor([[4.0, 0.0], [0.0, 0.1]])
    losses = temporal(jump=0.0)
    for _ in range(5):
        losses.terms(poses_of(walk))
    other = temporal(jump=0.0)
    other.restore(saved(losses), 0.5)
    for _ in range(3):
        assert other.epsilon is None
        other.terms(poses_of(walk))
    assert other.epsilon is not None
