"""The readers of text files: stacks, run logs, the states of a fleet, manifests and reports."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import leaderboard_reports
import logs

from fuzzing.damage import damaged, damaged_json, json_bytes, number
from seesame.contest.entries import read_entries
from seesame.contest.leaderboard import boards, render_page
from seesame.errors import DamagedError
from seesame.fleet.page.build import write_fleet_page
from seesame.fleet.sources.manifest import read_manifest
from seesame.fleet.target.catalogue import totals, write_catalogue
from seesame.fleet.target.history import read_events, throughput
from seesame.fleet.target.state import State, StateFolder
from seesame.perception.onnx.config import read_config
from seesame.report.run import parse_run
from seesame.report.run_page import run_values, write_run_page

if TYPE_CHECKING:
    from fuzzing.corpus import Corpus

Files = dict[str, bytes]

_STACK = """name = "twinlitenet"

[segment]
file = "net.onnx"
input = "pixels"
size = [360, 640]
scale = 255.0
mean = [0.485, 0.456, 0.406]
std = 0.25
classes = ["background", "drivable", "lane"]
layers = [
    { output = "da", classes = ["drivable"], threshold = 0.5 },
    { output = "ll", classes = ["lane"] },
]

[pose]
file = "pose.onnx"
planes = "yuv6"
judged = 2
value_std = [1.0, 2.0]
"""
_TOML_VALUES = (
    *(
        "1",
        "-1",
        "0",
        "1e400",
        "nan",
        "-inf",
        "true",
        '""',
        "'a'",
        "[]",
        "{}",
        "[[]]",
        "1979-05-27",
    ),
    *("07:32:00", '"\\u0000"', '"../x"', '"\\U0010FFFF"', "[1, 'a']", "{ a = 1 }", "9" * 5000),
    *("0x" + "f" * 9000, "1" + "0" * 400, '"""', "[" * 3000, "{a=" * 3000, "a." * 3000 + "b"),
)


def _toml(random: Random, _: "Corpus") -> Files:
    lines = _STACK.splitlines()
    for _step in range(random.choice((1, 1, 2, 3))):
        place = random.randrange(len(lines))
        key, equals, _value = lines[place].partition("=")
        kind = random.randrange(5)
        if kind == 0:
            lines.insert(place, random.choice(lines))
        elif kind == 1:
            del lines[place]
        elif equals and kind < 4:
            lines[place] = f"{key}= {random.choice((*_TOML_VALUES, str(number(random))))}"
    data = "\n".join(lines).encode()
    return {"stack.toml": damaged(random, data) if not random.randrange(3) else data}


def _read_toml(folder: Path, _: Random) -> None:
    read_config(folder)


@cache
def _runs() -> tuple[list[dict[str, Any]], ...]:
    return logs.run(), logs.run(to=0.9, ended=False), logs.run(40.0) * 2


def _run_log(random: Random, _: "Corpus") -> Files:
    lines = random.choice(_runs())
    lines = random.sample(lines, k=min(len(lines), random.choice((3, 20, 20, 20, 400))))
    lines = [logs.begin(), *lines] if random.randrange(8) else lines
    some = [
        json_bytes(random, damaged_json(random, line))
        if not random.randrange(4)
        else json.dumps(line).encode()
        for line in lines
    ]
    data = random.choice((b"\n", b"\n", b"\r\n", b"")).join(some)
    return {"run.jsonl": damaged(random, data) if not random.randrange(4) else data}


def _read_run_log(folder: Path, random: Random) -> None:
    run = parse_run((folder / "run.jsonl").read_bytes(), "run.jsonl")
    run_values(run, "run", 1.8e9)
    if not random.randrange(4):
        write_run_page(folder / "page.html", run, "run", 1.8e9, live=bool(random.randrange(2)))


def _state(random: Random) -> dict[str, Any]:
    state = State(
        uri="cam0/drive.mp4",
        out="cam0/drive.ssm",
        status=random.choice(("done", "missed", "failed")),
        recipe="ab" * 32,
        content="cd" * 32,
        stamp="1700000000",
        source_bytes=10_000,
        bytes=500,
        codec="svtav1",
        settings={"crf": 40},
        limits={"max_seg": 0.01},
        used={"crf": 41},
        stack="tiny",
        fingerprint="ab" * 32,
        on_miss="keep",
        group="a",
        width=64,
        height=48,
        frames=8,
        fps=25.0,
        seg=0.01,
        pose=0.1,
        score=2.0,
        frames_seg=0.01,
        worst_pair=1,
        worst_pair_seg=0.02,
        worst_pair_pose=0.2,
        missed="",
        seconds=1.5,
        encode_s=1.0,
        judge_s=0.5,
        attempts=1,
        machine="one",
        time="2026-11-25T10:00:00.000+00:00",
        error="cam0/drive.mp4: bad 12",
        notes=("a",),
    )
    return {"format": 1, **state.plain()}


def _fleet(random: Random, _: "Corpus") -> Files:
    files = {}
    for place in range(random.choice((1, 1, 3))):
        state = damaged_json(random, _state(random), 3) if random.randrange(5) else _state(random)
        files[f".seesame/clips/{place:032x}.json"] = json_bytes(random, state)
    events = [
        {
            "time": f"2026-11-25T10:00:0{t}.000+00:00",
            "run": "r",
            "event": event,
            "out": "cam0/drive.ssm",
        }
        for t, event in enumerate(("start", "clip", "clip", "end"))
    ]
    lines = [
        json_bytes(random, damaged_json(random, one) if random.randrange(2) else one)
        for one in events
    ]
    files["events.jsonl"] = b"\n".join(lines)
    return files


def _read_fleet(folder: Path, random: Random) -> None:
    """Do what ``batch --status``, the catalogue and the page of a fleet do with the states."""
    found = StateFolder(str(folder))
    write_catalogue(str(folder), found)
    states = list(found.all())
    totals(states)
    work = throughput(read_events(str(folder)), states)
    if not random.randrange(8) and states:
        write_fleet_page(folder / "page.html", folder / "page.html", str(folder), states, work, [])
    if not states:
        raise DamagedError("no state can be read")


def _manifest(random: Random, _: "Corpus") -> Files:
    rows = [
        {"uri": f"cam/{n}.mp4", "out": f"{n}.ssm", "crf": 30 + n, "max_seg": 0.1, "_own": "x"}
        for n in range(4)
    ]
    if random.randrange(2):
        some = [damaged_json(random, one) if random.randrange(2) else one for one in rows]
        return {"case.jsonl": b"\n".join(json_bytes(random, one) for one in some)}
    lines = [",".join(rows[0]), *(",".join(map(str, one.values())) for one in rows)]
    return {
        "case.csv": damaged(
            random, "\r\n".join(lines).encode(), [b'"', b'"""', b",,,,", b"\n", b"1" * 5000]
        )
    }


def _read_manifest(folder: Path, _: Random) -> None:
    for path in folder.iterdir():
        read_manifest(str(path))


def _report(random: Random, _: "Corpus") -> Files:
    values = random.choice(
        (leaderboard_reports.report(), leaderboard_reports.refused("a", "inflate.sh failed"))
    )
    return {"report.json": json_bytes(random, damaged_json(random, values, 3))}


def _read_report(folder: Path, random: Random) -> None:
    found = boards(read_entries([folder]))
    if not random.randrange(8):
        render_page(found, None, "title")


Reader = tuple[Callable[[Random, "Corpus"], Files], Callable[[Path, Random], None]]
TEXTS: dict[str, Reader] = {
    "toml": (_toml, _read_toml),
    "runlog": (_run_log, _read_run_log),
    "fleet": (_fleet, _read_fleet),
    "manifest": (_manifest, _read_manifest),
    "report": (_report, _read_report),
}
"""Making and reading, by the target's name."""
