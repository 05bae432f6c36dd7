"""Check that an installed seesame tells type checkers its types (PEP 561).

    python tools/check_types.py --python ENVIRONMENT/bin/python [--checker mypy --checker pyright]

The checkers run beside this program; ENVIRONMENT is where seesame is installed. They look at the
programs in ``tests/consumer`` from an empty folder: ``typed.py`` must pass in their strictest
mode, and each marked line of ``wrong.py`` must be found.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

CONSUMER = Path(__file__).resolve().parents[1] / "tests" / "consumer"
CHECKERS = ("mypy", "pyright")


def mypy(python: str, folder: Path) -> dict[str, set[int]]:
    """Return the lines in which mypy finds a fault, by the file's name."""
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python]
    command += ["--cache-dir", str(folder / ".cache"), "--no-error-summary", "."]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        raise SystemExit(f"mypy failed: {ran.stdout}{ran.stderr}")
    return grouped(re.findall(r"^(\w+\.py):(\d+): error", ran.stdout, re.MULTILINE))


def pyright(python: str, folder: Path) -> dict[str, set[int]]:
    """Return the lines in which pyright finds a fault, by the file's name."""
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", python]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        raise SystemExit(f"pyright failed: {ran.stdout}{ran.stderr}")
    found = json.loads(ran.stdout)["generalDiagnostics"]
    faults = [one for one in found if one["severity"] == "error"]
    return grouped((Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in faults)


def grouped(places: Iterable[tuple[str, str | int]]) -> dict[str, set[int]]:
    """Return line numbers by file names, from pairs of the two."""
    found: dict[str, set[int]] = {}
    for name, line in places:
        found.setdefault(name, set()).add(int(line))
    return found


def problems(checker: str, python: str) -> list[str]:
    """Return what is wrong with the types that a checker sees, a line each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in CONSUMER.glob("*.py"):
            shutil.copy(source, folder)
        found = {"mypy": mypy, "pyright": pyright}[checker](python, folder)
    wrong = (CONSUMER / "wrong.py").read_text("utf-8").splitlines()
    marked = {n for n, line in enumerate(wrong, 1) if line.endswith("# wrong")}
    said = [f"{checker}: typed.py:{n} is refused" for n in sorted(found.get("typed.py", ()))]
    missed = marked - found.get("wrong.py", set())
    return said + [f"{checker}: wrong.py:{n} is not found" for n in sorted(missed)]


def main() -> int:
    """Print what is wrong; return 1 where anything is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="the interpreter that has seesame")
    parser.add_argument("--checker", action="append", choices=CHECKERS)
    given = parser.parse_args()
    checkers = given.checker or CHECKERS
    said = [line for checker in checkers for line in problems(checker, given.python)]
    print("\n".join(said) or f"the types are seen by {' and '.join(checkers)}")
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())
