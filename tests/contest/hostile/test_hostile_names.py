"""Names that a stranger gave: they reach no terminal and no report as they are."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran
from trial import BOTH, QUICK, Judge, Submit, need_isolation

NAMES = {
    "latin-1": b"caf\xe9",
    "new line": b"entry\nscored: 0.01",
    "escape": b"entry\x1b[2J\x1b[31mred",
    "carriage return": b"entry\rbetter",
    "bell": b"entry\a\b\b",
    "c1": "entry\u009b31m".encode(),
    "bidi": "entry\u202egpj".encode(),
    "line separator": "entry\u2028next".encode(),
    "markup": b"<script>alert(1)<!--",
    "rich markup": b"[bold red]entry[link=x]",
    "long": b"x" * 255,
}
"""What a folder or a file may be called."""


def is_plain(text: str) -> bool:
    """Return whether a text of several lines can steer no terminal."""
    return all(line.isprintable() for line in text.split("\n"))


def in_another_process(*words: object) -> Ran:
    """Run the command where its output need not be text for this process."""
    done = subprocess.run(
        [sys.executable, "-m", "seesame.cli", *map(str, words)],
        capture_output=True,
    )
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return Ran(done.returncode, out, err)


def judged(seesame: Callable[..., Ran], submission: Path, videos: Path, out: Path) -> Ran:
    need_isolation()
    return seesame(
        "contest", "evaluate", submission, "--videos", videos, "--names",
        videos.parent / "names.txt", "--stack", "lite", "--out", out, "-q", "--overwrite",
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_submission_may_be_called_anything(
    submit: Submit, videos: Path, tmp_path: Path, seesame: Callable[..., Ran], name: str
) -> None:
    called = os.fsdecode(NAMES[name])
    submission = submit("printf '\\033[31m\\342\\200\\256\\351'; exit 3", name=called)
    inner = submission / called[:200]
    inner.mkdir()
    (inner / called).write_bytes(b"\0")
    out = tmp_path / "out"
    out.mkdir()
    ran = judged(seesame if name != "latin-1" else in_another_process, submission, videos, out)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "not scored: inflate.sh ended with exit code 3" in ran.err
    assert is_plain(ran.err)
    text = (out / "report.txt").read_bytes().decode("ascii" if name != "bidi" else "utf-8")
    assert is_plain(text)
    assert text.count("\n") == 16
    raw = (out / "report.json").read_bytes()
    assert raw.isascii()
    assert is_plain(json.loads(raw)["name"])
    assert is_plain(json.loads(raw)["uncounted"][0]["path"])
    run = seesame if name != "latin-1" else in_another_process
    board = run("contest", "leaderboard", out, "--html", out / "board.html", "--overwrite")
    assert board.code == 0
    assert is_plain(board.out)
    page = (out / "board.html").read_bytes().decode("utf-8")
    assert "<script>alert" not in page
    assert is_plain(page)


@BOTH
@pytest.mark.parametrize("name", NAMES)
def test_outputs_may_be_called_anything(
    submit: Submit, judge: Judge, name: str, isolate: bool
) -> None:
    called = "".join(f"\\x{byte:02x}" for byte in NAMES[name])
    script = f"mkdir \"$2\"/$'{called}' && echo > \"$2\"/$'{called}/{called}'; exit 5"
    result = judge(submit(script), QUICK, isolate)
    assert result.verdict == "inflate.sh ended with exit code 5"


@pytest.mark.parametrize("name", NAMES)
def test_entries_of_an_archive_may_be_called_anything(
    submit: Submit, judge: Judge, name: str
) -> None:
    folder = submit('ls -A "$1" | head -c 9 | grep -q . && exit 6', {})
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr(NAMES[name].decode("utf-8", "replace").replace(":", ";"), b"x")
    assert judge(folder).verdict == "inflate.sh ended with exit code 6"


@pytest.mark.parametrize("name", ["/", "../"])
def test_a_long_name_makes_no_long_verdict(submit: Submit, judge: Judge, name: str) -> None:
    folder = submit("exit 0", {})
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr(name + "x" * 60_000, b"x")
    assert "climbs out of its folder" in judge(folder).verdict
