"""Use a wheel as a stranger does: in a new environment, from an empty folder.

    python tools/check_wheel.py dist/seesame-*.whl [--environment FOLDER]

The wheel is installed with the versions that ``requirements/dev.txt`` pins. Then the command and
the library each compress, decode and score a short synthetic drive, and type checkers look at a
program that uses the package. With ``--environment`` an environment is used that has everything
but seesame already; no version is changed in it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import platform
import seesame
from seesame.scene import SceneClip, SceneConfig

stack = seesame.load_stack("lite")
result = seesame.compress(SceneClip(SceneConfig(width=160, height=120), 4), stack, codec="x264")
video = seesame.open(result.save("library.ssm"))
assert len(video) == 4 and video[1].shape == (3, 120, 160)
print(seesame.__version__, platform.python_version(), seesame.__file__)
"""
"""What runs in the new environment."""


def installed(wheel: Path, environment: Path | None, folder: Path) -> Path:
    """Install the wheel and return the environment's folder of programs."""
    words = ["--quiet"]
    if environment is None:
        environment = folder / "environment"
        venv.create(environment, with_pip=True)
        words += ["--constraint", str(ROOT / "requirements" / "dev.txt")]
    else:
        words += ["--no-deps", "--force-reinstall"]
    programs = environment / "bin"
    subprocess.run([programs / "python", "-m", "pip", "install", *words, wheel], check=True)
    return programs


def run(*words: str | Path, folder: Path) -> str:
    """Run a program in a folder, print what it does, and return its output."""
    print("$", Path(words[0]).name, *words[1:], flush=True)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        words, cwd=folder, env=clean, stdout=subprocess.PIPE, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"{ran.stdout}{Path(words[0]).name} failed with code {ran.returncode}")
    return ran.stdout


def main() -> None:
    """Install, run, check; stop at the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--environment", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = given.environment and given.environment.resolve()
        programs = installed(given.wheel.resolve(), environment, folder)
        command = programs / "seesame"
        said = run(programs / "python", "-c", PROGRAM, folder=folder)
        version, python, place = said.split(maxsplit=2)
        if str(programs.parent) not in place or f"-{version}-" not in given.wheel.name:
            raise SystemExit(f"another seesame was used: {said}")
        for line in (
            ("info", "library.ssm"),
            ("decompress", "library.ssm", "-o", "drive.mkv"),
            ("compress", "drive.mkv", "-o", "drive.ssm", "--codec", "svtav1", "--set", "crf=40"),
            ("score", "drive.mkv", "drive.ssm"),
            ("report", "drive.mkv", "drive.ssm", "-o", "drive.html"),
            ("codecs",),
            ("stacks",),
        ):
            if not run(command, *line, folder=folder):
                raise SystemExit(f"seesame {line[0]} printed nothing")
        checker = ROOT / "tools" / "check_types.py"
        interpreter = str(programs / "python")
        print(run(sys.executable, checker, "--python", interpreter, folder=folder), end="")
    print(f"{given.wheel.name} works on Python {python}")


if __name__ == "__main__":
    main()
