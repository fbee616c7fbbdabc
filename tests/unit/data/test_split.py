"""Sorting frames into training, validation and unlabelled ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semimultipose.config import DataConfig
from napari_semimultipose.data.split import prepare, working_scale
from napari_semimultipose.errors import LabelsError, TrainingError
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton, Source

SKELETON = Skeleton(("head", "tail"))
FRAMES = {0: open_frames(np.zeros((40, 64, 80), np.uint8))}


def poses(rows: int = 20, **changes: object) -> Poses:
    xy = np.zeros((rows, 1, 2, 2))
    xy[..., 0, :] = 10
    xy[..., 1, :] = (50, 20)
    return replace(Poses(SKELETON, xy, np.arange(rows)), **changes)  # type: ignore[arg-type]


def keys(refs: list) -> set:
    return {r.key for r in refs}


def test_every_frame_has_one_place() -> None:
    data = prepare(poses(), FRAMES, DataConfig(), exclude={(0, 3), (0, 30)})
    parts = [keys(data.train), keys(data.validation), keys(data.unlabeled)]
    assert [len(p) for p in parts] == [18, 1, 19]
    assert set.union(*parts) == {(0, i) for i in range(40)} - {(0, 3), (0, 30)}
    assert all(data.poses.frame[r.row] == r.index for r in data.train)


def test_other_labels_are_unlabelled_frames_when_a_list_is_given() -> None:
    data = prepare(poses(), FRAMES, DataConfig(), labeled_rows=[2, 5])
    assert keys(data.train) == {(0, 2), (0, 5)}
    assert len(data.unlabeled) == 38
    assert all(r.row == -1 for r in data.unlabeled)


def test_the_rows_of_the_list_are_those_of_the_given_labels() -> None:
    backwards = poses().select(np.arange(20)[::-1])
    data = prepare(backwards, FRAMES, DataConfig(), labeled_rows=[0, 1])
    assert keys(data.train) == {(0, 19), (0, 18)}
    assert all(data.poses.frame[r.row] == r.index for r in data.train)


def test_only_stored_frames_are_unlabelled_ones() -> None:
    frames = open_frames(np.zeros((40, 64, 80), np.uint8))
    frames.stored = (1, 4, 30)
    data = prepare(poses(), {0: frames}, DataConfig(), labeled_rows=[2, 5], unlabeled=[frames])
    # Frame 4 has a label that may not be used; frames 1 and 30 have none.
    assert {(0, 1), (0, 4), (0, 30)} <= keys(data.unlabeled)
    assert ("unlabeled", 0, 30) in keys(data.unlabeled)
    assert (0, 31) not in keys(data.unlabeled)


def test_the_validation_frames_follow_the_seed_and_can_be_given() -> None:
    config = DataConfig(validation_fraction=0.3)
    one = prepare(poses(), FRAMES, config, seed=1)
    assert keys(one.validation) == keys(prepare(poses(), FRAMES, config, seed=1).validation)
    assert keys(one.validation) != keys(prepare(poses(), FRAMES, config, seed=2).validation)
    given = prepare(poses(), FRAMES, config, validation_keys=[(0, 7)])
    assert keys(given.validation) == {(0, 7)}


def test_few_labels_are_all_used_for_training() -> None:
    data = prepare(poses(6), FRAMES, DataConfig())
    assert (len(data.train), len(data.validation)) == (6, 0)


def test_further_recordings_are_unlabelled_and_limited() -> None:
    more = open_frames(np.zeros((500, 64, 80), np.uint8))
    data = prepare(poses(), FRAMES, DataConfig(max_unlabeled=50), unlabeled=[more])
    assert len(data.unlabeled) == 50


def test_predicted_animals_are_no_labels() -> None:
    predicted = poses(source=np.full((20, 1), Source.PREDICTED))
    with pytest.raises(LabelsError, match="20 predicted animals"):
        prepare(predicted, FRAMES, DataConfig())
    assert len(prepare(predicted.accepted(), FRAMES, DataConfig()).train) == 18


def test_frames_with_predicted_animals_alone_are_unlabelled() -> None:
    """Trained as frames without animals they would teach that these are background."""
    source = np.full((20, 1), Source.HUMAN)
    source[5:] = Source.PREDICTED
    made = poses(source=source)
    data = prepare(made, FRAMES, DataConfig())
    assert keys(data.train) | keys(data.validation) == {(0, i) for i in range(5)}
    assert keys(data.unlabeled) >= {(0, i) for i in range(5, 20)}
    assert "15 frames with predicted animals alone" in " ".join(data.notes)
    # neither is a frame without any animal among predictions, unless it was chosen
    nothing = made.visible.copy()
    nothing[19] = 0
    made = replace(made, visible=nothing)
    data = prepare(made, FRAMES, DataConfig())
    assert (0, 19) in keys(data.unlabeled)
    data = prepare(made, FRAMES, DataConfig(), labeled_rows=[0, 1, 7, 19])
    assert keys(data.train) | keys(data.validation) == {(0, 0), (0, 1), (0, 19)}


def test_frames_without_animals_among_labels_are_labelled() -> None:
    made = poses()
    nothing = made.visible.copy()
    nothing[19] = 0
    data = prepare(replace(made, visible=nothing), FRAMES, DataConfig())
    assert (0, 19) in keys(data.train) | keys(data.validation)
    assert data.notes == ()


def test_predicted_animals_beside_labels_are_told() -> None:
    made = poses()
    both = {
        name: np.concatenate([getattr(made, name)] * 2, 1)
        for name in ("xy", "score", "instance_score", "track", "visible", "source")
    }
    both["source"][:, 1] = Source.PREDICTED
    data = prepare(replace(made, **both), FRAMES, DataConfig())
    assert "20 predicted animals on labelled frames" in " ".join(data.notes)


def test_no_label_at_all_is_an_error() -> None:
    with pytest.raises(LabelsError, match="label at least one frame"):
        prepare(Poses.empty(SKELETON), FRAMES, DataConfig())


def test_labels_of_another_resolution_are_refused() -> None:
    far = poses()
    with pytest.raises(LabelsError, match="outside their image"):
        prepare(replace(far, xy=far.xy * 4), FRAMES, DataConfig())


def test_single_points_outside_are_told_and_left_out() -> None:
    one = poses()
    xy = one.xy.copy()
    xy[0, 0, 0] = (-5, 10)
    data = prepare(replace(one, xy=xy), FRAMES, DataConfig())
    assert "1 of 40" in data.notes[0]


def test_a_frame_beyond_the_recording_is_an_error() -> None:
    with pytest.raises(LabelsError, match="has 40 frames"):
        prepare(poses(frame=np.arange(30, 50)), FRAMES, DataConfig())


def test_a_missing_recording_is_an_error() -> None:
    with pytest.raises(TrainingError, match="--frames"):
        prepare(poses(), {}, DataConfig())


def test_the_working_scale_brings_animals_to_their_size() -> None:
    config = DataConfig(animal_px=64, max_scale=2)
    assert working_scale(128, config) == 0.5
    assert working_scale(10, config) == 2
    assert working_scale(float("nan"), config) == 1
    assert working_scale(128, DataConfig(animal_px=0)) == 0


def test_one_keypoint_keeps_the_scale_and_says_so() -> None:
    dots = Poses(Skeleton(("body",)), np.full((5, 2, 1, 2), 20.0), np.arange(5))
    data = prepare(dots, FRAMES, DataConfig())
    assert data.scale == 1
    assert any("one keypoint" in note for note in data.notes)


def test_frames_of_a_camera_with_fewer_bits_are_told() -> None:
    """They look right in the viewer, which stretches them, and are black for the network."""
    rng = np.random.default_rng(0)
    bits12 = rng.integers(200, 4096, (40, 64, 80), np.uint16)
    data = prepare(poses(), {0: open_frames(bits12)}, DataConfig())
    assert "brightest value is 15 of 255" in " ".join(data.notes)
    data = prepare(poses(), {0: open_frames(bits12 * np.uint16(16))}, DataConfig())
    assert data.notes == ()
