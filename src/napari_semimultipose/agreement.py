"""How well the predictions of synchronous cameras agree, measured with what labels of all cameras say.

The metric of multi-view PCA (Lightning Pose, Biderman et al. 2024) for cameras with recordings of their own;
`plausibility` has the other metrics. Labels and predictions are compared at one size of the pictures, that at
which the heat-map network sees them, and the result is in px of each recording.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose.config import Config
from napari_semimultipose.data.sessions import frame_name
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.camera_names import sightings
from napari_semimultipose.labeling.alignment import same_keypoints
from napari_semimultipose.metrics import Metric, Metrics
from napari_semimultipose.poses import FloatArray, IntArray, Poses, Video

if TYPE_CHECKING:
    from napari_semimultipose.data.sessions import Moments
    from napari_semimultipose.training.subspaces import Subspaces

CHUNK = 2048
"""Moments that are compared at once."""

Size = tuple[int, int]


class CameraAgreement:
    """What labels of several cameras say about predictions of all of them.

    Parameters
    ----------
    labels : Poses
        Labelled animals in the pictures of the cameras.
    config : Config
        Of which ``video.cameras`` and the kind of the network are used.
    """

    def __init__(self, labels: Poses, config: Config) -> None:
        self.labels = labels
        self.config = config
        self.cameras = config.video.cameras

    def why_not(self, poses: Poses) -> str:
        """Say why the cameras cannot be compared; empty when they can.

        Raises
        ------
        ConfigError
            When the names of recordings are ambiguous.
        """
        return self._why_apart(self._seen(poses)) or self._fit(poses).why.get("multiview", "")

    def _why_apart(self, seen: Moments) -> str:
        """Say why no two cameras saw one moment; empty when they did."""
        here = [name for c, name in enumerate(self.cameras) if (seen.camera == c).any()]
        if not here:
            return (
                f"neither the names of the predictions nor those of their videos have a camera "
                f"({', '.join(self.cameras)}) in them"
            )
        if len(here) == 1:
            others = [name for name in self.cameras if name not in here]
            return f"the predictions are of camera {here[0]} alone: give those of {', '.join(others)}, too"
        at = {tuple(pair) for pair in zip(seen.moment.tolist(), seen.camera.tolist(), strict=True)}
        times = [moment for moment, camera in at if camera >= 0]
        if len(times) == len(set(times)):
            return (
                "no two cameras saw one moment: the names of their recordings must be equal but for the "
                "camera, such as run1_top.mp4 and run1_side.mp4"
            )
        return ""

    def measure(self, poses: Poses) -> Generator[float, None, Metric | None]:
        """Measure the disagreement of the cameras; yields the share that is done.

        Parameters
        ----------
        poses : Poses
            Predictions of the recordings of all cameras, each a video of its own, or of pictures.

        Returns
        -------
        Metric or None
            None when the cameras cannot be compared; see `why_not`.
        """
        import torch

        seen = self._seen(poses)
        views: Any = None if self._why_apart(seen) else self._fit(poses).views
        if views is None:
            return None
        value = np.full(poses.xy.shape[:3], np.nan)
        limit = np.full(poses.xy.shape[:3], np.nan)
        ratio = self._ratios(poses)
        done = 0
        for rows in _chunks(seen.moment, CHUNK):
            part = poses.select(rows)
            row, slot = np.nonzero(part.present)
            there = rows[row]
            xy = (part.xy[row, slot] + 0.5) * ratio[there][:, None] - 0.5
            known = np.isfinite(xy).all(-1)
            weight = np.where(known, np.clip(part.score[row, slot], 0.05, 1.0), 0.0)
            camera = torch.from_numpy(seen.camera[there])
            with torch.no_grad():
                error, use = views.errors(
                    torch.from_numpy(xy).float(),
                    torch.from_numpy(weight).float(),
                    torch.from_numpy(seen.moment[there]),
                    camera,
                )
                most = views.limits(camera)
            scale = ratio[there].mean(1)[:, None]
            found = np.where(use, error.double(), np.nan) / scale
            value[there, slot] = found
            limit[there, slot] = np.where(
                np.isfinite(found), most.double().numpy()[:, None] / scale, np.nan
            )
            done += len(rows)
            yield done / len(poses)
        return Metric(value, limit)

    def _seen(self, poses: Poses) -> Moments:
        from napari_semimultipose.data.sessions import moments

        return moments(poses, range(len(poses)), self.cameras)

    def _fit(self, poses: Poses) -> Subspaces:
        from napari_semimultipose.data.sessions import moments
        from napari_semimultipose.training.subspaces import fit_subspaces, labelled_animals

        labels = same_keypoints(poses, self.labels)
        rows = range(len(labels))
        known = self._sizes_known(poses)
        animals = labelled_animals(
            labels,
            rows,
            lambda row: labels.videos[labels.video[row]].shape if known else None,
            lambda height, width: self._scale((height, width)),
            moments(labels, rows, self.cameras),
        )
        return fit_subspaces(
            self.config.video,
            animals,
            labels.skeleton,
            single=self.config.model.kind == "heatmap",
            reference=1.0,
            wanted=("multiview",),
        )

    def _scale(self, size: Size) -> float:
        """Return the scale at which a picture is compared: heat maps see all pictures at one size."""
        single = self.config.model.kind == "heatmap"
        return self.config.heatmap.side_px / max(size) if single else 1.0

    def _sizes_known(self, poses: Poses) -> bool:
        """Whether the sizes of all pictures are known; else they are taken to be equal."""
        used = [
            table.videos[v].shape
            for table in (poses, self.labels)
            for v in set(table.video.tolist())
        ]
        return all(size is not None for size in used)

    def _ratios(self, poses: Poses) -> FloatArray:
        """Return what the positions [F, 2] (x, y) are multiplied by before they are compared."""
        from napari_semimultipose.models.geometry import scaled_size

        ratios = np.ones((len(poses.videos), 2))
        if self._sizes_known(poses):
            for v in set(poses.video.tolist()):
                size = poses.videos[v].shape
                assert size is not None
                height, width = scaled_size(size[0], size[1], self._scale(size))
                ratios[v] = width / size[1], height / size[0]
        return np.asarray(ratios[poses.video])


def _chunks(moment: IntArray, size: int) -> list[IntArray]:
    """Rows with a moment, sorted by it, in parts that never cut one."""
    order = np.argsort(moment, kind="stable")
    order = order[moment[order] >= 0]
    if not len(order):
        return []
    _, first = np.unique(moment[order], return_index=True)
    return [part for part in np.split(order, first[size::size]) if len(part)]


@dataclass(frozen=True)
class Joined:
    """Predictions of several files as one table.

    Attributes
    ----------
    poses : Poses
        All of them.
    parts : sequence of Poses
        As they were given.
    rows : sequence of arrays of int
        For each part, the row of `poses` that each of its rows became.
    """

    poses: Poses
    parts: Sequence[Poses]
    rows: Sequence[IntArray]

    def of_part(self, metrics: Metrics, number: int) -> dict[str, Metric]:
        """Return metrics of all poses as those of one part."""
        part, rows = self.parts[number], self.rows[number]
        if part is self.poses:
            return dict(metrics)
        row, slot = np.nonzero(part.present)
        packed = np.cumsum(part.present, 1)[row, slot] - 1  # slots without an animal are left out
        out: dict[str, Metric] = {}
        for name, metric in metrics.items():
            px, limit = np.full(part.xy.shape[:3], np.nan), np.full(part.xy.shape[:3], np.nan)
            px[row, slot] = metric.px[rows[row], packed]
            limit[row, slot] = metric.limit_px[rows[row], packed]
            out[name] = Metric(px, limit)
        return out


def join(
    parts: Sequence[Poses], files: Sequence[Path | None], cameras: Sequence[str] = ()
) -> Joined:
    """Join the predictions of several files, so that their cameras can be told apart.

    A video whose path has no camera in it gets the path of its file: tables of Lightning Pose and DeepLabCut
    do not say what they are of.

    Parameters
    ----------
    parts : sequence of Poses
    files : sequence of path or None
        What each was read from.
    cameras : sequence of str
        Names of the cameras.

    Raises
    ------
    LabelsError
        When keypoints differ, or two files are of one recording.
    ConfigError
        When the name of a file has several cameras in it.
    """
    if len(parts) == 1:
        named = [_named(parts[0], files[0], cameras)]
        return Joined(named[0], named, [np.arange(len(parts[0]))])
    named = [
        _named(same_keypoints(parts[0], part), file, cameras)
        for part, file in zip(parts, files, strict=True)
    ]
    taken: dict[Video, int] = {}
    for i, part in enumerate(named):
        for v in set(part.video.tolist()):
            other = taken.setdefault(part.videos[v], i)
            if other != i:
                raise LabelsError(
                    f"{files[other] or 'the first poses'} and {files[i] or 'the others'} are predictions of one "
                    f"recording ({part.videos[v].path}): give one of them"
                )
    # Tracks of one recording say nothing of those of another one.
    poses = Poses.concatenate([replace(part, track_names=()) for part in named])
    place = {
        (poses.videos[v], f): i
        for i, (v, f) in enumerate(zip(poses.video.tolist(), poses.frame.tolist(), strict=True))
    }
    rows = [
        np.array(
            [
                place[part.videos[v], f]
                for v, f in zip(part.video.tolist(), part.frame.tolist(), strict=True)
            ],
            np.int64,
        )
        for part in named
    ]
    return Joined(poses, named, rows)


def of_other_cameras(poses: Poses, beside: Sequence[Poses], cameras: Sequence[str]) -> list[Poses]:
    """Return those of some predictions that are of other cameras than given ones.

    Raises
    ------
    ConfigError
        When the name of a recording has several cameras in it.
    """

    def cameras_of(table: Poses) -> IntArray:
        names = [frame_name(table, row) for row in range(len(table))]
        different = list(dict.fromkeys(names))
        # One by one: here a recording may be there twice.
        camera = {name: sightings([name], cameras)[0][0].camera for name in different}
        return np.array([camera[name] for name in names], np.int64)

    own = {-1, *cameras_of(poses).tolist()}
    found = [table.select(~np.isin(cameras_of(table), list(own))) for table in beside]
    return [table for table in found if len(table)]


def _named(poses: Poses, file: Path | None, cameras: Sequence[str]) -> Poses:
    if file is None or not cameras:
        return poses
    videos = list(poses.videos)
    for v, video in enumerate(videos):
        if not video.images and sightings([video.path], cameras)[0][0].camera < 0:
            videos[v] = replace(video, path=str(file.with_suffix("")))
    return replace(poses, videos=tuple(videos))
