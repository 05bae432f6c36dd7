"""Progress on stderr: a bar with the time left on a terminal, a line every 15 seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

Progress = Callable[[float, str], None]
FIRST_LINE = 2.0
"""Seconds before the first line; a stage that ends sooner prints none."""
LINE_EVERY = 15.0
"""Seconds between lines where stderr is no terminal."""


def stages(
    quiet: bool, seconds: float | None = None
) -> Callable[[str], AbstractContextManager[Progress]]:
    """Return what the library calls with the label of a stage that begins.

    Args:
        quiet: show nothing.
        seconds: the time that the user gave for all stages, from now; no more time left is shown.
    """
    end = None if seconds is None else (time.monotonic() + seconds, seconds)
    return partial(progress, quiet=quiet, end=end)


@contextmanager
def progress(
    label: str, quiet: bool = False, end: tuple[float, float] | None = None
) -> Iterator[Progress]:
    """Yield a callback of the share done (0..1) and a short text.

    Args:
        label: of the stage.
        quiet: show nothing.
        end: when the user's time ends, of ``time.monotonic``, and how much it was; None for none.
    """
    if quiet:
        yield lambda share, text: None
    elif sys.stderr.isatty():
        with _bar(label, end) as callback:
            yield callback
    else:
        yield _Lines(label, end)


@contextmanager
def _bar(label: str, end: tuple[float, float] | None) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("[dim]{task.fields[text]}", markup=True),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=1.0, text="", left="")
        start = time.monotonic()

        def show(share: float, text: str) -> None:
            left = seconds_left(share, time.monotonic() - start, end)
            bars.update(task, completed=min(share, 1.0), text=text, left=_clock(left))

        yield show


def seconds_left(
    share: float, elapsed: float, end: tuple[float, float] | None = None
) -> float | None:
    """Return the seconds that a stage still takes; None where too little is done to tell.

    Args:
        share: that is done, 0..1.
        elapsed: seconds since it began.
        end: as :func:`progress` takes it; no more time is left than until then or, where that is
            past, than was given.
    """
    if share <= 0.01:
        return None
    left = elapsed * max(0.0, 1 - share) / share
    if end is None:
        return left
    until = end[0] - time.monotonic()
    return min(left, until if until > 0 else end[1])


def _clock(left: float | None) -> str:
    """Return time left as minutes and seconds; empty where it is not known."""
    if left is None:
        return ""
    minutes, seconds = divmod(round(left), 60)
    return f"{minutes}:{seconds:02} left"


class _Lines:
    """Prints a line now and then, for logs."""

    def __init__(self, label: str, end: tuple[float, float] | None = None) -> None:
        self.label, self.end = label, end
        self.start = time.monotonic()
        self.due = self.start + FIRST_LINE

    def __call__(self, share: float, text: str) -> None:
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + LINE_EVERY
        left = _clock(seconds_left(share, now - self.start, self.end))
        rest = f", {left}" if left else ""
        print(f"{self.label}: {100 * share:.0f} %{rest}  {text}".rstrip(), file=sys.stderr)
