"""The Ray engine: deaths, memory, nodes that come and go, and that nothing is left behind."""

import contextlib
import importlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from command import Ran
from fleets import SLOW, events_of, make_fleet, start, states_of, target_faults, until

from seesame.fleet.engines.local import Ended
from seesame.fleet.engines.raypool import RayPool, RayTuning
from seesame.fleet.engines.remote import Remote
from seesame.fleet.plan import Task
from seesame.fleet.target.state import DONE, FAILED

Run = Callable[..., Ran]
HELPERS = Path(__file__).resolve().parents[2] / "helpers"
PLAIN: dict[str, Any] = {"codec": "x264", "settings": {}, "limits": {}, "stack": "s", "recipe": "r"}
PLAIN |= {"on_miss": "fail", "device": "cpu", "seed": 0, "fingerprint": "f"}
MB = 1 << 20


pytestmark = pytest.mark.fleet
pytest.importorskip("ray", reason="Ray is not installed (the extra fleet)")
ray_work = importlib.import_module("ray_work")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes of one core and 100 MB each, which find the helpers of the tests."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HELPERS), prepend=os.pathsep)
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
            patch.setenv(name, "0")
        patch.setenv("RAY_worker_niceness", "0")
        node = {"num_cpus": 1, "memory": 100 * MB, "object_store_memory": 80 * MB}
        made = Cluster(
            initialize_head=True,
            head_node_args={**node, "include_dashboard": False},
        )
        made.add_node(**node)
        made.add_node(**node)
        made.plain = node
        yield made
        made.shutdown()


@pytest.fixture
def pool(cluster: Any, tmp_path: Path) -> RayPool:
    remote = Remote(str(tmp_path), "", "owner")
    tuning = RayTuning(pixels=10 * MB, look=0.5)
    made = RayPool(remote, address=cluster.address, tuning=tuning, work=ray_work.act)
    made.remote = Remote(str(tmp_path), "", "owner", worker_bytes=10 * MB, pixel_bytes=1)
    return made


def task(folder: Path, out: str, group: str = "") -> Task:
    return Task(uri=f"in/{out}", out=out, target=str(folder), group=group, **PLAIN)


def outcomes(pool: RayPool, tasks: list[Task]) -> dict[str, Any]:
    begun: list[str] = []
    ends = [end.state for end in pool.run(tasks, lambda t: begun.append(t.out))]
    assert sorted(begun) == sorted(t.out for t in tasks)
    assert len(ends) == len({state.out for state in ends}) == len(tasks)
    return {state.out: state for state in ends}


def given(folder: Path, out: str) -> list[int]:
    """The memory that a task was given at each try, in MB; 0 for all that a node has."""
    return [int(line) // MB for line in (folder / out).read_text().split()]


def test_deaths_and_memory(pool: RayPool, tmp_path: Path) -> None:
    names = ["a", "kill-b", "kill-once-c", "memory-d", "memory-once-e"]
    told: list[str] = []
    pool.tell = lambda event, **facts: told.append(f"{event} {facts['out']}")
    tasks = [task(tmp_path, name) for name in names]
    tasks += [task(tmp_path, f"{50 * MB}-big", "large"), task(tmp_path, f"{990 * MB}-huge", "huge")]
    found = outcomes(pool, tasks)
    assert {out for out in found if found[out].status == FAILED} == {"kill-b", "memory-d"}
    assert [found[name].attempts for name in names] == [1, 3, 2, 3, 2]
    assert found["kill-b"].error.startswith("in/kill-b: its worker died, perhaps for want of")
    assert "there was too little memory, 3 times" in found["memory-d"].error
    assert sorted(told) == sorted(
        [*["died kill-b", "died memory-d"] * 3, "died kill-once-c", "died memory-once-e"]
    )
    # Twice the memory at each further try; what was asked for; and never more than a node has.
    assert given(tmp_path, "memory-d") == [20, 40, 80]
    assert given(tmp_path, f"{50 * MB}-big") == [20, 60]
    assert given(tmp_path, f"{990 * MB}-huge") == [20, 0]
    assert found[f"{990 * MB}-huge"].attempts == 1


def test_a_task_that_raises_is_tried_again(pool: RayPool, tmp_path: Path) -> None:
    """As where the disk of a node is full: the others go on."""
    tasks = [task(tmp_path, name) for name in ("disk-a", "b", "disk-once-c")]
    found = outcomes(pool, tasks)
    assert [found[one.out].status for one in tasks] == [FAILED, DONE, DONE]
    assert [found[one.out].attempts for one in tasks] == [3, 1, 2]
    error = "in/disk-a: OSError: [Errno 28] No space left on device, 3 times"
    assert found["disk-a"].error == error


def test_the_number_in_flight_is_bounded(pool: RayPool, tmp_path: Path) -> None:
    most, flying = 0, 0
    pool.jobs = 2

    def begin(task: Task) -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)

    for _ in pool.run([task(tmp_path, f"t{number}") for number in range(12)], begin):
        flying -= 1
    assert (most, flying) == (2, 0)


def busy_node(cluster: Any, folder: Path) -> Any:
    """Wait until a node other than the head is at work on a task, and return it."""
    nodes = {node.node_id: node for node in cluster.worker_nodes}
    found: list[str] = []

    def busy() -> bool:
        begun = [path for path in folder.glob("*.node") if not path.with_suffix(".end").exists()]
        found.extend(text for path in begun if (text := path.read_text()) in nodes)
        return bool(found)

    until(busy)
    return nodes[found[0]]


def test_nodes_go_and_come(pool: RayPool, cluster: Any, tmp_path: Path) -> None:
    tasks = [task(tmp_path, f"wait-{letter}") for letter in "abcdefghijkl"]
    told: list[str] = []
    pool.tell = lambda event, **facts: told.append(facts["why"])
    ends: list[Ended] = []
    for end in pool.run(tasks, lambda task: None):
        ends.append(end)
        if len(ends) == 3:
            cluster.remove_node(busy_node(cluster, tmp_path), allow_graceful=False)
        if len(ends) == 5:
            cluster.add_node(**cluster.plain)
    assert sorted(end.state.out for end in ends) == [task.out for task in tasks]
    assert {end.state.status for end in ends} == {DONE}
    assert told
    assert set(told) <= {"its node has gone", "its worker died, perhaps for want of memory"}


def test_an_address_without_a_cluster(tmp_path: Path) -> None:
    make_fleet(tmp_path / "in", 1)
    words = [tmp_path / "in", "-o", tmp_path / "out", "--codec", "x264", "--engine", "ray"]
    words += ["--address", "127.0.0.1:1", "--quiet"]
    process = start(words, os.environ)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    last = err.strip().splitlines()[-1]
    assert "Ray cannot be reached: 127.0.0.1:1" in last
    assert "Traceback" not in err


def rays(temporary: Path) -> list[psutil.Process]:
    """Return the processes of a Ray whose session lies in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if f"{temporary}/" in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files with a short name: Ray's sockets lie in it."""
    folder = Path(tempfile.gettempdir(), secrets.token_hex(2))
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_a_folder_whose_name_is_too_long_for_sockets(tmp_path: Path) -> None:
    make_fleet(tmp_path / "in", 1)
    (tmp_path / ("long" * 25)).mkdir()
    words = [tmp_path / "in", "-o", tmp_path / "out", "--codec", "x264", "--engine", "ray"]
    process = start([*words, "--quiet"], os.environ | {"TMPDIR": str(tmp_path / ("long" * 25))})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Ray cannot be reached: on this machine (" in err
    assert "cannot exceed" in err


def test_a_run_that_is_killed_ended_and_finished(
    seesame: Run, tmp_path: Path, temporary: Path
) -> None:
    """Whatever ends a run, no process and no temporary file stays; figures are the score's."""
    source, target = tmp_path / "in", tmp_path / "out"
    clips = make_fleet(source, 4)
    (source / "junk.mp4").write_text("no video")
    paths = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    line = [source, "-o", target, "--codec", "x264", "--set", "crf=30", "--stack", SLOW]
    line += ["--engine", "ray", "--jobs", 2, "--quiet"]

    def done() -> int:
        return sum(event["event"] == "clip" for event in events_of(target))

    def wait(process: "subprocess.Popen[str]", count: int) -> None:
        until(lambda: done() >= count or process.poll() is not None, 90)

    values = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = start(line, os.environ | values)
        wait(process, done() + 1)
        begun = rays(temporary)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        if number == signal.SIGTERM and process.returncode != 3:  # else it was done already
            assert process.returncode == 130, err
            assert "Traceback" not in err
            assert list(temporary.iterdir()) == []
        elif number == signal.SIGKILL:
            assert begun, (process.returncode, err)
        psutil.wait_procs(rays(temporary), timeout=20)
        assert rays(temporary) == []
        assert target_faults(target, ended=False) == []
    process = start(line, os.environ | values)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "5: 4 done, 1 failed" in out
    assert target_faults(target, ended=True) == []
    assert rays(temporary) == []
    assert list(temporary.iterdir()) == []
    ended = [e["out"] for e in events_of(target) if e["event"] == "clip"]
    assert sorted(ended) == sorted(states_of(target))  # each of them once
    file = target / "cam1/drive1.ssm"
    assert file.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    scored = json.loads(seesame("score", clips[1], file, "--stack", SLOW, "--json").out)
    state = states_of(target)["cam1/drive1.ssm"]
    figures = state.seg, state.pose, state.score, state.bytes
    assert figures == tuple(scored[n] for n in ("seg", "pose", "score", "compressed_bytes"))


def current_umask() -> int:
    before = os.umask(0o022)
    os.umask(before)
    return before
