"""Random poses for the property tests of this room."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from napari_semimultipose.poses import Poses, Skeleton, Video

NAMES = ("head", "thorax", "abdomen", "wingL", "wingR")


@st.composite
def random_poses(draw: st.DrawFn, videos: int = 1) -> Poses:
    """Poses with missing and occluded keypoints, empty slots, empty frames, tracks and sources."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    f, n, k = draw(st.integers(0, 5)), draw(st.integers(0, 4)), draw(st.integers(1, 5))
    xy = rng.uniform(-20, 500, (f, n, k, 2))
    xy[rng.random((f, n, k)) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = np.nan
    edges = tuple((i, i + 1) for i in range(k - 1))
    keys = sorted(
        (int(v), int(t))
        for v, t in {(rng.integers(videos), rng.integers(0, 40)) for _ in range(20)}
    )
    keys = [keys[i] for i in sorted(rng.choice(len(keys), min(f, len(keys)), replace=False))]
    f = len(keys)
    return Poses(
        Skeleton(NAMES[:k], edges=edges),
        xy[:f],
        np.array([t for _, t in keys], int),
        video=np.array([v for v, _ in keys], int),
        score=rng.uniform(0.1, 1, (f, n, k)),
        instance_score=rng.uniform(0.1, 1, (f, n)),
        track=rng.integers(-1, 4, (f, n)),
        visible=rng.integers(0, 3, (f, n, k)),
        source=rng.integers(0, 3, (f, n)),
        videos=tuple(Video(f"clip{i}.mp4") for i in range(videos)),
        track_names=("a", "b"),
    )


def assert_same(a: Poses, b: Poses) -> None:
    """The same rows and animals, in any order of the slots' numbers but not of the slots."""
    assert a.skeleton == b.skeleton
    assert a.videos == b.videos
    assert a.track_names == b.track_names
    a, b = a.keep(a.present), b.keep(b.present)
    for name in (
        "frame",
        "video",
        "xy",
        "score",
        "instance_score",
        "track",
        "visible",
    ):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_array_equal(a.source[a.present], b.source[b.present])
