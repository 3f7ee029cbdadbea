"""Files that are written whole or not at all: links, devices, modes, threads, names that look alike, full disks."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from ssl_toolkit.data.files import atomic_write, real_file

posix = pytest.mark.skipif(sys.platform == "win32", reason="links, FIFOs and modes of POSIX")


def put(path: Path, text: str) -> None:
    with atomic_write(path) as partial:
        partial.write_text(text)


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link_and_its_target_is_written(tmp_path, exists):
    (tmp_path / "disk").mkdir()
    if exists:
        (tmp_path / "disk" / "run").write_text("old")
    (tmp_path / "latest").symlink_to(Path("disk") / "run")
    put(tmp_path / "latest", "new")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "disk" / "run").read_text() == "new"
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["run"]


@posix
def test_what_is_no_file_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to a fifo").symlink_to("fifo")
    (tmp_path / "circle").symlink_to("circle")
    for path in (tmp_path / "fifo", tmp_path / "to a fifo", tmp_path / "circle", Path(os.devnull)):
        with pytest.raises(OSError, match=path.name):
            put(path, "new")
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(IsADirectoryError, match="add a file name"):
        put(tmp_path, "new")
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        real_file(tmp_path / "none" / "run")


@posix
def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(tmp_path):
    (tmp_path / "secret").touch(0o600)
    before = os.umask(0o027)
    try:
        put(tmp_path / "new", "1")
        put(tmp_path / "secret", "2")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "secret")] == [0o640, 0o600]


def test_threads_that_write_one_file_leave_the_whole_text_of_one_of_them(tmp_path):
    path, texts = tmp_path / "run", [f"{i}" * 10_000 for i in range(8)]
    threads = [threading.Thread(target=put, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_names_that_look_alike_share_no_temporary_file(tmp_path):
    names = ["run", "run.a", ".run", "run*", "[run]", "r" * 250, "r" * 249 + "s"]
    writes = [atomic_write(tmp_path / name) for name in names]
    partials = [write.__enter__() for write in writes]
    assert len(set(partials)) == len(names)
    for name, partial in zip(names, partials, strict=True):
        partial.write_text(name)
    for write in writes:
        write.__exit__(None, None, None)
    assert {name: (tmp_path / name).read_text() for name in names} == {name: name for name in names}
    assert len(list(tmp_path.iterdir())) == len(names)


@posix
def test_a_write_in_progress_is_no_leftover_of_a_killed_one(tmp_path):
    left = tmp_path / ".run.0123456789ab.partial"
    left.touch()
    with atomic_write(tmp_path / "run") as first:
        assert not left.exists()
        with atomic_write(tmp_path / "run") as second:
            assert first.exists()
            second.write_text("second")
        first.write_text("first")
    assert (tmp_path / "run").read_text() == "first"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_full_disk_is_an_oserror_with_the_path_and_the_old_file_stays(tmp_path):
    put(tmp_path / "run", "old")
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(tmp_path / "run"):
        Path("/dev/full").write_text("x" * 100_000)
    assert caught.value.filename == str(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
