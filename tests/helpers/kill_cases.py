"""Kill commands at random moments, and check what is then on the disk and still running.

Every command that writes is a :class:`Case`. A chain of kills of one command happens in one
:class:`Place`; then the command runs to its end, and nothing of the killed runs may be left.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open

from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
from seesame.decoders import open_clip
from seesame.scene import SceneClip, SceneConfig
from seesame.video.writing.writer import write_clip

HELPERS = Path(__file__).resolve().parent
HOME = HELPERS.parent / "golden" / "semantic"
"""Has the renderer of the tests' small stack."""
STACK = "small_semantic:SmallStack"
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
STOPPED = 130
"""Exit code after Ctrl-C."""
PATIENCE = 90.0
"""Seconds in which a command ends after Ctrl-C, and its processes after a kill."""
OLD = b"what the user had\n"


@dataclass(frozen=True)
class Case:
    """One command that writes.

    Args:
        name: of the case.
        words: of the command line; ``{out}`` is the folder of its output and ``{in}`` that of what
            it reads.
        target: what it writes, in ``{out}``.
        whole: the target is put in place as one; else each of its files is.
        program: what runs the words; None for ``seesame``.
    """

    name: str
    words: tuple[str, ...]
    target: str
    whole: bool = True
    program: tuple[str, ...] = ()

    def line(self, inputs: Path, out: Path) -> list[str]:
        """Return the command line."""
        places = {"in": str(inputs), "out": str(out)}
        program = self.program or (sys.executable, "-m", "seesame.cli")
        return [*program, *(word.format(**places) for word in self.words)]


_CLIP, _MADE = "{in}/drive.mp4", ("--overwrite", "-q")
_JUDGED = ("--stack", STACK, *_MADE)


def _compress(name: str, target: str, *words: str) -> Case:
    return Case(name, ("compress", _CLIP, "-o", f"{{out}}/{target}", *words, *_JUDGED), target)


def _evaluate(name: str, entry: str, *words: str) -> Case:
    read = (f"{{in}}/{entry}", "--videos", "{in}/videos", "--names", "{in}/names.txt")
    line = ("contest", "evaluate", *read, "-o", "{out}", *words, *_JUDGED)
    return Case(name, line, ".", whole=False)


def _made_of(name: str, command: str, source: str, target: str, *words: str) -> Case:
    return Case(name, (*command.split(), source, "-o", f"{{out}}/{target}", *words), target)


_SEARCH = ("--codec", "x264", "--grid", "crf=24:39:3", "--jobs", "2", *_JUDGED)
_BATCH = ("--codec", "x264", "--set", "crf=30", "--jobs", "2", "--stack", STACK, "-q")
_TRAIN = ("renderer", "train", "--budget", "2s", "--synthetic", "0", "--drives", "{in}/drives")
_TRAIN += ("--test", _CLIP, "-o", "{out}/own.renderer", *_JUDGED)
_DEMO = ("demo", "--out", "{out}/demo", "--seconds", "0.3", "--size", "96x64", "--budget", "10s")
CASES = (
    _compress("compress to mp4", "d.mp4", "--max-seg", "0.1"),
    _compress("compress x264", "d.ssm", "--codec", "x264"),
    _compress("compress hnerv", "d.ssm", "--codec", "hnerv", "--set", "steps=60"),
    _compress("compress semantic", "d.ssm", "--codec", "semantic"),
    _made_of("decompress to mkv", "decompress", "{in}/x.ssm", "d.mkv", *_MADE),
    _made_of("decompress to pictures", "decompress", "{in}/x.ssm", "album", *_MADE),
    Case("report", ("report", _CLIP, "{in}/x.ssm", "-o", "{out}/r.html", *_JUDGED), "r.html"),
    Case("report as a folder", ("report", _CLIP, "{in}/x.ssm", "-o", "{out}/r", *_JUDGED), "r"),
    _made_of("search", "search", _CLIP, "found", *_SEARCH),
    Case("batch", ("batch", "{in}/drives", "-o", "{out}/fleet", *_BATCH), "fleet", whole=False),
    _evaluate("contest evaluate", "entry"),
    _evaluate("contest evaluate, limits only", "entry", "--no-isolation"),
    _evaluate("contest evaluate, a script that waits", "slow", "--no-isolation"),
    _made_of("contest pack", "contest pack", "{in}/x.ssm", "entry", *_MADE),
    Case(
        "inflate.sh",
        ("{in}/entry/inflate.sh", "{in}/unpacked", "{out}", "{in}/names.txt"),
        "drive.raw",
        program=("bash",),
    ),
    _made_of("labels", "labels", "{in}/semantic.ssm", "masks", "--overwrite"),
    Case("renderer train", _TRAIN, "own.renderer"),
    Case("demo", (*_DEMO, *_JUDGED), "demo", whole=False),
    Case("score", ("score", _CLIP, "{in}/x.ssm", "--report", "{out}/s.txt", *_JUDGED), "s.txt"),
)


def make_inputs(folder: Path, semantic: bool = True) -> Path:
    """Make what the commands read; return the folder.

    Args:
        folder: of it.
        semantic: make what ``labels`` reads as well.
    """
    # A shell lets what it starts in the background ignore Ctrl-C, and commands would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / "drive.mp4"
    scene = SceneClip(SceneConfig(width=128, height=96, seed=3), 12)
    write_clip(clip, scene.batches(4), fps=scene.fps, width=128, height=96, crf=18)
    for name in ("drives/monday/one.mp4", "drives/two.mp4", "videos/drive.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, folder / name)
    (folder / "names.txt").write_text("drive.mp4\n")
    place = Place.made(folder / "making", folder)
    for codec, name in (("x264", "x"), ("semantic", "semantic"))[: 1 + semantic]:
        words = ("compress", _CLIP, "-o", f"{{in}}/{name}.ssm", "--codec", codec)
        place.finish(Case("make", (*words, "--no-score", *_JUDGED), "."))
    place.finish(Case("make", ("contest", "pack", "{in}/x.ssm", "-o", "{in}/entry", "-q"), "."))
    with zipfile.ZipFile(folder / "entry" / "archive.zip") as archive:
        archive.extractall(folder / "unpacked")
    shutil.copytree(folder / "entry", folder / "slow")
    script = (folder / "slow" / "inflate.sh").read_text(encoding="utf-8")
    waits = "sleep 1; setsid sleep 300 & sleep 300 & sleep 1\n"
    (folder / "slow" / "inflate.sh").write_text(script.replace("\n", f"\n{waits}", 1))
    shutil.rmtree(place.folder)
    return folder


@dataclass
class Place:
    """The folders of one chain of kills, with temporary files and caches of its own.

    Args:
        folder: of all of it.
        inputs: what the commands read.
        environment: of the commands.
    """

    folder: Path
    inputs: Path
    environment: dict[str, str]

    @classmethod
    def made(cls, folder: Path, inputs: Path) -> "Place":
        """Make the folders, with things of the user in that of the outputs."""
        for name in ("out", "tmp"):
            (folder / name).mkdir(parents=True)
        (folder / "out" / "notes.txt").write_bytes(OLD)
        (folder / "out" / ".seesame-notes").write_bytes(OLD)
        path = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
        own = {"TMPDIR": "tmp", "SEESAME_CACHE": "cache", "SEESAME_SEARCH": "search.sqlite"}
        environment = os.environ | {name: str(folder / value) for name, value in own.items()}
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        more = {
            "PATH": programs,
            "PYTHONPATH": path,
            "OMP_NUM_THREADS": "1",
            "SEESAME_HOME": str(HOME),
        }
        return cls(folder, inputs, environment | more)

    @property
    def out(self) -> Path:
        """The folder of the outputs."""
        return self.folder / "out"

    def start(self, case: Case) -> "subprocess.Popen[bytes]":
        """Start a command."""
        with (self.folder / "said.txt").open("wb") as said:
            return subprocess.Popen(
                case.line(self.inputs, self.out),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def finish(self, case: Case) -> float:
        """Run a command to its end; return the seconds that it takes.

        Raises:
            RuntimeError: it failed.
        """
        start = time.monotonic()
        process = self.start(case)
        if process.wait(300):
            raise RuntimeError(f"{case.name} ended with {process.returncode}: {self.said()}")
        return time.monotonic() - start

    def said(self) -> str:
        """Return the end of what the last command printed."""
        return (self.folder / "said.txt").read_text(errors="replace").strip()[-400:]

    def processes(self) -> dict[int, str]:
        """Return the processes that work here, by number: their command lines."""
        found, mark = {}, os.fsencode(self.folder)
        for place in Path("/proc").glob("[0-9]*"):
            try:
                line = (place / "cmdline").read_bytes()
                known = mark in line or mark in (place / "environ").read_bytes()
            except OSError:
                continue
            if known and int(place.name) != os.getpid() and line:
                found[int(place.name)] = line.replace(b"\0", b" ").decode(errors="replace")[:150]
        return found

    def temporary(self) -> list[str]:
        """Return the temporary files of seesame that are here, relative to the folder."""
        found = [*self.folder.rglob(".seesame-*"), *self.folder.rglob("seesame-*")]
        names = {path.relative_to(self.folder).as_posix() for path in found}
        return sorted(names - {"out/.seesame-notes"})


@dataclass
class Chain:
    """The record of some kills of one command.

    Args:
        case: name of the command.
        kills: signal, seconds after the start, exit code, and how many temporary files were left.
        faults: what was wrong; empty when nothing was.
        last_s: seconds that the last run took, to its end.
    """

    case: str
    kills: list[tuple[str, float, int, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    last_s: float = 0.0


def kill_chain(
    case: Case,
    place: Place,
    signals: Sequence[signal.Signals],
    longest: float,
    source: random.Random,
) -> Chain:
    """Start a command and kill it, once for each signal, and then run it to its end.

    A third of the kills come at a moment in the whole time that the command takes, the others just
    after it has made a temporary file.

    Args:
        case: the command.
        place: where, new.
        signals: of the kills.
        longest: seconds that the command takes without a kill.
        source: of the moments.
    """
    chain = Chain(case.name)
    inputs = digests(place.inputs)
    if case.whole and Path(case.target).suffix and source.random() < 0.5:
        (place.out / case.target).write_bytes(OLD)
    for number in signals:
        soon, before = source.random() < 2 / 3, set(place.temporary())
        process, start = place.start(case), time.monotonic()
        if soon:
            while set(place.temporary()) <= before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(source.random() ** 2 * 0.5)
        else:
            time.sleep(source.uniform(0.2, 1.05) * longest)
        moment = time.monotonic() - start
        running = process.poll() is None
        process.send_signal(number)
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            chain.faults.append(f"{number.name} at {moment:.2f} s: did not end")
            process.kill()
            code = process.wait()
        chain.faults += [f"{number.name} at {moment:.2f} s: {f}" for f in faults_after(case, place)]
        left = place.temporary()
        if running:
            chain.kills.append((number.name, round(moment, 2), code, len(left)))
            # Before the command has begun, Python itself ends by the signal.
            if code not in (0, STOPPED, -number):
                chain.faults.append(f"{number.name} ended with {code}: {place.said()}")
    chain.last_s = place.finish(case)
    chain.faults += [f"at the end: {f}" for f in faults_after(case, place)]
    chain.faults += [f"at the end: {name} remains" for name in place.temporary()]
    chain.faults += [f"at the end: {path.name} remains" for path in place.out.glob("*.work")]
    if case.target != "." and not (place.out / case.target).exists():
        chain.faults.append(f"at the end: there is no {case.target}")
    for path in (place.out / "notes.txt", place.out / ".seesame-notes"):
        if not path.exists() or path.read_bytes() != OLD:
            chain.faults.append(f"at the end: {path.name} is lost")
    if digests(place.inputs) != inputs:
        chain.faults.append("at the end: an input is changed")
    return chain


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file in a folder by its name, without compiled Python."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def faults_after(case: Case, place: Place) -> Iterator[str]:
    """Yield what is wrong after a kill: processes that live on, and files that are not whole."""
    end = time.monotonic() + 10.0
    while (living := place.processes()) and time.monotonic() < end:
        time.sleep(0.05)
    yield from (f"lives on: {line}" for line in living.values())
    target = place.out / case.target
    for path in [target, *sorted(target.rglob("*"))] if target.is_dir() else [target]:
        inside = path.relative_to(place.out).parts
        hidden = any(part.startswith(".seesame") or part.endswith(".work") for part in inside)
        if path.is_file() and not hidden and path.read_bytes() != OLD:
            try:
                check_whole(path)
            except Exception as error:
                yield f"{path.relative_to(place.out)} is not whole: {error}"


def check_whole(path: Path) -> None:
    """Read a file to its end; raise what its reader says of one that is not whole."""
    if not path.stat().st_size:
        raise ValueError("it is empty")
    match path.suffix:
        case ".ssm":
            container = Container.read(path)
            clip = codec_by_id(container.codec_id).decode(container)
            if sum(len(batch) for batch in clip.batches(16)) != container.num_frames:
                raise ValueError("a frame is missing")
        case ".mp4" | ".mkv":
            if sum(len(batch) for batch in open_clip(path).batches(16)) < 3:
                raise ValueError("a frame is missing")
        case ".png":
            Image.open(path).load()
        case ".raw":
            if path.stat().st_size != 12 * 128 * 96 * 3:
                raise ValueError("a frame is missing")
        case ".html":
            if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
                raise ValueError("its end is missing")
        case ".json":
            for line in (
                [path.read_text(encoding="utf-8")]
                if "{\n" in path.read_text()
                else path.read_text().splitlines()
            ):
                json.loads(line)
        case ".jsonl":
            for line in path.read_text(encoding="utf-8").splitlines():
                json.loads(line)
        case ".zip":
            with zipfile.ZipFile(path) as archive:
                archive.testzip()
        case ".npz":
            [np.load(path)[name] for name in np.load(path)]
        case ".sqlite":
            base = sqlite3.connect(path)
            base.execute("pragma integrity_check")
            base.close()
        case ".safetensors":
            with safe_open(path, "pt"):
                pass
        case ".txt" | ".csv" | ".js" | ".py" | ".sh":
            path.read_text(encoding="utf-8")
