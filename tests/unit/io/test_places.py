import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.places import (
    embedded_place,
    frame_numbers,
    match_names,
    name_parts,
    recording_names,
    split_embedded,
)

HAVE = ("labeled/a.jpg", "labeled/b.jpg", "/data/day1/c.jpg", "/data/day2/c.jpg")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("labeled/a.jpg", 0),
        ("a.jpg", 0),
        ("/home/anna/labeled/b.jpg", 1),
        ("elsewhere/b.jpg", 1),
        (r"D:\data\day2\c.jpg", 3),
        ("day1/c.jpg", 2),
        ("d.jpg", None),
        ("labeled", None),
        ("", None),
    ],
)
def test_names_match_by_their_ends(wanted, found):
    assert match_names([wanted], HAVE) == [found]


def test_names_that_fit_several_are_an_error():
    with pytest.raises(LabelsError, match=r"c\.jpg could be any of: /data/day1/c\.jpg, /data/day2"):
        match_names(["c.jpg"], HAVE)


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


@given(st.lists(names, unique=True, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_names_never_matters(have, random):
    wanted = list(have)
    random.shuffle(wanted)
    assert [have[i] for i in match_names(wanted, have)] == wanted


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["/a/top.mp4", "/a/side.mp4"], ["top", "side"]),
        (["/x/run1/top.mp4", "/x/run2/top.mp4", "c.mp4"], ["run1_top", "run2_top", "c"]),
        (["a/1/top.mp4", "b/1/top.avi", ""], ["a_1_top", "b_1_top", "video2"]),
        (["top.mp4", "top.mp4"], ["top_0", "top_1"]),
    ],
)
def test_recordings_have_different_names(paths, found):
    assert recording_names(paths) == found


def test_parts_are_those_of_any_system():
    assert name_parts("/a/./b.png") == name_parts(r"a\b.png") == ("a", "b.png")


def test_embedded_places_can_be_taken_apart():
    assert split_embedded(embedded_place("/x/a.pkg.slp", "video0/video")) == (
        "/x/a.pkg.slp",
        "video0/video",
    )
    for path in ("clip.mp4", r"C:\a.mp4", "", "::video0"):
        assert split_embedded(path) is None


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["d/img0042.png"], [42]),
        (["d\\img42.png", "d\\img43.png"], [42, 43]),
        (["img1.png", "img2.png", "img3.png"], None),  # a recording, counted from 1
        (["img1.png"], [1]),
        (["a1.png", "b1.png"], None),
        (["a1.png", "b.png"], None),
        (["20261129153012123456.png", "20261129153012123999.png"], None),  # times
        ([], None),
    ],
)
def test_names_tell_the_frames_that_images_were_taken_from(
    names: list[str], frames: list[int] | None
) -> None:
    assert frame_numbers(names) == frames
