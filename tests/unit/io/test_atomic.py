import os
import stat
from pathlib import Path

import pytest

from napari_semimultipose.io.atomic import replace_file, replace_folder


class DiskTroubleError(Exception):
    pass


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def fail_in_file(target):
    with replace_file(target) as path:
        path.write_text("half")
        raise DiskTroubleError


def fail_in_folder(target):
    with replace_folder(target) as path:
        (path / "fresh.txt").write_text("half")
        raise DiskTroubleError


def test_a_file_is_created_with_its_folders(tmp_path):
    target = tmp_path / "a" / "b" / "labels.slp"
    with replace_file(target) as path:
        assert path.name == "labels.slp"
        assert path != target
        path.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["labels.slp"]


def test_the_old_file_stays_when_the_block_fails(tmp_path):
    target = tmp_path / "labels.csv"
    target.write_text("old")
    with pytest.raises(DiskTroubleError):
        fail_in_file(target)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["labels.csv"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    target = tmp_path / "labels.csv"
    target.write_text("old")
    with pytest.raises(FileNotFoundError, match="nothing was written"), replace_file(target):
        pass
    assert target.read_text() == "old"


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(IsADirectoryError), replace_file(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_mode_and_link_survive(tmp_path):
    real = tmp_path / "real.txt"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    with replace_file(link) as path:
        path.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["project", "old"])
def test_a_folder_is_replaced_as_a_whole(tmp_path, name):
    target = tmp_path / name
    target.mkdir()
    (target / "stale.txt").write_text("old")
    with replace_folder(target) as path:
        assert path.name == name
        (path / "sub").mkdir()
        (path / "sub" / "fresh.txt").write_text("new")
        assert (target / "stale.txt").exists()
    assert names(tmp_path) == [name, f"{name}/sub", f"{name}/sub/fresh.txt"]


def test_the_old_folder_stays_when_the_block_fails(tmp_path):
    target = tmp_path / "project"
    target.mkdir()
    (target / "kept.txt").write_text("old")
    with pytest.raises(DiskTroubleError):
        fail_in_folder(target)
    assert names(tmp_path) == ["project", "project/kept.txt"]


def test_the_old_folder_comes_back_when_the_last_rename_fails(tmp_path, monkeypatch):
    target = tmp_path / "project"
    target.mkdir()
    (target / "kept.txt").write_text("old")
    rename = Path.replace

    def fail_for_fresh(self, destination):
        if (self / "fresh.txt").exists():
            raise DiskTroubleError
        return rename(self, destination)

    monkeypatch.setattr(Path, "replace", fail_for_fresh)
    with pytest.raises(DiskTroubleError), replace_folder(target) as path:
        (path / "fresh.txt").write_text("new")
    assert names(tmp_path) == ["project", "project/kept.txt"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "x").write_text("file")
    with pytest.raises(NotADirectoryError), replace_folder(tmp_path / "x"):
        pass
