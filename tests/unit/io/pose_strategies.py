"""Random poses for round trips, and what it means that two poses are the same."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from napari_semimultipose.poses import Poses, Skeleton, Video

NAMES = ("nose", "ear é", "spine, mid", "LeftHip", "RightHip")


@st.composite
def poses(
    draw,
    *,
    skeleton=None,
    videos=None,
    tracks=True,
    scores=True,
    occluded=True,
    sources=(0, 1, 2),
    max_instances=3,
    empty_frames=True,
    decimals=3,
):
    """Draw poses with the given abilities; every instance has a keypoint at least."""
    if skeleton is None:
        k = draw(st.integers(1, len(NAMES)))
        edges = ((0, k - 1),) if k > 1 else ()
        symmetry = ((3, 4),) if k == len(NAMES) else ()
        skeleton = Skeleton(NAMES[:k], edges, symmetry, draw(st.sampled_from(["bee", "Maus"])))
    k = len(skeleton)
    if videos is None:
        videos = draw(
            st.sampled_from(
                [
                    (Video("clip.mp4", (), (48, 64)),),
                    (Video("a.mp4"), Video("sub/b.avi", (), (32, 32))),
                    (Video("/images", ("x/1.png", "x/2.png", "y/1.png", "y/3.png")),),
                ]
            )
        )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keys = [(v, f) for v, video in enumerate(videos) for f in range(len(video.images) or 4)]
    keys = draw(st.lists(st.sampled_from(keys), unique=True, min_size=1, max_size=4))
    n_tracks = 3 if tracks else 0
    flat = {
        name: []
        for name in (
            "frame",
            "video",
            "xy",
            "visible",
            "score",
            "instance_score",
            "track",
            "source",
        )
    }
    first = True
    for video, frame in keys:
        least = 0 if empty_frames and not first else 1
        first = False
        count = draw(st.integers(least, max_instances))
        order = rng.permutation(max(n_tracks, max_instances))
        for i in range(count):
            visible = rng.choice([0, 1, 2] if occluded else [0, 2], k)
            visible[rng.integers(k)] = 2
            source = int(rng.choice(sources))
            scored = scores and source != 0
            flat["frame"].append(frame)
            flat["video"].append(video)
            flat["xy"].append(rng.uniform(-5, 500, (k, 2)).round(decimals))
            flat["visible"].append(visible)
            flat["score"].append(rng.random(k).round(4) if scored else np.ones(k))
            flat["instance_score"].append(round(float(rng.random()), 4) if scored else 1.0)
            has_track = n_tracks and order[i] < n_tracks and rng.random() < 0.8
            flat["track"].append(int(order[i]) if has_track else -1)
            flat["source"].append(source)
    return Poses.from_instances(
        skeleton,
        **flat,
        videos=videos,
        track_names=("anna", "berta", "clara") if tracks else (),
        empty_frames=keys if empty_frames else (),
    )


def assert_same(a: Poses, b: Poses, *, skip=(), atol=1e-6):
    """Check that two poses hold the same labels: slots may differ, and so may unused images."""
    assert a.skeleton.keypoints == b.skeleton.keypoints
    for what in ("edges", "symmetry"):
        if what not in skip:
            assert getattr(a.skeleton, what) == getattr(b.skeleton, what), what
    if "name" not in skip:
        assert a.skeleton.name == b.skeleton.name
    left, right = _by_place(a, skip), _by_place(b, skip)
    assert left.keys() == right.keys()
    for place, mine in left.items():
        yours = right[place]
        assert len(mine) == len(yours), place
        for x, y in zip(mine, yours, strict=True):
            for key in x:
                if key == "track_name":
                    assert x[key] == y[key], (place, key)
                else:
                    np.testing.assert_allclose(x[key], y[key], atol=atol, err_msg=f"{place} {key}")


def _by_place(poses: Poses, skip) -> dict:
    """Instances by image or (video path, frame), in an order that does not depend on slots."""
    rows = {}
    for row in range(len(poses)):
        video = poses.videos[poses.video[row]]
        name = poses.image_name(row)
        clip = video.path if "video" not in skip else int(poses.video[row])
        place = name if name is not None else (clip, int(poses.frame[row]))
        rows[place] = sorted(
            (_instance(poses, row, slot, skip) for slot in np.flatnonzero(poses.present[row])),
            key=lambda one: np.nan_to_num(one["xy"]).round(3).tolist(),
        )
    return rows


def _instance(poses: Poses, row: int, slot: int, skip) -> dict:
    track = int(poses.track[row, slot])
    names = poses.track_names
    one = {
        key: getattr(poses, key)[row, slot]
        for key in ("xy", "visible", "score", "instance_score", "source")
        if key not in skip
    }
    if "track" not in skip:
        one["track_name"] = names[track] if 0 <= track < len(names) else track
    return one
