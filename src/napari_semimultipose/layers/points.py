"""Poses as a napari Points layer, and back.

One point a keypoint, at (frame, row, column). What belongs to a point stands in the features of
the layer, what belongs to the whole stands in ``layer.metadata["semimultipose"]`` as a
`PointsInfo`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.point_columns import (
    by_order,
    codes,
    columns,
    group,
    indices,
    numbers,
    repetition,
)
from napari_semimultipose.layers.style import METRIC_OF_COLOR, SYMBOLS, PoseStyle, animal_number
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

if TYPE_CHECKING:
    import pandas as pd
    from napari.layers import Points

    from napari_semimultipose.layers.store import PoseStore

METADATA_KEY = "semimultipose"

FEATURES = (
    "frame",
    "instance",
    "keypoint",
    "visibility",
    "score",
    "instance_score",
    "track",
    "source",
)
VISIBILITIES = {Visibility.OCCLUDED: "occluded", Visibility.VISIBLE: "visible"}
SOURCES = {
    Source.HUMAN: "human",
    Source.PREDICTED: "predicted",
    Source.PROPAGATED: "propagated",
}

LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class PointsInfo:
    """What the points of a layer cannot say themselves.

    Parameters
    ----------
    skeleton : Skeleton
        Keypoints, edges and symmetric pairs.
    videos : tuple of Video
        The recordings of the labels; the layer shows the points of ``videos[video]``.
    negative : tuple of (video, frame)
        Frames that were looked at and hold no animal.
    store : PoseStore, optional
        Set where the layer is a window into a larger table: then the table is the truth, and the
        points are only those near the current frame.
    """

    skeleton: Skeleton
    videos: tuple[Video, ...] = (Video(),)
    video: int = 0
    track_names: tuple[str, ...] = ()
    negative: tuple[tuple[int, int], ...] = ()
    store: PoseStore | None = None


@dataclass(frozen=True)
class PointTable:
    """The P present keypoints of one video as flat arrays, in napari's coordinates.

    ``data`` [P, 3] holds (frame, row, column); ``row, slot, keypoint`` [P] are the places in the
    dense arrays of the poses, ``visibility, score, instance_score, track, source`` [P] their values,
    ``metrics`` what was measured of them in px and ``ratios`` the same as shares of what is plausible.
    """

    data: NDArray[np.float64]
    row: NDArray[np.int64]
    slot: NDArray[np.int64]
    keypoint: NDArray[np.int64]
    visibility: NDArray[np.int8]
    score: NDArray[np.float64]
    instance_score: NDArray[np.float64]
    track: NDArray[np.int64]
    source: NDArray[np.int8]
    metrics: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    ratios: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        poses: Poses,
        video: int | None = 0,
        measured: tuple[Mapping[str, NDArray], Mapping[str, NDArray]] = ({}, {}),
    ) -> PointTable:
        """Flatten the present keypoints of one video (None: of all rows), sorted by row.

        Parameters
        ----------
        measured : (mapping, mapping) of str to array [F, N, K]
            Metrics in px, and as shares of what is plausible.
        """
        there = poses.visible > 0
        if video is not None:
            there = there & (poses.video == video)[:, None, None]
        row, slot, keypoint = np.nonzero(there)
        xy = poses.xy[row, slot, keypoint]
        return cls(
            data=np.column_stack([poses.frame[row].astype(np.float64), xy[:, 1], xy[:, 0]]),
            row=row,
            slot=slot,
            keypoint=keypoint,
            visibility=poses.visible[row, slot, keypoint],
            score=poses.score[row, slot, keypoint],
            instance_score=poses.instance_score[row, slot],
            track=poses.track[row, slot],
            source=poses.source[row, slot],
            metrics={name: value[row, slot, keypoint] for name, value in measured[0].items()},
            ratios={name: value[row, slot, keypoint] for name, value in measured[1].items()},
        )

    def __len__(self) -> int:
        return len(self.data)

    def features(self, skeleton: Skeleton) -> pd.DataFrame:
        """Return the features of the points, in the order of `FEATURES`, and the metrics."""
        import pandas as pd

        def named(code: NDArray, names: Mapping[Any, str]) -> pd.Categorical:
            values = np.array(list(names))
            return pd.Categorical.from_codes(
                np.searchsorted(values, code), categories=list(names.values())
            )

        return pd.DataFrame(
            {
                "frame": np.round(self.data[:, 0]).astype(np.int64),
                "instance": self.slot,
                "keypoint": pd.Categorical.from_codes(self.keypoint, list(skeleton.keypoints)),
                "visibility": named(self.visibility, VISIBILITIES),
                "score": self.score,
                "instance_score": self.instance_score,
                "track": self.track,
                "source": named(self.source, SOURCES),
                **self.metrics,
            }
        )

    def symbols(self) -> NDArray | str:
        """Symbol [P] of each point: occluded points are hollow. One for all, where that is enough.

        napari needs a millisecond to read a thousand of them.
        """
        if (self.visibility != Visibility.OCCLUDED).all():
            return SYMBOLS[Visibility.VISIBLE]
        return np.where(
            self.visibility == Visibility.OCCLUDED,
            SYMBOLS[Visibility.OCCLUDED],
            SYMBOLS[Visibility.VISIBLE],
        )

    def colors(self, style: PoseStyle, n_keypoints: int) -> NDArray[np.float32]:
        """Colour [P, 4] of each point."""
        sure = np.where(self.source == Source.PREDICTED, self.score, np.nan)
        animal = animal_number(self.track, self.slot)
        ratio = self.ratios.get(METRIC_OF_COLOR.get(style.color_by, ""))
        return style.point_colors(self.keypoint, animal, n_keypoints, sure, ratio)


def points_from_poses(
    poses: Poses, video: int = 0
) -> tuple[NDArray[np.float64], pd.DataFrame, PointsInfo]:
    """Convert the poses of one video to the content of a Points layer.

    Returns
    -------
    data : array [P, 3]
        (frame, row, column) of the P present keypoints.
    features : DataFrame with P rows
        The columns of `FEATURES`; ``instance`` is the slot of the animal in its frame.
    info : PointsInfo
        The rest.
    """
    table = PointTable.of(poses, video)
    return table.data, table.features(poses.skeleton), info_of(poses, video)


def info_of(poses: Poses, video: int = 0) -> PointsInfo:
    """Return what a Points layer of these poses needs in its metadata."""
    empty = np.flatnonzero(~poses.present.any(1) & (poses.video == video))
    return PointsInfo(
        poses.skeleton,
        poses.videos,
        video,
        poses.track_names,
        tuple((video, int(poses.frame[i])) for i in empty),
    )


def points_layer_data(
    poses: Poses, name: str = "poses", video: int = 0, style: PoseStyle | None = None
) -> LayerData:
    """Return the layer data tuple of a Points layer that shows all poses of one video."""
    style = style or PoseStyle.fitting(poses)
    table = PointTable.of(poses, video)
    look: dict[str, Any] = style.points_kwargs()
    if len(table):
        look["face_color"] = table.colors(style, len(poses.skeleton))
        look["symbol"] = table.symbols()
    return (
        table.data,
        {
            "name": name,
            "ndim": 3,
            "features": table.features(poses.skeleton),
            "metadata": {METADATA_KEY: info_of(poses, video)},
            **look,
        },
        "points",
    )


# ------------------------------------------------------------------- and back


def info_from_metadata(metadata: Mapping[str, Any] | None) -> PointsInfo | None:
    """Return the `PointsInfo` in the metadata of a Points layer, or None for a plain layer."""
    info = (metadata or {}).get(METADATA_KEY)
    return info if isinstance(info, PointsInfo) else None


def poses_from_layer(layer: Points, skeleton: Skeleton | None = None) -> Poses:
    """Return the poses that a Points layer holds, of all videos it knows about.

    Parameters
    ----------
    layer : Points
        A layer made here, or a plain Points layer (see `poses_from_points`).
    skeleton : Skeleton, optional
        Needed for a plain layer.

    Raises
    ------
    LabelsError
        When the points do not form animals of the skeleton.
    """
    return poses_from_layer_data(
        layer.data, {"features": layer.features, "metadata": layer.metadata, "name": layer.name},
        skeleton,
    )  # fmt: skip


def poses_from_layer_data(
    data: ArrayLike, attributes: Mapping[str, Any], skeleton: Skeleton | None = None
) -> Poses:
    """Do `poses_from_layer` on the layer data that napari hands to a writer."""
    info = info_from_metadata(attributes.get("metadata"))
    if info is not None and info.store is not None:
        return info.store.snapshot()
    if info is None:
        if skeleton is None:
            raise LabelsError(
                f"the layer '{attributes.get('name', '')}' is a plain Points layer: open it in the "
                "Annotate widget with a skeleton first"
            )
        info = PointsInfo(skeleton)
    return poses_from_points(data, attributes.get("features"), info)


def poses_from_points(
    data: ArrayLike, features: pd.DataFrame | Mapping[str, ArrayLike] | None, info: PointsInfo
) -> Poses:
    """Convert points back to poses.

    With the feature ``keypoint`` every point names its keypoint; points that share a frame and
    ``instance`` are one animal. Without ``instance`` a keypoint that comes again in a frame begins
    the next animal. Without any of these features (a plain layer) the points of a frame are taken
    in their order, K to an animal.

    Parameters
    ----------
    data : array [P, 3] or [P, 2]
        (frame, row, column), or (row, column) of a single image. The frame is rounded: a point is
        on the frame on which it is shown.
    features : table with P rows
        Some or all of `FEATURES`; ``frame`` is not read, because the position says it.
    info : PointsInfo
        Skeleton and videos.

    Raises
    ------
    LabelsError
        For unknown keypoint names, a keypoint twice in one animal, a negative frame or, in a plain
        layer, a count that does not fit the skeleton.
    """
    points = np.asarray(data, np.float64)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise LabelsError(
            "the points must lie in a single image (row, column) or in a stack of images "
            f"(frame, row, column); this layer has {points.shape[-1]} dimensions"
        )
    n = len(points)
    if points.shape[1] == 2:
        points = np.column_stack([np.zeros(n), points])
    if not np.isfinite(points).all():
        keep = np.isfinite(points).all(1)
        points, n = points[keep], int(keep.sum())
        features = {k: np.asarray(v)[keep] for k, v in columns(features).items()}
    frame = np.round(points[:, 0]).astype(np.int64)
    if n and frame.min() < 0:
        raise LabelsError("some points lie before the first frame of the recording")
    column = columns(features)
    skeleton = info.skeleton
    k = len(skeleton)
    if "keypoint" in column:
        keypoint = indices(column["keypoint"], skeleton.keypoints)
        animal = (
            np.asarray(column["instance"]).astype(np.int64)
            if "instance" in column
            else repetition(frame, keypoint)
        )
    else:
        keypoint, animal = by_order(frame, k)

    instance, first, member = group(frame, animal)
    m = len(first)
    place = member * k + keypoint
    if len(np.unique(place)) < n:
        order = np.argsort(place, kind="stable")
        again = order[1:][np.diff(place[order]) == 0][0]
        raise LabelsError(
            f"frame {frame[again]}: the keypoint '{skeleton.keypoints[keypoint[again]]}' stands "
            f"twice in animal {animal[again]}; delete one of the two points"
        )
    xy = np.full((m, k, 2), np.nan)
    xy[member, keypoint] = points[:, [2, 1]]
    visible = np.zeros((m, k), np.int8)
    visible[member, keypoint] = codes(column.get("visibility"), VISIBILITIES, Visibility.VISIBLE, n)
    score = np.zeros((m, k))
    score[member, keypoint] = numbers(column.get("score"), 1.0, n)
    frames_here = {(info.video, int(f)) for f in instance[:, 0]}
    return Poses.from_instances(
        skeleton,
        instance[:, 0],
        xy,
        video=np.full(m, info.video),
        score=score,
        visible=visible,
        instance_score=numbers(column.get("instance_score"), 1.0, n)[first],
        track=numbers(column.get("track"), -1, n)[first].astype(np.int64),
        source=codes(column.get("source"), SOURCES, Source.HUMAN, n)[first],
        videos=info.videos,
        track_names=info.track_names,
        empty_frames=set(info.negative) - frames_here,
    )
