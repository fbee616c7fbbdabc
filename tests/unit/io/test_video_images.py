"""Folders and lists of images as frames."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.video import open_frames

RNG = np.random.default_rng(0)


def save(path, array, **more):
    Image.fromarray(array, **more).save(path)
    return path


def colour(height=20, width=30):
    return RNG.integers(0, 255, (height, width, 3), dtype=np.uint8)


def grey(height=20, width=30):
    return RNG.integers(0, 255, (height, width), dtype=np.uint8)


def test_a_folder_is_read_in_natural_order(tmp_path):
    pictures = {f"img{i}.png": colour() for i in (10, 2, 1, 20)}
    for name, picture in pictures.items():
        save(tmp_path / name, picture)
    (tmp_path / "notes.txt").write_text("no image")
    save(tmp_path / ".hidden.png", colour())
    frames = open_frames(tmp_path)
    assert frames.names == ("img1.png", "img2.png", "img10.png", "img20.png")
    assert frames.path == str(tmp_path)
    assert frames.shape == (4, 20, 30, 3)
    for i, name in enumerate(frames.names):
        np.testing.assert_array_equal(frames[i], pictures[name])
    assert [i for i, _ in frames.iterate(1, None, 2)] == [1, 3]


def test_a_list_keeps_its_order_and_names(tmp_path):
    files = [save(tmp_path / f"{name}.png", colour()) for name in "cab"]
    frames = open_frames([files[0], str(files[1])])
    assert frames.names == (str(files[0]), str(files[1]))
    np.testing.assert_array_equal(frames[1], np.asarray(Image.open(files[1])))


def test_mixed_sizes_and_kinds(tmp_path):
    first, second, third = colour(20, 30), grey(40, 10), colour(5, 5)
    alpha = np.dstack([third, np.full((5, 5), 7, np.uint8)])
    save(tmp_path / "1.png", first)
    save(tmp_path / "2.png", second)
    save(tmp_path / "3.png", alpha)
    frames = open_frames(tmp_path)
    assert frames.shape == (3, 40, 30, 3)
    assert [frames.frame_shape(i) for i in range(3)] == [(20, 30), (40, 10), (5, 5)]
    np.testing.assert_array_equal(frames[0], first)
    np.testing.assert_array_equal(frames[1], np.repeat(second[..., None], 3, -1))
    np.testing.assert_array_equal(frames[2], third)
    stack = frames[:]
    assert stack.shape == (3, 40, 30, 3)
    np.testing.assert_array_equal(stack[0, :20, :30], first)
    assert stack[0, 20:].sum() == 0
    assert stack[1, :, 10:].sum() == 0


def test_grey_folders_have_one_channel(tmp_path):
    both = np.dstack([grey(), np.full((20, 30), 9, np.uint8)])
    save(tmp_path / "1.png", both[..., 0])
    save(tmp_path / "2.png", both)
    frames = open_frames(tmp_path)
    assert frames.shape == (2, 20, 30, 1)
    np.testing.assert_array_equal(frames[0], frames[1])


def test_sixteen_bits_keep_their_upper_eight(tmp_path):
    deep = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
    save(tmp_path / "1.png", deep)
    tifffile.imwrite(tmp_path / "2.tif", deep)
    tifffile.imwrite(tmp_path / "3.tif", deep.astype(">u2"), byteorder=">")
    frames = open_frames(tmp_path)
    for i in range(3):
        np.testing.assert_array_equal(frames[i][..., 0], deep >> 8)


def test_floats_and_black_and_white(tmp_path):
    unit = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    tifffile.imwrite(tmp_path / "1.tif", unit)
    save(tmp_path / "2.png", unit > 0.5)
    frames = open_frames(tmp_path)
    np.testing.assert_array_equal(frames[0][..., 0], np.rint(unit * 255))
    np.testing.assert_array_equal(frames[1][..., 0], np.where(unit > 0.5, 255, 0))
    tifffile.imwrite(tmp_path / "3.tif", unit * 300)
    with pytest.raises(FramesError, match=r"3\.tif.*300.*scale them"):
        open_frames(tmp_path)[2]


def test_palette_jpeg_bmp_and_colour_tiff(tmp_path):
    picture = colour()
    palette = Image.fromarray(picture).quantize(16)
    palette.save(tmp_path / "1.png")
    save(tmp_path / "2.bmp", picture)
    save(tmp_path / "3.jpg", picture)
    tifffile.imwrite(tmp_path / "4.tif", picture, photometric="rgb")
    frames = open_frames(tmp_path)
    np.testing.assert_array_equal(frames[0], np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(frames[1], picture)
    np.testing.assert_array_equal(frames[2], np.asarray(Image.open(tmp_path / "3.jpg")))
    np.testing.assert_array_equal(frames[3], picture)


def test_the_orientation_note_of_a_camera_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colour(20, 30)).save(tmp_path / "1.jpg", exif=exif)
    assert open_frames(tmp_path).shape == (1, 20, 30, 3)


def test_one_image(tmp_path):
    path = save(tmp_path / "only.png", colour())
    frames = open_frames(path)
    assert frames.names == ("only.png",)
    np.testing.assert_array_equal(frames[0], np.asarray(Image.open(path)))


def test_returned_pictures_belong_to_the_caller(tmp_path):
    picture = grey()
    save(tmp_path / "1.png", picture)
    frames = open_frames(tmp_path)
    frames[0][:] = 0
    np.testing.assert_array_equal(frames[0][..., 0], picture)


def test_an_empty_folder_names_its_subfolders(tmp_path):
    (tmp_path / "day1").mkdir()
    with pytest.raises(FramesError, match=r"no image.*day1"):
        open_frames(tmp_path)


def test_images_that_cannot_be_read_are_named(tmp_path):
    save(tmp_path / "1.png", colour())
    with pytest.raises(FramesError, match=r"2\.png.*no such image"):
        open_frames([tmp_path / "1.png", tmp_path / "2.png"])
    raw = (tmp_path / "1.png").read_bytes()
    (tmp_path / "3.png").write_bytes(raw[: len(raw) // 2])
    frames = open_frames([tmp_path / "1.png", tmp_path / "3.png"])
    assert frames[0].shape == (20, 30, 3)
    with pytest.raises(FramesError, match=r"3\.png.*damaged"):
        frames[1]
    with pytest.raises(FramesError, match="empty"):
        open_frames([])


def test_a_stack_among_images_is_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((4, 20, 30), np.uint8), photometric="minisblack"
    )
    tifffile.imwrite(tmp_path / "one.tif", np.zeros((20, 30), np.uint8))
    with pytest.raises(FramesError, match=r"stack\.tif is a stack of 4"):
        open_frames(tmp_path)


def test_real_images(shared_data):
    bees = open_frames(shared_data / "honeybee" / "labeled")
    assert bees.shape == (135, 720, 1280, 3)
    assert bees[7].std() > 10
