"""What every benchmark shares: where results go and what is recorded with them."""

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"


def machine() -> dict[str, Any]:
    """Date, commit, machine and versions, for the record."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else ""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{model or platform.processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "av": version("av"),
    }


class Results:
    """A results file of JSON lines, begun anew by each run of its benchmark."""

    def __init__(self, name: str) -> None:
        self.path = HERE / "results" / f"{name}.jsonl"
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text("")
        self.machine = machine()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row and show it."""
        text = json.dumps({**row, **self.machine})
        with self.path.open("a") as file:
            file.write(text + "\n")
        print(json.dumps(dict(row)), flush=True)
