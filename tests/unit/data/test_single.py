"""Whether one animal is always the same way up, or turns to all sides."""

from __future__ import annotations

import numpy as np
import pytest

from napari_semimultipose.config import Config, DataConfig
from napari_semimultipose.data.batch import BatchSize
from napari_semimultipose.data.pseudo import PseudoPoses
from napari_semimultipose.data.single import WholeFrameMaker, posture
from napari_semimultipose.data.split import prepare
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.training.kind import with_kind

SHAPE = np.array([(0.0, 0.0), (40.0, 6.0), (80.0, 0.0), (60.0, -9.0)])


def turned(spread_deg: float, count: int = 10, seed: int = 0) -> np.ndarray:
    """Poses [M, 4, 2] that turn about 130 degrees by a spread, and bend, grow and move a little."""
    rng = np.random.default_rng(seed)
    angle = np.radians(130 + spread_deg * rng.standard_normal(count))
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bent = SHAPE + rng.normal(0, 2, (count, 4, 2))
    size = rng.uniform(0.8, 1.2, (count, 1, 1))
    return size * np.einsum("ijm,mkj->mki", turn, bent) + rng.uniform(0, 400, (count, 1, 2))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("spread", "wanted"), [(0, "fixed"), (3, "fixed"), (20, "free"), (45, "free"), (1000, "free")]
)
def test_the_spread_of_the_headings_decides(spread: float, wanted: str, seed: int) -> None:
    assert posture(turned(spread, seed=seed)) == wanted


def test_missing_keypoints_do_not_look_like_turns() -> None:
    xy = turned(2, 30)
    xy[np.random.default_rng(1).random(xy.shape[:2]) < 0.3] = np.nan
    assert posture(xy) == "fixed"
    xy = turned(40, 30)
    xy[:, 3] = np.nan
    assert posture(xy) == "free"


@pytest.mark.parametrize("xy", [turned(90, 4), turned(90)[:, :1], np.full((9, 4, 2), np.nan)])
def test_few_poses_and_single_keypoints_count_as_fixed(xy: np.ndarray) -> None:
    assert posture(xy) == "fixed"


def test_the_model_keeps_what_was_found_and_what_was_asked_for() -> None:
    skeleton = Skeleton(("nose", "left", "tail", "right"))
    labels = Poses(skeleton, turned(40)[:, None], np.arange(10))
    assert with_kind(Config(), labels).heatmap.posture == "free"
    # Only the rows that train count.
    alike = Poses(skeleton, np.concatenate([turned(0, 6), turned(40)])[:, None], np.arange(16))
    assert with_kind(Config(), alike, range(6)).heatmap.posture == "fixed"
    asked = Config().with_settings(["heatmap.posture=fixed"])
    assert with_kind(asked, labels).heatmap.posture == "fixed"


def test_nothing_is_pasted_where_there_is_one_animal() -> None:
    stack = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), np.uint8)
    xy = np.tile([[20.0, 20], [40, 20], [30, 45]], (8, 1, 1))[:, None]
    poses = Poses(Skeleton(("nose", "ear", "tail")), xy, np.arange(8))
    config = Config().with_settings(["heatmap.side_px=64", "augment.paste=1"])
    data = prepare(poses, {0: open_frames(stack)}, DataConfig(), labeled_rows=range(4))
    make = WholeFrameMaker(data, config)
    make.pseudo = {
        ref.key: PseudoPoses(xy[ref.index], np.ones((1, 3), bool), np.zeros((0, 4)))
        for ref in data.unlabeled
    }
    for i in range(4):
        batch = make(i, BatchSize(2, 2))
        assert [len(one) for one in batch.keypoints] == [1, 1]
        assert [len(one.keypoints) for one in batch.pseudo] == [1, 1]
