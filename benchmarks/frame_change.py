"""What does a frame change cost with one million predicted points, all layers visible?

    xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/frame_change.py [--frames 20000] [--profile]

In a real window: points coloured by confidence, lines of the skeleton, trails, and heat maps over a clip of
4 animals with 13 keypoints. The heat maps are made up: the time of a network is not the viewer's, and it
runs in another thread. Reported is processor time of the main thread in ms (what other work on the machine
adds is left out), median and 95th percentile: of the change itself, and with all that Qt then has to do
but drawing, which depends on the graphics card; ``drawing`` is what that takes, with the software
renderer of a virtual display. "docked": with the widgets Review and Trajectories open. What the clip
alone takes is napari's part, and tells how much the machine was slowed down by other work.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication, QWidget
from repairs import walks

from napari_semimultipose.config import PredictConfig
from napari_semimultipose.inference.heatmaps import HeatMaps
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.widgets import heat_layer
from napari_semimultipose.widgets.review import ReviewWidget
from napari_semimultipose.widgets.trajectories import TrajectoriesWidget

SIZE = (480, 640)
KEYPOINTS = 13
LIMIT_MS = 16.0

Times = dict[str, dict[str, float]]


class Canvas:
    """The canvas of a viewer, whose drawing can be left out."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._scene = viewer.window._qt_viewer.canvas._scene_canvas
        self._draw = self._scene.events.draw

    @contextmanager
    def undrawn(self) -> Iterator[None]:
        """Nothing is drawn in this block."""
        with self._draw.blocker():
            yield

    def draw_s(self) -> float:
        """Draw now, and return the seconds of processor time."""
        start = time.thread_time()
        self._scene.native.repaint()
        return time.thread_time() - start


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def made_up(
    model: Path, frames: object, config: object, wanted: queue.SimpleQueue[int], should_stop: object
) -> Iterator[heat_layer.Computed]:
    """Play the network: heat maps of a quarter of the frame's size."""
    values = np.random.default_rng(0).uniform(0, 1, (KEYPOINTS, SIZE[0] // 4, SIZE[1] // 4))
    maps = HeatMaps(values.astype(np.float32), (4.0, 4.0), (1.5, 1.5))
    names = tuple(f"k{i}" for i in range(KEYPOINTS))
    while not should_stop():  # type: ignore[operator]
        try:
            yield heat_layer.Computed(wanted.get(timeout=0.05), maps, names)
        except queue.Empty:
            continue


def summary(times: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(1e3 * float(np.median(times)), 1),
        "p95_ms": round(1e3 * float(np.quantile(times, 0.95)), 1),
        "longest_ms": round(1e3 * max(times), 1),
    }


def measure(canvas: Canvas, go: Callable[[int], None], runs: int) -> Times:
    """Change the frame some times."""
    change, events, drawing = [], [], []
    for i in range(runs):
        with canvas.undrawn():
            start = time.thread_time()
            go(i)
            changed = time.thread_time()
            spin(0.2)  # timers of layers and widgets, and heat maps that arrive
            busy = time.thread_time()
            spin(0.2)  # the same time without anything to do
            idle = time.thread_time()
        change.append(changed - start)
        events.append(changed - start + max(0.0, (busy - changed) - (idle - busy)))
        drawing.append(canvas.draw_s())
    return {"change": summary(change), "with events": summary(events), "drawing": summary(drawing)}


def profiled(go: Callable[[int], None], runs: int) -> None:
    profile = cProfile.Profile(time.thread_time)
    for i in range(runs):
        profile.enable()
        go(i)
        profile.disable()
        spin(0.05)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--animals", type=int, default=4)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="print what takes the time instead")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    n = given.frames
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    clip = np.broadcast_to(np.zeros(SIZE, np.uint8), (n, *SIZE))
    image = viewer.add_image(clip, contrast_limits=(0, 255), name="clip")
    canvas = Canvas(viewer)
    rng = np.random.default_rng(0)
    places = rng.integers(0, n, 10_000).tolist()

    def step(i: int) -> None:
        viewer.dims.set_current_step(0, viewer.dims.current_step[0] + 1)

    def jump(i: int) -> None:
        viewer.dims.set_current_step(0, places.pop())

    ways = {"next frame": step, "jump": jump}
    spin(1)
    alone = {name: measure(canvas, go, given.runs) for name, go in ways.items()}
    poses = walks(n, given.animals, KEYPOINTS)
    layers = PredictionLayers(viewer, poses, image=image, color_by="confidence")
    heat_layer.heat_events = made_up
    owner = QWidget()
    heat = heat_layer.HeatLayer(viewer, owner)
    heat.show(Path("none"), image, PredictConfig())
    viewer.dims.set_current_step(0, n // 2)
    spin(2)
    assert heat.layer is not None
    assert layers.tracks is not None
    assert layers.vectors is not None
    results: dict[str, object] = {
        "points": n * given.animals * KEYPOINTS,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "the clip alone": alone,
    }
    slow = []
    for place in ("", " docked"):
        if place:
            for widget, area in ((ReviewWidget, "right"), (TrajectoriesWidget, "bottom")):
                viewer.window.add_dock_widget(widget(viewer), area=area)
            spin(4)
        for name, go in ways.items():
            measure(canvas, go, 5)
            if given.profile:
                print(f"--- {name}{place}")
                profiled(go, given.runs)
                continue
            times = measure(canvas, go, given.runs)
            results[name + place] = times
            if times["change"]["median_ms"] > LIMIT_MS:
                slow.append(name + place)
    heat.hide()
    results["over 16 ms"] = slow
    if not given.profile:
        print(json.dumps(results, indent=1))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))
    viewer.close()


if __name__ == "__main__":
    main()
