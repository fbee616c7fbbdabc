"""The lazy view of frames that napari shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_semimultipose.io.video import as_layer_data, open_frames

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (7, 12, 16), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (7, 12, 16, 3), dtype=np.uint8)

index = st.one_of(
    st.integers(-7, 6),
    st.slices(7),
    st.lists(st.integers(-7, 6), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=7, max_size=7),
)
inner = st.one_of(st.integers(-12, 11), st.slices(12))


@pytest.mark.parametrize("data", [GREY, COLOUR], ids=["grey", "colour"])
@given(
    key=st.one_of(index, st.tuples(index), st.tuples(index, inner), st.tuples(index, inner, inner))
)
@settings(max_examples=80, deadline=None)
def test_indexing_is_that_of_numpy(data, key):
    view = as_layer_data(open_frames(data))
    np.testing.assert_array_equal(view[key], data[key])


@pytest.mark.parametrize("key", [(..., 2), (2, ...), (..., slice(1, 5), 2), ..., (), (2, 3, 4)])
@pytest.mark.parametrize("data", [GREY, COLOUR], ids=["grey", "colour"])
def test_ellipsis_and_numpy_integers(data, key):
    view = as_layer_data(open_frames(data))
    np.testing.assert_array_equal(view[key], data[key])
    np.testing.assert_array_equal(view[np.int64(3), np.int32(2)], data[3, 2])


def test_it_looks_like_an_array():
    view = as_layer_data(open_frames(COLOUR))
    assert (view.shape, view.ndim, view.dtype, len(view)) == (COLOUR.shape, 4, np.uint8, 7)
    assert view.size == COLOUR.size
    assert view.rgb
    assert not as_layer_data(open_frames(GREY)).rgb
    np.testing.assert_array_equal(np.asarray(view), COLOUR)
    assert np.asarray(view, float).dtype == float
    for wrong in (7, -8, (0, 0, 0, 0, 0), (None, 0)):
        with pytest.raises(IndexError):
            view[wrong]


def test_only_the_wanted_frames_are_read():
    reads = []

    class Counting:
        shape, ndim, dtype = GREY.shape, 3, GREY.dtype

        def __getitem__(self, key):
            reads.append(key[0])
            return GREY[key]

    view = as_layer_data(open_frames(Counting()))
    assert reads == []
    view[4, :, 2:5]
    view[[2, 5]]
    assert reads == [4, 2, 5]


def test_mixed_sizes_are_filled_up(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "1.png")
    Image.fromarray(GREY[1, :5, :8]).save(tmp_path / "2.png")
    view = as_layer_data(open_frames(tmp_path))
    assert view.shape == (2, 12, 16)
    assert view[1].shape == (12, 16)
    np.testing.assert_array_equal(view[1, :5, :8], GREY[1, :5, :8])
    assert view[1, 5:].sum() == view[1, :, 8:].sum() == 0


def test_frames_that_are_not_stored_are_black():
    frames = open_frames(GREY)
    frames.stored = (1, 4)
    view = as_layer_data(frames)
    assert view[0].max() == 0
    np.testing.assert_array_equal(view[3:6][1], GREY[4])
    np.testing.assert_array_equal(view[1], GREY[1])
