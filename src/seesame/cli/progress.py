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


def stages(quiet: bool) -> Callable[[str], AbstractContextManager[Progress]]:
    """Return what the library calls with the label of a stage that begins."""
    return partial(progress, quiet=quiet)


@contextmanager
def progress(label: str, quiet: bool = False) -> Iterator[Progress]:
    """Yield a callback of the share done (0..1) and a short text."""
    if quiet:
        yield lambda share, text: None
    elif sys.stderr.isatty():
        with _bar(label) as callback:
            yield callback
    else:
        yield _Lines(label)


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[text]}", markup=True),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=1.0, text="")
        yield lambda share, text: bars.update(task, completed=min(share, 1.0), text=text)


class _Lines:
    """Prints a line now and then, for logs."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.start = time.monotonic()
        self.due = self.start + FIRST_LINE

    def __call__(self, share: float, text: str) -> None:
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + LINE_EVERY
        left = (now - self.start) * (1 - share) / share if share > 0.01 else None
        rest = "" if left is None else f", {left // 60:.0f}:{left % 60:02.0f} left"
        print(f"{self.label}: {100 * share:.0f} %{rest}  {text}".rstrip(), file=sys.stderr)
