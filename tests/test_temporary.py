"""Temporary files: those of dead processes are removed, and never those of living ones."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seesame import files, removal
from seesame import temporary as module
from seesame.errors import UserError
from seesame.files import PICTURE_FOLDER, OutputBusyError, check_output, replacing, reserved
from seesame.temporary import (
    TemporaryFolder,
    TemporaryTuning,
    remove_dead,
    remove_dead_folders,
    temporary,
    temporary_folder,
)

WRITING = """
import sys, time
from pathlib import Path
from seesame.files import replacing, reserved
from seesame.temporary import temporary_folder
out = Path(sys.argv[1])
with reserved(out), replacing(out) as made, temporary_folder() as folder:
    made.write_text("half")
    (folder / "coded").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@contextmanager
def another(out: Path, scratch: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is in the middle of writing a file."""
    environment = os.environ | {"TMPDIR": str(scratch)}
    words = [sys.executable, "-c", WRITING, str(out)]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("suffix", [".ssm", ".mp4", "", ".lock", "." + "x" * 30])
def test_a_killed_run_leaves_nothing_after_the_next_one(
    tmp_path: Path, scratch: Path, suffix: str
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with another(target / f"a{suffix}", scratch) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(names(target)) == 3  # the temporary file, its lock, and that of the output
        assert len(names(scratch)) == 1
    with replacing(target / "b.txt") as made, temporary_folder():
        made.write_text("whole")
        assert len(names(scratch)) == 1  # its own
    assert names(target) == ["b.txt"]
    assert names(scratch) == []


def test_what_a_living_run_writes_is_let_alone(tmp_path: Path, scratch: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with another(target / "a.ssm", scratch):
        before = names(target), names(scratch)
        for _ in range(3):
            with reserved(target / "b.ssm", True), replacing(target / "b.ssm", True) as made:
                made.write_text("whole")
            with temporary_folder():
                pass
            remove_dead(target)
        assert (sorted({*before[0], "b.ssm"}), before[1]) == (names(target), names(scratch))
        with pytest.raises(OutputBusyError), reserved(target / "a.ssm"):
            pass


def test_what_only_looks_like_ours_is_never_removed(tmp_path: Path, scratch: Path) -> None:
    kept = [
        *(".seesame-notes", ".seesame", ".seesame-0123456789ab.ssm", "seesame-tmp-holiday"),
        *(".seesame-0123456789abcdef0.lock", ".seesame-zzzzzzzz-0123456789ab.lock"),
        # Without a lock, as on a file system that has none.
        f".seesame-{module._machine()}-0123456789ab.ssm",
    ]
    for name in kept:
        (tmp_path / name).write_text("the user's")
    mine = scratch / f"seesame-tmp-{module._machine()}-0123456789ab"
    mine.write_text("no folder")
    (scratch / "seesame-demo").mkdir()
    with replacing(tmp_path / "out") as made, temporary_folder():
        made.write_text("whole")
    assert names(tmp_path) == sorted([*kept, "out", "scratch"])
    assert names(scratch) == ["seesame-demo", mine.name]


def test_a_link_or_a_pipe_in_the_place_of_a_lock_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("the user's")
    (tmp_path / ".seesame-0123456789abcdef.lock").symlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / ".seesame-0123456789abcde0.lock")
    stem = f".seesame-{module._machine()}-0123456789ab"
    os.mkfifo(tmp_path / f"{stem}.lock")
    (tmp_path / f"{stem}.ssm").write_text("the user's")
    before = names(tmp_path)
    remove_dead(tmp_path)
    assert names(tmp_path) == before


def test_a_folder_of_links_is_removed_and_not_what_they_lead_to(
    tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    dead = scratch / f"seesame-tmp-{module._machine()}-0123456789ab"
    dead.mkdir()
    (dead / "link").symlink_to(tmp_path / "mine")
    with temporary_folder():
        pass
    assert names(scratch) == []
    assert names(tmp_path / "mine") == ["file"]


OTHER = 65534
"""The number of another user."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@as_root
def test_what_another_user_has_put_there_is_let_alone(tmp_path: Path, scratch: Path) -> None:
    stem = f".seesame-{module._machine()}-0123456789a"
    planted = [f"{stem}b.lock", f"{stem}b.ssm", ".seesame-0123456789abcdef.lock", f"{stem}c.ssm"]
    for name in [*planted, f"{stem}c.lock", f"{stem}c.mp4"]:
        (tmp_path / name).touch()
    folder = scratch / f"seesame-tmp-{module._machine()}-0123456789ab"
    folder.mkdir()
    (folder / "file").touch()
    for path in [folder, *(tmp_path / name for name in planted)]:
        os.chown(path, OTHER, OTHER)
    remove_dead(tmp_path)
    remove_dead_folders()
    assert names(tmp_path) == sorted([*planted, "scratch"])
    assert names(folder) == ["file"]


@pytest.mark.parametrize("of", ["folder", "lock"])
def test_no_handle_is_left_where_a_removal_fails(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    (scratch / f"seesame-tmp-{module._machine()}-0123456789ab").mkdir()
    stem = f".seesame-{module._machine()}-0123456789ab"
    (tmp_path / f"{stem}.lock").touch()
    (tmp_path / f"{stem}.ssm").touch()

    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module, "remove", refuse)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        remove_dead_folders() if of == "folder" else remove_dead(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_permission_of_what_a_link_leads_to_is_changed(tmp_path: Path) -> None:
    """As where the link has taken a folder's place a moment ago."""
    (tmp_path / "mine").mkdir(mode=0o500)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "closed").mkdir(mode=0)
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        for name, folder in (("link", top), ("closed", top), (str(tmp_path / "link"), None)):
            removal._permit(name, folder)
    finally:
        os.close(top)
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o500
    assert (tmp_path / "closed").stat().st_mode & 0o777 == 0o700


def test_a_folder_of_any_depth_and_without_permissions_is_removed(scratch: Path) -> None:
    """A submission that was killed may have left it; the next command must not fail on it."""
    dead = scratch / f"seesame-tmp-{module._machine()}-0123456789ab"
    dead.mkdir()
    handle = os.open(dead, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=handle)
        deeper = os.open("deep", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)
    (dead / "closed" / "inside").mkdir(parents=True)
    (dead / "closed").chmod(0)
    remove_dead_folders()
    assert names(scratch) == []


def test_another_machine_is_given_a_day(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks may not be seen here."""
    for name in (".seesame-00000000-0123456789ab.lock", ".seesame-00000000-0123456789ab.ssm"):
        (tmp_path / name).touch()
    (scratch / "seesame-tmp-00000000-0123456789ab").mkdir()

    def run() -> list[str]:
        remove_dead(tmp_path)
        with temporary_folder():
            pass
        return [*names(tmp_path), *names(scratch)]

    assert len(run()) == 4
    monkeypatch.setattr(module, "TUNING", TemporaryTuning(other_machine_s=0.0))
    assert run() == ["scratch"]


def test_many_at_once_in_one_folder(tmp_path: Path, scratch: Path) -> None:
    """Each looks for dead files all the time, and no one takes another's."""
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(60):
                with replacing(tmp_path / f"{number}.txt", True) as made, temporary_folder() as own:
                    (own / "file").write_text("x")
                    made.write_text("whole")
                    (own / "file").unlink()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert names(tmp_path) == [*(f"{number}.txt" for number in range(6)), "scratch"]
    assert names(scratch) == []


def test_a_file_system_without_locks_still_takes_outputs(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / ".seesame-0123456789abcdef.lock").touch()
    with replacing(tmp_path / "out") as made, temporary_folder() as folder:
        made.write_text("whole")
        (folder / "file").touch()
    assert names(tmp_path) == [".seesame-0123456789abcdef.lock", "out", "scratch"]
    assert names(scratch) == []


def test_a_lock_that_someone_only_looks_at_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    lock = tmp_path / "lock"
    looking = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_EX)
    timer = threading.Timer(0.1, os.close, [looking])
    timer.start()
    handle = module.hold(lock)
    assert handle is not None
    with pytest.raises(BlockingIOError):
        module.hold(lock)
    module.release(lock, handle)
    assert not lock.exists()


def test_a_folder_goes_with_its_object_and_not_with_a_fork(scratch: Path) -> None:
    folder = TemporaryFolder()
    child = os.fork()
    if not child:
        folder.remove()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.path.is_dir()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.remove()
    folder.remove()
    assert names(scratch) == []
    with pytest.raises(FileNotFoundError):
        TemporaryFolder(scratch / "nowhere")


@pytest.mark.parametrize("exchanging", [True, False])
def test_a_folder_is_replaced_in_one_step_or_both_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanging: bool
) -> None:
    """Where two folders cannot change places, a kill between the two steps loses neither."""
    album = tmp_path / "album"
    album.mkdir()
    (album / "000000.png").write_text("old")
    if not exchanging:
        monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    steps: list[list[list[str]]] = []
    replace = os.replace

    def watched(one: Path, other: Path) -> None:
        replace(one, other)
        remove_dead(tmp_path)  # as another run would
        steps.append([names(path) for path in tmp_path.iterdir() if path.is_dir()])

    monkeypatch.setattr(os, "replace", watched)
    with replacing(album, True, holds=PICTURE_FOLDER) as made:
        made.mkdir()
        (made / "000000.png").write_text("new")
        (made / "000001.png").write_text("new")
    assert bool(steps) != exchanging
    assert all(["000000.png"] in folders for folders in steps)
    assert names(album) == ["000000.png", "000001.png"]
    assert names(tmp_path) == ["album"]


def test_what_a_kill_left_inside_an_output_folder_is_no_foreign_file(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    stem = f".seesame-{module._machine()}-0123456789ab"
    for name in ("000000.png", f"{stem}.png", f"{stem}.lock"):
        (album / name).touch()
    check_output(album, overwrite=True, holds=PICTURE_FOLDER)
    assert names(album) == ["000000.png"]
    with temporary(album / "000001.png") as made:
        made.touch()
        with pytest.raises(UserError, match="not replaced"):
            check_output(album, overwrite=True, holds=PICTURE_FOLDER)


def test_looking_for_dead_files_takes_no_time_in_a_large_folder(tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / f"{number}.ssm").touch()
    before = time.process_time()
    for _ in range(20):
        remove_dead(tmp_path)
    assert (time.process_time() - before) / 20 < 0.1
