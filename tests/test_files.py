"""Outputs: checked at once, replaced whole, never over foreign files, one run at a time."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seesame.errors import OutputExistsError, UserError
from seesame.files import (
    PICTURE_FOLDER,
    OutputBusyError,
    beside,
    check_input,
    check_output,
    readable,
    replacing,
    reserved,
)
from seesame.inputs import NoHomeError, decode_text, read_text, user_folder


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "name", ["n" * 251 + ".ssm", "n" * 255, "é" * 125 + ".mkv", "a." + "b" * 253]
)
def test_every_name_that_the_file_system_takes_can_be_written(tmp_path: Path, name: str) -> None:
    check_output(tmp_path / name)
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("new")
    assert left(tmp_path) == [name]


@pytest.mark.parametrize("name", ["n" * 252 + ".ssm", "é" * 128, "n" * 5000])
def test_a_longer_name_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="too long") as caught:
        check_output(tmp_path / name)
    assert len(str(caught.value)) < 250
    assert left(tmp_path) == []


def test_names_beside_an_output_are_never_too_long() -> None:
    assert beside(Path("a/b.ssm"), ".work") == Path("a/b.work")
    names = {beside(Path(start + "x" * 250 + ".ssm"), ".work").name for start in "ab"}
    names.add(beside(Path("é" * 126 + ".ssm"), ".run.html").name)
    assert len(names) == 3
    assert all(len(os.fsencode(name)) <= 255 for name in names)


def test_a_missing_folder_a_file_in_its_place_and_no_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "no" / "o.ssm", tmp_path / "file" / "o.ssm"):
        with pytest.raises(UserError, match="does not exist"):
            check_output(path)
    with pytest.raises(UserError, match="a stream"):
        check_output(Path("-"))
    with pytest.raises(UserError, match="is not a file name"):
        check_output(Path("a\0b"))


def test_a_folder_that_takes_no_file_is_found_whatever_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(code: int) -> Callable[..., int]:
        def opened(*_: object, **__: object) -> int:
            raise OSError(code, os.strerror(code))

        return opened

    for code, said in ((errno.EROFS, "not writable"), (errno.ENOSPC, "no space left")):
        monkeypatch.setattr("seesame.files.os.open", refuse(code))
        with pytest.raises(UserError, match=said):
            check_output(tmp_path / "o.ssm")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES])
def test_a_failed_write_is_one_line_and_leaves_the_old_file(tmp_path: Path, code: int) -> None:
    path = tmp_path / "o.ssm"
    path.write_text("old")

    def fail() -> None:
        with replacing(path, overwrite=True) as temporary:
            temporary.write_text("half")
            raise OSError(code, os.strerror(code))

    with pytest.raises(UserError, match=r"no space left|cannot be written"):
        fail()
    assert (left(tmp_path), path.read_text()) == (["o.ssm"], "old")


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    """A file system of 64 KiB, in a name space of its own."""
    script = """
import sys
from pathlib import Path
from seesame.errors import UserError
from seesame.files import replacing
path = Path(sys.argv[1]) / "o.ssm"
path.write_text("old")
try:
    with replacing(path, overwrite=True) as temporary:
        temporary.write_bytes(bytes(1 << 20))
except UserError as error:
    print(error, path.read_text(), len(list(path.parent.iterdir())))
"""
    mount = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1"'
    ran = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount, "sh", tmp_path, sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode and ("unshare" in ran.stderr or "mount" in ran.stderr):
        pytest.skip("needs user name spaces that may mount")
    assert ran.stdout == f"{tmp_path}/o.ssm: no space left on the device old 1\n", ran


@pytest.mark.parametrize("foreign", ["notes.txt", "000000.PNG", "12.png", "sub/000000.png", "link"])
def test_a_folder_with_foreign_files_is_never_replaced(tmp_path: Path, foreign: str) -> None:
    album = tmp_path / "album"
    album.mkdir()
    (album / "000000.png").touch()
    if foreign == "link":
        (album / "000001.png").symlink_to("/etc/passwd")
    else:
        (album / foreign).parent.mkdir(exist_ok=True)
        (album / foreign).touch()
    before = sorted(album.rglob("*"))
    with pytest.raises(UserError, match="not replaced"):
        check_output(album, overwrite=True, holds=PICTURE_FOLDER)
    with pytest.raises(UserError, match="is a folder"):
        check_output(album, overwrite=True)
    assert sorted(album.rglob("*")) == before


def test_a_folder_of_our_own_is_replaced(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for number in (0, 1, 1000000):
        (album / f"{number:06d}.png").touch()
    with pytest.raises(OutputExistsError):
        check_output(album, holds=PICTURE_FOLDER)
    with replacing(album, overwrite=True, holds=PICTURE_FOLDER) as temporary:
        temporary.mkdir()
        (temporary / "000000.png").write_text("new")
    assert (left(album), left(tmp_path)) == (["000000.png"], ["album"])
    with pytest.raises(UserError, match="is a file"):
        check_output(album / "000000.png", overwrite=True, holds=PICTURE_FOLDER)


def test_what_came_in_the_meantime_is_not_replaced_and_the_result_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "o.ssm"

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("mine")
            path.write_text("theirs")

    with pytest.raises(OutputExistsError, match="the result is kept as") as caught:
        write()
    assert path.read_text() == "theirs"
    kept = Path(str(caught.value).rpartition(" ")[2])
    assert (kept.read_text(), kept.suffix, len(left(tmp_path))) == ("mine", ".ssm", 2)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed_and_kept(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "o.ssm", tmp_path / "o.ssm"
    if exists:
        target.write_text("old")
    link.symlink_to("far/o.ssm")
    with replacing(link, overwrite=True) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert left(target.parent) == ["o.ssm"]


def test_a_link_in_a_circle_or_into_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("nowhere/o.ssm")
    for name in "ac":
        with pytest.raises(UserError):
            check_output(tmp_path / name, overwrite=True)


def test_an_input_is_never_replaced_through_links_either(tmp_path: Path) -> None:
    clip, soft, hard = (tmp_path / name for name in ("clip.mp4", "soft.txt", "hard.txt"))
    clip.write_text("clip")
    soft.symlink_to(clip)
    hard.hardlink_to(clip)
    for out in (clip, soft, hard, tmp_path / "x" / ".." / "clip.mp4"):
        with pytest.raises(UserError, match="read by this command"):
            check_output(out, overwrite=True, inputs=[tmp_path / "none", clip])
    check_output(tmp_path / "other.txt", inputs=[clip])


def test_pipes_and_devices_are_no_output_and_no_input(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/null"), Path("/dev/stdout")):
        with pytest.raises(UserError, match=r"is a (pipe|device)"):
            check_output(path, overwrite=True)
    for path in (pipe, Path("/dev/null"), Path("-")):
        with pytest.raises(UserError, match="must be a file or a folder"):
            check_input(path)
    check_input(tmp_path)
    check_input(tmp_path / "nowhere")


HOLD = """
import sys, time
from pathlib import Path
from seesame.files import reserved
with reserved(Path(sys.argv[1]), True):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_stops_at_once_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    path, link = tmp_path / "o.ssm", tmp_path / "link.ssm"
    link.symlink_to(path)
    with holder(path) as process:
        for same in (path, link):
            with pytest.raises(OutputBusyError, match="another run is writing it"), reserved(same):
                pass
        with reserved(tmp_path / "other.ssm"):
            pass
        process.kill()
    with reserved(path), reserved(path):  # its own process may reserve it again
        pass
    assert left(tmp_path) == ["link.ssm"]


def test_a_file_system_without_locks_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", unsupported)
    with reserved(tmp_path / "o.ssm"):
        assert left(tmp_path) == []


@pytest.mark.parametrize("text", ["0.mkv\n1.mkv\n", 'name = "é"\n', ""])
def test_text_is_read_with_and_without_a_mark(tmp_path: Path, text: str) -> None:
    for mark in ("utf-8", "utf-8-sig"):
        path = tmp_path / mark
        path.write_text(text, encoding=mark)
        assert read_text(path) == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UserError, match="save it as UTF-8"):
        decode_text("é.mkv\n".encode(encoding), "names.txt")


def test_bytes_of_names_are_shown_in_any_encoding() -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    assert readable(name) == "caf\\xe9.mp4"
    assert readable("ä→\ud83d") == "ä→\\ud83d"
    assert re.fullmatch(r"[ -~]+", readable(name))


def test_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(NoHomeError, match="no home"):
        user_folder("~/x")
    assert user_folder(str(tmp_path)) == tmp_path
