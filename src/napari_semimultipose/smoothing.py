"""From the predictions of members and cameras to smoothed poses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semimultipose.config import SmoothConfig, TrackConfig
from napari_semimultipose.errors import ConfigError, LabelsError
from napari_semimultipose.inference.ensemble import fuse
from napari_semimultipose.poses import Poses
from napari_semimultipose.tracking.smoothing.poses import Smoothing, smooth, smooth_cameras

if TYPE_CHECKING:
    from napari_semimultipose.tracking.cameras import Camera

FilePath = str | os.PathLike[str]


@dataclass(frozen=True)
class Smoothed:
    """What smoothing was given and what it made of it.

    Attributes
    ----------
    observed : list of Poses
        One a camera: the members joined, tracked.
    result : Smoothing
    """

    observed: list[Poses]
    result: Smoothing

    @property
    def left_out(self) -> int:
        """How many animals of frames were not smoothed, because they have no track and others do."""
        if len(self.observed) > 1 and all((p.present.sum(1) <= 1).all() for p in self.observed):
            return 0  # one animal in several cameras needs no tracks
        tracked = (p for p in self.observed if (p.track >= 0).any())
        return sum(int((p.present & (p.track < 0)).sum()) for p in tracked)


def smooth_members(
    members: Sequence[Poses],
    config: SmoothConfig | None = None,
    *,
    mirrored: Sequence[str] = (),
    tracking: TrackConfig | None = None,
) -> Smoothed:
    """Join the members of an ensemble, or take one model's poses, and smooth them.

    Parameters
    ----------
    members : sequence of Poses
        Predictions of one recording.
    config : SmoothConfig, optional
    mirrored : sequence of str
        See `tracking.smoothing.poses.smooth`.
    tracking : TrackConfig, optional
        How several animals are followed where they have no tracks yet.
    """
    config = config or SmoothConfig()
    joined = fuse(members, spread="variance" if config.noise == "published" else "robust")
    observed = _tracked(joined, tracking)
    return Smoothed([observed], smooth(observed, config, mirrored=mirrored))


def smooth_views(
    views: Mapping[str, Sequence[Poses]],
    config: SmoothConfig | None = None,
    *,
    calibration: FilePath | None = None,
) -> Smoothed:
    """Join the members of each camera, and smooth what the cameras see together.

    Parameters
    ----------
    views : mapping of str to sequence of Poses
        Predictions by the name of the camera.
    config : SmoothConfig, optional
    calibration : path, optional
        ``calibration.toml`` of anipose, whose cameras have these names.

    Raises
    ------
    LabelsError
        When the calibration lacks a camera.
    """
    from napari_semimultipose.tracking.cameras import read_calibration

    config = config or SmoothConfig()
    cameras: list[Camera] = []
    if calibration is not None:
        known = {camera.name: camera for camera in read_calibration(Path(calibration))}
        for name in views:
            if name not in known:
                raise LabelsError(
                    f"{calibration} has no camera {name!r}; it has {', '.join(known)}: name the cameras as "
                    "it does"
                )
        cameras = [known[name] for name in views]
    kind: Any = "variance" if config.noise == "published" else "robust"
    observed = [fuse(members, spread=kind) for members in views.values()]
    return Smoothed(observed, smooth_cameras(observed, config, cameras=cameras))


def by_camera(files: Iterable[Path], names: Sequence[str]) -> dict[str, list[Path]]:
    """Sort files by the name of the camera that is part of theirs.

    Raises
    ------
    ConfigError
        When a file belongs to none or several of the cameras, or a camera has no file.
    """
    out: dict[str, list[Path]] = {name: [] for name in names}
    for file in files:
        fits = [name for name in names if name in file.name]
        # A name may be part of another one: the longest counts.
        fits = [name for name in fits if not any(name != n and name in n for n in fits)]
        if len(fits) != 1:
            said = (
                f"the names of several cameras ({', '.join(fits)})" if fits else "no camera's name"
            )
            raise ConfigError(
                f"{file.name} has {said} in it; the cameras are {', '.join(names)}. Give the cameras names "
                "that each are part of the names of their files"
            )
        out[fits[0]].append(file)
    empty = [name for name, found in out.items() if not found]
    if empty:
        raise ConfigError(f"there are no predictions of camera {', '.join(empty)}")
    counts = {len(found) for found in out.values()}
    if len(counts) > 1:
        told = ", ".join(f"{name}: {len(found)}" for name, found in out.items())
        raise ConfigError(f"the cameras have different numbers of members ({told}): give the same")
    return out


def _tracked(poses: Poses, config: TrackConfig | None) -> Poses:
    """Follow several animals that have no tracks."""
    if (poses.track >= 0).any() or (poses.present.sum(1) <= 1).all():
        return poses
    from napari_semimultipose.tracking.identity import track

    return track(poses, config)
