import shutil
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import sleap_io
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_strategies import assert_same, poses

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.labels import read_poses, write_poses
from napari_semimultipose.io.tables import Table, read_table, write_table
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

SKELETON = Skeleton(("nose", "tail"))
IMAGES = Video(
    "", ("labeled-data/clip/1.png", "labeled-data/clip/2.png", "labeled-data/clip/3.png")
)
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
suffixes = pytest.mark.parametrize("suffix", [".csv", ".h5"])
one_video = st.sampled_from([(IMAGES,), (Video("clip"),), (Video("", ("x/1.png", "x/2.png")),)])


def labels(xy, frame=None, **more):
    xy = np.array(xy, float)
    return Poses(SKELETON, xy, np.arange(len(xy)) if frame is None else frame, **more)


@suffixes
@quick
@given(data=st.data())
def test_labels_round_trip(tmp_path, suffix, data):
    original = data.draw(
        poses(
            videos=data.draw(one_video),
            tracks=data.draw(st.booleans()),
            scores=False,
            occluded=False,
            sources=(0,),
            empty_frames=False,
        )
    )
    path = tmp_path / f"clip{suffix}"
    lost = write_poses(original, path)
    back = read_poses(path)
    no_track = bool((original.track[original.present] < 0).any())
    assert any("got one" in line for line in lost) == (no_track and bool(back.track_names))
    skip = ["name", "edges", "symmetry"] + ["track"] * no_track
    assert_same(original, back, skip=skip)
    assert back.videos[0].images or back.videos[0].path == "clip"


@suffixes
@quick
@given(data=st.data())
def test_predictions_round_trip(tmp_path, suffix, data):
    original = data.draw(
        poses(videos=data.draw(one_video), tracks=False, occluded=False, sources=(1,))
    )
    path = tmp_path / f"clip{suffix}"
    lost = write_poses(original, path)
    skip = ["name", "edges", "symmetry", "track", "instance_score"]
    back = read_poses(path)
    assert_same(original, back, skip=skip)
    count = (back.visible > 0).sum(-1)
    here = count > 0
    assert np.allclose(back.instance_score[here], back.score.sum(-1)[here] / count[here])
    assert any("scores of whole animals" in line for line in lost) == bool(original.n_instances)


@quick
@given(data=st.data())
def test_projects_round_trip(tmp_path, data):
    videos = (IMAGES, Video("", ("labeled-data/other/1.png",)))
    original = data.draw(
        poses(videos=videos, scores=False, occluded=False, sources=(0,), empty_frames=False)
    )
    path = tmp_path / "project"
    lost = write_poses(original, path, format="deeplabcut-project")
    no_track = bool((original.track[original.present] < 0).any())
    back = read_poses(path)
    if no_track:
        assert len(lost) == bool(back.track_names)
    else:
        assert lost == []
    assert_same(original, back, skip=["track"] * no_track)
    shutil.rmtree(path)


def test_what_is_lost_is_said(tmp_path):
    original = Poses(
        Skeleton(("nose", "tail"), ((0, 1),), ((0, 1),)),
        np.ones((3, 1, 2, 2)) * [[[[1]]], [[[2]]], [[[np.nan]]]],
        [0, 1, 2],
        visible=np.ones((3, 1, 2)),
        track=[[0], [0], [-1]],
        track_names=("Tom",),
        videos=(Video("clip.mp4"),),
    )
    lost = write_poses(original, tmp_path / "a.csv", format="lightning-pose")
    text = "\n".join(lost)
    for part in (
        "1 images without animals count as not labelled",
        "hold no tracks",
        "1 edges",
        "no pairs of left and right",
        "do not name their recording: clip.mp4",
    ):
        assert part in text
    assert len(lost) == 5
    single = write_poses(replace(original, track=-np.ones((3, 1))), tmp_path / "b.csv")
    assert any("4 occluded keypoints were written as visible" in said for said in single)


def test_predictions_among_human_labels_are_said(tmp_path):
    mixed = labels(np.ones((1, 3, 2, 2)), source=[[0, 1, 2]])
    text = "\n".join(write_poses(mixed, tmp_path / "a.csv"))
    assert "1 human and 1 propagated animals were written as such" in text
    text = "\n".join(write_poses(mixed, tmp_path / "p", format="deeplabcut-project"))
    assert "2 predicted or propagated animals" in text


def test_pandas_reads_our_csv(tmp_path):
    original = labels(
        [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]], track=[[0, 1]], track_names=("anna", "berta")
    )
    write_poses(original, tmp_path / "a.csv")
    frame = pd.read_csv(tmp_path / "a.csv", header=[0, 1, 2, 3], index_col=0)
    assert frame.columns.names == ["scorer", "individuals", "bodyparts", "coords"]
    assert frame["napari"]["berta"]["tail"]["y"].tolist() == [8]


def test_sleap_io_reads_our_csv(tmp_path):
    """Its reader wants the images to be there."""
    folder = tmp_path / "labeled-data" / "clip"
    folder.mkdir(parents=True)
    for i in (1, 2, 3):
        (folder / f"{i}.png").write_bytes(b"")
    original = labels(
        [[[[1, 2], [3, 4]], [[5, 6], [np.nan, 8]]]],
        track=[[0, 1]],
        track_names=("anna", "berta"),
        videos=(IMAGES,),
    )
    write_poses(original, folder / "CollectedData_napari.csv")
    theirs = sleap_io.load_file(str(folder / "CollectedData_napari.csv"), format="dlc")
    instances = {i.track.name: i.numpy() for i in theirs.labeled_frames[0].instances}
    np.testing.assert_array_equal(instances["anna"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(instances["berta"], [[5, 6], [np.nan, np.nan]])


def test_pandas_reads_our_hdf5(tmp_path):
    pytest.importorskip("tables", reason="pandas needs PyTables to read HDF5")
    original = labels([[[[1, 2], [3, 4]]]], videos=(IMAGES,))
    write_poses(original, tmp_path / "a.h5")
    frame = pd.read_hdf(tmp_path / "a.h5")
    assert frame.index[0] == ("labeled-data", "clip", "1.png")
    assert frame["napari"]["tail"]["y"].tolist() == [4]


def test_tables_that_pandas_appends_to_are_read(tmp_path):
    """The layout of ``DataFrame.to_hdf(..., format="table")``: pickled names, packed rows."""
    names = [("anna", "nose", "x"), ("anna", "nose", "y")]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_(b"frame_table")
        group.attrs["non_index_axes"] = np.bytes_(
            b"(lp0\n(I1\n(lp1\n(Vanna\nVnose\nVx\ntp2\na(Vanna\nVnose\nVy\ntp3\natp4\na."
        )
        rows = np.array([(b"x/1.png", [3, 4])], [("index", "S7"), ("values_block_0", "f8", (2,))])
        table = group.create_dataset("table", data=rows)
        table.attrs["values_block_0_kind"] = np.bytes_(
            b"(lp0\n(Vanna\nVnose\nVx\ntp1\na(Vanna\nVnose\nVy\ntp2\na."
        )
    assert len(names) == 2
    back = read_poses(tmp_path / "a.h5")
    assert back.xy[0, 0].tolist() == [[3, 4]]
    assert back.image_name(0) == "x/1.png"
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["df_with_missing"].attrs["non_index_axes"] = np.bytes_(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(LabelsError, match=r"os\.system"):
        read_poses(tmp_path / "a.h5")


def test_unique_body_parts_round_trip(tmp_path):
    skeleton = Skeleton(("nose", "tail", "corner"))
    xy = np.full((2, 2, 3, 2), np.nan)
    xy[0, 0, :2], xy[0, 1, 2], xy[1, 0, 0] = 1, 2, 3
    original = Poses(
        skeleton, xy, [0, 1], track=[[0, 1], [0, -1]], track_names=("anna", "single"),
        videos=(IMAGES,),
    )  # fmt: skip
    write_poses(original, tmp_path / "a.csv")
    header = pd.read_csv(tmp_path / "a.csv", header=[0, 1, 2, 3], index_col=[0, 1, 2]).columns
    assert {c[1:3] for c in header} == {("anna", "nose"), ("anna", "tail"), ("single", "corner")}
    assert_same(original, read_poses(tmp_path / "a.csv"), skip=["name"])
    write_poses(original, tmp_path / "p", format="deeplabcut-project")
    config = yaml.safe_load((tmp_path / "p" / "config.yaml").read_text())
    assert config["uniquebodyparts"] == ["corner"]
    assert config["multianimalbodyparts"] == ["nose", "tail"]
    assert config["individuals"] == ["anna"]
    assert_same(original, read_poses(tmp_path / "p"))


def test_a_table_of_a_project_takes_its_edges(tmp_path):
    original = Poses(Skeleton(("a", "b"), ((0, 1),), name="cage"), np.ones((1, 1, 2, 2)), [0],
                     videos=(IMAGES,))  # fmt: skip
    write_poses(original, tmp_path / "p", format="deeplabcut-project")
    table = tmp_path / "p" / "labeled-data" / "clip" / "CollectedData_napari.csv"
    alone = read_poses(table)
    assert_same(original, alone)
    assert alone.videos[0].path == str(tmp_path / "p")
    assert read_poses(table, frames_root=tmp_path).videos[0].path == str(tmp_path)
    assert_same(original, read_poses(tmp_path / "p" / "config.yaml"))


def test_images_are_named_as_deeplabcut_wants_them(tmp_path):
    videos = (Video("/d/run.mp4"), Video("/d", ("day1/a.png", "day2/a.png")))
    original = labels(np.ones((3, 1, 2, 2)), [7, 0, 1], video=[0, 1, 1], videos=videos)
    (lost,) = write_poses(original, tmp_path / "p", format="deeplabcut-project")
    assert "3 images or frames were given such names" in lost
    back = read_poses(tmp_path / "p")
    assert {back.image_name(i) for i in range(3)} == {
        "labeled-data/run/img0007.png",
        "labeled-data/day1/a.png",
        "labeled-data/day2/a.png",
    }


@pytest.mark.parametrize("suffix", [".csv", ".h5"])
def test_a_table_that_tells_visibility_goes_on_to(tmp_path, suffix):
    """One of Lightning Pose, which is saved under its own name."""
    visible = [[[Visibility.VISIBLE, Visibility.OCCLUDED]]]
    hidden = labels(np.ones((1, 1, 2, 2)), visible=visible, videos=(IMAGES,))
    path = tmp_path / f"a{suffix}"
    write_poses(hidden, tmp_path / "lp.csv", format="lightning-pose")
    write_table(read_table(tmp_path / "lp.csv"), path)
    assert not [said for said in write_poses(read_poses(path), path) if "occluded" in said]
    assert read_poses(path).visible.tolist() == visible


def test_a_project_with_other_labels_is_not_replaced(tmp_path):
    """Neither with those of another session, nor with somebody else's."""
    some = labels(np.ones((1, 1, 2, 2)), videos=(IMAGES,))
    other = replace(some, videos=(Video("other", ("labeled-data/other/1.png",)),))
    write_poses(some, tmp_path / "p", format="deeplabcut-project")
    with pytest.raises(LabelsError, match=r"clip.CollectedData_napari\.csv, which would be lost"):
        write_poses(other, tmp_path / "p", format="deeplabcut-project")
    (tmp_path / "p/labeled-data/clip/CollectedData_anna.csv").write_text("hers")
    with pytest.raises(LabelsError, match=r"CollectedData_anna\.csv, which would be lost"):
        write_poses(some, tmp_path / "p", format="deeplabcut-project")
    assert (tmp_path / "p/labeled-data/clip/CollectedData_anna.csv").read_text() == "hers"
    assert len(read_poses(tmp_path / "p")) == 1


def test_a_project_with_pictures_is_not_replaced(tmp_path):
    some = labels(np.ones((1, 1, 2, 2)), videos=(IMAGES,))
    write_poses(some, tmp_path / "p", format="deeplabcut-project")
    write_poses(some, tmp_path / "p", format="deeplabcut-project")
    picture = tmp_path / "p" / "labeled-data" / "clip" / "1.png"
    picture.write_bytes(b"precious")
    with pytest.raises(LabelsError, match=r"1\.png, which would be lost"):
        write_poses(some, tmp_path / "p", format="deeplabcut-project")
    assert picture.read_bytes() == b"precious"


def test_a_table_holds_one_video(tmp_path):
    two = labels(np.ones((2, 1, 2, 2)), [0, 0], video=[0, 1], videos=(Video("a"), Video("b")))
    with pytest.raises(LabelsError, match=r"2 \(a, b\)"):
        write_poses(two, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_lightning_pose_holds_one_animal(tmp_path):
    two = labels(np.ones((1, 2, 2, 2)))
    with pytest.raises(LabelsError, match="have 2 on one"):
        write_poses(two, tmp_path / "a.csv", format="lightning-pose")


def test_images_without_labels_are_listed_but_no_rows(tmp_path):
    text = "scorer,a,a\nbodyparts,nose,nose\ncoords,x,y\n1.png,,\n2.png,3,4\n"
    (tmp_path / "a.csv").write_text(text)
    back = read_poses(tmp_path / "a.csv")
    assert back.videos[0].images == ("1.png", "2.png")
    assert [back.image_name(i) for i in range(len(back))] == ["2.png"]


def test_the_name_of_the_recording_is_that_of_the_file_without_the_scorer(tmp_path):
    text = "scorer,DLC_net,DLC_net,DLC_net\nbodyparts,n,n,n\ncoords,x,y,likelihood\n0,1,2,0.5\n"
    path = tmp_path / "runDLC_net_filtered.csv"
    path.write_text(text)
    assert read_poses(path).videos == (Video("run"),)


def test_columns_of_other_kinds_are_passed_over(tmp_path):
    text = "scorer,a,a,set\nbodyparts,nose,nose,\ncoords,x,y,\n1.png,3,4,train\n"
    (tmp_path / "a.csv").write_text(text)
    assert read_poses(tmp_path / "a.csv").xy.tolist() == [[[[3, 4]]]]


HEAD = "scorer,a,a\nbodyparts,nose,nose\ncoords,x,y\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "header rows"),
        ("scorer,a,a\nbodyparts,nose,nose\n", "header rows"),
        (HEAD + "1.png,3,4\n2.png,5", "cut off in its last row"),
        (HEAD + "1.png,3,4\n1.png,5,6\n", r"more than one row for 1\.png"),
        (HEAD + "1.png,3,four\n", "could not convert"),
        (HEAD + "1.png,3,4,5\n", "line 4 of .* more cells"),
        (HEAD + "-1,3,4\n", "whole frame numbers"),
        ("scorer,a,a\nbodyparts,nose,nose\ncoords,x,x\n1.png,3,4\n", "more than one column"),
    ],
)
def test_malformed_tables_are_clear_errors(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(LabelsError, match=message):
        read_poses(tmp_path / "a.csv")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_truncated_hdf5_is_a_clear_error(tmp_path, share):
    path = tmp_path / "a.h5"
    write_poses(labels(np.ones((20, 2, 2, 2))), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LabelsError, match=r"a\.h5"):
        read_poses(path)


def test_an_empty_project_is_a_clear_error(tmp_path):
    (tmp_path / "labeled-data").mkdir()
    (tmp_path / "config.yaml").write_text("Task: a\nscorer: b\nbodyparts: [c]\n")
    with pytest.raises(LabelsError, match="has no labels"):
        read_poses(tmp_path)
    (tmp_path / "config.yaml").write_text("{")
    with pytest.raises(LabelsError, match="no known labels format"):
        read_poses(tmp_path)


def test_mouse_mirror(shared_data):
    """Numbers of the README of the data."""
    mouse = read_poses(shared_data / "mouse-mirror/CollectedData.csv")
    assert len(mouse) == mouse.n_instances == 90
    assert len(mouse.skeleton) == 17
    assert 100 * (mouse.visible == 0).mean() == pytest.approx(8.8, abs=0.05)
    assert {"labeled-data/img00.png", "labeled-data/img91.png"}.isdisjoint(mouse.videos[0].images)
    assert mouse.videos[0].path == str(shared_data / "mouse-mirror")


@pytest.mark.parametrize(
    "name",
    ["", "config.yaml", "labeled-data/m4s1/CollectedData_Pranav.csv",
     "labeled-data/m4s1/CollectedData_Pranav.h5"],
)  # fmt: skip
def test_mouse_openfield(shared_data, name):
    mouse = read_poses(shared_data / "mouse-openfield" / name)
    assert len(mouse) == mouse.n_instances == 116
    assert mouse.skeleton.keypoints == ("snout", "leftear", "rightear", "tailbase")
    assert mouse.skeleton.symmetry == ((1, 2),)
    assert (mouse.visible == Visibility.VISIBLE).all()
    assert mouse.image_name(1) == "labeled-data/m4s1/img0001.png"
    assert mouse.xy[1, 0, 0].tolist() == [10.248, 288.487]
    assert mouse.videos[0].path == str(shared_data / "mouse-openfield")


def test_a_project_with_individuals_and_unique_body_parts(shared_data):
    """Expected values are cells of the CSV file."""
    dlc = read_poses(shared_data / "formats/dlc")
    assert dlc.skeleton.keypoints == ("A", "B", "C", "D", "E")
    assert dlc.skeleton.edges == ((0, 1), (1, 2), (0, 2))
    assert dlc.track_names == ("Animal1", "Animal2", "single")
    assert [dlc.image_name(i) for i in range(len(dlc))] == [
        f"labeled-data/video/img00{i}.png" for i in (0, 1, 3)
    ]
    at = {int(t): dlc.xy[2, s].tolist() for s, t in enumerate(dlc.track[2]) if t >= 0}
    nan = [np.nan, np.nan]
    np.testing.assert_equal(at[0], [[26, 27], [28, 29], [30, 31], nan, nan])
    np.testing.assert_equal(at[2], [nan, nan, nan, [32, 33], [34, 35]])


@pytest.mark.parametrize(
    ("name", "frames", "animals"),
    [
        ("labeled-data/video/dlc_testdata.csv", 3, 3),
        ("labeled-data/video/dlc_testdata_v2.csv", 3, 3),
        ("labeled-data/video/madlc_testdata.csv", 3, 5),
        ("labeled-data/video/madlc_testdata_v2.csv", 3, 5),
        ("labeled-data/video/maudlc_testdata.csv", 3, 7),
        ("labeled-data/video/maudlc_testdata_v2.csv", 3, 7),
        ("labeled-data/video/CollectedData_LM.csv", 3, 7),
        ("multiple_datasets/video1/dlc_dataset_1.csv", 2, 4),
        ("multiple_datasets/video2/dlc_dataset_2.csv", 1, 1),
    ],
)
def test_other_real_tables(shared_data, name, frames, animals):
    dlc = read_poses(shared_data / "formats/dlc" / name)
    assert (len(dlc), dlc.n_instances) == (frames, animals)


@pytest.mark.parametrize(
    ("folder", "files", "frames", "keypoints"),
    [
        ("mirror-mouse", 5, (2000,), 8),
        ("mirror-mouse-separate", 10, (501,), 4),
        ("ibl-pupil", 5, (2000,), 4),
        ("ibl-paw", 10, (1000, 2500), 2),
        ("fly", 9, (500,), 12),
    ],
)
def test_predictions_of_lightning_pose(shared_data, folder, files, frames, keypoints):
    """Numbers of the README of the data; likelihoods against a plain reading of the file."""
    found = sorted((shared_data / "eks-ensembles" / folder).glob("*.csv"))
    assert len(found) == files
    for path in found[:2] + found[-1:]:
        one = read_poses(path)
        assert len(one) == one.n_instances
        assert len(one) in frames
        assert len(one.skeleton) == keypoints
        assert (one.source == Source.PREDICTED).all()
        plain = np.loadtxt(path, delimiter=",", skiprows=3)
        np.testing.assert_allclose(one.score[:, 0], plain[:, 3::3])
        np.testing.assert_allclose(one.xy[:, 0, :, 1], plain[:, 2::3])


LIGHTNING = """scorer,me,me,me,me,me,me
bodyparts,nose,nose,nose,tail,tail,tail
coords,x,y,visible,x,y,visible
,,,,,,
labeled-data/a/img1.png,3,4,2,5,6,1
labeled-data/a/img2.png,7,8,0,9,10,2
labeled-data/a/img3.png,,,0,11,12,
"""


def test_the_visibility_of_lightning_pose_round_trips(tmp_path):
    """Also the empty first row that pandas leaves for the name of an index."""
    path = tmp_path / "CollectedData.csv"
    path.write_text(LIGHTNING)
    found = read_poses(path)
    assert found.visible[:, 0].tolist() == [[2, 1], [0, 2], [0, 2]]
    assert found.xy[0, 0].tolist() == [[3, 4], [5, 6]]
    assert np.isnan(found.xy[1, 0, 0]).all()
    assert found.videos[0].images[0] == "labeled-data/a/img1.png"
    again = tmp_path / "again.csv"
    assert not any(
        "occluded" in lost for lost in write_poses(found, again, format="lightning-pose")
    )
    back = read_poses(again)
    np.testing.assert_array_equal(back.visible, found.visible)
    np.testing.assert_array_equal(back.xy, found.xy)


def test_predictions_on_labelled_images_have_a_set(tmp_path):
    """As Lightning Pose writes them: likelihoods, a last column, and an empty first row."""
    path = tmp_path / "predictions.csv"
    path.write_text(
        "scorer,heatmap_tracker,heatmap_tracker,heatmap_tracker,set\n"
        "bodyparts,nose,nose,nose,\n"
        "coords,x,y,likelihood,\n"
        ",,,,\n"
        "labeled-data/a/img1.png,3,4,0.5,train\n"
        "labeled-data/a/img2.png,5,6,0.25,validation\n"
    )
    found = read_poses(path)
    assert found.score[:, 0, 0].tolist() == [0.5, 0.25]
    assert found.videos[0].images == ("labeled-data/a/img1.png", "labeled-data/a/img2.png")
    assert (found.source == Source.PREDICTED).all()


def test_an_empty_first_row_above_frame_numbers(tmp_path):
    path = tmp_path / "video.csv"
    head = "scorer,a,a,a\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n"
    path.write_text(f"{head},,,\n0,1,2,0.5\n1,3,4,0.5\n")
    assert read_poses(path).frame.tolist() == [0, 1]


def test_one_followed_animal_has_no_individuals(tmp_path):
    """Predictions of the heat-map network are read by Lightning Pose and its smoother."""
    xy = np.random.default_rng(0).uniform(0, 50, (4, 1, 2, 2))
    skeleton = Skeleton(("nose", "tail"))
    predicted = np.full((4, 1), Source.PREDICTED)
    poses = Poses(skeleton, xy, range(4), track=np.zeros((4, 1), int), source=predicted)
    lost = write_poses(poses, tmp_path / "one.csv")
    assert not any("track" in text for text in lost)
    head = (tmp_path / "one.csv").read_text().splitlines()[:3]
    assert [line.split(",")[0] for line in head] == ["scorer", "bodyparts", "coords"]
    # Also when the track got its number as a name in a file between.
    write_poses(poses, tmp_path / "one.slp")
    write_poses(read_poses(tmp_path / "one.slp"), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "one.csv").read_text()
    write_poses(replace(poses, track_names=("Tom",)), tmp_path / "named.csv")
    assert "individuals,Tom" in (tmp_path / "named.csv").read_text()


@pytest.mark.parametrize("suffix", [".csv", ".h5"])
def test_a_table_that_is_replaced_keeps_its_scorer_and_its_images(tmp_path, suffix):
    """DeepLabCut leaves labels of another scorer out; an image that is not labelled yet is still to be labelled."""
    folder = tmp_path / "labeled-data" / "clip"
    folder.mkdir(parents=True)
    path = folder / f"CollectedData_Alice{suffix}"
    names = [f"labeled-data/clip/img{i}.png" for i in range(4)]
    values = np.array([[1.0, 2], [np.nan, np.nan], [5, 6], [np.nan, np.nan]])
    write_table(Table("Alice", [("", "nose", "x"), ("", "nose", "y")], names, values), path)
    poses = read_poses(path)
    assert len(poses) == 2
    more = Poses(
        poses.skeleton, np.full((1, 1, 1, 2), 9.0), [3], videos=poses.videos
    )  # another one gets labelled
    assert "scorer" not in str(write_poses(Poses.concatenate([poses, more]), path))
    after = read_table(path)
    assert after.scorer == "Alice"
    assert list(after.index) == names
    np.testing.assert_array_equal(after.values, [[1, 2], [np.nan, np.nan], [5, 6], [9, 9]])
    # A new file is of the scorer in its name, another name tells none.
    other = folder / f"CollectedData_Bob{suffix}"
    write_poses(poses, other)
    assert (read_table(other).scorer, len(read_table(other).index)) == ("Bob", 2)
    write_poses(poses, folder / f"mine{suffix}")
    assert read_table(folder / f"mine{suffix}").scorer == "napari"
