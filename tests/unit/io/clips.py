"""Small clips for the tests of `io.video`, made with the encoders that are there."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = (48, 64)


def picture(i: int, *, grey: bool = False, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture [H, W, 3] that tells its number: a moving bar and a binary code in blocks."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    image = np.stack([(x * 3 + 5 * i) % 200, (y * 4 + 3 * i) % 200, (x + y + 7 * i) % 200], -1)
    if grey:
        image = np.repeat(image[..., :1], 3, -1)
    for bit in range(8):
        image[-8:, bit * 8 : bit * 8 + 8] = 235 if i >> bit & 1 else 20
    return image.astype(np.uint8)


def has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except Exception:
        return False
    return True


def write_clip(
    path: Path,
    *,
    codec: str = "libx264",
    count: int = 40,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    grey: bool = False,
    rotation: int = 0,
    container_format: str | None = None,
    size: tuple[int, int] = SIZE,
) -> Path:
    """Write pictures 0..count-1; `times` are in ms, by default 25 frames a second."""
    with av.open(
        str(path), "w", format=container_format, options=container_options or {}
    ) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        if rotation:
            stream.set_display_rotation(rotation)
        if times is not None:
            stream.time_base = Fraction(1, 1000)
            stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(i, grey=grey, size=size), format="rgb24")
            frame.pts = i if times is None else times[i]
            frame.time_base = Fraction(1, 25) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 4410), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44100
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remux(source: Path, target: Path, *, shift: int, options: dict[str, str]) -> Path:
    """Copy packets into another file, their times shifted by some ticks of the stream."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is None:
                continue
            packet.pts += shift
            packet.dts += shift
            packet.stream = stream
            new.mux(packet)
    return target


def decode_in_order(path: Path, pixel_format: str) -> list[np.ndarray]:
    """The reference: every frame of one pass of a plain, single-threaded decoder."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                frames += [f.to_ndarray(format=pixel_format) for f in stream.decode(None)]
                break
            if packet is None:
                break
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                continue
            frames += [f.to_ndarray(format=pixel_format) for f in decoded]
    return [f if f.ndim == 3 else f[..., None] for f in frames]
