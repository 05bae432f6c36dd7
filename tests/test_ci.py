"""The build server's own rule about skipped tests, and the public workflow."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@pytest.mark.parametrize(("required", "outcome"), [("1", "1 skipped, 1 error"), ("", "2 skipped")])
def test_a_skip_for_want_of_shared(tmp_path: Path, required: str, outcome: str) -> None:
    tests = tmp_path / "checkout" / "tests"
    tests.mkdir(parents=True)
    for name in ("conftest.py", "helpers/command.py"):
        shutil.copy(HERE / name, tests)
    (tests / "test_some.py").write_text(
        "import pytest\ndef test_real(shared): pass\ndef test_other(): pytest.skip('needs a GPU')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tests,
        env={**os.environ, "SEESAME_REQUIRE_SHARED": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == (1 if required else 0)
    assert outcome in ran.stdout.splitlines()[-1], ran.stdout


def test_the_workflow_runs_every_python_that_the_package_claims() -> None:
    """It may run more: a version is claimed once it was seen to pass."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = "Programming Language :: Python :: "
    claimed = {c.removeprefix(named) for c in project["classifiers"] if c.startswith(named)}
    oldest = project["requires-python"].removeprefix(">=")
    versions = jobs()["test"]["strategy"]["matrix"]["python-version"]
    assert versions[0] == oldest
    assert claimed <= set(versions)


def test_the_workflow_calls_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    runs = [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]
    called = set(re.findall(r"^make ([a-z-]+)", "\n".join(runs), re.MULTILINE))
    assert {"lint", "test-base"} <= called <= targets


def jobs() -> dict[str, Any]:
    """Return the jobs of the public workflow by their names."""
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found
