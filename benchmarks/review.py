"""How long do a zoom of the trajectories and a repair take in a real window, on a long recording?

    xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/review.py --frames 100000

Reported is the median of some runs in milliseconds, with the processor time of the main thread, which
other work on the machine does not change as much. A zoom includes painting the plot; a repair includes
the layers that are shown, with the widgets Review and Trajectories open.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from repairs import walks

from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.tracking import repair
from napari_semimultipose.widgets.review import ReviewWidget
from napari_semimultipose.widgets.trajectories import TrajectoriesWidget


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def median(
    action: Callable[[int], None], runs: int, before: Callable[[int], None] = lambda i: None
) -> dict[str, float]:
    times = []
    for i in range(runs):
        before(i)
        start, worked = time.perf_counter(), time.thread_time()
        action(i)
        times.append((time.perf_counter() - start, time.thread_time() - worked))
        spin(0.3)
    wall, busy = 1000 * np.median(times, axis=0)
    return {"ms": round(wall, 1), "processor_ms": round(busy, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--animals", type=int, default=4)
    parser.add_argument("--keypoints", type=int, default=13)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    n = given.frames
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    stack = np.broadcast_to(np.zeros((200, 200), np.uint8), (n, 200, 200))
    image = viewer.add_image(stack, contrast_limits=(0, 255), name="clip")
    poses = walks(n, given.animals, given.keypoints)
    layers = PredictionLayers(viewer, poses, image=image)
    review, plots = ReviewWidget(viewer), TrajectoriesWidget(viewer)
    viewer.window.add_dock_widget(review, name="Review", area="right")
    viewer.window.add_dock_widget(plots, name="Trajectories", area="bottom")
    viewer.dims.set_current_step(0, n // 2)
    spin(3)
    rng = np.random.default_rng(0)

    def zoom(width: int) -> Callable[[int], None]:
        def once(i: int) -> None:
            start = int(rng.integers(0, max(1, n - width)))
            plots.plot.zoom_to(start, start + width)
            plots.plot.viewport().repaint()

        return once

    def swap(i: int) -> None:
        layers.store.apply(repair.swap(layers.store, 0, 1, n // 2 - 10))

    def undo(i: int) -> None:
        review.steps.undo()

    def redraw(i: int) -> None:
        plots.redraw()
        plots.plot.viewport().repaint()

    def step(i: int) -> None:
        viewer.dims.set_current_step(0, int(rng.integers(0, n)))

    results: dict[str, object] = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    for width in (n, n // 10, 1000):
        results[f"zoom to {width} frames"] = median(zoom(width), given.runs)
    results["swap to the end, layers included"] = median(swap, given.runs)
    results["undo, layers included"] = median(undo, given.runs)
    results["redraw of the trajectories after a swap"] = median(redraw, given.runs, swap)
    results["jump to a frame"] = median(step, given.runs)
    print(json.dumps(results, indent=1))
    viewer.close()


if __name__ == "__main__":
    main()
