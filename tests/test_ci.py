"""Where the real clips are required, a test that skips for want of them is a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


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
