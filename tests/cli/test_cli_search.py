"""``seesame search`` from end to end on a small drive."""

import csv
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Ran
from PIL import Image

Run = Callable[..., Ran]
ONE = ["gop=60", "preset=ultrafast", "down=area", "up=bicubic"]  # one value of what matters little
SMALL = [word for text in ONE for word in ("--grid", text)]
GRID = (*SMALL, "--method", "grid", "--codec", "x264", "--grid", "crf=24:48:12", "--grid")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "trials.sqlite"


def only(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_a_grid_is_searched_once(seesame: Run, drive: Path, store: Path, tmp_path: Path) -> None:
    words = ("search", drive, *GRID, "scale=0.5,1", "--store", store, "--json", "-q")
    first = only(seesame(*words))
    assert (first["trials"], first["made"]) == (6, 6)
    again = only(seesame(*words))
    assert again == {**first, "made": 0}
    scores = [trial["score"] for trial in first["front"]]
    assert first["best"]["score"] == min(scores)
    assert first["goal"] == "lowest score"


def test_the_command_that_it_prints_makes_the_file_that_it_means(
    seesame: Run, drive: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = only(seesame("search", drive, *GRID, "scale=0.5", "--store", store, "--json", "-q"))
    words = shlex.split(ran["command"])
    assert words[0] == "seesame"
    made = only(seesame(*words[1:], "--json", "-q"))
    for name in ("bytes", "seg", "pose", "rate", "score"):
        assert made[name] == ran["best"][name]


def test_its_log_has_every_trial(seesame: Run, drive: Path, store: Path, tmp_path: Path) -> None:
    log = tmp_path / "search.jsonl"
    words = ("search", drive, *GRID, "scale=0.5,1", "--store", store, "--json", "-q")
    ran = only(seesame(*words, "--log", log))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["begin", "stage", *6 * ["candidate"], "end"]
    assert (lines[0]["codec"], lines[0]["steps"]) == ("search", 6)
    best = lines[2:-1][lines[-1]["number"] - 1]
    assert best["score"] == lines[-1]["score"] == ran["best"]["score"]
    assert best["best"] is True
    told = only(seesame("report", log, "-o", tmp_path / "run.html", "--json", "-q"))
    assert told["best"]["score"] == ran["best"]["score"]
    again = seesame(*words, "--log", log)
    assert (again.code, "exists" in again.err) == (2, True)


def test_limits(seesame: Run, drive: Path, store: Path) -> None:
    words = ("search", drive, *GRID, "scale=0.5,1", "--store", store, "--json", "-q")
    free = only(seesame(*words))
    middle = sorted(trial["bytes"] for trial in free["front"])[len(free["front"]) // 2]
    within = only(seesame(*words, "--max-bytes", middle))
    assert within["best"]["bytes"] <= middle
    assert within["missed"] == {}
    assert within["goal"] == f"lowest distortion with bytes <= {middle:,}"
    ran = seesame(*words, "--max-seg", 0)
    assert ran.code == 4
    hopeless = json.loads(ran.out)
    assert hopeless["missed"]["seg"] == hopeless["best"]["frames"]["seg"] > 0
    assert (hopeless["kept"], hopeless["rule"]) == (False, "every frame")
    ran = seesame(*words[:-2], "--max-seg", 0, "-q")
    assert ran.code == 4
    assert "no setting keeps seg <= 0 on every frame; the nearest is x264" in ran.out
    assert "fewest bytes" not in ran.out
    assert re.search(r"limit  seg [\d.]+ > 0 on every frame: missed\ntry ", ran.out)
    ran = seesame(*words[:-2], "--max-seg", "worst=1", "--max-seg", "lane=1", "-q")
    assert ran.code == 0
    assert "seg lane markings <= 1 on every frame: x264" in ran.out
    assert ran.out.count(": kept") == 2
    second = only(seesame(*words, "--max-seg", 1, "--challenge-rule"))
    assert second["goal"] == "fewest bytes with seg <= 1 on second frames (challenge rule)"
    assert second["best"]["frames"]["seg"] == second["best"]["seg"]
    ran = seesame(*words, "--max-seg", "bus=0.1")
    assert (ran.code, "is no class of the stack" in ran.err) == (2, True)


def test_auto_keeps_to_its_trials_and_leaves_files(
    seesame: Run, drive: Path, store: Path, tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    out = tmp_path / "found"
    words = ("search", drive, *SMALL, "--codec", "x264", "--trials", 7, "--store", store, "-q")
    ran = seesame(*words, "-o", out)
    assert ran.code == 0, ran
    assert "Pareto front of 7 trials (7 encoded now)" in ran.out
    assert "next: seesame compress" in ran.out
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert {row["preset"] for row in rows} == {"ultrafast"}
    values = json.loads((out / "search.json").read_text())
    assert len(values["trials"]) == 7
    assert len(values["front"]) == len((out / "front.csv").read_text().splitlines()) - 1
    assert Image.open(out / "search.png").width > 1000
    refused = seesame(*words, "-o", out)
    assert refused.code == 2
    assert "--overwrite" in refused.err


def test_a_killed_search_repeats_no_finished_trial(drive: Path, store: Path, seesame: Run) -> None:
    words = ["search", str(drive), *GRID, "scale=0.4:1:0.2", "--store", str(store), "--json", "-q"]
    # As many threads as here: trials of another number of them are others.
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-m", "seesame.cli", *words], env=env)
    while process.poll() is None and kept(store) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = kept(store)
    assert before < 12
    ran = only(seesame(*words))
    assert (ran["trials"], ran["made"]) == (12, 12 - before)


def kept(store: Path) -> int:
    """Trials in a store that another process writes."""
    try:
        base = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        (count,) = base.execute("select count(*) from trials").fetchone()
    except sqlite3.Error:
        return 0
    return int(count)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--codec", "hnerv"), "search is over"),
        (("--codec", ","), "search is over"),
        (("--grid", "crf"), "--grid crf"),
        (("--grid", "crf=99"), "crf must be"),
        (("--grid", "speed=1"), "no setting 'speed'"),
        (("--grid", "vp9.crf=30"), "vp9 is not searched"),
        (("--trials", "0"), "--trials"),
    ],
)
def test_mistakes_are_one_line(
    seesame: Run, drive: Path, store: Path, words: tuple[str, ...], why: str
) -> None:
    ran = seesame("search", drive, "--store", store, *words)
    assert ran.code == 2
    assert why in ran.err
    assert ran.err.count("\n") == 1
    assert not store.exists()


def test_a_grid_that_would_never_end_is_refused(seesame: Run, drive: Path, store: Path) -> None:
    ran = seesame("search", drive, "--store", store, "--method", "grid", "--grid=scale=0.1:1:0.001")
    assert ran.code == 2
    assert "give fewer values" in ran.err


def test_what_is_no_store_is_refused(seesame: Run, drive: Path, store: Path) -> None:
    store.write_text("not a database, far from it" * 50)
    ran = seesame("search", drive, "--store", store)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert str(store) in ran.err


def test_parts_with_settings_of_their_own(
    seesame: Run, drive: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    words = ("search", drive, *SMALL, "--codec", "x264", "--trials", 4, "--store", store)
    ran = only(seesame(*words, "--cut", "0.3s", "--json", "-q", "-o", "found"))
    assert ran["trials"] == 5
    with (tmp_path / "found" / "trials.csv").open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["codec"] == "segments"]
    assert row["parts"].count("frames") == 2
    parts = row["parts"].replace("'", '"')
    words = ("compress", drive, "-o", "x.ssm", "--codec", "segments", "--set", f"parts={parts}")
    made = only(seesame(*words, "--json", "-q"))
    assert made["bytes"] == int(row["bytes"])
    assert made["score"] == float(row["score"])
    assert "x264, frames 0 to 5" in seesame("info", "x.ssm").out


def test_nothing_to_cut(seesame: Run, drive: Path, store: Path) -> None:
    words = ("search", drive, *GRID, "scale=0.5", "--store", store)
    ran = seesame(*words, "--cut", "scenes")
    assert ran.code == 0
    assert "is one part: its scene never changes" in ran.err
    assert "is one part: it is no longer than 60 s" in seesame(*words, "--cut", "60s").err
    ran = seesame(*words, "--cut", "often")
    assert (ran.code, "--cut often: give a time" in ran.err) == (2, True)


def test_a_search_on_a_sample(seesame: Run, drive: Path, store: Path) -> None:
    words = ("search", drive, *GRID, "scale=0.5", "--store", store, "--json", "-q")
    ran = only(seesame(*words, "--sample", "0.3s"))
    assert 3 <= ran["trials"] <= 11
    assert ran["best"]["score"] == min(trial["score"] for trial in ran["front"])
    whole = only(seesame(*words, "--sample", "all"))
    assert whole["trials"] == 3
    ran = seesame(*words, "--sample", "0")
    assert (ran.code, "--sample 0: give a time" in ran.err) == (2, True)
