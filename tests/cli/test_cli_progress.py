"""Progress goes to stderr: a bar on a terminal, sparse lines elsewhere, nothing when quiet."""

import io
import sys

import pytest

from seesame.cli import progress as module
from seesame.cli.progress import progress, seconds_left, stages


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


@pytest.mark.parametrize(
    ("share", "elapsed", "budget", "left"),
    [
        (0.02, 10.0, None, 490.0),
        (0.02, 10.0, 60.0, 50.0),  # not more than until the end of the user's time
        (0.5, 10.0, 60.0, 10.0),
        (0.5, 90.0, 60.0, 60.0),  # past its end, not more than it was
        (0.005, 10.0, 60.0, None),
        (1.0, 10.0, None, 0.0),
    ],
)
def test_no_more_time_is_left_than_the_user_gave(
    clock: Clock, share: float, elapsed: float, budget: float | None, left: float | None
) -> None:
    end = None if budget is None else (clock.now + budget, budget)
    clock.now += elapsed
    assert seconds_left(share, elapsed, end) == pytest.approx(left)


def test_stages_share_the_time(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told = stages(False, 60.0)
    for label in ("one", "two"):
        with told(label) as tell:
            clock.now += 20
            tell(0.1, "")
    assert capsys.readouterr().err == "one: 10 %, 0:40 left\ntwo: 10 %, 0:20 left\n"


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
