"""Arrays, TIFF stacks, zarr and embedded images as frames."""

import pickle
import threading

import dask.array
import h5py
import numpy as np
import pytest
import tifffile
import zarr

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.io.video import open_frames

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 255, (9, 20, 30), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (9, 20, 30, 3), dtype=np.uint8)


def assert_frames(frames, expected):
    expected = expected if expected.ndim == 4 else expected[..., None]
    assert frames.shape == expected.shape
    assert frames.dtype == np.uint8
    for i in (0, 5, len(expected) - 1, 2):
        np.testing.assert_array_equal(frames[i], expected[i])
    np.testing.assert_array_equal(frames[1:8:3], expected[1:8:3])
    np.testing.assert_array_equal(np.stack([f for _, f in frames.iterate()]), expected)


@pytest.mark.parametrize("data", [STACK, COLOUR, STACK[..., None]], ids=["THW", "RGB", "THW1"])
def test_arrays_of_all_kinds(data, tmp_path):
    assert_frames(open_frames(data), data)
    for chunks in (1, 4, 9):
        assert_frames(open_frames(dask.array.from_array(data, chunks={0: chunks, 1: 10})), data)
        store = zarr.create_array(
            tmp_path / f"{chunks}.zarr",
            shape=data.shape,
            chunks=(chunks, *data.shape[1:]),
            dtype="u1",
        )
        store[:] = data
        assert_frames(open_frames(store), data)
        assert_frames(open_frames(tmp_path / f"{chunks}.zarr"), data)
    np.save(tmp_path / "stack.npy", data)
    assert_frames(open_frames(tmp_path / "stack.npy"), data)
    with h5py.File(tmp_path / "stack.hdf5", "w") as file:
        assert_frames(open_frames(file.create_dataset("x", data=data, chunks=True)), data)


def test_alpha_is_dropped_and_one_picture_is_one_frame():
    rgba = np.concatenate([COLOUR, COLOUR[..., :1]], -1)
    assert_frames(open_frames(rgba), COLOUR)
    assert open_frames(STACK[0]).shape == (1, 20, 30, 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (STACK.astype(np.uint16) * 256 + 3, STACK),
        (STACK.astype(np.int16) * 128, STACK),
        (STACK.astype(np.int64), STACK),
        (STACK / 255, STACK),
        ((STACK / 255).astype(np.float32), STACK),
        (STACK > 99, np.where(STACK > 99, 255, 0).astype(np.uint8)),
    ],
    ids=["uint16", "int16", "int64", "float64", "float32", "bool"],
)
def test_other_types_become_eight_bits(data, expected):
    assert_frames(open_frames(data), expected)


def test_the_rule_is_the_same_for_every_frame():
    """A dark frame stays darker than a bright one: no frame is scaled by its own range."""
    data = np.zeros((2, 20, 30), np.uint16)
    data[0], data[1] = 256 * 10, 256 * 200
    frames = open_frames(data)
    assert (int(frames[0].max()), int(frames[1].max())) == (10, 200)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((5, 20, 3)), "add a time axis"),
        (np.zeros((5, 20, 30, 7)), "1, 3 or 4 channels"),
        (np.zeros((5, 6, 20, 30, 3)), "must be"),
        (np.zeros((0, 20, 30)), "holds no picture"),
        (np.zeros(5), "must be"),
    ],
)
def test_shapes_that_are_no_stack(data, message):
    with pytest.raises(FramesError, match=message):
        open_frames(data)


def test_values_without_a_rule_are_refused():
    with pytest.raises(FramesError, match="scale them"):
        open_frames(STACK.astype(float))[0]
    with pytest.raises(FramesError, match="8 or 16 bit"):
        open_frames(STACK.astype(np.int32) * 1000)[0]
    with pytest.raises(FramesError, match="no grey levels"):
        open_frames(STACK.astype(complex))[0]


def test_chunks_are_read_once(tmp_path):
    reads = []

    class Counting:
        shape, ndim, dtype, chunks = STACK.shape, 3, STACK.dtype, (4, 20, 30)

        def __getitem__(self, key):
            reads.append(key[0])
            return STACK[key]

    frames = open_frames(Counting())
    assert_frames(frames, STACK)
    reads.clear()
    threads = [threading.Thread(target=lambda: [frames[i] for i in range(9)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) <= 3


def test_returned_pictures_belong_to_the_caller():
    data = STACK.copy()
    open_frames(data)[0][:] = 0
    np.testing.assert_array_equal(data, STACK)


def test_frames_layer_data_and_pyramids_are_taken():
    from napari_semimultipose.io.video import as_layer_data

    frames = open_frames(STACK)
    assert open_frames(frames) is frames
    assert open_frames(as_layer_data(frames)) is frames
    assert_frames(open_frames([STACK, STACK[:, ::2, ::2]]), STACK)


def test_a_synthetic_recording_is_a_source():
    recording = SyntheticRecording(4, size=(40, 50), animals=1)
    with open_frames(recording) as frames:
        np.testing.assert_array_equal(frames[2], recording.frame(2))
        assert frames.shape == recording.shape


def test_pickling_opens_the_file_again(tmp_path):
    np.save(tmp_path / "stack.npy", STACK)
    assert_frames(pickle.loads(pickle.dumps(open_frames(tmp_path / "stack.npy"))), STACK)


# --------------------------------------------------------------------------------------- TIFF


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("data", "options"),
    [
        (STACK, {}),
        (STACK, {"imagej": True, "metadata": {"axes": "TYX"}}),
        (STACK, {"ome": True, "metadata": {"axes": "TYX"}}),
        (STACK, {"ome": True, "metadata": {"axes": "ZYX"}}),
        (STACK, {"metadata": None}),
        (STACK, {"bigtiff": True}),
        (STACK, {"byteorder": ">"}),
        (COLOUR, {"photometric": "rgb"}),
        (COLOUR, {"photometric": "rgb", "metadata": None}),
        (COLOUR, {"photometric": "rgb", "ome": True, "metadata": {"axes": "TYXS"}}),
    ],
)
def test_tiff_stacks(tmp_path, data, options, compression):
    path = tmp_path / "stack.tif"
    if options.get("imagej") and compression:
        pytest.skip("ImageJ files are not compressed")
    tifffile.imwrite(path, data, compression=compression, **options)
    with open_frames(path) as frames:
        assert_frames(frames, data)
        assert frames.path == str(path)


def test_tiff_with_planar_channels_and_single_axes(tmp_path):
    planes = np.moveaxis(COLOUR, -1, 1)
    tifffile.imwrite(tmp_path / "a.tif", planes, ome=True, metadata={"axes": "TCYX"})
    assert_frames(open_frames(tmp_path / "a.tif"), COLOUR)
    tifffile.imwrite(tmp_path / "b.tif", STACK[:, None, None], imagej=True)
    assert_frames(open_frames(tmp_path / "b.tif"), STACK)
    deep = STACK.astype(np.uint16) << 8
    tifffile.imwrite(tmp_path / "c.tif", deep, byteorder=">", metadata=None)
    assert_frames(open_frames(tmp_path / "c.tif"), STACK)
    tifffile.imwrite(tmp_path / "d.tif", STACK[0])
    assert open_frames(tmp_path / "d.tif").shape == (1, 20, 30, 1)


def test_tiff_pages_are_read_when_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, compression="zlib", metadata=None)
    decoded = []
    original = tifffile.TiffFrame.asarray
    monkeypatch.setattr(
        tifffile.TiffFrame,
        "asarray",
        lambda self, **k: decoded.append(self.index) or original(self, **k),
    )
    frames = open_frames(path)
    assert decoded == []
    np.testing.assert_array_equal(frames[6][..., 0], STACK[6])
    assert decoded == [6]


def test_tiff_without_one_time_axis(tmp_path):
    volume = np.zeros((4, 5, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(FramesError, match=r"T = 4 and Z = 5.*save one plane"):
        open_frames(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", volume[:, :2], imagej=True, metadata={"axes": "TCYX"})
    with pytest.raises(FramesError, match="2 channels"):
        open_frames(tmp_path / "b.tif")
    with tifffile.TiffWriter(tmp_path / "c.tif") as writer:
        for size in (20, 30):
            writer.write(np.zeros((size, size), np.uint8), metadata=None)
    with pytest.raises(FramesError, match="different sizes"):
        open_frames(tmp_path / "c.tif")


def test_cut_off_tiff(tmp_path, caplog):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FramesError, match=r"stack\.tif.*(incomplete|damaged)"):
        open_frames(path)
    tifffile.imwrite(path, STACK, compression="zlib", metadata=None)
    path.write_bytes(path.read_bytes()[:3000])
    with open_frames(path) as frames:
        assert 1 <= len(frames) < 9
        np.testing.assert_array_equal(frames[0][..., 0], STACK[0])
    assert "page offset" in caplog.text


def test_damaged_tiff_page(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        start, length = tiff.pages[4].dataoffsets[0], tiff.pages[4].databytecounts[0]
    raw = bytearray(path.read_bytes())
    raw[start : start + length] = bytes(length)
    path.write_bytes(bytes(raw))
    with open_frames(path) as frames:
        np.testing.assert_array_equal(frames[3][..., 0], STACK[3])
        with pytest.raises(FramesError, match="page 4"):
            frames[4]


# --------------------------------------------------------------------------------------- zarr


def test_zarr_groups(tmp_path):
    group = zarr.open_group(tmp_path / "one.zarr", mode="w")
    group.create_array("video", shape=STACK.shape, chunks=(3, 20, 30), dtype="u1")[:] = STACK
    assert_frames(open_frames(tmp_path / "one.zarr"), STACK)
    group.create_array("other", shape=(2, 2), dtype="u1")
    with pytest.raises(FramesError, match=r"2 arrays \(other, video\)"):
        open_frames(tmp_path / "one.zarr")
    assert_frames(open_frames(tmp_path / "one.zarr" / "video"), STACK)


@pytest.mark.parametrize("key", ["multiscales", "ome"])
def test_ome_zarr_gives_its_full_resolution(tmp_path, key):
    group = zarr.open_group(tmp_path / "image.zarr", mode="w")
    full = STACK[:, None, None]
    group.create_array("0", shape=full.shape, chunks=(1, 1, 1, 20, 30), dtype="u1")[:] = full
    small = full[..., ::2, ::2]
    group.create_array("1", shape=small.shape, chunks=small.shape, dtype="u1")[:] = small
    scales = [
        {
            "axes": [{"name": n} for n in "tczyx"],
            "datasets": [{"path": "0"}, {"path": "1"}],
        }
    ]
    group.attrs[key] = scales if key == "multiscales" else {"multiscales": scales}
    assert_frames(open_frames(tmp_path / "image.zarr"), STACK)


# ------------------------------------------------------------------------------------ embedded


def write_package(path, videos, numbers):
    """A SLEAP package by sleap-io itself."""
    import sleap_io

    skeleton = sleap_io.Skeleton(["a"])
    instance = sleap_io.Instance.from_numpy(np.array([[3.0, 4.0]]), skeleton=skeleton)
    sources = [sleap_io.Video.from_filename(str(video)) for video in videos]
    frames = [
        sleap_io.LabeledFrame(video=source, frame_idx=i, instances=[instance])
        for source in sources
        for i in numbers
    ]
    labels = sleap_io.Labels(frames)
    labels.save(str(path), embed=[(f.video, f.frame_idx) for f in frames])
    return path


@pytest.mark.parametrize("data", [STACK, COLOUR], ids=["grey", "colour"])
def test_embedded_images_count_like_their_video(tmp_path, data):
    from PIL import Image

    (tmp_path / "images").mkdir()
    for i, picture in enumerate(data):
        Image.fromarray(picture).save(tmp_path / "images" / f"{i}.png")
    path = write_package(tmp_path / "labels.pkg.slp", [tmp_path / "images"], (2, 5, 6))
    with open_frames(path) as frames:
        assert frames.stored == (2, 5, 6)
        assert len(frames) == 7
        assert frames.path == f"{path}::video0/video"
        for i in (5, 2, 6):
            np.testing.assert_array_equal(np.squeeze(frames[i]), data[i])
        assert [i for i, _ in frames.iterate()] == [2, 5, 6]
        with pytest.raises(FramesError, match=r"no image of frame 3.*2, 5, 6"):
            frames[3]
    with open_frames(f"{path}::video0/video") as frames:
        np.testing.assert_array_equal(np.squeeze(frames[5]), data[5])


def test_packages_of_several_videos_want_a_choice(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(STACK[i] // (1 + (name == "b"))).save(tmp_path / name / f"{i}.png")
    path = write_package(tmp_path / "two.pkg.slp", [tmp_path / "a", tmp_path / "b"], (0, 1))
    with pytest.raises(FramesError, match=r"2 videos.*two\.pkg\.slp::video0/video"):
        open_frames(path)
    np.testing.assert_array_equal(open_frames(f"{path}::video1/video")[1][..., 0], STACK[1] // 2)


def test_labels_without_images(tmp_path):
    import sleap_io

    labels = sleap_io.Labels(skeletons=[sleap_io.Skeleton(["a"])])
    labels.save(str(tmp_path / "plain.slp"))
    with pytest.raises(FramesError, match="labels without images"):
        open_frames(tmp_path / "plain.slp")


def test_a_real_package(shared_data):
    with open_frames(shared_data / "formats" / "slp" / "minimal_instance.pkg.slp") as frames:
        assert frames.shape == (1, 384, 384, 1)
        assert frames[0].std() > 5
