"""Tables of poses of the same recordings in one numbering of videos and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.places import match_names
from napari_semimultipose.poses import IntArray, Poses, Video


def numbered_alike(tables: Sequence[Poses]) -> list[Poses]:
    """Return all tables with the videos and pictures numbered as in the first one.

    Videos are paired by their paths (one with one whatever they are called), pictures by their names, whatever
    the order in which a table lists them; frames of videos have their numbers. What the first table
    lacks is numbered after what it has.

    Parameters
    ----------
    tables : sequence of Poses
        Of the same recordings, at least one.

    Returns
    -------
    list of Poses
        With the same videos. A table that is numbered so already stays as it is.

    Raises
    ------
    LabelsError
        When a name fits several videos or pictures, or two pictures of a table would be one.
    """
    if all(table.videos == tables[0].videos for table in tables):
        return list(tables)
    videos = list(tables[0].videos)
    numbered = [tables[0]]
    for number, table in enumerate(tables[1:], 2):
        place = _paired_videos(table.videos, videos)
        frame = table.frame.copy()
        for mine, theirs in enumerate(place):
            rows = np.flatnonzero(table.video == mine)
            old, new = table.videos[mine], videos[theirs]
            if old.images and new.images and old.images != new.images:
                images, frame[rows] = _paired_images(old.images, new.images, table.frame[rows])
                videos[theirs] = replace(new, images=images)
        video = np.array(place, np.int64)[table.video]
        order = np.lexsort((frame, video))
        places = np.stack([video[order], frame[order]])
        if (np.diff(places) == 0).all(0).any():
            raise LabelsError(
                f"table {number} has two pictures of one name: give their names with their folders"
            )
        fresh = table.select(order.tolist())
        everything = tuple(videos) + table.videos  # until all tables are known
        numbered.append(replace(fresh, video=video[order], frame=frame[order], videos=everything))
    return [replace(table, videos=tuple(videos)) for table in numbered]


def _paired_videos(mine: Sequence[Video], videos: list[Video]) -> list[int]:
    """Index into `videos` of each of mine; those that are not among them are appended."""
    if len(mine) == len(videos) == 1:
        return [0]
    exact = {video: i for i, video in reversed(list(enumerate(videos)))}
    found = [exact.get(video) for video in mine]
    for i, video in enumerate(mine):
        if found[i] is None and video.images:  # lists of one folder have the same path
            common = {
                v: len(set(video.images) & set(other.images))
                for v, other in enumerate(videos)
                if v not in found
            }
            best = max(common, key=common.__getitem__, default=-1)
            found[i] = best if common.get(best, 0) else None
    rest = [i for i, place in enumerate(found) if place is None]
    free = [i for i in range(len(videos)) if i not in found]
    matches = match_names([mine[i].path for i in rest], [videos[i].path for i in free])
    for i, match in zip(rest, matches, strict=True):
        if match is not None and free[match] not in found:
            found[i] = free[match]
        else:
            found[i] = len(videos)
            videos.append(mine[i])
    return [int(place) for place in found if place is not None]


def _paired_images(
    mine: Sequence[str], images: tuple[str, ...], frame: IntArray
) -> tuple[tuple[str, ...], IntArray]:
    """Return the images with those of mine that are missing there, and my frames in their numbering."""
    used = sorted({f for f in frame.tolist() if f < len(mine)})
    matches = match_names([mine[f] for f in used], images)
    fresh = [f for f, match in zip(used, matches, strict=True) if match is None]
    number = {f: match for f, match in zip(used, matches, strict=True) if match is not None}
    number |= {f: len(images) + i for i, f in enumerate(fresh)}
    renumbered = np.array([number.get(f, f) for f in frame.tolist()], np.int64)
    return (*images, *(mine[f] for f in fresh)), renumbered
