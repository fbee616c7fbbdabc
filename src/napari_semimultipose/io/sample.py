"""Synthetic recordings with known truth: the built-in sample data, demo and test material.

Animals seen from above crawl over textured ground, pass over each other and now and then reach
over the border. The truth knows each keypoint: visible, occluded (under another animal, with its
position) or absent (outside the image, or left out as annotators do).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.io.synthetic.canvas import LOOKS, Canvas
from napari_semimultipose.io.synthetic.motion import Motion, stills, walk
from napari_semimultipose.io.synthetic.species import SPECIES, Figure, Posture
from napari_semimultipose.poses import Poses, Skeleton, Video, Visibility


class SyntheticRecording:
    """A synthetic recording whose frames are painted when they are asked for.

    The same arguments give the same frames and poses, in whatever order frames are painted.

    Parameters
    ----------
    n_frames : int
        Number of frames T.
    animals : int or (int, int)
        Animals on a frame; a range (both ends included) for stills only.
    size : (int, int)
        Height and width in px.
    seed : int
        Seed of everything random.
    species : {"beetle", "mouse"}
        Kind of animal; fixes the skeleton.
    missing : float
        Share of the keypoints inside the image that the truth leaves out at random.
    motion : bool
        True for a video, False for independent stills.
    channels : {1, 3}
        Grey or colour.
    length_px : float
        Mean body length; individuals differ by up to 12 %.
    noise : float
        Standard deviation of the pixel noise in grey levels.

    Attributes
    ----------
    shape : (int, int, int, int)
        (T, H, W, C).
    in_motion : bool
        Whether the frames follow each other, or are independent.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        n_frames: int,
        *,
        animals: int | tuple[int, int] = 3,
        size: tuple[int, int] = (320, 320),
        seed: int = 0,
        species: str = "beetle",
        missing: float = 0.05,
        motion: bool = True,
        channels: int = 3,
        length_px: float = 58.0,
        noise: float = 4.0,
    ) -> None:
        low, high = (animals, animals) if isinstance(animals, int) else animals
        if species not in SPECIES:
            raise ValueError(f"species must be one of {', '.join(SPECIES)}, got {species!r}")
        if n_frames < 1 or not 0 <= low <= high:
            raise ValueError(
                "a recording needs one frame or more and no negative number of animals"
            )
        if motion and low != high:
            raise ValueError("a range of animals is for stills: give motion=False or one number")
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}")
        if not 0 <= missing < 1:
            raise ValueError(f"missing must be a share from 0 up to 1, got {missing}")
        self.seed = seed
        self.shape = (n_frames, *size, channels)
        self._species = SPECIES[species]
        streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)]
        build, move, paint, forget = streams
        if motion:
            lengths = length_px * build.uniform(0.88, 1.12, high)
            self._motion: Motion = walk(n_frames, lengths, size, move)
            order = np.concatenate([build.permutation(LOOKS) for _ in range(high // LOOKS + 1)])
            self._looks = np.broadcast_to(order[:high], (n_frames, high))
        else:
            lengths = length_px * build.uniform(0.88, 1.12, (n_frames, high))
            counts = build.integers(low, high + 1, n_frames)
            self._motion = stills(counts, lengths, size, move)
            self._looks = build.integers(0, LOOKS, (n_frames, high))
        self.in_motion = motion
        self._canvas = Canvas(size, channels, self._species.look, noise, 1.12 * length_px, paint)
        self._left_out = forget.random((n_frames, high, len(self.skeleton))) < missing

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def skeleton(self) -> Skeleton:
        """Skeleton of the species."""
        return self._species.skeleton

    def frame(self, i: int) -> NDArray[np.uint8]:
        """Paint frame `i`: uint8 [H, W, C]."""
        if not 0 <= i < len(self):
            raise IndexError(f"frame {i} is not in 0..{len(self) - 1}")
        motion = self._motion
        order = np.argsort(motion.depth[i])
        order = order[motion.alive[i][order]]
        posture = Posture(**{key: value[order] for key, value in vars(motion.frame(i)).items()})
        figure = self._species.articulate(posture)
        return self._canvas.paint(
            figure, self._looks[i][order], float(i), np.random.default_rng((self.seed, i))
        )

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> NDArray[np.uint8]:
        """Return frame [H, W, C] of an index, or frames [T', H, W, C] of a slice.

        Further indices pick from height, width and channels, like those of an array.
        """
        if isinstance(key, tuple):
            rest = key[1:] if isinstance(key[0], int) else (slice(None), *key[1:])
            return self[key[0]][rest]
        if isinstance(key, slice):
            chosen = range(len(self))[key]
            if not chosen:
                return np.empty((0, *self.shape[1:]), np.uint8)
            return np.stack([self.frame(i) for i in chosen])
        return self.frame(range(len(self))[key])

    def poses(self, video: Video | None = None) -> Poses:
        """Return the truth of all frames; the track of an animal of a video is its number.

        Parameters
        ----------
        video : Video, optional
            What the frames are stored in.
        """
        figure = self._species.articulate(self._motion.posture)
        height, width = self.shape[1:3]
        x, y = figure.keypoints[..., 0], figure.keypoints[..., 1]
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        known = inside & self._motion.alive[..., None] & ~self._left_out
        covered = _covered(figure, self._motion)
        visible = np.where(covered, Visibility.OCCLUDED, Visibility.VISIBLE)
        visible = np.where(known, visible, Visibility.ABSENT)
        animals = known.shape[1]
        track = np.arange(animals) if self.in_motion else np.full(animals, -1)
        place = video or Video("synthetic")
        return Poses(
            self.skeleton,
            np.where(known[..., None], figure.keypoints, np.nan),
            np.arange(len(self)),
            visible=visible,
            track=np.broadcast_to(track, known.shape[:2]),
            videos=(replace(place, shape=(height, width)),),
            track_names=tuple(f"animal_{i + 1}" for i in range(animals)) if self.in_motion else (),
        )


def _covered(figure: Figure, motion: Motion) -> NDArray[np.bool_]:
    """Which keypoints [T, A, K] lie under the body or head of an animal painted later."""
    animals = figure.keypoints.shape[1]
    covered = np.zeros(figure.keypoints.shape[:3], bool)
    for upper in range(animals):
        hidden = np.zeros_like(covered)
        for e in range(figure.ellipses.shape[2]):
            cx, cy, angle, a, b = np.moveaxis(figure.ellipses[:, upper, e], -1, 0)[..., None, None]
            dx, dy = figure.keypoints[..., 0] - cx, figure.keypoints[..., 1] - cy
            cos, sin = np.cos(angle), np.sin(angle)
            hidden |= ((dx * cos + dy * sin) / a) ** 2 + ((dy * cos - dx * sin) / b) ** 2 < 1
        above = (motion.depth[:, upper, None] > motion.depth) & motion.alive[:, upper, None]
        covered |= hidden & above[..., None]
    return covered


def make_recording(
    n_frames: int,
    *,
    animals: int | tuple[int, int] = 3,
    size: tuple[int, int] = (320, 320),
    seed: int = 0,
    species: str = "beetle",
    missing: float = 0.05,
    motion: bool = True,
    channels: int = 3,
    length_px: float = 58.0,
    noise: float = 4.0,
) -> tuple[NDArray[np.uint8], Poses]:
    """Paint a whole synthetic recording; the arguments are those of `SyntheticRecording`.

    Returns
    -------
    frames : array uint8 [T, H, W, C]
    truth : Poses
    """
    recording = SyntheticRecording(
        n_frames,
        animals=animals,
        size=size,
        seed=seed,
        species=species,
        missing=missing,
        motion=motion,
        channels=channels,
        length_px=length_px,
        noise=noise,
    )
    return recording[:], recording.poses()


@dataclass(frozen=True)
class SampleFiles:
    """Files of a sample, and which of its frames are meant for what.

    Parameters
    ----------
    frames : path
        The video ``recording.mp4`` or the folder ``images``.
    labels : path
        Labels of some frames, as somebody would make them: without identities over time.
    truth : path
        The truth of all frames.
    labelled : tuple of int
        Frames that `labels` holds, all of them before `unseen`.
    unseen : range
        The last frames, without labels, to test on.
    """

    frames: Path
    labels: Path
    truth: Path
    labelled: tuple[int, ...]
    unseen: range


def write_sample(
    folder: str | os.PathLike[str],
    recording: SyntheticRecording,
    *,
    labelled: int = 60,
    unseen: int | None = None,
    fps: float = 25.0,
) -> SampleFiles:
    """Write a recording with labels of some frames and the truth of all, as SLEAP files.

    A recording in motion becomes a video (H.264 without B-frames), stills become a folder of PNG
    images. The labelled frames are spread evenly over those before the unseen ones.

    Parameters
    ----------
    folder : path
        Where to; made if needed.
    recording : SyntheticRecording
    labelled : int
        Number of frames to label.
    unseen : int, optional
        Number of frames at the end to keep for tests; a fifth by default.
    fps : float
        Frame rate of the video.

    Raises
    ------
    ValueError
        When there are fewer frames than asked for.
    """
    from napari_semimultipose.io.labels import write_poses

    count = len(recording)
    unseen = count // 5 if unseen is None else unseen
    if labelled < 1 or unseen < 0 or labelled + unseen > count:
        raise ValueError(f"{labelled} labelled and {unseen} unseen frames of {count} do not fit")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    chosen = np.unique(np.linspace(0, count - unseen - 1, labelled).round().astype(int))
    if recording.in_motion:
        frames = place / "recording.mp4"
        video = Video(frames.name)
        _write_recording(recording, frames, fps)
    else:
        frames = place / "images"
        names = tuple(f"image_{i:04d}.png" for i in range(count))
        video = Video(frames.name, names)
        _write_images(recording, frames, names)
    truth = recording.poses(video)
    rows = truth.select(chosen)
    labels = replace(rows, track=np.full_like(rows.track, -1), track_names=())
    files = SampleFiles(
        frames,
        place / "labels.slp",
        place / "truth.slp",
        tuple(chosen.tolist()),
        range(count - unseen, count),
    )
    write_poses(labels, files.labels)
    write_poses(truth, files.truth)
    return files


def _write_recording(recording: SyntheticRecording, path: Path, fps: float) -> None:
    from napari_semimultipose.io.video_writer import write_video

    height, width = recording.shape[1:3]
    with write_video(path, (height, width), fps) as writer:
        for i in range(len(recording)):
            writer.write(recording.frame(i))


def _write_images(recording: SyntheticRecording, folder: Path, names: tuple[str, ...]) -> None:
    from PIL import Image

    from napari_semimultipose.io.atomic import replace_folder

    with replace_folder(folder) as fresh:
        for i, name in enumerate(names):
            Image.fromarray(np.squeeze(recording.frame(i))).save(fresh / name)
