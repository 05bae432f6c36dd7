"""The results files of the benchmarks, and what is recorded with every line."""

import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
Cells = tuple[str, ...]
TWINLITENET = SHARED / "models" / "twinlitenet_360x640.onnx"


def machine() -> dict[str, Any]:
    """Return date, commit, machine and versions, for the record.

    In a copy that is no checkout, the variable ``COMMIT`` says what was copied.
    """
    commit = os.environ.get("COMMIT") or _commit()
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else ""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{model or platform.processor()}, {os.cpu_count()} cores{gpu}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "av": version("av"),
    }


def _commit() -> str:
    describe = ["git", "describe", "--always"]
    commit = subprocess.run(describe, cwd=HERE, capture_output=True, text=True).stdout.strip()
    # The results themselves, written while benchmarks run, do not count as a change.
    changed = ["git", "diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)bench/results"]
    if subprocess.run(changed, cwd=HERE, capture_output=True).returncode:
        commit += "-dirty"
    return commit


def twinlitenet(folder: Path) -> str:
    """Make TwinLiteNet a stack in a folder, as docs/stacks.md describes it; return its name."""
    text = (HERE.parent / "docs" / "stacks.md").read_text(encoding="utf-8")
    found = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stack.toml").write_text(found[1], encoding="utf-8")
    shutil.copyfile(TWINLITENET, folder / TWINLITENET.name)
    return f"onnx:{folder}"


def table(columns: Cells, rows: Iterable[Cells], left: int = 1) -> str:
    """Return a Markdown table; the first ``left`` columns align left, the others right."""
    rule = ["---"] * left + ["---:"] * (len(columns) - left)
    lines = [columns, tuple(rule), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Results:
    """A results file of JSON lines.

    Args:
        name: of the file, without its suffix.
        append: keep what is there; otherwise the file is begun anew.
        folder: of the file, ``bench/results`` when None.
    """

    def __init__(self, name: str, append: bool = False, folder: Path | None = None) -> None:
        self.path = (folder or HERE / "results") / f"{name}.jsonl"
        self.path.parent.mkdir(exist_ok=True, parents=True)
        if not append:
            self.path.write_text("")
        self.machine = machine()

    def rows(self) -> list[dict[str, Any]]:
        """Return the lines of the file; one that a crash cut short is left out."""
        found = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return found

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row and show it."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        text = json.dumps({**row, **self.machine, "date": now})
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else "\n" + text  # after a crash
            file.write(text.encode() + b"\n")
        print(json.dumps(dict(row)), flush=True)
