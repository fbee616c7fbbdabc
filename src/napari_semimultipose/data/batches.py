"""Training batches: random views of labelled and unlabelled frames.

The batch of an iteration depends on the seed and the number of the iteration alone, so a resumed run
sees the same batches as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_semimultipose.config import AugmentConfig, DataConfig
from napari_semimultipose.data.batch import Batch, BatchSize
from napari_semimultipose.data.clips import ClipMaker
from napari_semimultipose.data.frames import FrameRef, ScaledFrames
from napari_semimultipose.data.paste import LabeledView, paste
from napari_semimultipose.data.pseudo import (
    PseudoPoses,
    PseudoView,
    pseudo_labels_of,
    pseudo_view,
)
from napari_semimultipose.data.session_data import meetings
from napari_semimultipose.data.split import TrainingData
from napari_semimultipose.data.views import (
    Affine,
    affine_about,
    apply,
    compose,
    invert,
    recolor,
    recolor_alike,
    warp,
)
from napari_semimultipose.models.geometry import scale_points


class BatchMaker:
    """Makes the batch of an iteration.

    Parameters
    ----------
    data : TrainingData
    config : DataConfig
    augment : AugmentConfig
    seed : int
    clip_every : int
        Every so many batches have a clip, if clips are asked for.

    Attributes
    ----------
    pseudo : mapping of hashable to PseudoPoses
        Pseudo labels by `FrameRef.key`. When there are some, unlabelled views come from these frames.
    """

    def __init__(
        self,
        data: TrainingData,
        config: DataConfig,
        augment: AugmentConfig,
        seed: int,
        clip_every: int = 1,
    ) -> None:
        self.clip_every = clip_every
        self.data = data
        self.config = config
        self.augment = augment
        self.seed = seed
        self.mirror = data.poses.skeleton.mirror_index
        self.scaled = ScaledFrames(data.scale or 1.0, config.cache_mb)
        self._places = self._animal_places(data)
        self._meetings = meetings(data)
        self.pseudo: Mapping[Hashable, PseudoPoses] = {}
        self.clips = ClipMaker(
            data.footage,
            lambda ref: self.scaled(ref),
            self._clip_views,
            self.side,
            augment,
            seed,
            data.sessions.complete,
        )

    @property
    def side(self) -> int:
        """Side of the views, px."""
        return self.config.crop_px

    def _clip_views(
        self, sizes: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> list[Affine]:
        """Random maps for a clip, around a place where animals were labelled; never mirrored.

        The cameras of a session look at one labelled animal, each at its place in its own picture.
        """
        known = self._places[:, None] if len(sizes) == 1 else self._meetings
        places = rng.uniform(0, 1, (len(sizes), 2))
        if len(known):
            places = known[int(rng.integers(len(known)))]
        middle = (self.side - 1) / 2
        views = []
        for size, place in zip(sizes, places, strict=True):
            center = np.clip(place, 0, 1) * [size[1] - 1, size[0] - 1]
            angle = rng.uniform(-self.augment.rotate_deg, self.augment.rotate_deg)
            zoom = self._zoom(size, rng)
            views.append(affine_about(center, (middle, middle), angle_deg=angle, zoom=zoom))
        return views

    @staticmethod
    def _animal_places(data: TrainingData) -> np.ndarray:
        """Centres of the labelled animals as shares of the frame size [M, 2]: where animals are."""
        places = []
        boxes, present = data.poses.boxes, data.poses.present
        for ref in data.train:
            height, width = ref.frames.frame_shape(ref.index)
            box = boxes[ref.row][present[ref.row]]
            places.append((box[:, :2] + box[:, 2:]) / 2 / [width, height])
        return np.concatenate(places) if places else np.zeros((0, 2))

    def __call__(
        self,
        iteration: int,
        size: BatchSize,
        *,
        plain: bool = False,
        pool: Executor | None = None,
    ) -> Batch:
        """Make the batch of an iteration (0, 1, ...).

        Parameters
        ----------
        plain : bool
            Also deliver the unaltered unlabelled views.
        pool : Executor, optional
            Threads that make the views; the calling one by default.
        """
        labeled, unlabeled = self.refs(iteration, size)
        jobs: list[Callable[[np.random.Generator], Any]] = [
            *(partial(self._labeled, ref) for ref in labeled),
            *(partial(self._unlabeled, ref, plain=plain) for ref in unlabeled),
        ]
        # Each view has random numbers of its own, so that the order of the work does not matter.
        rngs = [np.random.default_rng([self.seed, 2, iteration, i]) for i in range(len(jobs))]
        views = list((pool.map if pool else map)(_call, jobs, rngs))
        made, free = views[: len(labeled)], views[len(labeled) :]
        plains = [f[1] for f in free if f[1] is not None]
        return Batch(
            torch.stack([v[0] for v in views]),
            [m[1] for m in made],
            [m[2] for m in made],
            [m[3] for m in made],
            torch.stack(plains) if plains else None,
            torch.from_numpy(np.stack([f[2] for f in free])).float()
            if free
            else torch.zeros(0, 2, 3),
            torch.tensor([f[4] for f in free]),
            [f[3] for f in free if f[3] is not None],
            self.clips(iteration, size.clip) if self._has_clip(iteration, size) else None,
            torch.stack([m[4] for m in made]) if self.data.neighbours else None,
        )

    def _has_clip(self, iteration: int, size: BatchSize) -> bool:
        return size.clip > 0 and iteration % self.clip_every == 0

    def reads(self, iteration: int, size: BatchSize) -> list[FrameRef]:
        """Return all frames that the batch of an iteration reads."""
        labeled, unlabeled = self.refs(iteration, size)
        cameras = self.clips.refs(iteration, size.clip) if self._has_clip(iteration, size) else []
        clip = [ref for camera in cameras for ref in camera]
        beside = [other for ref in labeled for other in self._neighbours(ref)]
        return [*labeled, *beside, *unlabeled, *clip]

    def _neighbours(self, ref: FrameRef) -> tuple[FrameRef, ...]:
        """Return the frames around a labelled one, where these are wanted."""
        return self.data.neighbours[ref.key] if self.data.neighbours else ()

    def refs(self, iteration: int, size: BatchSize) -> tuple[list[FrameRef], list[FrameRef]]:
        """Return the labelled and unlabelled frames of an iteration."""
        free = [r for r in self.data.unlabeled if not self.pseudo or r.key in self.pseudo]
        return (
            self._draw(self.data.train, iteration, size.labeled, 3),
            self._draw(free, iteration, size.unlabeled if free else 0, 4),
        )

    def _draw(
        self, refs: Sequence[FrameRef], iteration: int, count: int, stream: int
    ) -> list[FrameRef]:
        """Frames of an iteration: every frame once in a round, in a new order each round."""
        out = []
        for position in range(iteration * count, (iteration + 1) * count):
            turn, place = divmod(position, len(refs))
            order = np.random.default_rng([self.seed, stream, turn]).permutation(len(refs))
            out.append(refs[order[place]])
        return out

    def _view(
        self, size: tuple[int, int], center: np.ndarray, rng: np.random.Generator, zoom: float
    ) -> Affine:
        """Random view that shows `center` (px of the scaled frame) at a random place of its middle."""
        side = self.config.crop_px
        spread = 0.3 * side
        target = (side - 1) / 2 + rng.uniform(-spread, spread, 2)
        angle = rng.uniform(-self.augment.rotate_deg, self.augment.rotate_deg)
        mirrored = bool(rng.random() < self.augment.flip)
        return affine_about(center, target, angle_deg=angle, zoom=zoom, mirrored=mirrored)

    def _zoom(self, size: tuple[int, int], rng: np.random.Generator) -> float:
        low, high = self.augment.scale
        zoom = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        if self.data.scale == 0:  # frames come unscaled: a random shorter side (DirectPose)
            low_px, high_px = self.config.train_short_px
            zoom *= float(rng.integers(low_px, high_px + 1)) / min(size)
        return zoom

    def _labeled(
        self, ref: FrameRef, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        return self._finished(self._pasted(self._look(ref, rng), rng), rng)

    def _pasted(self, view: LabeledView, rng: np.random.Generator) -> LabeledView:
        """Return the view, now and then with animals of another labelled frame."""
        if rng.random() >= self.augment.paste:
            return view
        other = self.data.train[int(rng.integers(len(self.data.train)))]
        return paste(view, self._look(other, rng), self.data.poses.skeleton.edges, rng)

    def _finished(
        self, view: LabeledView, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """Return a view in new colours, its labels, and the frames around it in the same colours."""
        around: Tensor | None = None
        if view.around:
            together = recolor_alike(
                [view.image, *view.around], self.augment, int(rng.integers(2**31))
            )
            image, around = together[0], together[1:]
        else:
            image = recolor(view.image, self.augment, rng)
        return (
            image,
            torch.from_numpy(np.nan_to_num(view.xy)).float(),
            torch.from_numpy(view.known),
            torch.from_numpy(view.inside),
            around,
        )

    def _seen(
        self, ref: FrameRef, affine: Affine, xy: np.ndarray, known: np.ndarray, side: int
    ) -> LabeledView:
        """Return the view of a labelled frame, and of those around it, through a map.

        Parameters
        ----------
        xy, known : array [I, K, 2], [I, K]
            Labels in px of the scaled frame.
        """
        image = self.scaled(ref)
        height, width = image.shape[1:]
        view = warp(image, affine, side)
        around = [
            view if other.index == ref.index and other.frames is ref.frames
            else warp(self.scaled(other), affine, side)
            for other in self._neighbours(ref)
        ]  # fmt: skip
        xy = apply(affine, xy)
        if np.linalg.det(affine[:, :2]) < 0:
            xy, known = xy[:, self.mirror], known[:, self.mirror]
        with np.errstate(invalid="ignore"):
            inside = known & ((xy > -0.5) & (xy < side - 0.5)).all(-1)
            back = apply(invert(affine), xy)
            inside &= ((back > -0.5) & (back < [width - 0.5, height - 0.5])).all(-1)
        return LabeledView(view, xy, known, inside, around)

    def _look(self, ref: FrameRef, rng: np.random.Generator) -> LabeledView:
        """Return a random view of a labelled frame, in its own colours."""
        image = self.scaled(ref)
        height, width = image.shape[1:]
        full_height, full_width = ref.frames.frame_shape(ref.index)
        poses = self.data.poses
        present = poses.present[ref.row]
        xy = scale_points(poses.xy[ref.row][present], width / full_width, height / full_height)
        known = poses.visible[ref.row][present] > 0
        if len(xy) and rng.random() < 0.9:
            one = int(rng.integers(len(xy)))
            center = np.nanmean(xy[one], 0)
        else:
            center = rng.uniform([0, 0], [width - 1, height - 1])
        affine = self._view((height, width), center, rng, self._zoom((height, width), rng))
        return self._seen(ref, affine, xy, known, self.config.crop_px)

    def _unlabeled(
        self, ref: FrameRef, rng: np.random.Generator, *, plain: bool
    ) -> tuple[Tensor, Tensor | None, Affine, PseudoView | None, float]:
        image = self.scaled(ref)
        height, width = image.shape[1:]
        side = self.config.crop_px
        if ref.key in self.pseudo:
            return self._pseudo(image, self.pseudo[ref.key], rng)
        middle = (side - 1) / 2
        zoom = self._zoom((height, width), rng)
        if self.augment.unlabeled_top_left:
            angle = 0.0
            altered = affine_about((0, 0), (0, 0), angle_deg=angle, zoom=zoom)
        else:
            # Animals are where animals were labelled: uniform places would mostly show background.
            center = rng.uniform(0, 1, 2)
            if len(self._places) and rng.random() < 0.7:
                center = self._places[int(rng.integers(len(self._places)))]
                center = np.clip(center + rng.normal(0, 0.05, 2), 0, 1)
            altered = self._view((height, width), center * [width - 1, height - 1], rng, zoom)
        view = recolor(warp(image, altered, side), self.augment, rng)
        if not plain:
            return view, None, np.eye(2, 3), None, zoom
        seen = apply(invert(altered), np.array([middle, middle]))
        base = zoom if self.data.scale == 0 else 1.0
        weak = affine_about(seen, (middle, middle), zoom=base)
        return view, warp(image, weak, side), compose(altered, invert(weak)), None, zoom

    def _pseudo(
        self, image: Tensor, found: PseudoPoses, rng: np.random.Generator
    ) -> tuple[Tensor, None, Affine, PseudoView, float]:
        """Return a random view of an unlabelled frame with its pseudo labels."""
        height, width = image.shape[1:]
        affine = self._view_of_found(found, (height, width), rng)
        view = pseudo_view(image, found, affine, self.side, self.mirror)
        view = self._pasted(view, rng)
        labels = pseudo_labels_of(view, found, affine, (width, height))
        zoom = float(abs(np.linalg.det(affine[:, :2])) ** 0.5)
        return recolor(view.image, self.augment, rng), None, np.eye(2, 3), labels, zoom

    def _view_of_found(
        self, found: PseudoPoses, size: tuple[int, int], rng: np.random.Generator
    ) -> Affine:
        """Random map to a view of a frame of (height, width) `size`, mostly of an animal found there."""
        if len(found.xy) and rng.random() < 0.9:
            center = found.xy[int(rng.integers(len(found.xy)))].mean(0)
        else:
            center = rng.uniform([0, 0], [size[1] - 1, size[0] - 1])
        return self._view(size, center, rng, self._zoom(size, rng))


def _call(job: Callable[[np.random.Generator], Any], rng: np.random.Generator) -> Any:
    return job(rng)
