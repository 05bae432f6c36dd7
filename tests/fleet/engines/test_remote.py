"""A task on a node: its temporary files, and those that other tasks have left."""

import subprocess
import sys
from pathlib import Path

from seesame import temporary
from seesame.temporary import TemporaryFolder

TASK = """
import sys
from seesame.fleet.engines.remote import Remote, do_remote
from seesame.fleet.plan import Task
target, scratch = sys.argv[1:]
task = Task("no.mp4", "no.ssm", target, "x264", {}, {}, "s", "fail", "cpu", 0, "r", "f")
print(do_remote(task, Remote(target, "", "", scratch=scratch), 0)["state"]["error"])
"""


def test_a_task_removes_what_killed_ones_have_left_and_nothing_else(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    living = TemporaryFolder(scratch)
    dead = scratch / f"seesame-tmp-{temporary._machine()}-0123456789ab"
    dead.mkdir()
    (dead / "source.mp4").touch()
    (scratch / "lost+found").mkdir()
    words = [sys.executable, "-c", TASK, str(tmp_path / "target"), str(scratch)]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "no.mp4: not found\n"), ran.stderr
    assert {path.name for path in scratch.iterdir()} == {living.path.name, "lost+found"}
    living.remove()


def test_a_node_without_the_scratch_folder_gets_one(tmp_path: Path) -> None:
    words = [sys.executable, "-c", TASK, str(tmp_path / "target"), str(tmp_path / "new/scratch")]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "no.mp4: not found\n"), ran.stderr
    assert list((tmp_path / "new/scratch").iterdir()) == []
