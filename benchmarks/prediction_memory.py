"""Peak memory of ``semimultipose predict`` on recordings of growing length.

    python benchmarks/prediction_memory.py --out RESULTS [--frames 2000 10000]

Writes generated videos and a model with random weights, predicts each video in a process of its own
and reports the largest resident set and the frames a second. Memory must not grow with the length,
apart from the poses themselves, whose size is given too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from napari_semimultipose.config import Config
from napari_semimultipose.io.sample import SyntheticRecording, write_sample
from napari_semimultipose.models.checkpoint import WEIGHTS, ModelInfo, save_weights, write_info


def make_model(folder: Path, recording: SyntheticRecording) -> None:
    from napari_semimultipose.models.directpose import DirectPose

    config, skeleton = Config(), recording.poses().skeleton
    write_info(folder, ModelInfo(skeleton, config, 1.0))
    save_weights(DirectPose(config.model, skeleton.keypoints), folder / WEIGHTS)


def measure(model: Path, video: Path, out: Path) -> tuple[float, float]:
    """Return the peak resident set in MB and the wall-clock time in s of a prediction."""
    program = Path(sys.executable).with_name("semimultipose")
    started = time.monotonic()
    child = os.spawnv(
        os.P_NOWAIT,
        program,
        # With random weights no score is high: a limit of zero keeps two animals a frame.
        [str(program), "predict", str(model), str(video), "--out", str(out), "--animals", "2",
         "--set", "predict.score_threshold=0"],
    )  # fmt: skip
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"prediction of {video} failed")
    return usage.ru_maxrss / 1024, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 10000])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for count in given.frames:
        recording = SyntheticRecording(count, animals=2, size=(160, 160), length_px=40.0)
        files = write_sample(given.out / str(count), recording, labelled=1)
        model = given.out / "model"
        if not model.is_dir():
            make_model(model, recording)
        poses = given.out / f"{count}.slp"
        peak_mb, seconds = measure(model, files.frames, poses)
        rows.append(
            {
                "frames": count,
                "peak_rss_mb": round(peak_mb),
                "seconds": round(seconds, 1),
                "frames_per_s": round(count / seconds, 1),
                "poses_file_mb": round(poses.stat().st_size / 1e6, 1),
            }
        )
        print(rows[-1], flush=True)
    (given.out / "prediction_memory.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
