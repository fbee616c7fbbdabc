"""Prediction of recordings: geometry, order, memory, errors."""

from __future__ import annotations

import pickle
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_semimultipose import api
from napari_semimultipose.config import Config
from napari_semimultipose.errors import (
    FramesError,
    LabelsError,
    ModelError,
    SemiMultiPoseError,
    UnsavedPosesError,
)
from napari_semimultipose.inference import pictures
from napari_semimultipose.inference.decode import Detections
from napari_semimultipose.inference.predict import Predictor, joined, predict_stream
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.models.checkpoint import (
    WEIGHTS,
    ModelInfo,
    describe_model,
    load_model,
    save_weights,
    write_info,
)
from napari_semimultipose.models.directpose import DirectPose, Output
from napari_semimultipose.poses import Poses, Skeleton, Source
from napari_semimultipose.recordings import open_for_prediction

from .spots import PLAIN, SKELETON, SpotFinder, predictor, spots


def run(frames: Frames, made: Predictor, **more: object) -> Poses:
    return Poses.concatenate([c.poses for c in predict_stream(made, frames, **more)])  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0.5, 0.73, 1.0, 1.5])
def test_keypoints_come_back_in_original_pixels(scale: float) -> None:
    places = [(43.0, 60.0), (151.3, 97.8)]
    found = run(open_frames(spots(places)[None]), predictor(scale))
    xy = sorted(found.xy[0, found.present[0], 0].tolist())
    assert np.abs(np.array(xy) - places).max() < 0.6
    assert set(found.source[0].tolist()) == {Source.PREDICTED}


def moving(count: int) -> Frames:
    stack = np.stack([spots([(20 + 2 * i, 50)], 100, 200) for i in range(count)])
    return open_frames(stack)


@pytest.mark.parametrize("wanted", [range(3, 20, 4), [11, 2, 7], None])
def test_every_wanted_frame_has_a_row_in_place(wanted: range | list[int] | None) -> None:
    found = run(moving(24), predictor(), frame_range=wanted)
    expected = sorted(range(24) if wanted is None else wanted)
    assert found.frame.tolist() == expected
    np.testing.assert_allclose(found.xy[:, 0, 0, 0], 20 + 2 * found.frame, atol=0.6)


def test_frames_without_animals_have_empty_rows() -> None:
    stack = np.stack([spots([(50, 50)]), spots([]), spots([(90, 50)])])
    found = run(open_frames(stack), predictor())
    assert found.frame.tolist() == [0, 1, 2]
    assert found.present.sum(1).tolist() == [1, 0, 1]


def test_the_batch_size_does_not_change_the_result() -> None:
    frames = moving(11)
    results = [
        run(frames, predictor(config=PLAIN.model_copy(update={"batch_size": size})))
        for size in (1, 4, 64)
    ]
    for other in results[1:]:
        np.testing.assert_allclose(other.xy, results[0].xy, atol=1e-3)


class Slow(SpotFinder):
    """Takes longer for the first pictures, and remembers which threads have looked."""

    def __init__(self) -> None:
        super().__init__()
        self.by: list[str] = []

    def forward(self, images: torch.Tensor) -> Output:
        self.by.append(threading.current_thread().name)
        time.sleep(0.05 / len(self.by))
        return super().forward(images)


@pytest.mark.parametrize("count", [23, 1])
def test_threads_side_by_side_keep_the_order(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    slow = Slow()
    made = predictor(config=PLAIN.model_copy(update={"batch_size": 2}), network=slow)
    found = run(moving(count), made)
    assert found.frame.tolist() == list(range(count))
    np.testing.assert_allclose(found.xy[:, 0, 0, 0], 20 + 2 * found.frame, atol=0.6)
    side_by_side = {name for name in slow.by if name.startswith("crew")}
    assert (len(side_by_side) > 1) is (count > 1)  # a single picture is for all threads together


def test_an_error_in_one_of_the_threads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    class Breaks(Slow):
        def forward(self, images: torch.Tensor) -> Output:
            if len(self.by) == 5:
                raise RuntimeError("out of memory")
            return super().forward(images)

    made = predictor(config=PLAIN.model_copy(update={"batch_size": 1}), network=Breaks())
    with pytest.raises(RuntimeError, match="out of memory"):
        run(moving(20), made)
    assert not [t for t in threading.enumerate() if t.name.startswith(("crew", "frames"))]


def test_what_was_found_before_a_damaged_frame_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    frames = moving(20)
    read = frames._read

    def damaged(i: int) -> np.ndarray:
        if i == 17:
            raise FramesError("frame 17 is damaged")
        return read(i)

    monkeypatch.setattr(frames, "_read", damaged)
    made = predictor(config=PLAIN.model_copy(update={"batch_size": 1}), network=Slow())
    done: list[int] = []

    def predict() -> None:
        for chunk in predict_stream(made, frames):
            done.extend(chunk.poses.frame.tolist())

    with pytest.raises(FramesError, match="17"):
        predict()
    assert done == list(range(17))


def test_chunks_count_up_to_the_total() -> None:
    chunks = list(
        predict_stream(predictor(config=PLAIN.model_copy(update={"batch_size": 4})), moving(10))
    )
    assert [c.done for c in chunks] == [4, 8, 10]
    assert {c.total for c in chunks} == {10}


def test_pictures_of_several_sizes_are_predicted_each_in_its_own(tmp_path: Path) -> None:
    from skimage.io import imsave

    sizes = [(100, 120), (100, 120), (160, 90)]
    for i, (h, w) in enumerate(sizes):
        imsave(tmp_path / f"{i}.png", spots([(60, 70)], h, w)[..., 0], check_contrast=False)
    found = run(open_frames(tmp_path), predictor())
    np.testing.assert_allclose(found.xy[:, 0, 0], [[60, 70]] * 3, atol=0.6)
    assert found.videos[0].images == ("0.png", "1.png", "2.png")


def test_the_threshold_and_the_number_of_animals_limit_the_result() -> None:
    stack = spots([(44, 60), (100, 60), (156, 60)])[None]
    assert run(open_frames(stack), predictor()).n_instances == 3
    few = PLAIN.model_copy(update={"max_animals": 2})
    assert run(open_frames(stack), predictor(config=few)).n_instances == 2
    strict = PLAIN.model_copy(update={"score_threshold": 1.0})
    assert run(open_frames(stack), predictor(config=strict)).n_instances == 0


def test_the_score_listens_to_the_heat_maps_too() -> None:
    faint = (0.7 * spots([(101, 63)])).astype(np.uint8)
    stack = np.maximum(spots([(44, 60)]), faint)[None]
    plain = PLAIN.model_copy(update={"heat_score": False})
    alone = run(open_frames(stack), predictor(config=plain))
    both = run(open_frames(stack), predictor())
    np.testing.assert_allclose(both.xy, alone.xy)
    wanted = np.sqrt(alone.instance_score * alone.score.mean(-1))
    np.testing.assert_allclose(both.instance_score, wanted, rtol=1e-5)
    assert np.abs(both.instance_score - alone.instance_score).max() > 0.01
    strict = PLAIN.model_copy(update={"score_threshold": float(both.instance_score.mean())})
    assert run(open_frames(stack), predictor(config=strict)).n_instances == 1


def test_pairs_are_parted_only_of_animals_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poor networks find hundreds of false animals, whose pairs would take seconds a frame."""
    asked = []

    def parted(output: Output, found: Detections, xy: torch.Tensor, *rest: object) -> torch.Tensor:
        asked.append(len(found))
        return xy

    monkeypatch.setattr(pictures, "part_pairs", parted)
    faint = (0.2 * spots([(101, 63)])).astype(np.uint8)
    stack = np.maximum(spots([(44, 60)]), faint)[None]
    for threshold, count in ((0.1, 2), (0.4, 1)):
        made = predictor(config=PLAIN.model_copy(update={"score_threshold": threshold}))
        made.info = replace(made.info, pairs=("any",))  # type: ignore[arg-type]
        assert run(open_frames(stack), made).n_instances == count
    assert asked == [2, 1]


class Looks(SpotFinder):
    """Counts how many pictures it has looked at."""

    pictures = 0

    def forward(self, images: torch.Tensor) -> Output:
        self.pictures += len(images)
        return super().forward(images)


@pytest.mark.parametrize(
    ("names", "follow", "rotate_deg", "turns", "looks"),
    [
        (False, True, 180.0, 0, 1),  # a recording
        (False, False, 180.0, 0, 1),  # some frames of it
        (True, True, 180.0, 0, 1),  # a folder with the frames of a recording
        (True, False, 180.0, 0, 4),  # single pictures
        (True, False, 90.0, 0, 1),  # for a network that does not know turned ones
        (True, False, 180.0, 2, 2),
        (False, True, 180.0, 4, 4),
    ],
)
def test_single_pictures_are_averaged_over_turned_copies(
    tmp_path: Path, names: bool, follow: bool, rotate_deg: float, turns: int, looks: int
) -> None:
    from skimage.io import imsave

    picture = spots([(60, 70)], 128, 160)
    frames = open_frames(picture[None])
    if names:
        imsave(tmp_path / "a.png", picture[..., 0], check_contrast=False)
        frames = open_frames(tmp_path)
    network = Looks()
    settings = Config().with_settings({"augment.rotate_deg": rotate_deg})
    config = PLAIN.model_copy(update={"turns": turns})
    made = Predictor(network, ModelInfo(SKELETON, settings, 1.0), config)  # type: ignore[arg-type]
    found = run(frames, made, follow=follow)
    np.testing.assert_allclose(found.xy[0, 0, 0], [60, 70], atol=0.6)
    assert network.pictures == looks
    made.output_of(picture)  # one of its own, as by default
    assert network.pictures == looks + (turns or 1)


class Counting(Frames):
    """Counts the frames that were read, and may fail."""

    def __init__(self, count: int, fail_at: int = -1) -> None:
        super().__init__((count, 32, 32, 1), source=None)
        self.read = 0
        self.fail_at = fail_at

    def _read(self, i: int) -> np.ndarray:
        self.read += 1
        if i == self.fail_at:
            raise FramesError(f"frame {i} is damaged")
        return np.zeros((32, 32, 1), np.uint8)

    def close(self) -> None:
        pass


def test_reading_runs_only_a_little_ahead() -> None:
    frames = Counting(400)
    one_by_one = PLAIN.model_copy(update={"batch_size": 1})
    stream = predict_stream(predictor(config=one_by_one), frames, frame_range=list(range(400)))
    for _ in range(3):
        next(stream)
    time.sleep(0.3)
    assert frames.read < 20
    stream.close()
    assert not [t for t in threading.enumerate() if t.name == "frames"]


def test_stopping_keeps_what_is_done() -> None:
    asked = iter([False, False, True])
    one_by_one = PLAIN.model_copy(update={"batch_size": 1})
    chunks = list(
        predict_stream(
            predictor(config=one_by_one), moving(9), should_stop=lambda: next(asked, True)
        )
    )
    assert [c.done for c in chunks] == [1, 2]


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_damaged_frame_is_told_after_all_before_it(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    frames = Counting(8, fail_at=5)
    made = predictor(config=PLAIN.model_copy(update={"batch_size": batch_size}))
    done: list[int] = []

    def predict() -> None:
        for chunk in predict_stream(made, frames, frame_range=list(range(8))):
            done.extend(chunk.poses.frame.tolist())

    with pytest.raises(FramesError, match="frame 5"):
        predict()
    assert done == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["poses.xyz", "file/poses.slp"])
def test_a_file_that_cannot_be_written_is_told_before_the_prediction(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabelsError, match=r"xyz|cannot be written"):
        api.predict(tmp_path / "no model", tmp_path / "no video", out=tmp_path / name)


def test_poses_that_cannot_be_written_are_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(poses: Poses, path: Path, **more: object) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_semimultipose.io.labels.write_poses", full)
    picture = spots([(20.0, 30.0)])
    with pytest.raises(UnsavedPosesError, match="No space left") as caught:
        api.predict(predictor(), picture[None], out=tmp_path / "poses.slp")
    assert len(caught.value.poses) == 1
    assert len(pickle.loads(pickle.dumps(caught.value)).poses) == 1


def test_of_a_file_that_holds_some_frames_these_are_predicted() -> None:
    frames = Counting(50)
    frames.stored = (3, 4, 10, 40)
    assert run(frames, predictor()).frame.tolist() == [3, 4, 10, 40]
    with ExitStack() as opened:
        (recording,) = open_for_prediction(frames, opened, slice(4, 40))
    assert (list(recording.indices), recording.sequence) == ([4, 10], False)
    with ExitStack() as opened, pytest.raises(FramesError, match="none of these frames"):
        open_for_prediction(frames, opened, slice(5, 9))


def test_scaling_by_the_shorter_side_keeps_the_limit() -> None:
    made = Predictor(
        SpotFinder(),  # type: ignore[arg-type]
        ModelInfo(SKELETON, Config.from_preset("paper"), 0.0),
        PLAIN,
    )
    assert made.scale_for(400, 500) == 2.0
    assert made.scale_for(400, 2000) == pytest.approx(1333 / 2000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = Config().with_settings(["model.channels=16", "model.heat_channels=16"])
    skeleton = Skeleton(("a", "b"), edges=((0, 1),), symmetry=((0, 1),), name="bug")
    write_info(tmp_path, ModelInfo(skeleton, config, 0.5, 40.0, {"ap": 0.25}, 12))
    save_weights(DirectPose(config.model, skeleton.keypoints), tmp_path / WEIGHTS)
    return tmp_path


def test_a_model_folder_is_read_as_written(folder: Path) -> None:
    network, info = load_model(folder)
    assert not network.training
    assert (info.skeleton.edges, info.skeleton.symmetry) == (((0, 1),), ((0, 1),))
    assert (info.scale, info.animal_size_px, info.iteration) == (0.5, 40.0, 12)
    told = describe_model(folder)
    assert (told["keypoints"], told["scores"], told["trained"]) == (["a", "b"], {"ap": 0.25}, True)
    run(open_frames(np.zeros((2, 64, 64), np.uint8)), Predictor(network, info, PLAIN))


@pytest.mark.parametrize(
    ("damage", "advice"),
    [
        ("weights", "damaged"),
        ("no weights", "train it first"),
        ("description", "damaged"),
        ("config", "backbone"),
        ("empty", "no model folder"),
    ],
)
def test_damaged_model_folders_are_told(folder: Path, damage: str, advice: str) -> None:
    if damage == "weights":
        (folder / WEIGHTS).write_bytes(b"xxxx")
    elif damage == "no weights":
        (folder / WEIGHTS).unlink()
    elif damage == "description":
        (folder / "model.json").write_text("{}")
    elif damage == "config":
        (folder / "config.yaml").write_text("model: {backbone: none}")
    else:
        (folder / "model.json").unlink()
    with pytest.raises(SemiMultiPoseError, match=advice):
        load_model(folder)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder"):
        load_model(tmp_path / "nothing")


def test_a_flash_does_not_widen_the_table_of_all_frames(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunk(frame: int, animals: int) -> Poses:
        xy = np.zeros((1, animals, 1, 2)) + np.arange(animals)[None, :, None, None]
        return Poses(SKELETON, xy, [frame], instance_score=np.linspace(0.1, 0.9, animals)[None])

    calm = [chunk(i, 2) for i in range(299)]
    assert joined([*calm, chunk(299, 120)]).n_instances == 299 * 2 + 120  # a small table
    monkeypatch.setattr("napari_semimultipose.inference.predict._LARGE", 3000)
    found = joined([*calm, chunk(299, 120)])
    assert found.xy.shape[:2] == (300, 16)
    assert sorted(found.xy[299, :, 0, 0].tolist()) == list(range(104, 120))  # the best ones
    assert found.n_instances == 299 * 2 + 16
    assert "on 1 of 300 frames there are up to 120 detections" in caplog.text
    caplog.clear()
    assert joined([*calm, *(chunk(300 + i, 12) for i in range(9))]).n_instances == 299 * 2 + 9 * 12
    assert not caplog.text
