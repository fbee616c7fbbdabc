"""Time and peak memory of ``semimultipose suggest --by diverse`` on long recordings.

    python benchmarks/suggestions.py --out RESULTS [--frames 2000 20000]

Writes generated videos, searches each in a process of its own, and reports seconds, frames a second and
the largest resident set. Memory must not grow with the length. ``of_which_decoding_s`` is the processor
time that reading the frames alone takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.io.video_writer import write_video

FPS = 30.0


def make_video(path: Path, count: int) -> None:
    """Write a clip; its pictures repeat after 500 frames, with another brightness each time."""
    recording = SyntheticRecording(500, animals=3, size=(240, 320), length_px=50.0)
    pictures = [recording.frame(i) for i in range(len(recording))]
    with write_video(path, (240, 320), FPS) as writer:
        for i in range(count):
            dark = 1.0 - 0.4 * (i // 500) * 500 / count
            writer.write((pictures[i % 500] * dark).astype("uint8"))


def measure(video: Path, out: Path) -> tuple[float, float, float]:
    """Return the peak resident set in MB, and wall-clock and processor time in s of a search."""
    program = "from napari_semimultipose.cli import main; main()"
    command = [sys.executable, "-c", program, "suggest", str(video)]
    command += ["--by", "diverse", "--count", "20", "--out", str(out)]
    started = time.monotonic()
    child = os.spawnv(os.P_NOWAIT, sys.executable, command)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"the search in {video} failed")
    seconds = time.monotonic() - started
    return usage.ru_maxrss / 1024, seconds, usage.ru_utime + usage.ru_stime


def decode(video: Path) -> float:
    """Return the processor time in s of reading all frames."""
    started = time.process_time()
    with open_frames(video) as frames:
        for _ in frames.iterate():
            pass
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 20000])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for count in given.frames:
        video = given.out / f"clip-{count}.mp4"
        if not video.exists():
            make_video(video, count)
        peak_mb, seconds, busy = measure(video, given.out / f"suggested-{count}.txt")
        rows.append(
            {
                "frames": count,
                "peak_rss_mb": round(peak_mb),
                "seconds": round(seconds, 1),
                "processor_s": round(busy, 1),
                "frames_per_s": round(count / seconds),
                "of_which_decoding_s": round(decode(video), 1),
            }
        )
        print(rows[-1], flush=True)
    (given.out / "suggestions.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
