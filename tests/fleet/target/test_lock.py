"""One run at a time on a target, or one for each shard."""

import subprocess
import sys
from pathlib import Path

import pytest

from seesame.errors import UserError
from seesame.fleet.target import lock
from seesame.fleet.target.lock import TargetBusyError, target_lock

HOLD = """
import sys, time
from seesame.fleet.target.lock import target_lock
with target_lock(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path: Path):
    """Shard 1 of 3 is held by another process, which is returned."""
    line = [sys.executable, "-c", HOLD, str(tmp_path), "1", "3"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_who_may_share_a_target(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    target = str(tmp_path)
    with target_lock(target, (0, 3)), target_lock(target, (2, 3)):
        pass
    with pytest.raises(TargetBusyError, match=rf"process {held.pid} on .* works on shard 1/3"):
        target_lock(target, (1, 3)).__enter__()
    for shard, words in (((0, 1), "all clips"), ((0, 2), "shard 0/2"), ((1, 4), "shard 1/4")):
        with pytest.raises(TargetBusyError, match=f"this one would on {words}"):
            target_lock(target, shard).__enter__()
    held.kill()
    held.wait()
    with target_lock(target):
        names = [path.name for path in (tmp_path / ".seesame").iterdir()]
        assert names == ["run-0-of-1.lock"]
    assert list((tmp_path / ".seesame").iterdir()) == []


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        target_lock(str(tmp_path / "file")).__enter__()


def test_a_lease_in_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    target = "memory://lock"
    with target_lock(target, (0, 2)):
        with target_lock(target, (1, 2)):
            pass
        for shard in ((0, 2), (0, 1)):
            with pytest.raises(TargetBusyError):
                target_lock(target, shard).__enter__()
        monkeypatch.setattr(lock, "LEASE", -1.0)  # the run that had it was killed long ago
        with target_lock(target):
            pass
    monkeypatch.undo()
    with target_lock(target):
        pass
