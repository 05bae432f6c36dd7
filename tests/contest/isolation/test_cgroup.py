"""Control groups, in folders that stand for the kernel's: this needs no privilege."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seesame.contest.isolation import cgroup
from seesame.contest.isolation.cgroup import Group, new_group
from seesame.contest.isolation.counts import Counts
from seesame.contest.isolation.limits import Limits, WatchSettings

LIMITS = replace(Limits(), memory=1 << 30, processes=4, threads=8)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a hierarchy with this process in ``user/run``, and controllers in some groups."""

    def make(**controllers: str) -> Path:
        own = tmp_path / "sys" / "user" / "run"
        own.mkdir(parents=True)
        for name, folder in (("run", own), ("user", own.parent)):
            (folder / "cgroup.subtree_control").write_text(controllers.get(name, "") + "\n")
            (folder / "cgroup.procs").write_text("")
        (tmp_path / "cgroup").write_text("4:memory:/else\n0::/user/run\n")
        (tmp_path / "mounts").write_text(
            "30 23 0:26 / /sys rw,nosuid - sysfs sysfs rw\n"
            f"31 23 0:27 / {tmp_path / 'sys'} rw,nosuid shared:4 - cgroup2 cgroup rw\n"
        )
        monkeypatch.setattr(cgroup, "_OWN", tmp_path / "cgroup")
        monkeypatch.setattr(cgroup, "_MOUNTS", tmp_path / "mounts")
        return own

    return make


@pytest.mark.parametrize("where", ["run", "user"])
def test_a_group_is_made_where_it_has_the_controllers(
    tree: Callable[..., Path], where: str
) -> None:
    own = tree(**{where: "cpu memory pids"})
    group = new_group(LIMITS)
    assert group is not None
    assert group.folder.parent == (own if where == "run" else own.parent)
    told = {path.name: path.read_text() for path in group.folder.iterdir()}
    assert told["memory.max"] == f"{1 << 30}\n"
    assert told["pids.max"] == "32\n"
    assert told["memory.oom.group"] == "1\n"


@pytest.mark.parametrize("controllers", ["", "memory", "cpu pids"])
def test_without_a_controller_there_is_none(tree: Callable[..., Path], controllers: str) -> None:
    tree(run=controllers, user=controllers)
    assert new_group(LIMITS) is None


@pytest.mark.parametrize("lines", ["", "4:memory:/x\n"])
def test_without_cgroup_v2_there_is_none(
    tree: Callable[..., Path], tmp_path: Path, lines: str
) -> None:
    tree(run="memory pids")
    (tmp_path / "cgroup").write_text(lines)
    assert new_group(LIMITS) is None


def test_what_the_kernel_counted_is_the_verdict(tmp_path: Path) -> None:
    group = Group(tmp_path / "group", LIMITS)
    (tmp_path / "work").mkdir()
    counts = Counts(tmp_path / "work", LIMITS, WatchSettings(), group, None)
    assert counts.passed([]) is None
    assert counts.at_end() is None
    (group.folder / "memory.stat").write_text("anon 700000000\nfile 9000000000\nshmem 500000000\n")
    assert group.memory() == 1_200_000_000
    assert counts.passed([]) == "took more than 1 GiB of memory"
    (group.folder / "pids.events").write_text("max 3\n")
    assert counts.at_end() == "started more than 32 threads"
    (group.folder / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 1\n")
    assert counts.at_end() == "took more than 1 GiB of memory"
    assert counts.peak >= 1_200_000_000
    assert counts.how == "by the kernel, as a control group"
