"""What does keeping every edit cost, and how long does it take to get lost edits back?

Times are milliseconds of processor time, in which the work of the operating system is counted, but not
what a busy machine adds; waiting for the disk of ``--folder`` is named so and is wall-clock time. Labels of 500 frames x 10 animals x 15
keypoints are edited as in the Annotate widget: every edit is in the journal when it is done.
"edit" is the edit with its entry in the journal, "edit_alone" the same without a journal. Recovery
reads the journal from the beginning; the process that wrote it may have been killed.

    python benchmarks/journal.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_semimultipose.io.journal import recover
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.widgets.autosave import Autosave


def random_poses(n_frames: int, n_animals: int, n_keypoints: int) -> Poses:
    rng = np.random.default_rng(0)
    return Poses(
        Skeleton(tuple(f"k{i}" for i in range(n_keypoints))),
        rng.uniform(20, 380, (n_frames, n_animals, n_keypoints, 2)),
        np.arange(n_frames),
        track=np.broadcast_to(np.arange(n_animals), (n_frames, n_animals)),
        videos=(Video("clip"),),
    )


def once_ms(action: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    start = clock()
    action()
    return round(1e3 * (clock() - start), 3)


def summary(times_ms: list[float]) -> dict[str, float]:
    return {
        "median": round(float(np.median(times_ms)), 3),
        "p99": round(float(np.quantile(times_ms, 0.99)), 3),
        "longest": round(max(times_ms), 3),
    }


def move(store: PoseStore, rng: np.random.Generator) -> None:
    row, slot, point = (int(rng.integers(n)) for n in store.array("visible").shape)
    edits.move_keypoints(store, [row], [slot], [point], [rng.uniform(0, 400, 2)])


def labels(folder: Path, n: int) -> dict[str, object]:
    """Clicks on 500 labelled frames of 10 animals with 15 keypoints."""
    poses, rng = random_poses(500, 10, 15), np.random.default_rng(1)
    bare = PoseStore(poses)
    alone = [once_ms(lambda: move(bare, rng)) for _ in range(n)]
    store = PoseStore(poses)
    keeper = Autosave(store, folder / "labels")
    first = once_ms(lambda: move(store, rng))
    assert keeper.path is not None
    table_bytes = keeper.path.stat().st_size
    times = [once_ms(lambda: move(store, rng)) for _ in range(n)]
    size = keeper.path.stat().st_size
    recovery = once_ms(lambda: recover(str(keeper.path)))
    np.testing.assert_array_equal(recover(keeper.path).poses.xy, store.snapshot().xy)
    return {
        "edits": n,
        "edit_alone_ms": summary(alone),
        "first_edit_with_all_labels_ms": first,
        "edit_ms": summary(times),
        "wait_for_disk_in_thread_ms": once_ms(keeper.flush, time.perf_counter),
        "bytes_of_all_labels": table_bytes,
        "bytes_per_edit": round((size - table_bytes) / n),
        "recovery_ms": recovery,
    }


def bulk(folder: Path, *, ahead: bool) -> dict[str, float]:
    """Two animals exchanged on all of 100,000 frames of 4 animals with 13 keypoints.

    With `ahead`, as in the widgets, all poses were written by a thread before the first edit.
    """
    store = PoseStore(random_poses(100_000, 4, 13))
    keeper = Autosave(store, folder / ("ahead" if ahead else "at once"))
    row = np.repeat(np.arange(len(store)), 2)
    slot = np.tile([0, 1], len(store))
    track = store.array("track")[row, slot].copy()
    swap = Change("swap", row, slot, {"track": track}, {"track": 1 - track})
    bare = PoseStore(store.table())
    result = {"swap_alone_ms": once_ms(lambda: bare.apply(swap))}
    if ahead:
        result["begin_ms"] = once_ms(keeper.tick)  # the copy
        assert keeper._spare is not None
        result["wait_for_thread_ms"] = once_ms(keeper._spare.wait, time.perf_counter)
    result |= {
        "first_swap_ms": once_ms(lambda: store.apply(swap)),
        "undo_ms": once_ms(lambda: store.apply(swap.reversed())),
        "swap_ms": once_ms(lambda: store.apply(swap)),
    }
    assert keeper.path is not None
    result["bytes"] = keeper.path.stat().st_size
    result["recovery_ms"] = once_ms(lambda: recover(str(keeper.path)))
    np.testing.assert_array_equal(recover(keeper.path).poses.track, store.snapshot().track)
    keeper.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--edits", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="where the journals are written")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        result = {
            "labels_500x10x15": labels(folder, args.edits),
            "bulk_100000x4x13_ahead": bulk(folder, ahead=True),
            "bulk_100000x4x13_at_once": bulk(folder, ahead=False),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text)


if __name__ == "__main__":
    main()
