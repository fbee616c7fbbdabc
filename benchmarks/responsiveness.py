"""How long is the viewer's event loop blocked while a model trains or predicts?

A timer of 5 ms beats in the main thread of a real window in which the Train widget trains on
synthetic animals and the Predict widget predicts them, while frames are being browsed. Reported are
the gaps between beats. "busy" is the processor time that the main thread itself used in a gap: what
is missing to the gap it waited for, for Python's global lock or for a processor.

    xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/responsiveness.py --seconds 60

With ``--idle`` the same window without any work: what the display itself costs. With ``--beside`` the
same beside other programs, as many as there are processors, that multiply matrices at the lowest priority:
what the display costs where the processors are shared with anything at all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_semimultipose.io.sample import make_recording
from napari_semimultipose.layers.points import points_layer_data
from napari_semimultipose.widgets.predict import open_predict
from napari_semimultipose.widgets.train import TrainWidget

LIMIT_MS = 100


class Heart:
    """Beats in the main thread and measures what lies between the beats."""

    def __init__(self) -> None:
        self._gaps: list[tuple[float, float]] = []
        self._last = (0.0, 0.0)
        self._timer = QTimer()
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        self._gaps = []
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self._gaps.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def stop(self) -> dict[str, float]:
        self._timer.stop()
        gaps_ms, busy_ms = 1000 * np.array(self._gaps).T
        late = gaps_ms > LIMIT_MS
        return {
            "seconds": round(gaps_ms.sum() / 1000, 1),
            "median_ms": round(float(np.median(gaps_ms)), 1),
            "p99_ms": round(float(np.quantile(gaps_ms, 0.99)), 1),
            "longest_ms": round(float(gaps_ms.max()), 1),
            "over_100_ms": int(late.sum()),
            "busy_over_100_ms": int((busy_ms > LIMIT_MS).sum()),
            "longest_busy_ms": round(float(busy_ms.max()), 1),
            "late_at_s": np.round(np.cumsum(gaps_ms)[late] / 1000, 1).tolist(),
        }


def spin(seconds: float, until=lambda: False) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.001)


def busy_programs() -> list[subprocess.Popen]:
    """Start programs that keep all processors busy, but would give way."""
    code = (
        "import os; os.nice(19); import numpy; a = numpy.ones((1500, 1500), numpy.float32)\n"
        "while True: a @ a"
    )
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return [
        subprocess.Popen([sys.executable, "-c", code], env=one_thread)
        for _ in range(os.cpu_count() or 1)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="length of training")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    frames, truth = make_recording(arguments.frames, animals=3, size=(320, 320), seed=1)
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.add_image(frames, rgb=True, contrast_limits=(0, 255), name="beetles")
    labels = truth.select(np.arange(0, arguments.frames, 10))
    data, attributes, _ = points_layer_data(labels, name="labels")
    viewer.add_points(data, **attributes)
    widget = TrainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Train", area="right")
    spin(2)
    browse = QTimer()
    browse.setInterval(500)
    browse.timeout.connect(
        lambda: viewer.dims.set_current_step(0, (viewer.dims.current_step[0] + 1) % len(frames))
    )
    heart = Heart()
    results: dict[str, object] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    browse.start()
    heart.start()
    if arguments.idle or arguments.beside:
        others = [] if arguments.idle else busy_programs()
        spin(arguments.seconds)
        results["idle" if arguments.idle else "beside other programs"] = heart.stop()
        for other in others:
            other.kill()
    else:
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model"
            widget.settings.out.set_path(model)
            widget.settings.length.set_value(arguments.seconds / 60)
            widget.start()
            spin(30, until=lambda: widget.progress.maximum() > 0)
            results["loading"] = heart.stop()
            heart.start()
            spin(600, until=lambda: not widget.runner.running)
            results["training"] = heart.stop()
            print(widget.status.text(), widget.message.text())
            predict = open_predict(viewer, model)
            predict.settings.out.set_path(Path(folder) / "poses.slp")
            spin(1)
            heart.start()
            predict.start()
            # Until the first poses: the model is loaded, and the layers are made, while nothing computes.
            spin(600, until=lambda: predict.progress.value() > 0 or not predict.runner.running)
            results["before prediction"] = heart.stop()
            heart.start()
            spin(600, until=lambda: not predict.runner.running)
            results["prediction"] = heart.stop()
            print(predict.status.text(), predict.message.text())
    results["load_after"] = os.getloadavg()[0]
    print(json.dumps(results, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    viewer.close()


if __name__ == "__main__":
    main()
