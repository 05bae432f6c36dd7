"""Logs of training runs: read whatever is in them, and put on a page that says the same."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import logs
import pytest
from command import Ran
from pages import data_of

from seesame.cli import report_run
from seesame.errors import UserError
from seesame.report import run as reading
from seesame.report.render import clock
from seesame.report.run import parse_run
from seesame.report.run_page import SETTINGS, page_data, run_values, write_run_page
from seesame.runlog import RUN_FILE

Run = Callable[..., Ran]
HOSTILE = "</script><img src=x onerror=alert(1)>"


def parsed(lines: list[dict[str, Any]], extra: bytes = b"") -> reading.Run:
    return parse_run(logs.text(lines).encode() + extra, "run.jsonl")


def test_a_log_is_read() -> None:
    run = parsed(logs.run())
    assert (run.ended, run.left, run.t, run.skipped) == ("finished", None, 480.0, 0)
    assert (len(run.steps), len(run.candidates)) == (299, 5)
    assert [one.name for one in run.stages][-2:] == ["judging", "correcting"]
    assert run.best is run.candidates[4]
    assert run.updated == 1_800_000_480.0
    assert run.about["codec"] == "hnerv"
    assert run.settings == {"preset": "fast", "bytes": "41000"}


def test_a_torn_line_is_left_out() -> None:
    whole = logs.run(to=0.9, ended=False)
    torn = logs.text([logs.step(470.0, 0.98, 9)]).encode()[:40]
    run = parsed(whole, torn)
    assert (run.skipped, run.steps) == (1, parsed(whole).steps)
    again = torn + b"\n" + logs.text([logs.begin(resume=True), logs.step(1.0, 0.9, 1)]).encode()
    run = parsed(whole, again)
    assert (run.skipped, len(run.starts), run.ended) == (1, 2, "")
    assert run.steps[-1].t == pytest.approx(parsed(whole).t + 1)
    assert run.steps[-1].step == parsed(whole).steps[-1].step + 1


GARBAGE = [
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"nonsense",
    b"[]",
    b"null",
    b'{"kind":"step"}',
    b'{"kind":["step"],"t":1}',
    b'{"kind":"line","t":1}',
    b'{"kind":"step","t":-1,"step":1,"share":0.5}',
    b'{"kind":"step","t":NaN,"step":1,"share":0.5}',
    b'{"kind":"step","t":1,"step":1,"share":7}',
    b'{"kind":"step","t":1,"step":1e300,"share":0.5}',
    b'{"kind":"candidate","t":1,"number":1,"bytes":-5,"seg":0,"pose":0,"rate":0,"score":0}',
    b'{"kind":"candidate","t":1,"number":true}',
    b'{"kind":"step","t":1,"step":' + b"9" * 5000 + b',"share":0.5}',
    b'{"kind":"stage","t":1,"stage":"' + b"x" * 70_000 + b'"}',
]


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_left_out(line: bytes) -> None:
    run = parsed(logs.run(), line + b"\n")
    assert run.skipped == 1
    assert len(run.steps) == 299
    assert run.ended == "finished"


def test_odd_values_are_made_plain(tmp_path: Path) -> None:
    odd = logs.begin(codec=[1], settings=[], seconds="long", clip=None, started=1e300)
    lines = [odd, logs.step(1.0, 0.5, 1) | {"seg": "x", "loss": None, "pose": -1.0, "bytes": {}}]
    lines += [{"kind": "end", "t": 2.0, "why": {"a": "b" * 1000}, "number": "x"}]
    run = parsed(lines)
    assert len(run.ended) == reading.BOUNDS.characters
    write_run_page(tmp_path / "page.html", run, "x", 0.0)
    assert data_of(tmp_path / "page.html")["columns"]["score"] == [None]


def test_what_is_no_log_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"", b"\n\n", b'{"a": 1}\n', bytes(range(256))):
        with pytest.raises(UserError, match="not the log of a run"):
            parse_run(data, "a.jsonl")
    monkeypatch.setattr(reading, "BOUNDS", reading.LogBounds(file_bytes=100))
    with pytest.raises(UserError, match="larger"):
        parsed(logs.run())


def test_a_long_log_makes_a_small_page() -> None:
    lines = [logs.begin()] + [logs.step(float(i), i / 3000, i) for i in range(3000)]
    lines += [logs.candidate(5000.0, i, 1.0) for i in range(600)]
    lines += [{"kind": "stage", "t": 5000.0, "stage": f"{i}"} for i in range(600)]
    run = parsed(lines)
    assert len(run.candidates) == len(run.stages) == reading.BOUNDS.candidates
    columns = page_data(run, "x", 0.0, live=True)["columns"]
    assert {len(column) for column in columns.values()} == {SETTINGS.most_points}
    assert columns["step"][-1] == 2999


def test_time_left_is_the_budget_s_or_the_pace_s() -> None:
    assert parsed(logs.run(to=0.5, ended=False)).left == pytest.approx(240, abs=2)
    counted = [logs.begin(seconds=None, steps=100)]
    counted += [logs.step(10.0 + i, i / 100, i) for i in range(21)]
    assert parsed(counted).left == pytest.approx(80)
    assert parsed(counted[:1]).left is None
    assert parsed([*counted, logs.begin(seconds=60.0, resume=True)]).left == 60


def test_the_best_is_the_file_s() -> None:
    lines = logs.run(ended=False)
    assert parsed(lines).best.score == 0.80
    figures = {"why": "finished", "number": 4, "bytes": 1, "score": 0.84}
    assert parsed([*lines, {"kind": "end", "t": 480.0, **figures}]).best.score == 0.84
    # A resumed run no longer has the files of before.
    lines += [logs.begin(resume=True)]
    assert parsed(lines).best.score == 0.80
    assert parsed([*lines, logs.candidate(5.0, 1, 0.9)]).best.score == 0.9


def test_the_page_says_what_the_log_says(tmp_path: Path) -> None:
    lines, page = logs.run(), tmp_path / "page.html"
    write_run_page(page, parsed(lines), "drive.work/run.jsonl", 1_800_000_500.0)
    data, text = data_of(page), page.read_text()
    steps = [one for one in lines if one["kind"] == "step"]
    assert data["columns"]["loss"] == [one["loss"] for one in steps]
    assert data["columns"]["bytes"] == [one["bytes"] for one in steps]
    judged = [one for one in lines if one["kind"] == "candidate"]
    for shown, one in zip(data["candidates"], judged, strict=True):
        assert {name: shown[name] for name in ("bytes", "seg", "pose", "rate", "score")} == {
            name: one[name] for name in ("bytes", "seg", "pose", "rate", "score")
        }
        assert f'data-value="{one["score"]}"' in text
        assert f">{one['bytes']:,}</td>" in text
    last = steps[-15:]
    seg = 100 * sum(one["seg"] for one in last) / 15
    rate = 25 * last[-1]["bytes"] / logs.SOURCE_BYTES
    pose = (10 * last[-1]["pose"]) ** 0.5
    assert data["columns"]["score"][-1] == pytest.approx(seg + rate + pose)
    assert data["summary"]["best"]["score"] == 0.80
    assert "The file scores <b>0.800</b>" in text
    assert 'http-equiv="refresh"' not in text
    write_run_page(page, parsed(logs.run(to=0.5, ended=False)), "x", 1_800_000_300.0, live=True)
    assert 'http-equiv="refresh"' in page.read_text()
    assert "No candidate has been judged yet" in page.read_text()


def test_strangers_texts_are_text(tmp_path: Path) -> None:
    lines = [logs.begin(codec=HOSTILE, stack=HOSTILE, settings={HOSTILE: HOSTILE})]
    lines += [{"kind": "stage", "t": 1.0, "stage": HOSTILE}, logs.candidate(1.0, 1, 1.0)]
    lines += [{"kind": "end", "t": 2.0, "why": HOSTILE}]
    page = tmp_path / "page.html"
    write_run_page(page, parsed(lines), HOSTILE, 0.0)
    text = page.read_text()
    assert "<img" not in text
    assert "default-src 'none'" in text
    assert data_of(page)["stages"][0]["name"] == HOSTILE
    assert not re.search(r"(src|href)=\"(?!data:)", text)


def test_the_summary_is_whole() -> None:
    values = run_values(parsed(logs.run(to=0.9, ended=False)), "x", 1_800_000_440.0)
    assert json.loads(json.dumps(values)) == values
    assert (values["ended"], values["stage"], values["candidates"]) == (None, "judging", 2)
    assert values["quiet_s"] == pytest.approx(8, abs=2)


def test_clock() -> None:
    assert [clock(s) for s in (None, 0.4, 61, 3600)] == ["\u2013", "0:00", "1:01", "1:00:00"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder, beside which one stands."""
    monkeypatch.chdir(tmp_path)
    return logs.write(tmp_path / "drive.work" / RUN_FILE, logs.run()).parent


def test_the_command_takes_a_log_or_a_work_folder(work: Path, seesame: Run) -> None:
    ran = seesame("report", work)
    assert (ran.code, ran.err) == (0, "")
    assert "score 0.8000, 40,750 bytes" in ran.out
    assert data_of(Path("drive.run.html"))["live"] is False
    ran = seesame("report", work / RUN_FILE, "--json", "--overwrite")
    values = json.loads(ran.out)
    assert (values["ended"], values["page"]) == ("finished", "drive.run.html")
    copy = logs.write(Path("kept.jsonl"), logs.run())
    assert seesame("report", copy, "-o", "mine.html").code == 0
    assert Path("mine.html").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["gone.work"], "no such file"),
        (["."], "work folder"),
        (["drive.mp4"], "name the files"),
        (["drive.mp4", "a.ssm", "--watch"], "--watch is for"),
        (["drive.work", "--transfer", "lite"], "name the files"),
        (["drive.work", "-o", "folder"], "name it folder.html"),
        (["drive.work", "-o", "there.html"], "exists already"),
        (["drive.work", "-o", "gone/a.html"], "does not exist"),
        (["empty.work"], "holds no run.jsonl"),
        (["text.jsonl"], "not the log of a run"),
    ],
)
def test_mistakes_get_one_line(work: Path, seesame: Run, words: list[str], reason: str) -> None:
    for name in ("drive.mp4", "there.html", "text.jsonl"):
        Path(name).write_text("x")
    Path("empty.work").mkdir()
    ran = seesame("report", *words)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert reason in ran.err


class Writer:
    """Stands in for time: whenever the watch sleeps, the run goes on."""

    def __init__(self, *events: Callable[[], object]) -> None:
        self.events = list(events)

    def sleep(self, seconds: float) -> None:
        assert seconds == report_run.LOOK_EVERY
        if not self.events:
            raise KeyboardInterrupt
        self.events.pop(0)()

    def time(self) -> float:
        return 1_800_000_600.0


def test_the_watch_follows_the_run_to_its_end(
    work: Path, seesame: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, whole, seen = work / RUN_FILE, logs.run(), []
    logs.write(log, logs.run(to=0.5, ended=False))

    def finish() -> None:
        seen.append(data_of(Path("drive.run.html"))["live"])
        logs.write(log, whole)
        log.unlink()  # as an encode does that is done
        work.rmdir()

    grow = [lambda: None, lambda: logs.write(log, logs.run(to=0.9, ended=False)), finish]
    monkeypatch.setattr(report_run, "time", Writer(*grow))
    ran = seesame("report", work, "--watch", "--json")
    assert (ran.code, ran.err) == (0, "")
    said = [json.loads(line) for line in ran.out.splitlines()]
    assert [one["candidates"] for one in said] == [0, 2, 5]
    assert seen == [True]
    assert data_of(Path("drive.run.html"))["live"] is False
    assert not list(Path().glob(".drive*"))


def test_ctrl_c_leaves_a_page_that_rests(
    work: Path, seesame: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.write(work / RUN_FILE, logs.run(to=0.5, ended=False))
    monkeypatch.setattr(report_run, "time", Writer())
    ran = seesame("report", work, "--watch")
    assert ran.code == 130
    assert ran.out.split() == ["page", "drive.run.html"]
    assert data_of(Path("drive.run.html"))["live"] is False


def test_a_run_that_begins_anew_is_followed(
    work: Path, seesame: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logs.write(work / RUN_FILE, logs.run(to=0.9, ended=False))

    def anew() -> None:
        log.unlink()
        logs.write(log, logs.run())

    monkeypatch.setattr(report_run, "time", Writer(anew))
    assert seesame("report", work, "--watch").code == 0
    assert data_of(Path("drive.run.html"))["summary"]["ended"] == "finished"
