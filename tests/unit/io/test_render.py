"""Poses drawn into frames, and videos of them."""

import math

import numpy as np
import pytest

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io import drawing
from napari_semimultipose.io.render import PoseRenderer, render_video
from napari_semimultipose.io.sample import SyntheticRecording
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.io.video_writer import write_video
from napari_semimultipose.poses import Poses, Skeleton, Visibility

SKELETON = Skeleton(("head", "middle", "tail"), edges=((0, 1), (1, 2)))


def canvas(height=80, width=100):
    return np.zeros((height, width, 3), np.uint8)


def covered(picture):
    """Covered area in px of white drawing on black."""
    return picture[..., 0].sum() / 255


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 13))
@pytest.mark.parametrize("width", [1.0, 2.5, 7.0])
def test_a_line_covers_its_area(angle, width):
    """A capsule of length L and width w has the area L w + pi w^2 / 4."""
    start = np.array([50.3, 40.2])
    end = start + 25 * np.array([math.cos(angle), math.sin(angle)])
    picture = canvas()
    drawing.draw_lines(picture, np.stack([start, end])[None], width, (255, 255, 255))
    assert covered(picture) == pytest.approx(25 * width + math.pi * width**2 / 4, rel=0.06)


def test_a_line_lies_on_its_ends():
    picture = canvas()
    drawing.draw_lines(picture, np.array([[[10.0, 20.0], [60.0, 45.0]]]), 3, (255, 255, 255))
    y, x = np.nonzero(picture[..., 0] > 128)
    assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((9, 61, 19, 46), abs=1)
    np.testing.assert_allclose(y, 20 + (x - 10) * 0.5, atol=2.2)
    assert tuple(picture[20, 10]) == (255, 255, 255)


def test_crossing_lines_have_no_seam():
    """Painting lines together is the union of painting them alone."""
    ends = np.array([[[10.0, 10.0], [70.0, 60.0]], [[70.0, 60.0], [15.0, 70.0]]])
    together, alone = canvas(), []
    drawing.draw_lines(together, ends, 4, (255, 255, 255))
    for line in ends:
        picture = canvas()
        drawing.draw_lines(picture, line[None], 4, (255, 255, 255))
        alone.append(picture)
    np.testing.assert_array_equal(together, np.maximum(*alone))


def test_opacity_mixes_with_what_is_there():
    picture = np.full((40, 40, 3), 100, np.uint8)
    line = np.array([[[5.0, 20.0], [35.0, 20.0]]])
    drawing.draw_lines(picture, line, 5, (200, 0, 100), 0.5)
    assert tuple(picture[20, 20]) == (150, 50, 100)
    assert tuple(picture[5, 20]) == (100, 100, 100)


@pytest.mark.parametrize("place", [(-30.0, 10.0), (99.0, 79.0), (0.0, 0.0), (500.0, 500.0)])
def test_drawing_may_leave_the_picture(place):
    picture = canvas()
    here = np.array(place)
    drawing.draw_lines(picture, np.stack([here, here + 40])[None], 5, (255, 255, 255))
    drawing.draw_points(picture, here[None], 4, np.array([[255, 0, 0]]), np.array([False]))
    drawing.draw_name(picture, "somebody", place, 12, (255, 255, 255))


def test_missing_points_are_not_drawn():
    picture = canvas()
    points = np.array([[np.nan, np.nan], [np.nan, 3]])
    drawing.draw_points(picture, points, 4, np.full((2, 3), 255), np.zeros(2, bool))
    drawing.draw_lines(picture, np.array([[[1.0, 1.0], [np.nan, np.nan]]]), 4, (255, 255, 255))
    assert picture.max() == 0


def test_points_are_discs_and_rings():
    colours, points = np.array([[255, 255, 255]] * 2), np.array([[30.0, 40.0], [70.0, 40.0]])
    picture = canvas()
    drawing.draw_points(picture, points, 6, colours, np.array([False, True]))
    assert picture[40, 30, 0] == 255
    assert picture[40, 70, 0] == 0
    assert picture[40, 75, 0] == 255
    assert covered(picture[:, :50]) == pytest.approx(math.pi * 36, rel=0.05)


def test_names_are_written_inside_the_picture():
    for place in ((50, 40), (0, 0), (99, 79)):
        picture = np.full((80, 100, 3), 90, np.uint8)
        drawing.draw_name(picture, "bee 7", place, 14, (255, 255, 0))
        assert ((picture[..., 0] > 200) & (picture[..., 2] < 60)).sum() > 20
        assert (picture < 60).all(-1).sum() > 20
    tiny = np.full((8, 8, 3), 90, np.uint8)
    drawing.draw_name(tiny, "a long name", (4, 4), 14, (255, 255, 0))
    assert (tiny == 90).all()


def test_colours_of_neighbouring_numbers_differ():
    colours = np.array([drawing.distinct_colour(i) for i in range(12)], int)
    gap = np.abs(colours[:, None] - colours[None]).sum(-1)
    assert gap[~np.eye(12, dtype=bool)].min() > 40
    assert np.abs(np.diff(colours, axis=0)).sum(1).min() > 150


def poses(**more):
    xy = np.full((4, 2, 3, 2), np.nan)
    for t in range(4):
        xy[t, 0] = [[20 + 5 * t, 20], [30 + 5 * t, 30], [40 + 5 * t, 40]]
        xy[t, 1] = [[80, 60], [90, 60], [100, 60]]
    return Poses(SKELETON, xy, np.array([0, 1, 2, 4]), **more)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_frame_itself_is_not_changed(channels):
    frame = np.full((90, 130, channels), 80, np.uint8)
    drawn = PoseRenderer(poses(), 90).draw(frame, 1)
    assert drawn.shape == (90, 130, 3)
    assert (frame == 80).all()
    assert (drawn != 80).any()
    nothing = PoseRenderer(poses(), 90).draw(frame, 3)
    assert (nothing == 80).all()


def test_colours_mean_tracks_or_keypoints():
    frame = np.full((90, 130, 1), 80, np.uint8)
    track = np.tile([1, 0], (4, 1))
    by_track = PoseRenderer(poses(track=track), 90, names=False).draw(frame, 0)
    assert tuple(by_track[20, 20]) == drawing.distinct_colour(1)
    assert tuple(by_track[60, 80]) == drawing.distinct_colour(0)
    by_keypoint = PoseRenderer(poses(track=track), 90, names=False, colour_by="keypoint")
    drawn = by_keypoint.draw(frame, 0)
    assert tuple(drawn[20, 20]) == drawing.distinct_colour(0)
    assert tuple(drawn[60, 80]) == drawing.distinct_colour(0)
    assert tuple(drawn[60, 100]) == drawing.distinct_colour(2)
    untracked = PoseRenderer(poses(), 90).draw(frame, 0)
    assert tuple(untracked[20, 20]) == drawing.WHITE


def test_edges_join_present_keypoints_only():
    frame = np.full((90, 130, 1), 80, np.uint8)
    visible = np.full((4, 2, 3), Visibility.VISIBLE)
    visible[:, 0, 0] = Visibility.ABSENT
    drawn = PoseRenderer(poses(visible=visible), 90).draw(frame, 0)
    assert (drawn[20, 20] == 80).all()
    assert (drawn[25, 25] == 80).all()
    assert (drawn[35, 35] > 200).all()


def test_names_and_trails():
    frame = np.full((90, 130, 1), 80, np.uint8)
    track = np.tile([0, 1], (4, 1))
    tracked = poses(track=track, track_names=("anna", "bert"))
    plain = PoseRenderer(tracked, 90, names=False).draw(frame, 2)
    named = PoseRenderer(tracked, 90).draw(frame, 2)
    y, x = np.nonzero((plain != named).any(-1))
    assert y.size > 40
    assert y.max() < 60
    trailed = PoseRenderer(tracked, 90, names=False, trail=2).draw(frame, 2)
    y, x = np.nonzero((plain != trailed).any(-1))
    assert set(y) <= {28, 29, 30, 31, 32}  # the middle keypoint walked along y = 30
    assert x.min() in (28, 29, 30, 31)
    short = PoseRenderer(tracked, 90, names=False, trail=1).draw(frame, 2)
    assert np.nonzero((plain != short).any(-1))[1].min() > 32


def test_a_video_of_poses(tmp_path):
    recording = SyntheticRecording(30, animals=2, size=(121, 160), seed=1)
    truth = recording.poses()
    seen = []
    frames = open_frames(recording)
    path = tmp_path / "new" / "labelled.mp4"
    assert render_video(
        frames, truth, path, fps=12.5, on_progress=lambda done, of: seen.append((done, of))
    )
    assert seen == [(i, 30) for i in range(1, 31)]
    assert [p.name for p in path.parent.iterdir()] == ["labelled.mp4"]
    renderer = PoseRenderer(truth, 121)
    with open_frames(path) as video:
        assert video.shape == (30, 122, 160, 3)
        assert video.fps == 12.5
        for i in (0, 29):
            drawn = renderer.draw(recording.frame(i), i)
            error = np.abs(video[i][:121].astype(int) - drawn)
            plain = np.abs(video[i][:121].astype(int) - recording.frame(i))
            assert error.mean() < 8
            assert (plain > 80).sum() > 3 * (error > 80).sum()


def test_by_default_the_frames_with_poses_are_written(tmp_path):
    recording = SyntheticRecording(30, animals=1, size=(64, 64))
    truth = recording.poses().select([10, 12, 19])
    render_video(open_frames(recording), truth, tmp_path / "a.mp4")
    assert len(open_frames(tmp_path / "a.mp4")) == 10
    render_video(open_frames(recording), truth, tmp_path / "b.mp4", frame_range=range(0, 99, 2))
    assert len(open_frames(tmp_path / "b.mp4")) == 15
    nobody = Poses.empty(truth.skeleton)
    with pytest.raises(FramesError, match="no frame to write"):
        render_video(open_frames(recording), nobody, tmp_path / "c.mp4")
    render_video(open_frames(recording), nobody, tmp_path / "c.mp4", frame_range=range(4))
    assert len(open_frames(tmp_path / "c.mp4")) == 4


def test_mixed_sizes_and_grey(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((60, 80), 90, np.uint8)).save(tmp_path / "1.png")
    Image.fromarray(np.full((50, 100), 90, np.uint8)).save(tmp_path / "2.png")
    truth = poses().select([0, 1])
    render_video(open_frames(tmp_path), truth, tmp_path / "out.mp4")
    assert open_frames(tmp_path / "out.mp4").shape[:3] == (2, 60, 100)


@pytest.mark.parametrize("how", ["stop", "error"])
def test_what_was_there_stays_until_the_new_video_is_complete(tmp_path, how):
    recording = SyntheticRecording(20, animals=1, size=(64, 64))
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the old video")
    calls = []

    def should_stop():
        calls.append(1)
        if how == "error" and len(calls) == 8:
            raise RuntimeError("out of coffee")
        return len(calls) >= 8

    arguments = (open_frames(recording), recording.poses(), path)
    if how == "stop":
        assert not render_video(*arguments, should_stop=should_stop)
    else:
        with pytest.raises(RuntimeError, match="coffee"):
            render_video(*arguments, should_stop=should_stop)
    assert path.read_bytes() == b"the old video"
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_name_that_is_no_video_is_refused(tmp_path):
    recording = SyntheticRecording(2, animals=1, size=(64, 64))
    with pytest.raises(FramesError, match=r"notes\.slp.*ends in \.mp4"):
        render_video(open_frames(recording), recording.poses(), tmp_path / "notes.slp")


def test_the_writer_wants_pictures_of_its_size(tmp_path):
    with (
        pytest.raises(ValueError, match="takes pictures"),
        write_video(tmp_path / "a.mp4", (40, 40), 25) as writer,
    ):
        writer.write(np.zeros((40, 41, 3), np.uint8))
    assert not (tmp_path / "a.mp4").exists()
