import importlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from pose_strategies import assert_same

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.jabs import skeleton as jabs_skeleton
from napari_semimultipose.io.labels import FORMATS, detect_format, read_poses, write_poses
from napari_semimultipose.poses import Poses, Skeleton, Video

SKELETON = Skeleton(("nose", "tail"), ((0, 1),), name="bee")

# Files of the shared recordings that look like labels, but hold other things.
NO_LABELS = {
    "honeybee/splits.json",
    "fly-7cam/cameras.json",
    "mouse-4cam/points3d.h5",
    "mouse-4cam/calibration.metadata.h5",
}

# Journals are written by `io.journal` alone; see test_journal.py.
WRITABLE = {name: known for name, known in FORMATS.items() if known.writes}


def simple(skeleton=SKELETON):
    """Two animals with tracks on two images."""
    xy = np.arange(2 * 2 * len(skeleton) * 2, dtype=float).reshape(2, 2, len(skeleton), 2) + 1
    return Poses(
        skeleton, xy, [0, 1], track=[[0, 1], [0, 1]], track_names=("1", "2"),
        videos=(Video("", ("labeled-data/images/1.png", "labeled-data/images/2.png"), (90, 90)),),
    )  # fmt: skip


def target(folder, known):
    return folder / (f"labels{known.suffixes[0]}" if known.suffixes else "labels")


@pytest.mark.parametrize("known", WRITABLE.values(), ids=WRITABLE)
def test_every_format_is_described_and_works(tmp_path, known):
    assert known.name in FORMATS
    assert known.reads
    assert known.writes
    assert known.holds
    assert known.loses
    original = simple(jabs_skeleton() if known.name == "jabs" else SKELETON)
    if known.name == "lightning-pose":
        original = original.keep(original.track == 0)
    path = target(tmp_path, known)
    lost = write_poses(original, path, format=known.name)
    assert all(isinstance(line, str) for line in lost)
    back = read_poses(path)
    assert back.skeleton.keypoints == original.skeleton.keypoints
    for row in range(2):
        mine = np.sort(original.xy[row][original.present[row]].ravel())
        np.testing.assert_allclose(np.sort(back.xy[row][back.present[row]].ravel()), mine)
    if known.name in ("sleap", "coco"):
        assert lost == []
        assert_same(original, back)


@pytest.mark.parametrize("known", [f for f in WRITABLE.values() if f.name != "lightning-pose"],
                         ids=lambda f: f.name)  # fmt: skip
def test_the_format_is_found_from_the_content(tmp_path, known):
    path = target(tmp_path, known)
    original = simple(jabs_skeleton() if known.name == "jabs" else SKELETON)
    write_poses(original, path, format=known.name)
    assert detect_format(path) == known.name
    if known.suffixes and known.suffixes[0].endswith(".h5"):
        plain = path.rename(tmp_path / "plain.h5")
        assert detect_format(plain) == known.name


@pytest.mark.parametrize("known", [f for f in WRITABLE.values() if f.suffixes and f.name != "lightning-pose"],
                         ids=lambda f: f.name)  # fmt: skip
def test_the_format_to_write_follows_from_the_suffix(tmp_path, known):
    original = simple(jabs_skeleton() if known.name == "jabs" else SKELETON)
    for i, suffix in enumerate(known.suffixes):
        one = original.keep(original.track == 0) if suffix == "_pose_est_v2.h5" else original
        write_poses(one, tmp_path / f"{i}{suffix.upper() if i == 0 else suffix}")
        written = tmp_path / f"{i}{suffix.upper() if i == 0 else suffix}"
        assert detect_format(written) == known.name


@pytest.mark.parametrize("known", WRITABLE.values(), ids=WRITABLE)
def test_labels_without_any_frame(tmp_path, known):
    skeleton = jabs_skeleton() if known.name == "jabs" else SKELETON
    empty = Poses.empty(skeleton, [Video("clip.mp4", (), (9, 9))])
    path = target(tmp_path, known)
    if known.name == "deeplabcut-project":
        write_poses(empty, path, format=known.name)
        with pytest.raises(LabelsError, match="has no labels"):
            read_poses(path)
        return
    write_poses(empty, path, format=known.name)
    back = read_poses(path)
    assert len(back) == 0
    assert back.skeleton.keypoints == skeleton.keypoints


@pytest.mark.parametrize(
    "suffix", [".slp", ".json", ".csv", ".h5", ".analysis.h5", ".nwb", ".yaml"]
)
@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b"hello, world\n"])
def test_files_of_another_kind_are_clear_errors(tmp_path, suffix, content):
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(content)
    with pytest.raises(LabelsError, match="labels" + suffix.replace(".", r"\.")) as error:
        read_poses(path)
    assert len(str(error.value)) > 40


@pytest.mark.parametrize("suffix", [".slp", ".json", ".csv", ".h5", ".nwb", ".yaml", ".xyz"])
def test_empty_and_missing_files_are_clear_errors(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    with pytest.raises(LabelsError, match="does not exist"):
        read_poses(path)
    path.write_bytes(b"")
    with pytest.raises(LabelsError, match="is empty"):
        read_poses(path)


def test_unknown_formats_are_clear_errors(tmp_path):
    (tmp_path / "labels.xyz").write_text("x")
    with pytest.raises(LabelsError, match=r"no known labels format.*SLEAP \(\.slp\)"):
        read_poses(tmp_path / "labels.xyz")
    with pytest.raises(LabelsError, match="no known labels format"):
        read_poses(tmp_path)
    with pytest.raises(LabelsError, match="there is no labels format 'slap'; there are sleap,"):
        read_poses(tmp_path / "labels.xyz", format="slap")
    with pytest.raises(LabelsError, match=r"by the name labels\.xyz"):
        write_poses(simple(), tmp_path / "labels.xyz")
    with pytest.raises(LabelsError, match=r"SLEAP files end with \.slp"):
        write_poses(simple(), tmp_path / "labels.csv", format="sleap")
    write_poses(simple(), tmp_path / "labels.slp")
    with pytest.raises(LabelsError, match="has no categories"):
        read_poses(tmp_path / "labels.slp", category="bee")


def test_a_wrong_format_is_a_clear_error(tmp_path):
    write_poses(simple(), tmp_path / "labels.csv")
    for name in ("sleap", "coco", "nwb", "jabs", "sleap-analysis", "yolo-pose"):
        with pytest.raises(LabelsError, match=r"labels\.csv"):
            read_poses(tmp_path / "labels.csv", format=name)


@pytest.mark.parametrize("known", WRITABLE.values(), ids=WRITABLE)
def test_an_old_result_stays_when_writing_fails(tmp_path, known, monkeypatch):
    """Whatever goes wrong on the way: the old files are as they were, and nothing else is left."""
    skeleton = jabs_skeleton() if known.name == "jabs" else SKELETON
    original = simple(skeleton)
    original = original.keep(original.track == 0)
    path = target(tmp_path, known)
    write_poses(original, path, format=known.name)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    name, function = known.writer.split(":")
    module = importlib.import_module(f"napari_semimultipose.io.{name}")
    write = getattr(module, function)

    def fail_in_the_end(*args, **kwargs):
        write(*args, **kwargs)
        raise OSError("the disk is full")

    monkeypatch.setattr(module, function, fail_in_the_end)
    with pytest.raises(LabelsError, match="cannot be written: the disk is full"):
        write_poses(original, path, format=known.name)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", ["sleap", "sleap-analysis", "nwb"])
def test_hdf5_is_not_begun_on_a_full_disk(tmp_path, name, monkeypatch):
    """The HDF5 library ends the program there, and with it the viewer."""
    known = WRITABLE[name]
    original = simple(SKELETON)
    original = original.keep(original.track == 0)
    path = target(tmp_path, known)
    write_poses(original, path, format=name)
    before = path.read_bytes()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=16_384))
    with pytest.raises(LabelsError, match=r"0\.0 MB are free .* make room, or choose another"):
        write_poses(original, path, format=name)
    assert path.read_bytes() == before
    with pytest.raises(LabelsError, match="make room"):
        write_poses(original, tmp_path / "new" / path.name, format=name)
    monkeypatch.undo()
    write_poses(original, path, format=name)


def test_importing_costs_nothing():
    """Napari imports the readers at its start."""
    code = (
        "import sys, napari_semimultipose.io.labels as m; m.FORMATS;"
        "print(sorted({'h5py', 'pandas', 'sleap_io', 'torch', 'pynwb', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_shared_labels_open(shared_data):
    kinds = (".slp", ".json", ".csv", ".h5", ".nwb", ".yaml")
    found = [p for p in sorted(shared_data.rglob("*")) if p.suffix in kinds]
    opened = 0
    for path in found:
        if path.relative_to(shared_data).as_posix() in NO_LABELS:
            with pytest.raises(LabelsError):
                read_poses(path)
            continue
        labels = read_poses(path)
        assert labels.n_instances > 0, path
        assert np.isfinite(labels.xy[labels.visible > 0]).all(), path
        opened += 1
    assert opened > 90


def test_a_long_recording_opens_in_a_second(shared_data):
    read_poses(shared_data / "fly-pair-short/two_flies.slp")  # imports
    start = time.process_time()
    labels = read_poses(shared_data / "fly-pair-long/predictions.slp")
    assert time.process_time() - start < 1
    assert len(labels) == 3000
