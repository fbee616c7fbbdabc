"""Prediction with the frames around each frame: the same however the frames come."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_semimultipose.config import Config, PredictConfig
from napari_semimultipose.inference.follow import Animals
from napari_semimultipose.inference.heatmaps import heat_maps
from napari_semimultipose.inference.members import EnsemblePredictor
from napari_semimultipose.inference.members import predict_stream as stream_members
from napari_semimultipose.inference.predict import Predictor
from napari_semimultipose.inference.two_heads import surer_animals
from napari_semimultipose.inference.windows import frames_needed, window_of
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.surroundings import indices_around
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.build import Network, build_network
from napari_semimultipose.models.checkpoint import ModelInfo, save_weights, write_info
from napari_semimultipose.models.heatmap import HeatmapTracker
from napari_semimultipose.poses import Poses, Skeleton

SKELETON = Skeleton(("a", "b"))
HEATMAP = ("model.kind=heatmap", "heatmap.side_px=64")
DIRECTPOSE = ("model.kind=directpose", "model.heat_channels=8")


def settings(*more: str) -> Config:
    small = ["model.channels=8", "model.backbone=mobilenet_v3_small", "model.context=true"]
    return Config().with_settings([*small, *more])


@lru_cache
def network(*more: str) -> Network:
    """Return a network with random weights whose second head differs much from the first."""
    torch.manual_seed(0)
    made = build_network(settings(*more), SKELETON.keypoints).eval()
    assert made.context is not None
    for gate in made.context.gates:
        nn.init.constant_(gate, 2.0)
    if isinstance(made, HeatmapTracker):
        nn.init.normal_(made.head.last.weight, std=0.5)
        nn.init.normal_(made.readouts[1].weight, std=0.5)  # type: ignore[arg-type]
    else:
        for branch in (made.instance_branch, made.keypoint_branch, made.heat_branch):
            for layer in branch.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight)
                    nn.init.zeros_(layer.bias) if layer.bias is not None else None
    return made


def predictor(*more: str, batch: int = 4, **changes: object) -> Predictor:
    options = {"score_threshold": 0.0, "device": "cpu", "precision": "32", "batch_size": batch}
    return Predictor(
        network(*more),
        ModelInfo(SKELETON, settings(*more), 1.0),
        PredictConfig(**options | changes),
    )  # type: ignore[arg-type]


def recording(count: int) -> Frames:
    stack = np.random.default_rng(0).integers(0, 255, (count, 48, 64, 1)).astype(np.uint8)
    return open_frames(stack)


def predicted(made: Predictor, frames: Frames, indices: object = None, **more: bool) -> list:
    wanted = range(len(frames)) if indices is None else indices
    parts = list(made.stream(frames, wanted, **more))  # type: ignore[arg-type]
    assert [i for numbers, _ in parts for i in numbers] == list(wanted)  # type: ignore[call-overload]
    return [animals for _, found in parts for animals in found]


def assert_same(a: list[Animals], b: list[Animals]) -> None:
    assert len(a) == len(b)
    for one, two in zip(a, b, strict=True):
        np.testing.assert_allclose(one.xy, two.xy, atol=2e-2)
        np.testing.assert_allclose(one.score, two.score, atol=1e-3)
        np.testing.assert_allclose(one.instance_score, two.instance_score, atol=1e-3)


def one_by_one(made: Predictor, frames: Frames) -> list[Animals]:
    """Compute each window on its own."""
    out = []
    for i in range(len(frames)):
        five = [frames[j] for j in indices_around(frames, i)]
        out += made.animals(*made.output_of(frames[i], [*five[:2], *five[3:]]))
    return out


@pytest.mark.parametrize("kind", [HEATMAP, DIRECTPOSE])
def test_every_length_gives_every_frame_as_from_its_window_alone(kind: tuple[str, ...]) -> None:
    # L = 4 frames are computed together: all lengths up to 2 L, at which batches end anywhere.
    made = predictor(*kind)
    for count in range(1, 9):
        frames = recording(count)
        found = predicted(made, frames)
        assert len(found) == count
        assert all(np.isfinite(a.xy).all() and np.isfinite(a.score).all() for a in found)
        assert_same(found, one_by_one(made, frames))


@pytest.mark.parametrize("kind", [HEATMAP, DIRECTPOSE])
def test_batches_ranges_and_orders_do_not_change_the_result(kind: tuple[str, ...]) -> None:
    frames = recording(17)
    whole = predicted(predictor(*kind), frames)
    for batch in (1, 3, 64):
        assert_same(predicted(predictor(*kind, batch=batch), frames), whole)
    made = predictor(*kind)
    for indices in (range(6, 11), range(0, 17, 3), range(2, 17, 7), [9, 3, 4, 4, 16, 0]):
        assert_same(predicted(made, frames, indices), [whole[i] for i in indices])  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [HEATMAP, DIRECTPOSE])
def test_the_frames_around_count(kind: tuple[str, ...]) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (9, 48, 64, 1)).astype(np.uint8)
    made = predictor(*kind)
    before = predicted(made, open_frames(stack))
    stack[5] = 255 - stack[5]
    after = predicted(made, open_frames(stack))
    changed = [
        len(a) != len(b) or not np.allclose(a.xy, b.xy, atol=0.05)
        for a, b in zip(before, after, strict=True)
    ]
    assert any(changed[3:5])
    assert any(changed[6:8])
    assert not any(changed[:3] + changed[8:])


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_features_are_computed_once_a_frame_and_few_are_kept(batch: int) -> None:
    made = predictor(*HEATMAP, batch=batch)
    frames, seen, held = recording(23), 0, 0
    compute, heads = made.features, made.heads

    def counted(images):  # type: ignore[no-untyped-def]
        nonlocal seen
        seen += len(images)
        return compute(images)

    def watched(features, windows):  # type: ignore[no-untyped-def]
        nonlocal held
        held = max(held, len(features[0]))
        return heads(features, windows)

    made.features, made.heads = counted, watched  # type: ignore[method-assign]
    predicted(made, frames)
    assert seen == 23
    assert held <= batch + 4
    seen = 0
    predicted(made, frames, range(5, 10))
    assert seen == 9  # two more on either side


def test_reading_leaves_nothing_out_and_repeats_nothing() -> None:
    frames = recording(30)
    window = window_of(frames, follow=True)
    assert frames_needed(frames, range(30), window) == range(30)
    assert frames_needed(frames, range(10, 20, 5), window) == range(8, 18)
    assert list(frames_needed(frames, range(3, 20, 9), window)) == [
        1,
        2,
        3,
        4,
        5,
        10,
        11,
        12,
        13,
        14,
    ]
    assert list(frames_needed(frames, [9, 8], window)) == [7, 8, 9, 10, 11, 6]


def images(folder: Path, count: int = 5) -> list[Path]:
    from PIL import Image

    rng = np.random.default_rng(1)
    files = [folder / f"img{i}.png" for i in range(count)]
    for i, file in enumerate(files):
        size = (48, 64) if i < 3 else (40, 64)
        Image.fromarray(rng.integers(0, 255, size).astype(np.uint8)).save(file)
    return files


def test_listed_images_stand_alone_and_folders_are_recordings(tmp_path: Path) -> None:
    files = images(tmp_path)
    made = predictor(*HEATMAP)
    alone = [predicted(made, open_frames([file]))[0] for file in files]
    assert_same(predicted(made, open_frames(files)), alone)
    assert_same(predicted(made, open_frames(tmp_path), follow=False), alone)
    frames = open_frames(tmp_path)
    together = predicted(made, frames)
    assert_same(together, one_by_one(made, frames))
    assert not np.allclose(together[1].xy, alone[1].xy, atol=0.05)


def test_turned_copies_are_averaged_in_both_heads() -> None:
    frames = recording(6)
    made = predictor(*DIRECTPOSE, turns=2)
    found = predicted(made, frames)
    assert_same(found, one_by_one(made, frames))
    once = predicted(predictor(*DIRECTPOSE), frames)
    assert any(
        len(a) != len(b) or not np.allclose(a.xy, b.xy) for a, b in zip(found, once, strict=True)
    )


def test_animals_are_not_followed_in_windows() -> None:
    made = predictor(*DIRECTPOSE, max_animals=1, refresh_every=10)
    made.info = ModelInfo(SKELETON, made.info.config, 1.0, 4.0)
    large = open_frames(np.zeros((3, 480, 640, 1), np.uint8))
    assert made._follower(large, range(3)) is None
    made.info = ModelInfo(SKELETON, Config(), 1.0, 4.0)
    assert made._follower(large, range(3)) is not None


def test_a_model_folder_and_an_ensemble_predict_alike(tmp_path: Path) -> None:
    made = predictor(*HEATMAP)
    write_info(tmp_path, made.info)
    save_weights(made._network, tmp_path / "model.safetensors")
    frames = recording(9)
    whole = predicted(made, frames)
    loaded = Predictor.from_folder(tmp_path, made.config)
    assert_same(predicted(loaded, frames), whole)
    twins = EnsemblePredictor([made, loaded])
    chunks = stream_members(twins, frames, frame_range=range(2, 8))
    poses = Poses.concatenate([c.poses for c in chunks])
    np.testing.assert_allclose(
        poses.xy[:, 0], np.concatenate([a.xy for a in whole[2:8]]), atol=2e-2
    )


@pytest.mark.parametrize("kind", [HEATMAP, DIRECTPOSE])
def test_heat_maps_of_one_frame_are_those_of_its_prediction(kind: tuple[str, ...]) -> None:
    made = predictor(*kind)
    frames = recording(7)
    shown = heat_maps(made, frames, 3)
    alone = heat_maps(made, open_frames(frames[3][None]), 0)
    assert shown.values.shape == alone.values.shape
    assert np.isfinite(shown.values).all()
    assert not np.allclose(shown.values, alone.values, atol=1e-3)


def animals(*places: float, score: tuple[float, float], instance: float) -> Animals:
    shape = np.array([[0.0, 0.0], [40.0, 0.0]])
    n = len(places)
    return Animals(
        np.stack([shape + np.array([x, 0]) for x in places]) if n else np.zeros((0, 2, 2)),
        np.tile(score, (n, 1)),
        np.full(n, instance),
    )


def test_of_a_pair_each_keypoint_comes_from_the_surer_head() -> None:
    first = animals(10, 200, score=(0.9, 0.2), instance=0.8)
    second = animals(201, 12, 400, score=(0.5, 0.6), instance=0.7)
    found = surer_animals(first, second, 0.5, 300)
    assert len(found) == 3
    order = np.argsort(found.xy[:, 0, 0])
    np.testing.assert_allclose(found.xy[order, 0, 0], [10, 200, 400])
    np.testing.assert_allclose(found.xy[order, 1, 0], [52, 241, 440])
    np.testing.assert_allclose(found.score[order], [[0.9, 0.6], [0.9, 0.6], [0.5, 0.6]])
    np.testing.assert_allclose(found.instance_score[order], [0.8, 0.8, 0.7])
    assert len(surer_animals(first, second, 0.5, 2)) == 2


def test_one_head_alone_may_find_animals() -> None:
    none, some = animals(score=(0, 0), instance=0), animals(5, score=(0.5, 0.5), instance=0.4)
    for found in (surer_animals(none, some, 0.5, 9), surer_animals(some, none, 0.5, 9)):
        np.testing.assert_allclose(found.xy, some.xy)
    # A worse animal on top of a pair is a duplicate.
    twice = Animals.join([some, animals(7, score=(0.1, 0.1), instance=0.1)])
    assert len(surer_animals(some, twice, 0.5, 9)) == 1
