"""Every labelled frame is seen by exactly one model, which was trained without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_semimultipose import api
from napari_semimultipose.config import Config
from napari_semimultipose.crossfit import FoldProgress, cross_fitted, folds_of
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Source, Video
from napari_semimultipose.training import loop
from napari_semimultipose.training.events import Done

TINY = [
    "data.crop_px=64",
    "data.animal_px=24",
    "data.batch_labeled=2",
    "model.channels=16",
    "model.heat_channels=16",
    "train.minutes=0",
    "train.iterations=2",
    "train.method=directpose",
    "train.device=cpu",
    "predict.device=cpu",
]


def labels(frames: int = 12) -> Poses:
    return SyntheticRecording(frames, seed=1, missing=0).poses(Video("clip"))


def test_folds_are_stretches_of_frames_and_of_equal_size() -> None:
    fold = folds_of(labels(96), 3)
    assert np.bincount(fold).tolist() == [32, 32, 32]
    assert (np.diff(fold) != 0).sum() == 11


def test_frames_without_labels_belong_to_no_fold() -> None:
    poses = labels(12)
    poses = poses.keep(poses.present & (np.arange(12) < 6)[:, None])
    fold = folds_of(poses, 2)
    assert (fold[6:] == -1).all()
    assert set(fold[:6]) == {0, 1}


def test_too_few_labels_are_an_error() -> None:
    with pytest.raises(LabelsError, match="too few for 5 folds"):
        folds_of(labels(3), 5)


def test_no_model_sees_what_it_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained for two steps: what is tested is who sees what, not how well."""
    known: list[set[int]] = []
    real = loop.train

    def spying(table: Poses, out: Path, config: Config, **given: object):
        rows, exclude = given["labeled_rows"], given["exclude"]
        used = {int(table.frame[row]) for row in rows}
        assert not used & {frame for _, frame in exclude}
        known.append(used)
        yield from real(table, out, config, **given)

    monkeypatch.setattr(loop, "train", spying)
    config = Config().with_settings(TINY)
    events: list[FoldProgress] = []
    _, seen = api.check(
        labels(),
        frames=SyntheticRecording(12, seed=1, missing=0)[:],
        folds=2,
        config=config,
        on_progress=events.append,
    )
    assert [len(used) for used in known] == [6, 6]
    assert known[0] | known[1] == set(range(12))
    assert seen is not None
    assert seen.frame.tolist() == list(range(12))
    assert seen.videos[0].path == "clip"
    share = [event.share for event in events]
    assert share == sorted(share)
    assert sum(isinstance(event.event, Done) for event in events) == 2


def test_frames_without_predictions_are_no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in any training: nobody looked at frames on which a model found nothing."""
    counts: list[int] = []

    def started(table: Poses, out: Path, config: Config, **given: object):
        rows = given["labeled_rows"]
        assert not [row for row in rows if table.frame[row] >= 6]
        counts.append(len(rows))
        yield Done(out, 0, "stopped", {})

    monkeypatch.setattr(loop, "train", started)
    poses = labels(12)
    source = poses.source.copy()
    source[6:] = Source.PREDICTED
    poses = replace(poses, source=source)
    poses = poses.keep(poses.present & (poses.frame < 9)[:, None])
    frames = SyntheticRecording(12, seed=1, missing=0)[:]
    work = cross_fitted(
        poses, Config(), {0: open_frames(frames)}, 2, should_stop=lambda: bool(counts)
    )
    list(work)
    assert counts == [3]


@pytest.mark.parametrize("folds", [1, 2])
def test_folds_that_make_no_sense(folds: int) -> None:
    with pytest.raises(ConfigError):
        api.check(labels(), folds=folds, predictions=labels() if folds > 1 else None)
