"""Bad input through the real command line: one clear line, exit code 2, nothing left behind."""

import errno
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from command import Ran

from seesame.bitstream.container import MAGIC, Container, Section
from seesame.bitstream.varint import pack_varint
from seesame.video.writing.writer import write_clip

Run = Callable[..., Ran]
FLIPS = 60
CUTS = 40


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def ssm(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drive as an .ssm file with two sections."""
    from seesame.cli.main import main

    path = tmp_path_factory.mktemp("ssm") / "drive.ssm"
    words = ["compress", str(drive), "-o", str(path), "--codec", "x264", "--no-score", "--quiet"]
    assert main([*words, "--set", "crf=40"]) == 0
    return path


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest, folders with nothing."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        )
        for path in sorted(folder.rglob("*"))
    }


def assert_one_line(ran: Ran) -> str:
    """The run failed as it should; returns what it said.

    Lines of progress do not count: they appear where a stage takes over two seconds, which depends
    on how busy the machine is.
    """
    assert ran.code == 2, ran
    lines = [line for line in ran.err.splitlines() if not re.match(r"[^:]+: \d+ %", line)]
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("seesame: error: "), ran.err
    assert len(lines[0]) < 400, ran.err
    assert "a bug in seesame" not in ran.err
    assert ran.out == ""
    return lines[0].removeprefix("seesame: error: ")


# Clips that are not clips. Each maker puts a file into the folder and returns its path.


def missing(folder: Path, drive: Path) -> Path:
    return folder / "nowhere.mp4"


def empty(folder: Path, drive: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def text(folder: Path, drive: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("This is a shopping list, not a video.\n" * 200)
    return path


def cut_mp4(folder: Path, drive: Path) -> Path:
    path = folder / "cut.mp4"
    path.write_bytes(drive.read_bytes()[: drive.stat().st_size // 2])
    return path


def cut_mkv(folder: Path, drive: Path) -> Path:
    whole, path = folder / "whole.mkv", folder / "cut.mkv"
    frames = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
    write_clip(whole, [frames], fps=Fraction(20), width=64, height=48, crf=30)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    return path


def audio(folder: Path, drive: Path) -> Path:
    path = folder / "audio.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def one_frame(folder: Path, drive: Path) -> Path:
    path = folder / "one.mkv"
    frames = np.full((1, 48, 64, 3), 90, dtype=np.uint8)
    write_clip(path, [frames], fps=Fraction(20), width=64, height=48, crf=30)
    return path


def empty_folder(folder: Path, drive: Path) -> Path:
    path = folder / "pictures"
    path.mkdir()
    return path


def cut_raw(folder: Path, drive: Path) -> Path:
    path = folder / "cut.raw"
    path.write_bytes(bytes(1000))
    return path


BAD_CLIPS = (
    missing,
    empty,
    text,
    cut_mp4,
    cut_mkv,
    audio,
    one_frame,
    empty_folder,
    cut_raw,
)


@pytest.mark.parametrize("make", BAD_CLIPS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("codec", ["x264", "svtav1", "copy", "hnerv"])
def test_compress_refuses_a_bad_clip(
    seesame: Run, here: Path, drive: Path, make: Callable[[Path, Path], Path], codec: str
) -> None:
    clip = make(here, drive)
    before = snapshot(here)
    said = assert_one_line(seesame("compress", clip, "-o", "out.ssm", "--codec", codec))
    assert clip.name in said
    assert snapshot(here) == before


@pytest.mark.parametrize("make", BAD_CLIPS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("first", [True, False], ids=["reference", "file"])
def test_score_refuses_a_bad_clip(
    seesame: Run, here: Path, drive: Path, make: Callable[[Path, Path], Path], first: bool
) -> None:
    clip = make(here, drive)
    before = snapshot(here)
    words = (clip, drive) if first else (drive, clip)
    assert_one_line(seesame("score", *words, "--report", "report.txt"))
    assert snapshot(here) == before


def test_demo_refuses_a_bad_clip(seesame: Run, here: Path, drive: Path) -> None:
    clip = text(here, drive)
    before = snapshot(here)
    assert_one_line(seesame("demo", "--clip", clip, "--out", "demo"))
    assert snapshot(here) == before


@pytest.mark.parametrize("codec", ["copy", "x264", "x265", "svtav1", "vp9", "hnerv"])
def test_two_by_two_pixels_are_compressed_or_refused(seesame: Run, here: Path, codec: str) -> None:
    clip = here / "tiny.mkv"
    frames = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3), dtype=np.uint8)
    write_clip(clip, [frames], fps=Fraction(20), width=2, height=2)
    before = snapshot(here)
    more = ("--set", "steps=4") if codec == "hnerv" else ()
    ran = seesame("compress", clip, "-o", "out.ssm", "--codec", codec, "--quiet", *more)
    if ran.code != 0:
        assert_one_line(ran)
        assert snapshot(here) == before
        return
    assert seesame("decompress", "out.ssm", "-o", "back.raw").code == 0
    assert (here / "back.raw").stat().st_size == frames.nbytes


# Words on the command line that cannot be obeyed.

BAD_WORDS = {
    "unknown codec": ("compress", "CLIP", "-o", "o.ssm", "--codec", "mpeg1"),
    "unknown stack": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--stack", "eagle"),
    "no such onnx": ("score", "CLIP", "CLIP", "--stack", "onnx:nowhere"),
    "no such module": ("score", "CLIP", "CLIP", "--stack", "nowhere:stack"),
    "no such attribute": ("score", "CLIP", "CLIP", "--stack", "json:nothing"),
    "not a stack": ("score", "CLIP", "CLIP", "--stack", "json:dumps"),
    "unknown setting": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--set", "speed=9"),
    "unknown hnerv setting": ("compress", "CLIP", "-o", "o.ssm", "--set", "speed=9"),
    "bad setting": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--set", "crf=soft"),
    "crf out of range": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--set", "crf=-4"),
    "huge scale": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--set", "scale=1e9"),
    "infinite scale": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--set", "scale=NaN"),
    "no value": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--set", "crf"),
    "preset of x264": ("compress", "CLIP", "-o", "o.ssm", "--codec", "x264", "--preset", "draft"),
    "bad preset": ("compress", "CLIP", "-o", "o.ssm", "--preset", "hasty"),
    "bad budget": ("compress", "CLIP", "-o", "o.ssm", "--budget", "soon"),
    "no budget": ("compress", "CLIP", "-o", "o.ssm", "--budget", "0s"),
    "no bytes": ("compress", "CLIP", "-o", "o.ssm", "--bytes", "0"),
    "bad size": ("compress", "CLIP", "-o", "o.ssm", "--size", "wide"),
    "bad fps": ("compress", "CLIP", "-o", "o.ssm", "--fps", "1/0"),
    "no output": ("compress", "CLIP"),
    "output is the clip": ("compress", "CLIP", "-o", "CLIP.ssm", "--overwrite"),
    "output exists": ("compress", "CLIP", "-o", "there.ssm", "--codec", "x264"),
    "output under a file": ("compress", "CLIP", "-o", "there.ssm/o.ssm", "--codec", "x264"),
    "output in no folder": ("compress", "CLIP", "-o", "nowhere/o.ssm", "--codec", "x264"),
    "output in /proc": ("compress", "CLIP", "-o", "/proc/o.ssm", "--codec", "x264"),
    "back exists": ("decompress", "SSM", "-o", "there.mkv"),
    "back under a file": ("decompress", "SSM", "-o", "there.mkv/o.mkv"),
    "back in no folder": ("decompress", "SSM", "-o", "nowhere/o.mkv"),
    "back in /proc": ("decompress", "SSM", "-o", "/proc/o.mkv"),
    "back of unknown kind": ("decompress", "SSM", "-o", "o.docx"),
    "crf of a folder": ("decompress", "SSM", "-o", "pictures", "--crf", "20"),
    "crf too high": ("decompress", "SSM", "-o", "o.mkv", "--crf", "99"),
    "not an .ssm": ("decompress", "CLIP", "-o", "o.mkv"),
    "info of nothing": ("info", "nowhere.ssm"),
    "info of a folder": ("info", "."),
    "info of a clip": ("info", "CLIP"),
    "no such compressed": ("score", "CLIP", "CLIP", "--compressed", "nowhere.ssm"),
    "report exists": ("score", "CLIP", "CLIP", "--report", "there.txt"),
    "report in no folder": ("score", "CLIP", "CLIP", "--report", "nowhere/r.txt"),
    "demo over a demo": ("demo", "--out", "demo"),
    "demo under a file": ("demo", "--out", "there.txt/demo"),
    "demo of no time": ("demo", "--out", "new", "--seconds", "0"),
    "fetch from nowhere": ("fetch", "comma", "--from", "nowhere", "--to", "new"),
    "fetch the unknown": ("fetch", "tesla"),
    "no such command": ("shrink", "CLIP"),
    "no such flag": ("info", "SSM", "--colour"),
}


@pytest.mark.parametrize("words", BAD_WORDS.values(), ids=BAD_WORDS.keys())
def test_bad_words_are_refused(
    seesame: Run, here: Path, drive: Path, ssm: Path, words: tuple[str, ...]
) -> None:
    for name in ("there.ssm", "there.mkv", "there.txt"):
        (here / name).write_text("mine")
    (here / "demo").mkdir()
    (here / "demo" / "demo.png").write_text("mine")
    (here / "CLIP.ssm").write_bytes(drive.read_bytes())
    other = np.zeros((12, 48, 64, 3), dtype=np.uint8)
    write_clip(here / "other.mkv", [other], fps=Fraction(20), width=64, height=48)
    places = {"CLIP": drive, "SSM": ssm, "OTHER": here / "other.mkv"}
    if "CLIP.ssm" in words:
        places["CLIP"] = here / "CLIP.ssm"
    before = snapshot(here)
    assert_one_line(seesame(*(places.get(word, word) for word in words)))
    after = snapshot(here)
    after.pop("new", None)  # fetch makes its folder first
    assert after == before


# Damaged .ssm files.


def refuse_everywhere(seesame: Run, here: Path, data: bytes, decode: bool) -> str:
    """Every command that reads an .ssm file refuses these bytes; returns what info said."""
    path = here / "bad.ssm"
    path.write_bytes(data)
    before = snapshot(here)
    said = assert_one_line(seesame("info", path))
    assert path.name in said
    if decode:
        assert assert_one_line(seesame("decompress", path, "-o", here / "o.mkv")) == said
    assert snapshot(here) == before
    return said


@pytest.fixture(params=["x264", "hnerv"])
def sound(request: pytest.FixtureRequest) -> bytes:
    """The bytes of a sound file of a classical and of the neural codec."""
    name = "ssm" if request.param == "x264" else "hnerv_file"
    path: Path = request.getfixturevalue(name)
    return path.read_bytes()


@pytest.fixture(scope="session")
def hnerv_file(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drive through a few seconds of hnerv."""
    from seesame.cli.main import main

    path = tmp_path_factory.mktemp("hnerv") / "drive.ssm"
    words = ["compress", str(drive), "-o", str(path), "--preset", "draft", "--set", "steps=6"]
    assert main([*words, "--no-score", "--quiet"]) == 0
    return path


def test_an_empty_ssm_is_refused(seesame: Run, here: Path) -> None:
    assert "empty" in refuse_everywhere(seesame, here, b"", True)


def test_an_ssm_cut_anywhere_is_refused(seesame: Run, here: Path, sound: bytes) -> None:
    cuts = {1, 3, 4, 5, len(sound) - 1, *random.Random(0).sample(range(1, len(sound)), CUTS)}
    for number, cut in enumerate(sorted(cuts)):
        refuse_everywhere(seesame, here, sound[:cut], number % 8 == 0)


def test_an_ssm_with_more_behind_it_is_refused(seesame: Run, here: Path, sound: bytes) -> None:
    refuse_everywhere(seesame, here, sound + b"\0", True)


def test_any_flipped_bit_is_refused(seesame: Run, here: Path, sound: bytes) -> None:
    chance = random.Random(1)
    start, bits = 0, []
    for _, size in Container.from_bytes(sound).layout():
        span = range(8 * start, 8 * (start + size))
        bits += chance.sample(span, min(len(span), 8))
        start += size
    assert start == len(sound)
    bits += chance.sample(range(8 * len(sound)), FLIPS)
    for number, bit in enumerate(bits):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        refuse_everywhere(seesame, here, bytes(damaged), number % 16 == 0)


def test_sections_changed_with_right_checksums_never_crash(
    seesame: Run, here: Path, sound: bytes
) -> None:
    chance = random.Random(2)
    for number in range(40):
        container = Container.from_bytes(sound)
        section = chance.choice(sorted(container.sections))
        payload = bytearray(container.sections[section])
        if number % 4 == 0:
            del payload[chance.randrange(len(payload)) :]
        else:
            payload[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
        container.sections[section] = bytes(payload)
        (here / "bad.ssm").write_bytes(container.to_bytes())
        ran = seesame("decompress", "bad.ssm", "-o", "o.raw", "--overwrite")
        assert ran.code in (0, 2), ran
        if ran.code == 2:
            assert_one_line(ran)


def test_missing_sections_are_refused(seesame: Run, here: Path, sound: bytes) -> None:
    whole = Container.from_bytes(sound)
    for section in whole.sections:
        if section in (Section.CONFIG, Section.SIDECAR):  # a file may lack these
            continue
        container = Container.from_bytes(sound)
        del container.sections[section]
        (here / "bad.ssm").write_bytes(container.to_bytes())
        assert_one_line(seesame("decompress", "bad.ssm", "-o", "o.raw"))
        assert not (here / "o.raw").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 1),
        ("height", 1),
        ("num_frames", 2**31 - 1),
        ("num_frames", 1),
        ("codec_id", 200),
        ("codec_id", 0),
    ],
)
def test_a_header_that_lies_is_refused(
    seesame: Run, here: Path, sound: bytes, field: str, value: int
) -> None:
    container = Container.from_bytes(sound)
    setattr(container, field, value)
    (here / "bad.ssm").write_bytes(container.to_bytes())
    before = snapshot(here)
    assert_one_line(seesame("decompress", "bad.ssm", "-o", "o.raw"))
    assert snapshot(here) == before


def test_a_newer_version_is_refused(seesame: Run, here: Path, sound: bytes) -> None:
    newer = bytearray(sound)
    newer[len(MAGIC)] += 1
    assert "newer" in refuse_everywhere(seesame, here, bytes(newer), True)


def test_huge_declared_sizes_are_not_allocated(seesame: Run, here: Path, sound: bytes) -> None:
    start = 0
    for name, size in Container.from_bytes(sound).layout():
        if name.endswith("overhead"):
            # Section id, then the varint of its size.
            bad = sound[: start + 1] + pack_varint(2**40) + sound[start + 2 :]
            refuse_everywhere(seesame, here, bad, True)
        start += size


# Stacks.


def test_a_stack_file_that_is_not_the_stack_is_refused(
    seesame: Run, here: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load, save

    from seesame.perception.lite import stack as lite

    whole = load(lite.files("seesame.perception.lite").joinpath(lite.WEIGHTS).read_bytes())
    name = next(iter(whole))
    damaged = {
        "missing": {key: value for key, value in whole.items() if key != name},
        "extra": {**whole, "seg.wheel": torch.zeros(3)},
        "shape": {**whole, name: torch.zeros(3, 3, 3)},
    }

    @dataclass
    class Package:
        data: bytes

        def joinpath(self, name: str) -> "Package":
            return self

        def read_bytes(self) -> bytes:
            return self.data

    for tensors in damaged.values():
        data = save(tensors)
        monkeypatch.setattr(lite, "files", lambda package, data=data: Package(data))
        assert_one_line(seesame("score", drive, drive))


# A disk that is full.


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    """A file system of 64 KiB; skipped where it cannot be mounted."""
    folder = here / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and sys.platform == "linux"
    if mounted:
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["o.mkv", "o.mp4", "o.raw", "o"])
def test_decompress_onto_a_full_disk(seesame: Run, small_disk: Path, ssm: Path, name: str) -> None:
    said = assert_one_line(seesame("decompress", ssm, "-o", small_disk / name))
    assert "space" in said
    assert snapshot(small_disk) == {}


def test_compress_onto_a_full_disk(seesame: Run, small_disk: Path, drive: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(62 << 10))
    before = snapshot(small_disk)
    words = ("compress", drive, "-o", small_disk / "o.ssm", "--codec", "copy")
    assert "space" in assert_one_line(seesame(*words))
    assert snapshot(small_disk) == before


def test_render_onto_a_full_disk(seesame: Run, small_disk: Path) -> None:
    words = ("demo", "--seconds", "1", "--size", "320x240", "--out", small_disk / "demo", "-q")
    assert "space" in assert_one_line(seesame(*words))
    assert snapshot(small_disk) == {}


def test_a_disk_that_fills_at_the_last_moment(
    seesame: Run, here: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("seesame.bitstream.container.os.fsync", full)
    said = assert_one_line(seesame("compress", drive, "-o", "o.ssm", "--codec", "x264", "--quiet"))
    assert "o.ssm" in said
    assert "space" in said
    assert snapshot(here) == {}


# The same through a process of its own, where stdout and stderr are real.


def process(*words: object, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seesame.cli", *map(str, words)]
    return subprocess.run(command, text=True, check=False, timeout=120, **more)  # type: ignore[call-overload,no-any-return]


def test_a_process_exits_with_two(here: Path) -> None:
    ran = process("info", "nowhere.ssm", capture_output=True)
    assert_one_line(Ran(ran.returncode, ran.stdout, ran.stderr))


def test_a_damaged_clip_in_a_process(here: Path, drive: Path) -> None:
    clip = cut_mp4(here, drive)
    ran = process("compress", clip, "-o", "o.ssm", "--codec", "svtav1", capture_output=True)
    assert_one_line(Ran(ran.returncode, ran.stdout, ran.stderr))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_is_one_line(here: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = process("codecs", stdout=full, stderr=subprocess.PIPE)
    assert_one_line(Ran(ran.returncode, "", ran.stderr))


def test_ctrl_c_leaves_nothing(here: Path) -> None:
    command = [sys.executable, "-m", "seesame.cli", "demo", "--seconds", "60", "--out", "demo"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert "render" in running.stderr.readline()  # the first line of progress
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
    assert running.returncode == 130
    assert said.splitlines()[-1] == "seesame: error: interrupted"
    assert snapshot(here) == {}


def test_a_reader_that_went_away_is_no_error(here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = process("codecs", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")
