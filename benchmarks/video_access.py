"""How quickly frames of a recording are opened, played and reached at random.

    python benchmarks/video_access.py [FILE ...]

Without files, recordings of ``../shared/data`` are measured where they lie. Sequential access is
measured through `Frames.iterate` and through single indices; stepping back and scrubbing (a walk of
small steps both ways) show what the memory of recent frames is worth. The reference is plain PyAV
decoding to the same pixel format.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np

from napari_semimultipose.io import video_index
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.video import open_frames

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = (
    "fly-pair-demo/demo-flies13-preds.mp4",
    "mouse-mirror/videos/test_vid.mp4",
    "mouse-openfield/videos/m3v1mp4.mp4",
    "mice-pair-cage/video.mp4",
)
MOST_FRAMES = 600


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def consume(items: Iterable[object]) -> None:
    for _ in items:
        pass


def plain_decoding(path: str, count: int, pixel_format: str) -> None:
    """The quickest that PyAV alone does: two threads, one converter."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "FRAME"
        stream.codec_context.thread_count = 2
        convert = av.video.reformatter.VideoReformatter()
        for i, frame in enumerate(container.decode(stream)):
            convert.reformat(frame, format=pixel_format).to_ndarray()
            if i + 1 == count:
                break


def measure(path: Path) -> dict[str, float]:
    video_index._indices.clear()
    opened: list[Frames] = []
    row = {"open ms": 1e3 * seconds(lambda: opened.append(open_frames(path)))}
    frames = opened[0]
    count = min(len(frames), MOST_FRAMES)
    grey = frames.shape[3] == 1
    plain = seconds(lambda: plain_decoding(str(path), count, "gray" if grey else "rgb24"))
    row["plain fps"] = count / plain
    row["iterate fps"] = count / seconds(lambda: consume(frames.iterate(0, count)))
    row["index fps"] = count / seconds(lambda: consume(frames[i] for i in range(count)))
    with open_frames(path) as fresh:
        back = range(count - 1, max(count - 101, -1), -1)
        row["back fps"] = len(back) / seconds(lambda: consume(fresh[i] for i in back))
    rng = np.random.default_rng(0)
    with open_frames(path) as fresh:
        far = rng.integers(0, len(fresh), 30).tolist()
        row["random ms"] = 1e3 * seconds(lambda: consume(fresh[i] for i in far)) / len(far)
    with open_frames(path) as fresh:
        steps = np.cumsum(rng.integers(-4, 6, 200))
        near = np.clip(steps, 0, len(fresh) - 1).tolist()
        row["scrub ms"] = 1e3 * seconds(lambda: consume(fresh[i] for i in near)) / len(near)
    frames.close()
    return row


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]] or [SHARED / name for name in FILES]
    files = [path for path in files if path.exists()]
    if not files:
        sys.exit("no recordings: give paths of videos")
    rows = [(path, open_frames(path).shape, measure(path)) for path in files]
    names = list(rows[0][2])
    print(f"{'file':34}{'T x H x W x C':>22}" + "".join(f"{name:>13}" for name in names))
    for path, shape, row in rows:
        size = " x ".join(map(str, shape))
        print(f"{path.name:34}{size:>22}" + "".join(f"{row[name]:13.1f}" for name in names))


if __name__ == "__main__":
    main()
