"""Archives and folders of submissions that attack whoever unpacks or reads them."""

import bz2
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from permissions import permissions_bind
from trial import MIB, Judge, Submit

from seesame.contest.archive import unpack
from seesame.contest.isolation.limits import ArchiveLimits
from seesame.contest.submission import SubmissionError, open_submission
from seesame.removal import remove_tree


def refused(path: Path, tmp_path: Path) -> tuple[str, int]:
    """Return the verdict on an archive, and the bytes of memory that it took to give it."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    tracemalloc.start()
    try:
        with pytest.raises(SubmissionError) as raised:
            unpack(path, folder, 64 * MIB)
        return str(raised.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_an_entry_that_unpacks_to_more_than_it_says(tmp_path: Path, method: int) -> None:
    """Hide 64 MiB behind a size of 9 bytes."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("0", "w") as entry:
        for _ in range(64):
            entry.write(bytes(MIB))
    true, said = struct.pack("<I", 64 * MIB), struct.pack("<I", 9)
    assert path.stat().st_size < MIB
    path.write_bytes(path.read_bytes().replace(true, said))
    verdict, memory = refused(path, tmp_path)
    assert "damaged" in verdict
    assert memory < 8 * MIB


def test_a_method_that_unzip_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("0", b"x")
    assert "of an unknown kind (compression method 14)" in refused(path, tmp_path)[0]


def test_a_bomb_in_bzip2_within_its_size(tmp_path: Path) -> None:
    path, folder = tmp_path / "x.zip", tmp_path / "folder"
    folder.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive, archive.open("0", "w") as entry:
        for _ in range(60):
            entry.write(bytes(MIB))
    tracemalloc.start()
    unpack(path, folder, 64 * MIB)
    assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    tracemalloc.stop()
    assert (folder / "0").stat().st_size == 60 * MIB


def test_a_directory_of_a_million_entries(tmp_path: Path) -> None:
    record = struct.pack(
        "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0
    )
    directory = (record + b"a") * 1_000_000
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 9, 9, len(directory), 0, 0)
    path = tmp_path / "x.zip"
    path.write_bytes(directory + end)
    verdict, memory = refused(path, tmp_path)
    assert "directory takes more than 4,194,304 bytes" in verdict
    assert memory < 16 * MIB


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("d/" * 400 + "x", "nests folders more than 64 deep"),
        ("x" * 256, "has no usable name"),
        ("y/" * 600, "has no usable name"),
        ("/etc/cron.d/x", "climbs out"),
        ("a/../../x", "climbs out"),
        ("c:\\x", "climbs out"),
    ],
)
def test_names(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    assert said in refused(path, tmp_path)[0]


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o060644, 0o140644])
def test_special_entries(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "x.zip"
    entry = zipfile.ZipInfo("x")
    entry.create_system, entry.external_attr = 3, mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert "is a " in refused(path, tmp_path)[0]


def test_too_many_entries(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(ArchiveLimits().entries + 1):
            archive.writestr(str(number), b"")
    assert "10001 entries; 10000 at most" in refused(path, tmp_path)[0]


@pytest.mark.parametrize("places", [[8], [8, 6]], ids=["directory", "both"])
def test_an_encrypted_entry(tmp_path: Path, places: list[int]) -> None:
    """Set the flag in the directory, or in the entry's own header too."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0", b"x")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + places[0]] |= 1
    for place in places[1:]:
        data[place] |= 1
    path.write_bytes(data)
    assert "encrypted" in refused(path, tmp_path)[0]


def test_an_entry_whose_header_says_otherwise(tmp_path: Path) -> None:
    for place, value in ((6, 1), (30, ord("z")), (0, 0)):
        path = tmp_path / f"{place}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("0", b"x")
        data = bytearray(path.read_bytes())
        data[place] = value
        path.write_bytes(data)
        (tmp_path / str(place)).mkdir()
        assert "damaged" in refused(path, tmp_path / str(place))[0]


def test_entries_that_share_their_bytes(tmp_path: Path) -> None:
    """Let two entries name the same place: each is unpacked on its own, within the total."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0", bz2.compress(b"x" * 9))
        archive.writestr("1", b"y")
    data = path.read_bytes()
    second = data.rindex(b"PK\1\2")
    place = struct.pack("<I", 0)
    path.write_bytes(data[: second + 42] + place + data[second + 46 :])
    assert "damaged" in refused(path, tmp_path)[0]


def test_deep_folders_of_a_submission(submit: Submit, judge: Judge) -> None:
    folder = submit("exit 0")
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert judge(folder).verdict == "the submission nests folders more than 64 deep"
    remove_tree(folder)


def test_many_empty_folders_of_a_submission(submit: Submit) -> None:
    folder = submit("exit 0")
    for number in range(101):
        for inner in range(100):
            (folder / str(number) / str(inner)).mkdir(parents=True)
    with pytest.raises(SubmissionError, match="more than 10,000 files"):
        open_submission(folder)


@pytest.mark.parametrize("name", ["archive.zip", "inflate.sh", "more", "lib"])
def test_what_cannot_be_read_is_a_verdict(submit: Submit, judge: Judge, name: str) -> None:
    folder = submit("exit 0")
    (folder / "more").write_text("x")
    (folder / "lib").mkdir()
    (folder / name).chmod(0)
    try:
        with permissions_bind():
            assert "cannot be read" in judge(folder).verdict
    finally:
        (folder / name).chmod(0o700)


@pytest.mark.parametrize("script", ['chmod 0 "$2"', 'chmod 0 "$2"/drive.raw', 'chmod 0 "$2"/..'])
def test_an_output_that_cannot_be_read_is_a_verdict(
    submit: Submit, judge: Judge, script: str
) -> None:
    folder = submit(f'head -c 691200 /dev/zero > "$2/drive.raw"; {script}')
    with permissions_bind():
        assert "cannot be read" in judge(folder).verdict


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('mkfifo "$2/drive.raw"', "made no drive.raw"),
        ('mkdir "$2/drive.raw"', "made no drive.raw"),
        ('ln -s /dev/zero "$2/drive.raw"', "is a link"),
        ('ln -s drive.raw "$2/drive.raw"', "is a link"),
        ('cd /; rm -r "$2"; ln -s "$2" "$2"', "is a link"),
        ('python3 -c "import socket, sys; socket.socket(1).bind(sys.argv[1])" "$2/drive.raw"',
         "made no drive.raw"),
    ],
)  # fmt: skip
def test_an_output_of_another_kind(submit: Submit, judge: Judge, script: str, said: str) -> None:
    assert said in judge(submit(script)).verdict


def test_a_script_cannot_change_the_archive_that_is_counted(submit: Submit, judge: Judge) -> None:
    folder = submit(
        'echo x > "${0%/*}/archive.zip"; rm -r "$1"; head -c 691200 /dev/zero > "$2/drive.raw"'
    )
    before = (folder / "archive.zip").read_bytes()
    result = judge(folder)
    assert result.verdict == "scored"
    assert result.total is not None
    assert result.total.compressed_bytes == len(before)
    assert (folder / "archive.zip").read_bytes() == before


def test_crc_of_every_entry_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0", b"hello")
    crc = struct.pack("<I", zlib.crc32(b"hello"))
    path.write_bytes(path.read_bytes().replace(crc, b"\0\0\0\0"))
    assert "bad content" in refused(path, tmp_path)[0]
