"""The tutorial's programs and commands run in order, as they are written but with less footage."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command import Ran
from documents import blocks, commands

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
SHORTER = {
    "width=512, height=384": "width=128, height=96",
    "num_frames=40": "num_frames=6",
    "range(8)": "range(2)",
}


def shortened(program: str) -> str:
    """Return a program with fewer frames, of fewer pixels, and fewer epochs."""
    for long, short in SHORTER.items():
        program = program.replace(long, short)
    return program


@pytest.mark.timeout(900)  # a busy machine takes its time
def test_it_ends_in_a_trained_network(
    seesame: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    drives, train = blocks(PAGE, "python")
    assert all(long in drives + train for long in SHORTER)
    exec(compile(shortened(drives), "make_drives.py", "exec"), {"__name__": "example"})
    ran = []
    for words in commands(PAGE):
        line = [one for word in words[1:] for one in (sorted(Path().glob(word)) or [word])]
        done = seesame(*line, *(("--quiet",) if words[1] in ("compress", "report") else ()))
        assert done.code == 0, (words, done.err)
        ran.append(words[1])
    assert {"compress", "score", "report", "info", "labels"} == set(ran)
    (said,) = blocks(PAGE, "text")
    state = torch.random.get_rng_state()
    exec(compile(shortened(train), "train.py", "exec"), {"__name__": "example"})
    torch.random.set_rng_state(state)
    shown = capsys.readouterr().out.splitlines()
    # The page shows these very lines, with other figures and more epochs.
    assert {plain(line) for line in shown} == {plain(line) for line in said.splitlines()}


def plain(line: str) -> str:
    """Return a line that a program prints without its figures."""
    return "".join(letter for letter in line if not letter.isdigit())
