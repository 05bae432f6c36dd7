"""The demo of a fleet: it really is killed, goes on, and does every clip once."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran
from fleets import SLOW, events_of, target_faults

from seesame.errors import UserError
from seesame.fleet import demo
from seesame.fleet.demo import FleetDemoSettings, run_and_kill

Run = Callable[..., Ran]
HELPERS = Path(__file__).resolve().parents[1] / "helpers"
SMALL = FleetDemoSettings(
    clips=3,
    size=(64, 48),
    seconds=0.8,
    batch=("--codec", "x264", "--set", "crf=30", "--jobs", "1"),
    kill_after=1,
)


@pytest.fixture(autouse=True)
def helpers_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HELPERS), prepend=os.pathsep)


def test_it_is_killed_and_goes_on(
    seesame: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "FleetDemoSettings", lambda: SMALL)
    line = ("demo", "--fleet", "--out", tmp_path, "--stack", SLOW, "--quiet", "--json")
    ran = seesame(*line)
    assert ran.code == 0, ran.err
    target = tmp_path / "small"
    assert json.loads(ran.out.splitlines()[-1])["clips"] == {
        **{"done": 3, "missed": 0, "failed": 1, "working": 0}
    }
    events = events_of(target)
    names = [event["event"] for event in events]
    assert (names.count("start"), names.count("end"), names.count("interrupted")) == (2, 1, 0)
    assert set(Counter(e["out"] for e in events if e["event"] == "clip").values()) == {1}
    assert (target / "report.html").is_file()
    (target / "report.html").unlink()
    for page in (target / "report").rglob("*.html"):
        page.unlink()
    for folder in (*(target / "report").iterdir(), target / "report"):
        folder.rmdir()
    assert target_faults(target, ended=True) == []
    again = seesame(*line)
    assert again.code == 2
    assert "exists already" in again.err


def test_a_batch_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    words = [tmp_path / "none", "-o", tmp_path / "out"]
    with pytest.raises(UserError, match=r"could not be killed in the middle: .*not found"):
        run_and_kill(words, tmp_path / "out", settings=SMALL)


def test_what_it_did_not_make_stays(seesame: Run, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine").write_text("")
    ran = seesame("demo", "--fleet", "--out", tmp_path, "--overwrite")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no batch has written there" in ran.err
    assert seesame("demo", "--fleet", "--seconds", 3).code == 2
