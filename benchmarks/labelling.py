"""How quick are a click, undo and a step to another frame with many points in the viewer?

In a real window, with synthetic poses. Times are processor time of the main thread (what a busy
machine adds is left out) from the call to the moment at which napari may draw; until the canvas is drawn,
which depends on the graphics card; and until there is nothing left to do, with the panel.

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/labelling.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_semimultipose.layers.points import points_layer_data, poses_from_layer_data
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.poses import Poses, Skeleton, Video
from napari_semimultipose.widgets.annotate import AnnotateWidget

SIZE_PX = 400
SETTLE_S, NOTHING_S = 0.25, 0.0005
"""So long is waited for what comes later; a look for events that takes less found none."""


def random_poses(n_frames: int, n_animals: int, n_keypoints: int) -> Poses:
    rng = np.random.default_rng(0)
    xy = rng.uniform(20, SIZE_PX - 20, (n_frames, n_animals, n_keypoints, 2))
    names = tuple(f"k{i}" for i in range(n_keypoints))
    return Poses(
        Skeleton(names, tuple((0, i) for i in range(1, n_keypoints))),
        xy,
        np.arange(n_frames),
        track=np.broadcast_to(np.arange(n_animals), (n_frames, n_animals)),
        videos=(Video("clip"),),
    )


def open_viewer(n_frames: int) -> napari.Viewer:
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    blank = np.broadcast_to(np.zeros((SIZE_PX, SIZE_PX), np.uint8), (n_frames, SIZE_PX, SIZE_PX))
    viewer.add_image(blank, contrast_limits=(0, 255), name="clip")
    draw()
    return viewer


def draw() -> None:
    for _ in range(3):
        QApplication.processEvents()


def milliseconds(
    action: Callable[[int], object], n: int, viewer: napari.Viewer
) -> dict[str, float]:
    """Median and 95th percentile of one call, until the canvas is drawn, and until all is done.

    The latter includes the panel with the prompt and the lists, and the features of the points.
    """
    bare, seen, all_done = [], [], []
    shown: list[float] = []
    draws = viewer.window._qt_viewer.canvas._scene_canvas.events.draw
    on_draw = draws.connect(lambda event: shown.append(time.thread_time()), position="last")
    for i in range(n):
        shown.clear()
        start = time.thread_time()
        action(i)
        bare.append(time.thread_time() - start)
        draw()
        if shown:
            seen.append(shown[0] - start)
        end = time.monotonic() + SETTLE_S
        busy = time.thread_time() - start
        while time.monotonic() < end:
            before = time.thread_time()
            QApplication.processEvents()
            spent = time.thread_time() - before
            busy += spent if spent > NOTHING_S else 0.0
            time.sleep(0.005)
        all_done.append(busy)
    draws.disconnect(on_draw)
    out = {"before drawing": bare, "on screen": seen, "all done": all_done}
    return {
        f"{name}, {what} ms": round(1e3 * float(np.quantile(times, share)), 1)
        for name, times in out.items()
        if times
        for what, share in (("median", 0.5), ("p95", 0.95))
    }


def conversion() -> dict[str, float]:
    poses = random_poses(1350, 2, 13)
    points_layer_data(poses)  # pandas is imported
    start = time.thread_time()
    data, attributes, _ = points_layer_data(poses)
    there = time.thread_time()
    poses_from_layer_data(data, attributes)
    return {"to_points_s": there - start, "to_poses_s": time.thread_time() - there}


def edits_and_undo(n: int) -> dict[str, object]:
    """Edits with 500 labelled frames of 10 animals with 15 keypoints in the same layer."""
    poses = random_poses(500, 10, 15)
    viewer = open_viewer(len(poses))
    data, attributes, _ = points_layer_data(poses, "labels")
    viewer.add_points(data, **attributes)
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.dims.set_point(0, 250)
    draw()
    assert widget.document is not None
    document, session = widget.document, widget.document.session
    history = session.history
    assert session.row is not None
    spots = np.random.default_rng(1).uniform(-120, 120, (2 * n, 2)).round().astype(int)
    canvas = viewer.window._qt_viewer.canvas.native
    middle = canvas.rect().center()

    def click(i: int) -> None:  # with Ctrl it places a point also where one is
        spot = middle + QPoint(*spots[i].tolist())
        QTest.mouseClick(
            canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, spot
        )

    click(n)  # the first one compiles the shaders
    draw()
    before = len(history)
    result: dict[str, object] = {"click": milliseconds(click, n, viewer)}
    assert len(history) == before + n
    result |= {
        "bytes_a_step": round(history.nbytes / len(history)),
        "undo": milliseconds(lambda i: document.run("undo"), n, viewer),
        "redo": milliseconds(lambda i: document.run("redo"), n, viewer),
    }
    skeleton = session.store.skeleton
    fewer = Skeleton(skeleton.keypoints[1:])
    before = history.nbytes
    result["delete_labelled_keypoint"] = {
        "do": milliseconds(lambda i: history.set_skeleton(fewer, range(1, 15)), 1, viewer),
        "undo": milliseconds(lambda i: document.run("undo"), 1, viewer),
    }
    document.run("redo")
    result["bytes_delete_labelled_keypoint"] = history.nbytes - before
    viewer.close()
    return result


def steps(n_frames: int, n: int) -> dict[str, dict[str, float]]:
    """Steps and jumps with points, skeletons and tracks of 4 animals with 13 keypoints."""
    viewer = open_viewer(n_frames)
    layers = PredictionLayers(viewer, random_poses(n_frames, 4, 13), image=viewer.layers["clip"])
    jumps = np.random.default_rng(2).integers(0, n_frames, n)
    middle = n_frames // 2
    result = {
        "next_frame": milliseconds(lambda i: viewer.dims.set_point(0, middle + i), n, viewer),
        "jump": milliseconds(lambda i: viewer.dims.set_point(0, int(jumps[i])), n, viewer),
    }
    layers.close()
    only_image = milliseconds(lambda i: viewer.dims.set_point(0, middle + i), n, viewer)
    viewer.close()
    return {**result, "next_frame_image_alone": only_image}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=60)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only-edits", action="store_true", help="no conversion, no predictions")
    args = parser.parse_args()
    result: dict[str, object] = {"labels_500x10x15": edits_and_undo(args.repeat)}
    if not args.only_edits:
        result |= {
            "conversion_1350x2x13": conversion(),
            "frames_20000x4x13": steps(20_000, args.repeat),
            "frames_100000x4x13": steps(100_000, args.repeat),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text)


if __name__ == "__main__":
    main()
