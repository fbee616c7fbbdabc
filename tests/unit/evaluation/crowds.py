"""Random animals and their detections, and the same in the dictionaries of the COCO format."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_semimultipose.poses import Poses, Skeleton, Video

BEE = Skeleton(("Tail", "Head", "Thorax", "Rant", "Lant"), symmetry=((3, 4),))
BODY = np.array([[0, 0], [100, 0], [60, 0], [110, 15], [110, -15]], float)


def images(count: int, folder: str = "bees") -> Video:
    return Video(folder, tuple(f"labeled/{i:04d}.jpg" for i in range(count)), (720, 1280))


def crowd(
    seed: int = 0,
    frames: int = 6,
    animals: int = 5,
    *,
    missing: float = 0.1,
    skeleton: Skeleton = BEE,
) -> Poses:
    """True animals: a body turned and put anywhere, some keypoints hidden or not labelled."""
    random = np.random.default_rng(seed)
    keypoints = len(skeleton)
    angle = random.uniform(0, 2 * np.pi, (frames, animals))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    xy = BODY[:keypoints] @ turn.reshape(frames, animals, 2, 2).swapaxes(-1, -2)
    xy = xy + random.uniform(100, 1000, (frames, animals, 1, 2))
    visible = np.where(random.random(xy.shape[:3]) < missing, 0, 2)
    visible[random.random(visible.shape) < 0.1] = 1
    visible[random.random((frames, animals)) < 0.1] = 0
    return Poses(skeleton, xy, np.arange(frames), visible=visible, videos=(images(frames),))


def detections(
    truth: Poses,
    seed: int = 1,
    *,
    noise_px: float = 4.0,
    dropped: float = 0.1,
    lacking: float = 0.05,
    swapped: float = 0.0,
    surplus: int = 2,
    levels: int = 0,
) -> Poses:
    """Imperfect detections of `truth`, in another order; `levels` > 0 gives scores with ties."""
    random = np.random.default_rng(seed)
    f, n, k, _ = truth.xy.shape
    filled = np.where(np.isnan(truth.xy), random.uniform(0, 1000, truth.xy.shape), truth.xy)
    xy = filled + random.normal(size=truth.xy.shape) * noise_px * random.exponential(
        size=(f, n, 1, 1)
    )
    for i, j in truth.skeleton.symmetry:
        trade = random.random((f, n)) < swapped
        xy[trade, i], xy[trade, j] = xy[trade, j], xy[trade, i]
    xy[~truth.present | (random.random((f, n)) < dropped)] = np.nan
    xy[random.random((f, n, k)) < lacking] = np.nan
    extra = random.uniform(0, 1000, (f, surplus, 1, 2)) + random.uniform(
        -60, 60, (f, surplus, k, 2)
    )
    near = xy[:, :surplus] + random.normal(size=(f, min(surplus, n), k, 2)) * 3
    xy = np.concatenate([xy, extra, near], 1)
    xy = xy[:, random.permutation(xy.shape[1])]
    score = random.random(xy.shape[:2])
    if levels:
        score = np.ceil(score * levels) / levels
    return Poses(truth.skeleton, xy, truth.frame, instance_score=score, videos=truth.videos)


def coco_truth(truth: Poses) -> dict[str, Any]:
    """COCO key-point file; its area is the keypoint extent with 10 px on each side."""
    pictures = [
        {"id": row + 1, "file_name": str(row), "width": 1280, "height": 720}
        for row in range(len(truth))
    ]
    annotations = []
    for row, slot in np.argwhere(truth.present).tolist():
        xy, visible = truth.xy[row, slot], truth.visible[row, slot]
        low, high = np.nanmin(xy, 0), np.nanmax(xy, 0)
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": row + 1,
                "category_id": 1,
                "iscrowd": 0,
                "num_keypoints": int((visible > 0).sum()),
                "keypoints": np.c_[np.nan_to_num(xy), visible].ravel().tolist(),
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "area": float(np.prod(high - low + 20)),
            }
        )
    names = list(truth.skeleton.keypoints)
    return {
        "images": pictures,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "bee", "keypoints": names, "skeleton": []}],
    }


def coco_results(prediction: Poses, truth: Poses) -> list[dict[str, Any]]:
    """COCO results for rows that agree one to one; keypoints that are lacking are far away."""
    results = []
    for row, slot in np.argwhere(prediction.present).tolist():
        xy, seen = prediction.xy[row, slot], prediction.visible[row, slot] > 0
        points = np.c_[np.where(seen[:, None], xy, 0.0), seen]
        results.append(
            {
                "image_id": row + 1,
                "category_id": 1,
                "keypoints": points.ravel().tolist(),
                "score": float(prediction.instance_score[row, slot]),
            }
        )
    assert len(prediction) == len(truth)
    return results
