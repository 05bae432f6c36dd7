"""``seesame batch`` from end to end: real kills, Ctrl-C, damaged clips, and what is done again."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from command import Ran
from fleets import SLOW, STACK, events_of, make_fleet, start, states_of, target_faults, until

from seesame.fleet.target.lock import target_lock

Run = Callable[..., Ran]
HELPERS = Path(__file__).resolve().parents[1] / "helpers"
X264 = ("--codec", "x264", "--set", "crf=30", "--quiet")


@pytest.fixture(scope="module")
def environment() -> Mapping[str, str]:
    """That of processes which find the stacks of the tests, and stay out of others' way."""
    path = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def helpers_for_workers(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Workers of a run in this process find the stacks too."""
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])


def began(target: Path) -> int:
    return sum(event["event"] == "begin" for event in events_of(target))


def ended(target: Path) -> Counter[str]:
    """How often each output was done."""
    clips = [e for e in events_of(target) if e["event"] == "clip" and e["status"] == "done"]
    return Counter(event["out"] for event in clips)


def rows(target: Path) -> dict[str, dict[str, str]]:
    with (target / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return {row["out"]: row for row in csv.DictReader(file)}


def test_a_fleet_with_bad_clips_and_what_is_done_again(seesame: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    clips = make_fleet(source, 3)
    shutil.copy(clips[0], source / "same.mp4")
    (source / "junk.mp4").write_text("no video")
    line = ("batch", source, "-o", target, *X264, "--stack", STACK, "--jobs", 1)

    planned = seesame(*line, "--dry-run", "--sample", 0, "--json")
    todo = [json.loads(text) for text in planned.out.splitlines()]
    assert next(one["out"] for one in todo) == "cam0/drive2.ssm"  # the longest
    assert len(todo) == 5
    assert not target.exists()

    first = seesame(*line)
    assert first.code == 3, first.err
    assert "5: 4 done, 1 failed" in first.out
    assert target_faults(target, ended=True) == []
    table = rows(target)
    assert Counter(row["status"] for row in table.values()) == {"done": 4, "failed": 1}
    assert table["junk.ssm"]["error"].startswith(f"{source}/junk.mp4: not a video")
    assert table["same.ssm"]["content"] == table["cam0/drive0.ssm"]["content"]
    (scored,) = (
        json.loads(text)
        for text in seesame(
            "score", clips[1], target / "cam1/drive1.ssm", "--stack", STACK, "--json"
        ).out.splitlines()
    )
    row = table["cam1/drive1.ssm"]
    assert [float(row[name]) for name in ("seg", "pose", "score", "bytes")] == [
        scored[name] for name in ("seg", "pose", "score", "compressed_bytes")
    ]

    # Nothing is done twice, and no worker starts.
    count = len(events_of(target))
    again = seesame(*line, "--json")
    assert again.code == 3
    assert json.loads(again.out)["worked_on"] == 0
    assert [e["event"] for e in events_of(target)[count:]] == ["start", "end"]

    # A touched clip is read again and left alone; a changed one, a new one, one whose output has
    # gone, and a mended one that had failed are done.
    os.utime(clips[0])
    shutil.copy(clips[2], clips[1])
    shutil.copy(clips[0], source / "new.mp4")
    (target / "cam0/drive2.ssm").unlink()
    shutil.copy(clips[2], source / "junk.mp4")
    before = (target / "cam0/drive0.ssm").stat().st_mtime_ns
    mended = seesame(*line, "--json")
    assert mended.code == 0, mended.err
    assert json.loads(mended.out)["worked_on"] == 5
    assert json.loads(mended.out)["clips"]["done"] == 6
    assert (target / "cam0/drive0.ssm").stat().st_mtime_ns == before
    assert rows(target)["cam1/drive1.ssm"]["frames"] == "12"
    assert target_faults(target, ended=True) == []

    status = seesame("batch-status", target, "--clips", "--json")
    assert {json.loads(text)["out"] for text in status.out.splitlines()} == set(states_of(target))
    assert "6: 6 done" in seesame("batch-status", target).out


def test_sharing_can_be_left_out(seesame: Run, tmp_path: Path) -> None:
    """What a clip shares stands in its row; without sharing it is searched as if it were alone."""
    source = tmp_path / "in"
    make_fleet(source, 3)
    line = ("--codec", "x264", "--max-seg", "0.2", "--set", "preset=ultrafast", "--stack", STACK)
    for share, told in (("--share", ["false", "false", "true"]), ("--no-share", ["false"] * 3)):
        target = tmp_path / f"out{share}"
        ran = seesame("batch", source, "-o", target, *line, "--jobs", 1, "--quiet", share)
        assert ran.code == 0, ran.err
        assert sorted(row["shared"] for row in rows(target).values()) == told
        assert all(float(row["frames_seg"]) <= 0.2 for row in rows(target).values())


def test_changed_settings_do_the_clips_that_they_concern(seesame: Run, tmp_path: Path) -> None:
    make_fleet(tmp_path, 2)
    manifest, target = tmp_path / "fleet.jsonl", tmp_path / "out"

    def run(*extra: object, **second: Any) -> list[dict[str, Any]]:
        lines = [{"uri": "cam0/drive0.mp4"}, {"uri": "cam1/drive1.mp4", **second}]
        manifest.write_text("\n".join(map(json.dumps, lines)))
        count = len(events_of(target))
        ran = seesame("batch", manifest, "-o", target, *X264, "--stack", STACK, "-j", 1, *extra)
        assert ran.code in (0, 3, 4), ran.err
        return [e | {"code": ran.code} for e in events_of(target)[count:] if e["event"] == "clip"]

    assert [one["status"] for one in run()] == ["done", "done"]
    (missed,) = run(crf=40, max_seg=1e-6)
    assert (missed["out"], missed["status"], missed["code"]) == ("drive1.ssm", "missed", 4)
    assert rows(target)["drive1.ssm"]["settings"] == '{"crf": 40}'
    assert rows(target)["drive1.ssm"]["limits_met"] == "false"
    (failed,) = run(crf=40, max_seg=1e-6, on_miss="fail")
    assert (failed["status"], failed["code"]) == ("failed", 3)
    assert failed["error"].endswith("the file of an earlier run is still there")
    assert run(crf=40, max_seg=1e-6, on_miss="fail") == []
    (again,) = run("--retry-failed", crf=40, max_seg=1e-6, on_miss="fail")
    assert again["status"] == "failed"
    assert target_faults(target, ended=True) == []


def test_kills_of_the_driver_and_of_workers(
    seesame: Run, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    """Whatever is killed: no worker outlives its driver, every file is whole, and done once."""
    source, target = tmp_path / "in", tmp_path / "out"
    make_fleet(source, 5)
    line = [source, "-o", target, *X264, "--stack", SLOW, "--jobs", 2]

    # The driver is killed while it has done one clip and has two at work.
    process = start(line, environment)
    until(lambda: sum(ended(target).values()) >= 1)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert len(workers) >= 2
    psutil.wait_procs(workers, timeout=10)
    assert [worker for worker in workers if worker.is_running()] == []
    assert target_faults(target, ended=False) == []
    done = set(ended(target))

    # A worker is killed in the middle of its clip: it is replaced, and the clip tried again.
    process = start(line, environment)
    until(lambda: sum(event["event"] == "start" for event in events_of(target)) == 2)
    until(lambda: bool(working(process)))
    victim = working(process)[0]
    victim.kill()
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert "5: 5 done" in out
    assert target_faults(target, ended=True) == []
    assert [event["event"] for event in events_of(target)].count("died") == 1
    assert set(ended(target).values()) == {1}
    assert len(ended(target)) == 5
    assert done
    assert max(state.attempts for state in states_of(target).values()) >= 2


def working(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return the workers that have made their scratch folder, and so are past their start."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [one for one in children if "spawn_main" in " ".join(one.cmdline())]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing_behind(
    tmp_path: Path, environment: Mapping[str, str], number: signal.Signals
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    make_fleet(source, 3)
    process = start([source, "-o", target, *X264, "--stack", SLOW, "--jobs", 2], environment)
    until(lambda: began(target) >= 2)
    time.sleep(0.5 if number == signal.SIGINT else 2.0)  # as workers start, or in their clips
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    psutil.wait_procs(workers, timeout=5)
    assert [worker for worker in workers if worker.is_running()] == []
    assert target_faults(target, ended=True) == []
    assert events_of(target)[-1]["event"] == "interrupted"
    assert (target / "catalog.csv").exists()


def test_two_runs_do_not_share_clips(seesame: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    make_fleet(source, 4)
    line = ("batch", source, "-o", target, *X264, "--stack", STACK, "--jobs", 1)
    with target_lock(str(target)):
        # flock holds against another descriptor of the same process as well.
        busy = seesame(*line)
        assert busy.code == 2
        assert busy.err.count("\n") == 1
        assert "another run" in busy.err
        assert seesame(*line, "--shard", "0/2").code == 2
    with target_lock(str(target), (1, 2)):
        assert seesame(*line).code == 2
        assert seesame(*line, "--shard", "1/2").code == 2
        half = seesame(*line, "--shard", "0/2", "--json")
        assert half.code == 0, half.err
    rest = seesame(*line, "--shard", "1/2", "--json")
    assert rest.code == 0, rest.err
    parts = [json.loads(one.out)["worked_on"] for one in (half, rest)]
    assert sum(parts) == 4
    assert len(rows(target)) == 4
    assert target_faults(target, ended=True) == []


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--codec", "nosuch"], "unknown codec"),
        (["--codec", "auto"], "--codec auto is for single clips"),
        (["--codec", "x264", "--set", "nosuch=1"], "nosuch"),
        (["--codec", "x264", "--budget", "5m"], "--budget is for"),
        (["--codec", "hnerv", "--to", "mp4"], "hnerv makes .ssm files only"),
        (["--max-seg", "5"], "--max-seg"),
        (["--max-seg", "nosuchclass=0.1"], "nosuchclass"),
        (["--stack", "nosuch"], "unknown stack"),
        (["--shard", "2/2"], "--shard 2/2"),
        (["--shard", "x"], "--shard x"),
        (["--memory", "lots"], "--memory lots"),
        (["--memory", "nan"], "--memory nan"),
    ],
)
def test_mistakes_are_one_line(
    seesame: Run, tmp_path: Path, extra: list[str], message: str
) -> None:
    make_fleet(tmp_path / "in", 1)
    stack = [] if "--stack" in extra else ["--stack", STACK]
    ran = seesame("batch", tmp_path / "in", "-o", tmp_path / "out", *stack, *extra)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert message in ran.err
    assert not (tmp_path / "out").exists()


def test_mistaken_sources_and_targets(seesame: Run, tmp_path: Path) -> None:
    (clip,) = make_fleet(tmp_path / "in", 1)
    shutil.copy(clip, clip.with_suffix(".mkv"))
    (tmp_path / "empty").mkdir()
    plain = ("--codec", "x264", "--stack", STACK)

    def refused(source: object, target: object, *more: object) -> str:
        ran = seesame("batch", source, "-o", target, *plain, *more)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        return ran.err

    assert "drive0.mkv and" in refused(tmp_path / "in", tmp_path / "out")
    assert "not found" in refused(tmp_path / "none", tmp_path / "out")
    assert "no video" in refused(tmp_path / "empty", tmp_path / "out")
    assert "is a file" in refused(clip, clip)
    clip.with_suffix(".mkv").unlink()
    assert "would be replaced" in refused(tmp_path / "in", tmp_path / "in", "--to", "mp4")
    (tmp_path / "out" / "cam0").mkdir(parents=True)
    (tmp_path / "out" / "cam0" / "drive0.ssm").write_text("mine")
    text = refused(tmp_path / "in", tmp_path / "out")
    assert "no earlier run of batch has made it" in text
    assert "--overwrite replaces it" in text
    assert (tmp_path / "out" / "cam0" / "drive0.ssm").read_text() == "mine"
    assert "holds no clips" in seesame("batch-status", tmp_path / "empty").err


def test_without_ray_it_says_what_to_install(
    seesame: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    make_fleet(tmp_path / "in", 1)
    line = ("batch", tmp_path / "in", "-o", tmp_path / "out", "--codec", "x264", "--stack", STACK)
    ran = seesame(*line, "--engine", "ray")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "pip install 'seesame[fleet]'" in ran.err
    assert not (tmp_path / "out").exists()
    assert "--address and --cores" in seesame(*line, "--address", "auto").err
