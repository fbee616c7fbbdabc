"""Recordings that are missing, empty, cut off or no recordings at all."""

import logging

import numpy as np
import pytest
from clips import decode_in_order, write_clip, write_sound

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.video import open_frames


def cut(source, target, share):
    raw = source.read_bytes()
    target.write_bytes(raw[: int(len(raw) * share)])
    return target


def assert_same_as_decoding(path):
    expected = decode_in_order(path, "rgb24")
    with open_frames(path) as frames:
        assert len(frames) == len(expected)
        for i in np.random.default_rng(0).permutation(len(frames)).tolist():
            if i < len(frames) - 4:  # what the decoder makes up for the damaged end may vary
                np.testing.assert_array_equal(frames[i], expected[i])
            assert frames[i].shape == expected[i].shape
        return len(frames)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "mkv"), ("libx264", "flv"), ("libx264", "ts"), ("libvpx-vp9", "webm")],
)
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_a_cut_off_file_gives_the_frames_it_has(tmp_path, codec, suffix, share):
    whole = write_clip(tmp_path / f"whole.{suffix}", codec=codec, options={"g": "10"}, count=60)
    count = assert_same_as_decoding(cut(whole, tmp_path / f"cut.{suffix}", share))
    assert 0.2 * 60 < count < 60


@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
def test_a_cut_off_file_that_announces_more_is_reported(tmp_path, share, caplog):
    whole = write_clip(
        tmp_path / "whole.mp4",
        options={"g": "10", "bf": "2"},
        count=60,
        container_options={"movflags": "faststart"},
    )
    path = cut(whole, tmp_path / "cut.mp4", share)
    with caplog.at_level(logging.WARNING):
        count = assert_same_as_decoding(path)
    assert count < 60
    assert ("of the 60 frames" in caplog.text) == (count < 59)


def test_a_stream_that_starts_between_key_frames(tmp_path):
    """Cut from a running transmission: the first packets lean on frames that are not there."""
    whole = write_clip(tmp_path / "whole.ts", options={"g": "10", "bf": "2"}, count=60)
    raw = whole.read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(raw[len(raw) // 3 // 188 * 188 :])
    assert 20 < assert_same_as_decoding(path) < 50


def test_a_hole_in_the_middle_is_bridged(tmp_path, caplog):
    path = write_clip(tmp_path / "hole.mp4", options={"g": "10", "bf": "2"}, count=60)
    raw = bytearray(path.read_bytes())
    middle = int(len(raw) * 0.4)
    raw[middle : middle + 700] = bytes(700)
    path.write_bytes(bytes(raw))
    with open_frames(path) as frames, caplog.at_level(logging.WARNING):
        assert len(frames) == 60
        for i in range(59, -1, -1):
            assert frames[i].shape == (48, 64, 3)
        assert [i for i, _ in frames.iterate()] == list(range(60))
        before = frames[3], frames[58]
    sound = write_clip(tmp_path / "sound.mp4", options={"g": "10", "bf": "2"}, count=60)
    whole = decode_in_order(sound, "rgb24")
    np.testing.assert_array_equal(before[0], whole[3])
    np.testing.assert_array_equal(before[1], whole[58])


def test_an_mp4_without_its_end_is_refused_with_advice(tmp_path):
    path = cut(write_clip(tmp_path / "whole.mp4"), tmp_path / "cut.mp4", 0.5)
    with pytest.raises(FramesError, match=r"cut\.mp4.*incomplete.*copy it again"):
        open_frames(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "0 bytes"),
        ("notes.mp4", b"no video at all " * 40, "damaged, incomplete or no video"),
        ("notes.txt", b"no video at all " * 40, "notes.txt"),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + b"x" * 50, "broken.png.*cannot be read as an image"),
        ("broken.tif", b"II*\x00" + b"x" * 50, "broken.tif"),
        ("broken.npy", b"\x93NUMPY" + b"x" * 50, "numpy"),
        ("broken.slp", b"x" * 50, "broken.slp"),
    ],
)
def test_files_that_are_no_recordings(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FramesError, match=message):
        open_frames(path)


@pytest.mark.parametrize("name", ["sound.mp4", "sound.m4a"])
def test_sound_only(tmp_path, name):
    with pytest.raises(FramesError, match="no pictures, only sound"):
        open_frames(write_sound(tmp_path / name))


def test_a_missing_file(tmp_path):
    with pytest.raises(FramesError, match=r"nowhere\.mp4.*no such file"):
        open_frames(tmp_path / "nowhere.mp4")


def test_things_that_are_no_source():
    for wrong in (None, 5, {"a": 1}, [1, 2], object()):
        with pytest.raises(FramesError, match="cannot be opened as frames"):
            open_frames(wrong)
