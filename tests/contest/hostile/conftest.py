"""Small hostile programs, run as ``inflate.sh`` is, in the sandbox or within the limits alone."""

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from trial import MIB, Attack, need_isolation

from seesame.contest.isolation.limits import Limits
from seesame.contest.isolation.sandbox import Workspace, run_inflate
from seesame.contest.isolation.watch import Outcome
from seesame.removal import remove_tree

SMALL = Limits(seconds=60, memory=160 * MIB, processes=24, bytes=48 * MIB, files=500)
"""Limits that a program passes at once; Python itself takes a tenth of the memory."""


@pytest.fixture
def attack(tmp_path: Path) -> Iterator[Attack]:
    """Run a Python program: ``attack("print(1)", isolate=True, memory=2**30)``.

    Its words are ARCHIVE_DIR, OUT_DIR and NAMES. Afterwards no process and no file of it is left.
    """
    runs = []

    def run(program: str, isolate: bool = True, **limits: int) -> Outcome:
        if isolate:
            need_isolation()
        workspace = Workspace(tmp_path / f"run{len(runs)}", "entry")
        runs.append(workspace)
        for folder in (workspace.archive, workspace.out, workspace.tmp):
            folder.mkdir(parents=True)
        workspace.names.write_text("drive.mp4\n")
        (workspace.scripts / "attack.py").write_text(program)
        python = shlex.quote(sys.executable)
        workspace.script.write_text(f'exec {python} -I -S "${{0%/*}}/attack.py" "$@"\n')
        before = psutil.Process().children()
        handles = os.listdir("/proc/self/fd")
        outcome = run_inflate(workspace, replace(SMALL, **limits), isolate=isolate)
        assert psutil.Process().children() == before
        assert len(os.listdir("/proc/self/fd")) == len(handles)
        return outcome

    yield run
    for workspace in runs:
        remove_tree(workspace.folder)
        assert not workspace.folder.exists()
