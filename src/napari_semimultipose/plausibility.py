"""How plausible predictions are, measured with what the labels of a model say; needs no truth.

The three metrics of Lightning Pose (Biderman et al. 2024), for one animal and for several: the way of a
keypoint since the frame before, its distance from the poses that the labels span, and the disagreement of
the views that it is seen in. The subspaces are fitted to labels by the same estimators as for the losses on
video (`training.subspaces`), in px of the recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose.agreement import CameraAgreement, join, of_other_cameras
from napari_semimultipose.config import Config
from napari_semimultipose.errors import LabelsError, ModelError
from napari_semimultipose.io.places import name_parts, same_place
from napari_semimultipose.labeling.alignment import same_keypoints, usual_step
from napari_semimultipose.labeling.pairs import positions_on
from napari_semimultipose.metrics import POSE, TEMPORAL, VIEWS, Metric
from napari_semimultipose.poses import FloatArray, Poses, Source

if TYPE_CHECKING:
    from napari_semimultipose.training.subspaces import Subspaces

CHUNK = 4096
"""Poses that are compared at once."""

_LEAST_KNOWN = 0.5  # of the keypoints: fewer fit almost any pose
_SLACK, _JUMP = 1.5, (0.03, 0.5)  # tolerated way: see `training.video.VideoLosses`
_NAMES = {"pca": POSE, "multiview": VIEWS}

Work = Generator[float, None, dict[str, Metric]]
Judge = Callable[[Poses], Work]


@dataclass(frozen=True)
class Yardstick:
    """Labels, and the settings of the model that learnt from them.

    Attributes
    ----------
    labels : Poses
        Labelled animals; predicted ones are no labels.
    config : Config
        Of which the group ``video`` and the kind of the network are used.
    parts : mapping of str to sequence of str
        Images that trained and that validated, by the words of Lightning Pose; empty where unknown.
    """

    labels: Poses
    config: Config
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of_model(cls, path: str | Path) -> Yardstick:
        """Take the labels that are stored in a model folder; of an ensemble those of its first member.

        Raises
        ------
        ModelError
            If the folder is no model, or has no labels.
        """
        from napari_semimultipose.io.labels import read_poses
        from napari_semimultipose.models.checkpoint import LABELS, SPLIT, read_info
        from napari_semimultipose.models.ensemble import is_ensemble, member_folders

        info = read_info(path)
        folder = member_folders(path)[0] if is_ensemble(path) else Path(path)
        file = folder / LABELS
        if not file.is_file():
            raise ModelError(
                f"{folder} lacks {file.name}, the labels that it learnt from: copy the folder again, or "
                "give the labels instead of the model"
            )
        made = cls.of_labels(read_poses(file), info.config)
        return replace(made, parts=_read_split(folder / SPLIT))

    @classmethod
    def of_labels(cls, labels: Poses, config: Config | None = None) -> Yardstick:
        """Take labels alone: one animal a frame is compared as the heat-map network does.

        Raises
        ------
        LabelsError
            If there is no labelled animal.
        """
        from napari_semimultipose.training.kind import with_kind

        human = labels.keep(labels.source != Source.PREDICTED)
        if not human.n_instances:
            raise LabelsError("there is no labelled animal that predictions can be compared with")
        return cls(human, with_kind(config or Config(), human))

    def with_cameras(self, cameras: Sequence[str]) -> Yardstick:
        """Return one that compares synchronous cameras instead of mirrored views.

        Raises
        ------
        ConfigError
            When no labelled picture is of one of them, by its name.
        """
        from napari_semimultipose.data.sessions import frame_name
        from napari_semimultipose.io.camera_names import check_cameras

        names = [frame_name(self.labels, row) for row in range(len(self.labels))]
        check_cameras(cameras, names)
        settings = {"video.cameras": list(cameras), "video.views": []}
        return replace(self, config=self.config.with_settings(settings))

    def sets(self, poses: Poses) -> list[str] | None:
        """Say for each row of predictions on images what it was for the model; None for frames of videos.

        ``train``, ``validation``, or ``unused``: not labelled when the model was trained.
        """
        images = [poses.image_name(row) for row in range(len(poses))]
        names = [name for name in images if name is not None]
        if not self.parts or len(names) < len(images) or not names:
            return None
        known: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for part, members in self.parts.items():
            for member in members:
                place = name_parts(member)
                known.setdefault(place[-1], []).append((place, part))
        out = []
        for row, name in enumerate(names):
            place = name_parts(f"{poses.videos[int(poses.video[row])].path}/{name}")
            found = {part for other, part in known.get(place[-1], ()) if same_place(place, other)}
            out.append(found.pop() if len(found) == 1 else "unused")
        return out

    def measure(self, poses: Poses) -> Work:
        """Measure the metrics of predictions; yields the share that is done.

        Parameters
        ----------
        poses : Poses
            Predictions, perhaps on several videos; those of all cameras of a session where cameras are compared.

        Returns
        -------
        dict of str to Metric
            By the names of `metrics.TITLES`; those that the labels do not allow are left out, see `missing`.
        """
        out: dict[str, Metric] = {}
        shape = poses.xy.shape[:3]
        videos = sorted(set(poses.video.tolist()))
        steps = len(videos) + (self.cameras is not None)
        for number, video in enumerate(videos):
            rows = np.flatnonzero(poses.video == video)
            rows = rows[np.argsort(poses.frame[rows], kind="stable")]
            part = poses.select(rows)
            fitted, size = self.fit(poses, video)
            work = _measure(part, fitted, size, bool(poses.videos[video].images))
            while True:
                try:
                    yield (number + next(work)) / steps
                except StopIteration as end:
                    found: dict[str, Metric] = end.value
                    break
            for name, metric in found.items():
                whole = out.setdefault(name, Metric(np.full(shape, np.nan), np.full(shape, np.nan)))
                whole.px[rows], whole.limit_px[rows] = metric.px, metric.limit_px
        if self.cameras is not None and len(poses):
            between = self.cameras.measure(poses)
            while True:
                try:
                    yield (len(videos) + next(between)) / steps
                except StopIteration as end:
                    if end.value is not None:
                        out[VIEWS] = end.value
                    break
        return out

    def missing(self, poses: Poses) -> dict[str, str]:
        """Say which metrics cannot be measured on predictions, and why, by name."""
        fitted, _ = self.fit(poses, int(poses.video[0]) if len(poses) else 0)
        missing = {_NAMES[name]: why for name, why in fitted.why.items()}
        if self.cameras is not None and (why := self.cameras.why_not(poses)):
            missing[VIEWS] = why
        return missing

    @property
    def cameras(self) -> CameraAgreement | None:
        """What the labels say about several cameras; None without any."""
        return CameraAgreement(self.labels, self.config) if self.config.video.cameras else None

    def fit(self, poses: Poses, video: int) -> tuple[Subspaces, float]:
        """Fit the subspaces in px of a video of predictions.

        The heat-map network sees all frames at one size, so labels on frames of another size than those of
        the recording are scaled to it. Where a size is unknown, they are taken to be equal.

        Returns
        -------
        Subspaces, float
            And the median size of the labelled animals, px; NaN where they are points.
        """
        from napari_semimultipose.training.subspaces import fit_subspaces, labelled_animals

        labels = same_keypoints(poses, self.labels)
        seen = poses.videos[video].shape
        single = self.config.model.kind == "heatmap"

        def frame_size(row: int) -> tuple[int, int] | None:
            return None if seen is None else labels.videos[labels.video[row]].shape

        def scale(height: int, width: int) -> float:
            return max(seen) / max(height, width) if single and seen is not None else 1.0

        animals = labelled_animals(labels, range(len(labels)), frame_size, scale)
        size = animals.size
        fitted = fit_subspaces(
            self.config.video,
            animals,
            labels.skeleton,
            single=single,
            reference=size if np.isfinite(size) else 1.0,
            # Cameras are compared with each other; see `cameras`.
            wanted=("pca",) if self.config.video.cameras else ("pca", "multiview"),
        )
        return fitted, size


def _read_split(path: Path) -> dict[str, list[str]]:
    """Images of each part of the labels, from ``split.json``; empty where the labels are frames of videos."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {part: [name for _, name in content[part]] for part in ("train", "validation")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    named = all(isinstance(name, str) for names in parts.values() for name in names)
    return parts if named else {}


def _measure(poses: Poses, fitted: Subspaces, size: float, stills: bool) -> Work:
    """Measure the poses of one video, sorted by frame."""
    out: dict[str, Metric] = {}
    if not stills and len(poses) > 1:
        out[TEMPORAL] = temporal_metric(poses, size)
    if fitted.pose is not None:
        out[POSE] = yield from _in_chunks(poses, _pose_residuals(fitted.pose), 0.0)
    if fitted.views is not None:
        out[VIEWS] = yield from _in_chunks(poses, _view_residuals(fitted.views), 0.5)
    yield 1.0
    return out


def temporal_metric(poses: Poses, size: float) -> Metric:
    """Way of each keypoint since the frame before, px; NaN in the first frame and after gaps.

    Animals are told apart by their tracks; without tracks the nearest is the same. The tolerated way is that
    of the temporal loss: 1.5 times the 95th percentile, between 3 and 50 % of the animal's size.

    Parameters
    ----------
    poses : Poses
        Of one video, sorted.
    size : float
        Size of the median animal, px; NaN where it is unknown, then nothing limits the tolerated way.
    """
    way = np.full(poses.xy.shape[:3], np.nan)
    step = usual_step(poses.frame)
    n, k = poses.xy.shape[1:3]
    block = max(16, 2_000_000 // max(1, n * n * k))
    for start in range(1, len(poses), block):
        rows = np.arange(start, min(start + block, len(poses)))
        before = positions_on(poses, rows, rows - 1, -step)
        way[rows] = np.linalg.norm(poses.xy[rows] - before, axis=-1)
    limit = np.full(k, np.nan)
    for i in range(k):
        known = way[..., i][np.isfinite(way[..., i])]
        if len(known):
            limit[i] = _SLACK * np.percentile(known, 95)
    if np.isfinite(size):
        limit = np.clip(limit, _JUMP[0] * size, _JUMP[1] * size)
    return Metric(way, np.broadcast_to(limit, way.shape))


Residuals = Callable[[Any, Any, Any], tuple[FloatArray, FloatArray]]
"""Takes positions [M, K, 2], weights [M, K] and frames [M]; gives residuals and limits [M, K], px."""


def _in_chunks(poses: Poses, residuals: Residuals, start: float) -> Generator[float, None, Metric]:
    """Apply residuals to all animals; a frame is never cut."""
    import torch

    value = np.full(poses.xy.shape[:3], np.nan)
    limit = np.full(poses.xy.shape[:3], np.nan)
    step = max(1, CHUNK // max(1, poses.xy.shape[1]))
    for first in range(0, len(poses), step):
        rows = slice(first, first + step)
        row, slot = np.nonzero(poses.present[rows])
        xy = poses.xy[rows][row, slot]
        known = np.isfinite(xy).all(-1)
        # Unsure keypoints hardly say what pose it is, but are measured against it.
        weight = np.where(known, np.clip(poses.score[rows][row, slot], 0.05, 1.0), 0.0)
        with torch.no_grad():
            found, most = residuals(
                torch.from_numpy(xy).float(),
                torch.from_numpy(weight).float(),
                torch.from_numpy(row.astype(np.int64)),
            )
        found = np.where(known, found, np.nan)
        value[rows][row, slot] = found
        limit[rows][row, slot] = np.where(np.isfinite(found), most, np.nan)
        yield start + 0.5 * min(1.0, (first + step) / max(1, len(poses)))
    return Metric(value, limit)


def _pose_residuals(pca: Any) -> Residuals:
    learnt = np.isfinite(pca.epsilon.numpy())

    def residuals(xy: Any, weight: Any, frame: Any) -> tuple[FloatArray, FloatArray]:
        error, size = pca.errors(xy, weight)
        enough = (weight.numpy() > 0)[:, learnt].mean(1) >= _LEAST_KNOWN
        found = np.where(enough[:, None] & learnt, error.double().numpy(), np.nan)
        return found, (pca.epsilon * size[:, None]).double().numpy()

    return residuals


def _view_residuals(pca: Any) -> Residuals:
    from napari_semimultipose.shapes.multiview import MultiviewPCA

    def mirrored(xy: Any, weight: Any, frame: Any) -> tuple[FloatArray, FloatArray]:
        error, known = pca.errors(xy, weight)
        found = np.full(weight.shape, np.nan)
        limit = np.full(weight.shape, np.nan)
        for v, index in enumerate(pca.views.numpy()):
            found[:, index] = np.where(known[:, v], error[:, v], np.nan)
            limit[:, index] = float(pca.epsilon[v])
        return found, limit

    def matched(xy: Any, weight: Any, frame: Any) -> tuple[FloatArray, FloatArray]:
        error, known = pca.errors(xy, weight, frame)
        limit = np.broadcast_to(pca.limits(xy).double().numpy()[:, None], weight.shape)
        return np.where(known, error.double(), np.nan), limit

    return mirrored if isinstance(pca, MultiviewPCA) else matched


def judge_of(
    labels: Sequence[Poses], model: str | Path | None = None, beside: Sequence[Poses] = ()
) -> Judge:
    """Return what measures predictions for `labeling.suggest`.

    Parameters
    ----------
    labels : sequence of Poses
        Those with the keypoints of the predictions count; of several, the one with the most animals.
    model : path, optional
        Folder of a model: its labels count instead, if they are there.
    beside : sequence of Poses
        Predictions of other cameras, which a model that compares cameras compares with; other recordings in
        them are left out.
    """

    def judge(predictions: Poses) -> Work:
        if model is not None:
            try:
                own = Yardstick.of_model(model)
            except (ModelError, LabelsError):
                own = None  # the labels were not copied along: others may be given
            if own is not None:
                return (yield from _measured_beside(own, predictions, beside))
        names = set(predictions.skeleton.keypoints)
        human = [p.keep(p.source == Source.HUMAN) for p in labels]
        fitting = [p for p in human if set(p.skeleton.keypoints) == names and p.n_instances]
        if not fitting:
            return {}
        most = max(fitting, key=lambda p: p.n_instances)
        return (yield from Yardstick.of_labels(most).measure(predictions))

    return judge


def _measured_beside(yardstick: Yardstick, poses: Poses, beside: Sequence[Poses]) -> Work:
    """Measure poses, together with those of other cameras where cameras are compared."""
    cameras = yardstick.config.video.cameras
    parts = [poses, *of_other_cameras(poses, beside, cameras)] if cameras else [poses]
    joined = join(parts, [None] * len(parts), cameras)
    found = yield from yardstick.measure(joined.poses)
    return joined.of_part(found, 0)


def drain(work: Work, on_progress: Callable[[float], Any] | None = None) -> dict[str, Metric]:
    """Run the work to its end and return the metrics."""
    while True:
        try:
            share = next(work)
        except StopIteration as end:
            found: dict[str, Metric] = end.value
            return found
        if on_progress is not None:
            on_progress(share)
