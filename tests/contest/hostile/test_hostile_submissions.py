"""Hostile submissions: each ends in a verdict line, with no process and no file left behind."""

import shlex
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from trial import BOTH, MIB, QUICK, Judge, Submit, need_isolation

import seesame
from seesame.contest.evaluate import Result
from seesame.contest.isolation.limits import Limits
from seesame.contest.isolation.sandbox import Workspace, run_inflate

RAW_BYTES = 12 * 160 * 120 * 3


def verdict(result: Result) -> str:
    assert result.total is None
    assert result.verdict != "scored"
    return result.verdict


def never_ran(result: Result) -> str:
    assert result.outcome is None
    return verdict(result)


# Archives


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "a\\..\\evil", "C:evil", "x/\0../evil"]
)
def test_zip_slip(submit: Submit, judge: Judge, name: str, tmp_path: Path) -> None:
    folder = submit("exit 0")
    # The name goes in after zipfile wrote its own, which it would have tidied.
    held = name.encode()
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("Z" * len(held), b"evil")
    data = (folder / "archive.zip").read_bytes().replace(b"Z" * len(held), held)
    (folder / "archive.zip").write_bytes(data)
    assert "climbs out of its folder" in never_ran(judge(folder))
    assert not Path("/evil").exists()
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(("mode", "what"), [(0o120777, "link"), (0o010644, "special file")])
def test_links_and_special_files(submit: Submit, judge: Judge, mode: int, what: str) -> None:
    folder = submit("exit 0")
    entry = zipfile.ZipInfo("innocent")
    entry.create_system = 3
    entry.external_attr = mode << 16
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert f"is a {what}" in never_ran(judge(folder))


@pytest.mark.parametrize(
    "end", ["../videos/drive.mp4", "/etc/passwd", "..", "lib/../../videos", "data", "/"]
)
def test_a_link_out_of_the_submission(submit: Submit, judge: Judge, end: str) -> None:
    folder = submit("exit 0")
    (folder / "lib").mkdir()
    (folder / "data").symlink_to(end)
    assert "holds a link out of its folder: 'data'" in never_ran(judge(folder))


def test_links_inside_the_submission(submit: Submit, judge: Judge) -> None:
    folder = submit(
        'cd "$(dirname "$0")" && test -L tools/lib && test -L copy.txt\n'
        "cat tools/lib/a.txt copy.txt nowhere; exit 3"
    )
    (folder / "lib").mkdir()
    (folder / "lib" / "a.txt").write_text("hello ")
    (folder / "tools").mkdir()
    (folder / "tools" / "lib").symlink_to("../lib")
    (folder / "copy.txt").symlink_to(folder / "lib" / "a.txt")
    (folder / "nowhere").symlink_to("lib/absent")
    result = judge(folder)
    assert "exit code 3" in verdict(result)
    assert result.outcome is not None
    assert "hello hello" in result.outcome.log


def overlapping_bomb() -> bytes:
    """42 KB that expand to 4 GB: many entries share one compressed block of zeros.

    After David Fifield, "A better zip bomb", USENIX WOOT 2019, without its quoting.
    """
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = 17 * MIB
    zeros = squeeze.compress(bytes(block)) + squeeze.flush()
    crc = zlib.crc32(bytes(block))
    count = 250
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 33, crc, len(zeros), block, 1, 0)
    body = local + b"a" + zeros
    central = b"".join(
        struct.pack(
            "<IHHHHHHIIIHHHHHII",
            *(0x02014B50, 20, 20, 0, 8, 0, 33, crc, len(zeros), block, 3, 0, 0, 0, 0, 0, 0),
        )
        + b"%03d" % index
        for index in range(count)
    )
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(central), len(body), 0)
    return body + central + end


def test_a_bomb(submit: Submit, judge: Judge) -> None:
    folder = submit("exit 0")
    bomb = overlapping_bomb()
    assert len(bomb) < 43_000
    (folder / "archive.zip").write_bytes(bomb)
    start = time.monotonic()
    said = never_ran(judge(folder))
    assert "expands to 4,456,448,000 bytes" in said
    assert "nothing was unpacked" in said
    assert time.monotonic() - start < 5


def test_an_entry_that_is_larger_than_it_says(submit: Submit, judge: Judge) -> None:
    folder = submit("exit 0", {"0": bytes(MIB)})
    path = folder / "archive.zip"
    path.write_bytes(
        path.read_bytes().replace(struct.pack("<II", MIB, MIB), struct.pack("<II", MIB, 9))
    )
    assert "damaged" in never_ran(judge(folder))


@pytest.mark.parametrize("cut", [0, 1, 30, 60, -1, -22])
def test_a_cut_archive(submit: Submit, judge: Judge, cut: int) -> None:
    folder = submit("exit 0", {"0": b"payload"})
    path = folder / "archive.zip"
    path.write_bytes(path.read_bytes()[:cut])
    assert "damaged" in never_ran(judge(folder))


def test_the_same_name_twice(submit: Submit, judge: Judge) -> None:
    folder = submit("exit 0", {"a": b"1", "b": b"2"})
    path = folder / "archive.zip"
    path.write_bytes(path.read_bytes().replace(b"b", b"a"))
    assert "same name" in never_ran(judge(folder))


def test_a_file_that_is_also_a_folder(submit: Submit, judge: Judge) -> None:
    for names in (["a", "a/b"], ["a/b", "a"], ["a", "a/"], ["a/", "a"]):
        folder = submit("exit 0", dict.fromkeys(names, b""), name=f"entry{names}".replace("/", "_"))
        assert "a file and a folder" in never_ran(judge(folder))


@pytest.mark.parametrize("name", ["archive.zip", "inflate.sh"])
def test_a_missing_part(submit: Submit, judge: Judge, name: str) -> None:
    folder = submit("exit 0")
    (folder / name).unlink()
    assert f"no file {name}" in never_ran(judge(folder))


# Scripts


@BOTH
def test_endless(submit: Submit, judge: Judge, isolate: bool) -> None:
    start = time.monotonic()
    folder = submit("trap '' TERM INT HUP\nsleep 1000 &\nwhile true; do sleep 0.1; done")
    assert "ran past 1.5 s" in verdict(judge(folder, replace(QUICK, seconds=1.5), isolate))
    assert time.monotonic() - start < 15


@BOTH
@pytest.mark.parametrize(
    "storm",
    ["f() { f | f & }; f; sleep 60", "for i in {1..200}; do setsid sleep 300 & done; sleep 60"],
    ids=["doubling", "sessions"],
)
def test_fork_storm(submit: Submit, judge: Judge, storm: str, isolate: bool) -> None:
    assert "more than 32 processes" in verdict(judge(submit(storm), QUICK, isolate))


@BOTH
def test_processes_that_outlive_their_script(submit: Submit, judge: Judge, isolate: bool) -> None:
    folder = submit("(setsid sleep 4321 &) ; (nohup setsid sleep 4321 >/dev/null 2>&1 &); exit 3")
    assert "exit code 3" in verdict(judge(folder, QUICK, isolate))
    alive = [p for p in psutil.process_iter(["cmdline"]) if "4321" in (p.info["cmdline"] or [])]
    assert alive == []


@BOTH
def test_much_output(submit: Submit, judge: Judge, isolate: bool) -> None:
    folder = submit('head -c 20G /dev/zero > "$2/drive.raw"')
    assert "wrote more than 67,108,864 bytes" in verdict(judge(folder, QUICK, isolate))


@pytest.mark.parametrize("place", ['"$2/$i"', "/tmp/$i"], ids=["many-files", "elsewhere"])
def test_much_output_in_many_files(submit: Submit, judge: Judge, place: str) -> None:
    folder = submit(f"for i in {{1..2000}}; do head -c 10M /dev/zero > {place}; done")
    assert "wrote more than 67,108,864 bytes" in verdict(judge(folder))


def test_a_hole_of_20_gb(submit: Submit, judge: Judge) -> None:
    assert verdict(judge(submit('truncate -s 20G "$2/drive.raw"')))


def test_much_memory(submit: Submit, judge: Judge) -> None:
    folder = submit(
        'python3 -c \'import time; x = b"1" * (1 << 29); y = b"1" * (1 << 29); time.sleep(60)\''
    )
    assert "more than 0.5 GiB of memory" in verdict(judge(folder, replace(QUICK, memory=1 << 29)))


def test_megabytes_of_print(submit: Submit, judge: Judge) -> None:
    result = judge(submit("head -c 50M /dev/zero | tr '\\0' 'y'; echo; echo the end; exit 4"))
    assert verdict(result).endswith("exit code 4: the end")
    assert result.outcome is not None
    assert len(result.outcome.log) < 100_000
    assert "bytes left out" in result.outcome.log


def test_control_characters_are_shown_as_text(submit: Submit, judge: Judge) -> None:
    said = verdict(judge(submit("printf '\\033[31mred\\a\\n'; exit 1")))
    assert said.isprintable()


def test_exit_code(submit: Submit, judge: Judge) -> None:
    assert verdict(judge(submit("echo sorry >&2; exit 7"))).endswith("exit code 7: sorry")


def test_missing_file(submit: Submit, judge: Judge) -> None:
    assert verdict(judge(submit("exit 0"))) == "inflate.sh made no drive.raw"


@pytest.mark.parametrize("more", [-1, 1, -RAW_BYTES])
def test_wrong_size(submit: Submit, judge: Judge, more: int) -> None:
    said = verdict(judge(submit(f'head -c {RAW_BYTES + more} /dev/zero > "$2/drive.raw"')))
    assert f"has {RAW_BYTES + more:,} bytes, not {RAW_BYTES:,}" in said


def test_a_link_for_a_file(submit: Submit, judge: Judge, videos: Path) -> None:
    folder = submit(f'ln -s {shlex.quote(str(videos / "drive.mp4"))} "$2/drive.raw"')
    assert verdict(judge(folder)) == "drive.raw is a link, not a file"


def test_a_folder_for_a_file(submit: Submit, judge: Judge) -> None:
    assert verdict(judge(submit('mkdir "$2/drive.raw"'))) == "inflate.sh made no drive.raw"


def test_the_out_folder_swapped_for_a_link(submit: Submit, judge: Judge, videos: Path) -> None:
    folder = submit(f'rmdir "$2"; ln -s {shlex.quote(str(videos))} "$2"')
    assert "is a link" in verdict(judge(folder))
    assert list(videos.iterdir()) == [videos / "drive.mp4"]


def test_a_parent_folder_swapped_for_a_link(submit: Submit, judge: Judge, videos: Path) -> None:
    (videos / "inflated").mkdir()
    (videos / "inflated" / "drive.raw").write_bytes(bytes(RAW_BYTES))
    place = shlex.quote(str(videos))
    folder = submit(f'cd /; HERE="$(dirname "$2")"; mv "$HERE" "$HERE.old"; ln -s {place} "$HERE"')
    assert "is a link" in verdict(judge(folder, isolate=False))


# Isolation


def test_the_source_video_is_out_of_sight(submit: Submit, judge: Judge, videos: Path) -> None:
    place = shlex.quote(str(videos))
    folder = submit(
        f"cp {place}/drive.mp4 /tmp/found 2>/dev/null && exit 9\n"
        "find / \\( -path /usr -o -path /proc -o -name site-packages \\) -prune "
        "-o -name drive.mp4 -print 2>/dev/null | grep . && exit 9\n"
        "for root in /proc/[0-9]*/root /proc/[0-9]*/cwd; do\n"
        f"  cat $root{place}/drive.mp4 >/dev/null 2>&1 && exit 9\n"
        "done\n"
        "umount -a 2>/dev/null\n"
        f"unshare -Urm cat {place}/drive.mp4 2>/dev/null && exit 9\n"
        "echo nowhere; exit 3"
    )
    assert verdict(judge(folder)).endswith("exit code 3: nowhere")


def test_hidden_folders_below_a_visible_one_are_empty(tmp_path: Path) -> None:
    need_isolation()
    package = Path(seesame.__file__).parent
    logs = []
    for number, hidden in enumerate([(), (package / "video",)]):
        workspace = Workspace(tmp_path / str(number), "entry")
        for folder in (workspace.scripts, workspace.tmp):
            folder.mkdir(parents=True)
        workspace.script.write_text(f"ls {shlex.quote(str(package / 'video'))}")
        logs.append(run_inflate(workspace, Limits(), hidden=hidden).log)
    assert "colour.py" in logs[0]
    assert logs[1] == ""


def test_no_file_gets_out(submit: Submit, judge: Judge, tmp_path: Path) -> None:
    outside = [tmp_path / "mark", Path("/tmp/seesame-mark"), Path("/usr/seesame-mark")]
    tries = "\n".join(f'echo x > "{path}"' for path in [*outside, "$HOME/mark", "$0"])
    folder = submit(f"{tries}\nexit 3")
    script = (folder / "inflate.sh").read_text()
    assert "exit code 3" in verdict(judge(folder))
    assert not any(path.exists() for path in outside)
    assert not (Path.home() / "mark").exists()
    assert (folder / "inflate.sh").read_text() == script
    assert {path.name for path in folder.iterdir()} == {"inflate.sh", "archive.zip"}


@pytest.fixture
def listener() -> Iterator[tuple[int, list[int]]]:
    """A server on this machine: its port, and a list that grows by every caller."""
    callers: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                callers.append(address[1])
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], callers
        done.set()
        thread.join()


@BOTH
def test_the_network(
    submit: Submit, judge: Judge, listener: tuple[int, list[int]], isolate: bool
) -> None:
    port, callers = listener
    folder = submit(f"exec 3<>/dev/tcp/127.0.0.1/{port} && exit 5\nexit 6")
    assert f"exit code {6 if isolate else 5}" in verdict(judge(folder, QUICK, isolate))
    time.sleep(0.2)
    assert bool(callers) is not isolate


def test_the_environment_is_scrubbed(
    submit: Submit, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "hush")
    result = judge(submit("env; exit 1"))
    assert result.outcome is not None
    assert "hush" not in result.outcome.log
    assert "HOME=/tmp" in result.outcome.log


def test_secrets_of_the_system_are_out_of_sight(submit: Submit, judge: Judge) -> None:
    folder = submit("cat /etc/shadow /etc/hostname /root/.bashrc 2>/dev/null | grep . || exit 3")
    assert verdict(judge(folder)).endswith("exit code 3")
