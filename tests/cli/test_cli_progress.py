"""Progress goes to stderr: a bar on a terminal, sparse lines elsewhere, nothing when quiet."""

import io
import sys

import pytest

from seesame.cli import progress as module
from seesame.cli.progress import progress


class Clock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_lines_are_sparse(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train") as tell:
        for second in range(40):
            clock.now = 100.0 + second
            tell(second / 40, f"step {second}")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "train: 5 %, 0:38 left  step 2",
        "train: 42 %, 0:23 left  step 17",
        "train: 80 %, 0:08 left  step 32",
    ]


def test_what_is_over_soon_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train") as tell:
        tell(0.0, "")
        clock.now += 1.9
        tell(1.0, "done")
    assert capsys.readouterr() == ("", "")


def test_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", quiet=True) as tell:
        clock.now += 100
        tell(0.5, "half")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress("train") as tell:
        tell(0.5, "step [3]")
    shown = terminal.getvalue()
    assert "train" in shown
    assert "50 %" in shown
    assert "step [3]" in shown
