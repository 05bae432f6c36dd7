"""The watch over a submission's processes."""

import os
import subprocess
from pathlib import Path

from seesame.contest.isolation.limits import Limits
from seesame.contest.isolation.watch import watch


def test_other_children_of_the_caller_are_let_alone(tmp_path: Path) -> None:
    forking = ["bash", "-c", "while true; do sleep 0.02; done"]
    with subprocess.Popen(forking, start_new_session=True) as other:
        try:
            for _ in range(5):
                limits = Limits(seconds=30, memory=2**32, processes=64, bytes=2**20)
                outcome = watch(["sleep", "0.2"], tmp_path, {"PATH": os.environ["PATH"]}, limits)
                assert (outcome.exit_code, outcome.stopped) == (0, None)
            assert other.poll() is None
        finally:
            other.kill()
